"""One page of what a server has, as a table or as one object a line, with the options that say which."""

from typing import Annotated, Any, Literal

import typer


def _filter(example: str) -> Any:
    return typer.Option("--filter", metavar="TEXT", help=f"Only rows like these: {example}.", show_default=False)


def _sort(example: str) -> Any:
    help_text = f"Order by these, - is descending: --sort={example}."
    return typer.Option("--sort", metavar="COLUMNS", help=help_text, show_default=False)


ConnectionFilter = Annotated[str, _filter("user=alice and (pending>64k or not state=open)")]
ConnectionSort = Annotated[str, _sort("-pending,user")]
UploadFilter = Annotated[str, _filter("upload=5c4e* or (state=running and percent<50)")]
UploadSort = Annotated[str, _sort("-age,upload")]
Limit = Annotated[int, typer.Option("--limit", metavar="NUMBER", min=1, max=500, help="At most so many rows.")]
Offset = Annotated[int, typer.Option("--offset", metavar="NUMBER", min=0, help="Leave out so many rows before.")]

Scope = Annotated[
    Literal["node", "cluster"], typer.Option("--scope", help="Of the one node that is asked, or of all around its broker.")
]


def list_page(
    view: Literal["connections", "uploads"],
    control: str,
    *,
    filter_text: str,
    sort: str,
    limit: int,
    offset: int,
    scope: Literal["node", "cluster"],
    as_json: bool,
) -> None:
    """Print a page on stdout, and on stderr how many rows there are.

    Raises:
        BadSetting: the server does not understand the filter or the sort.
        EnvironmentUnfit, Refused: there is no such server.
    """
    import asyncio

    from vuemantics_ws.client.locations import check_url
    from vuemantics_ws_cli.console import complain, emit, json_line, say, size_of, stdout
    from vuemantics_ws_cli.views.columns import table
    from vuemantics_ws_cli.views.pages import columns_of, place

    check_url(control, setting="--control", schemes=("http", "https"))
    page = asyncio.run(_ask(control, view, filter=filter_text, sort=sort, limit=limit, offset=offset, scope=scope))
    rows = page["rows"]
    if as_json:
        for row in rows:
            emit(json_line(row))
    elif rows:
        console = stdout()
        size = size_of(console)
        columns = columns_of(page, ascii_only=size.ascii_only)
        for line in table(columns, rows, size.width, sort=page["sort"], ascii_only=size.ascii_only):
            console.print(line, soft_wrap=True)
    say(f"{view}: {place(page, len(rows))}")
    for name in page.get("missing", []):
        complain(f"{name} did not answer: its rows are missing", kind="warning")


async def _ask(control: str, view: str, **asked: Any) -> dict[str, Any]:
    from vuemantics_ws.client.control import Control

    async with Control(control) as server:
        return await server.page(view, **asked)
