"""What was found, as it is recorded, and the table of the documentation that is made of it."""

from pathlib import Path

import msgspec

from tests.simulation.planted.bugs import BUGS
from tests.simulation.planted.finding import Found

RECORD = Path(__file__).with_name("found.json")
PAGE = Path(__file__).parents[3] / "docs" / "planted-bugs.md"

BEGINS = "<!-- table: planted bugs -->\n\n"
HEAD = "| planted bug | what is wrong | scenario | seeds needed | what fell first | clients | uploads | faults | plays |\n"


def read_record() -> dict[str, Found]:
    """By the names of the bugs. There is none before anything was found."""
    if not RECORD.exists():
        return {}
    return {found.bug: found for found in msgspec.json.decode(RECORD.read_bytes(), type=list[Found])}


def write(found: dict[str, Found]) -> None:
    """The record, and the table of the page."""
    ordered = [found[bug.name] for bug in BUGS if bug.name in found]
    RECORD.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
    before, _, after = PAGE.read_text(encoding="utf-8").partition(BEGINS)
    _, _, rest = after.partition("\n\n")
    table = as_table({each.bug: each for each in ordered})
    PAGE.write_text(f"{before}{BEGINS}{table}\n{rest}", encoding="utf-8")


def as_table(found: dict[str, Found]) -> str:
    """In Markdown, a line for each bug."""
    lines = [HEAD, "| --- | --- | --- | --: | --- | --: | --: | --: | --: |\n"]
    for bug in BUGS:
        if bug.name in found:
            each = found[bug.name]
            scenario = f"`{bug.scenario}`" + (", around Redis" if bug.broker == "redis" else "")
            left = " | ".join(f"{left} of {of}" if of else "none" for left, of in zip(each.left, each.of, strict=True))
            lines.append(f"| {bug.name} | {bug.sentence} | {scenario} | {each.seed} | {each.broke} | {left} | {each.plays} |\n")
    return "".join(lines)
