"""What ``serve`` says when it is ready."""

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vuemantics_ws.client.locations import CONTROL_URL, PUBLIC_URL

_RULES = {
    "open": "open: everybody with a token may follow every upload",
    "owner": "owner: an upload is its owner's, whom the publisher names",
}


def banner(*, version: str, url: str, control: str, access: str, development: bool) -> Group:
    """Where the server listens, how to get a token, what to try next; in development mode what that means, loudly."""
    where = _rows(("browsers", url), ("control", control), ("access", _RULES[access]))
    parts: list[Text | Table | Padding] = [Text(f"vuemantics-ws {version} is ready", style="bold"), Padding(where, (1, 2))]
    if development:
        parts.append(_warning())
    parts.append(Text("Try, in other terminals:"))
    parts.append(Padding(_attempts(url, control, access, development), (1, 2)))
    parts.append(Text("What uploads are doing is kept in this process and gone when it ends. Ctrl-C stops it.", style="dim"))
    return Group(*parts)


def _warning() -> Padding:
    words = Text.assemble(
        ("DEVELOPMENT MODE", "bold reverse"),
        " There is no secret, so whoever reaches the control port gets a token for any user.\n"
        "For anything but your own machine give --secret (VUEMANTICS_WS_SECRET) and --access.",
    )
    return Padding(words, (0, 0, 1, 0))


def _attempts(url: str, control: str, access: str, development: bool) -> Table:
    at_url = "" if url == PUBLIC_URL else f" --url {url}"
    at_control = "" if control == CONTROL_URL else f" --control {control}"
    owner = " --owner alice" if access == "owner" else ""
    with_secret = "" if development else "VUEMANTICS_WS_SECRET=… "
    ask = at_control if development else ""
    return _rows(
        ("a token", f"{with_secret}vuemantics-ws token alice{ask}"),
        ("listen", f"{with_secret}vuemantics-ws listen holiday --user alice{at_url}{ask}"),
        ("publish", f"vuemantics-ws publish holiday 50{owner}{at_control}"),
        ("a whole run", f"vuemantics-ws publish holiday --run image{owner}{at_control}"),
    )


def _rows(*rows: tuple[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
