"""What ``serve`` says when it is ready."""

from collections.abc import Iterable

from rich.text import Text

from vuemantics_ws.client.locations import CONTROL_URL, PUBLIC_URL

_RULES = {
    "open": "open: everybody with a token may follow every upload",
    "owner": "owner: an upload is its owner's, whom the publisher names",
}


def banner(
    *,
    version: str,
    url: str,
    control: str,
    access: str,
    development: bool,
    redis: str | None = None,
    workers: str | None = None,
) -> Text:
    """Where the server listens, how to get a token, what to try next; in development mode what that means, loudly.

    ``redis`` is where Redis is, in words without its password.

    A line that is too long for a terminal is the terminal's to wrap: a command that we broke could not be copied.
    """
    text = Text.assemble((f"vuemantics-ws {version} is ready", "bold"), "\n\n")
    _append_rows(text, [("browsers", url), ("control", control), ("access", _RULES[access])])
    if redis is not None:
        _append_rows(text, [("redis", f"{redis}: every node that names it is part of one system")])
    if workers is not None:
        _append_rows(text, [("workers", workers)])
    if development:
        text.append("\nDEVELOPMENT MODE", "bold reverse")
        text.append(": no secret, so whoever reaches the control port\ngets a token for any user. ")
        text.append("For anything but your own machine:\n--secret (VUEMANTICS_WS_SECRET) and --access.\n")
    text.append("\nTry, in other terminals:\n\n")
    _append_rows(text, _attempts(url, control, access, development))
    kept = "in this process, and gone when it ends" if redis is None else "in Redis, and stays when this ends"
    text.append(f"\nWhat uploads do is kept {kept}. Ctrl-C stops it.", "dim")
    return text


def _attempts(url: str, control: str, access: str, development: bool) -> list[tuple[str, str]]:
    at_url = "" if url == PUBLIC_URL else f" --url {url}"
    at_control = "" if control == CONTROL_URL else f" --control {control}"
    owner = " --owner alice" if access == "owner" else ""
    with_secret = "" if development else "VUEMANTICS_WS_SECRET=… "
    ask = at_control if development else ""
    return [
        ("a token", f"{with_secret}vuemantics-ws token alice{ask}"),
        ("listen", f"{with_secret}vuemantics-ws listen holiday --user alice{at_url}{ask}"),
        ("publish", f"vuemantics-ws publish holiday 50{owner}{at_control}"),
        ("a whole run", f"vuemantics-ws publish holiday --run image{owner}{at_control}"),
        ("watch it", f"vuemantics-ws watch{at_control}"),
    ]


def _append_rows(text: Text, rows: Iterable[tuple[str, str]]) -> None:
    for name, value in rows:
        text.append(f"  {name:<12}", "cyan")
        text.append(f"{value}\n")
