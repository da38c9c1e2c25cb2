"""What many seeds found. Data in, something to print out."""

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views.amounts import age
from vuemantics_ws_cli.views.results import Swept
from vuemantics_ws_cli.views.trimmed import Trimmed
from vuemantics_ws_cli.views.verdict import STYLES


def swept_table(swept: Swept) -> RenderableType:
    """Every law, rule and expectation with what all seeds together say of it, then what came of them in a sentence."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for name in ("verdict", "what", "", "seeds", "samples"):
        right = name in ("seeds", "samples")
        table.add_column(name, no_wrap=name != "", justify="right" if right else "left")
    for total in swept.result.totals.values():
        verdict = total.verdict
        about = Text(printable(total.about), overflow="fold")
        row = [Text(verdict, STYLES[verdict]), Text(total.name, "bold"), about]
        table.add_row(*row, f"{total.verdicts[verdict]:,}", f"{total.samples:,}")
    return Trimmed(Group(Text(), table, Text(), swept_summary(swept)))


def swept_summary(swept: Swept) -> Text:
    """One sentence."""
    result = swept.result
    first, last = result.seeds[0], result.seeds[-1]
    if result.failed is not None:
        said, style = f"does not hold for seed {result.failed.seed}", "bold red"
    elif result.holds:
        said, style = f"holds for every seed from {first} to {last}", "bold green"
    else:
        said, style = f"holds for {result.played:,} of {len(result.seeds):,} seeds, and was interrupted", "bold yellow"
    if swept.other_hash is not None:
        said, style = f"is not deterministic: {said}, and was another run when that was played again", "bold red"
    count = f"{result.played:,} seed{'s' * (result.played != 1)}"
    text = Text.assemble(
        (f"{printable(swept.scenario)} {said}", style),
        f"; {count} played in {age(result.took_s)}, {result.progress.seeds_per_s:,.1f} a second: ",
        f"{age(result.virtual_s)} of virtual time",
    )
    if swept.other_hash is not None:
        here = swept.failure.virtual.trace_hash if swept.failure is not None and swept.failure.virtual is not None else None
        text.append(
            f"\ntrace hash of the first time  {swept.other_hash or 'none'}\ntrace hash of the second time {here or 'none'}"
        )
    return text
