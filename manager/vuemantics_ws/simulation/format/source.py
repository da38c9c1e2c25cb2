"""The text of a scenario file as plain data, with the line of every key.

YAML as people mean it: ``yes`` and ``12:30`` are text, a number is a number, and what makes a short file huge or makes two
places one (anchors, aliases, tags, several documents) is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

FILE_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 32

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys of mappings and indexes of lists, outermost first."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}", re.ASCII)
_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?:\|([^}]*))?\}", re.ASCII)
_HALF = re.compile("[\ud800-\udfff]")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file. ``unbuilt`` says that the file is right, and asks for what is not built yet."""

    line: int
    path: KeyPath
    message: str
    unbuilt: bool = False

    def at(self, file: str) -> str:
        """The problem as one line of text, with file, line and key."""
        where = f"{file}:{self.line}: "
        return where + (f"{show_path(self.path)}: {self.message}" if self.path else self.message)


@dataclass(slots=True)
class Source:
    """A file's data, or what kept it from being read: ``problems`` is then not empty."""

    environment: Mapping[str, str]
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int:
        """The line of the key, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def show_path(path: KeyPath) -> str:
    """A path as people read it: ``clients[2].join``."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part[:64]}" if shown else part[:64]
    return shown


def variables_in(text: str) -> list[str]:
    """The variables of the environment that a file's text names, each once."""
    return list(dict.fromkeys(match[1] for match in _VARIABLE.finditer(text)))


def read_source(text: str, environment: Mapping[str, str]) -> Source:
    """Read YAML, with ``${env:NAME|default}`` in scalars replaced from the environment.

    Never raises: what is wrong is in the source's problems, all of it where the text can be read at all.
    """
    source = Source(environment)
    if len(text.encode(errors="replace")) > FILE_BYTES_MAX:
        return _refuse(source, 1, f"expected a file of at most {FILE_BYTES_MAX // 1024} KiB")
    try:
        if not _is_plain(text, source):
            return source
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return _refuse(source, mark.line + 1 if mark else 1, f"expected YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        return _refuse(source, 1, f"expected YAML: {str(error).splitlines()[0]}")
    except ValueError:  # PyYAML takes an escape for a character that there is not
        return _refuse(source, 1, "expected YAML: found an escape that stands for no character")
    if node is None:
        return _refuse(source, 1, "expected a scenario, got an empty file")
    source.data = _build(node, (), source)
    if source.data is None and not source.problems:
        return _refuse(source, source.line_of(()), "expected a scenario, got nothing")
    return source


def _refuse(source: Source, line: int, message: str) -> Source:
    source.problems.append(Problem(line, (), message))
    return source


def _is_plain(text: str, source: Source) -> bool:
    """Whether the text holds nothing but mappings, lists and scalars. Looked up before anything is built of it."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            _refuse(source, line, "expected no anchors and no aliases")
        elif getattr(event, "tag", None) not in (None, "!"):
            _refuse(source, line, "expected no tags")
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents == 2:
                _refuse(source, line, "expected one document, got several")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                _refuse(source, line, f"expected at most {DEPTH_MAX} levels")
                return False
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return not source.problems


def _build(node: yaml.Node, path: KeyPath, source: Source) -> Any:
    source.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), source) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, path, source)
    assert isinstance(node, yaml.ScalarNode)
    return _read_scalar(node, path, source)


def _build_mapping(node: yaml.MappingNode, path: KeyPath, source: Source) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            source.problems.append(Problem(line, path, "expected a key that is text"))
            continue
        key = key_node.value
        if _HALF.search(key):
            source.problems.append(Problem(line, path, "expected whole characters in a key, got half of one"))
            continue
        where = (*path, key)
        if key in built:
            first = source.lines[where]
            source.problems.append(Problem(line, where, f"the key stands twice, first in line {first}"))
            continue
        source.lines[where] = line
        built[key] = _build(value_node, where, source)
    return built


def _read_scalar(node: yaml.ScalarNode, path: KeyPath, source: Source) -> Any:
    text = _fill_in(node, path, source)
    if _HALF.search(text):
        source.problems.append(Problem(node.start_mark.line + 1, path, "expected whole characters, got half of one"))
        return ""
    if node.style is not None:  # in quotes
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text


def _fill_in(node: yaml.ScalarNode, path: KeyPath, source: Source) -> str:
    def value_of(variable: re.Match[str]) -> str:
        name, default = variable.groups()
        value = source.environment.get(name, default)
        if value is None:
            message = f"the environment has no {name}, and there is no default: write ${{env:{name}|default}}"
            source.problems.append(Problem(node.start_mark.line + 1, path, message))
            return ""
        return value

    return _VARIABLE.sub(value_of, node.value)
