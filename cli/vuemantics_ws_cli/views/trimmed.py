"""What is printed without blanks at the ends of its lines: a table pads its cells, and whoever reads a pipe would get that."""

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment


class Trimmed:
    """The same as what it holds, line by line, less the blanks at each end."""

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in Segment.split_lines(console.render(self._whole, options)):
            yield from _trim(line)
            yield Segment.line()


def _trim(line: list[Segment]) -> Iterator[Segment]:
    while line and not line[-1].text.strip(" "):
        line = line[:-1]
    yield from line[:-1]
    for last in line[-1:]:
        yield Segment(last.text.rstrip(" "), last.style, last.control)
