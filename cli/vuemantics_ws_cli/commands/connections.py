"""``vuemantics-ws connections``: one page of them."""

from vuemantics_ws_cli.listing import ConnectionFilter, ConnectionSort, Limit, Offset, Scope, list_page
from vuemantics_ws_cli.options import DEFAULT_CONTROL, AsJson, ControlUrl, examples

EPILOG = examples(
    "vuemantics-ws connections",
    "vuemantics-ws connections --filter 'user=alice and pending>64k' --sort=-pending",
    "vuemantics-ws connections --filter 'state=slow or state=stalled' --json",
)


def connections(
    filter: ConnectionFilter = "",  # noqa: A002 - the option's name
    sort: ConnectionSort = "",
    limit: Limit = 50,
    offset: Offset = 0,
    scope: Scope = "cluster",
    control: ControlUrl = DEFAULT_CONTROL,
    as_json: AsJson = False,
) -> None:
    """List who is connected, and how each connection does.

    A table on stdout, or with --json one object a line; how many there are stands on stderr. The heads of the columns are the
    names that --filter and --sort take.
    """
    list_page("connections", control, filter_text=filter, sort=sort, limit=limit, offset=offset, scope=scope, as_json=as_json)
