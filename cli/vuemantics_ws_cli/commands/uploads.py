"""``vuemantics-ws uploads``: one page of them."""

from vuemantics_ws_cli.listing import Limit, Offset, Scope, UploadFilter, UploadSort, list_page
from vuemantics_ws_cli.options import DEFAULT_CONTROL, AsJson, ControlUrl, examples

EPILOG = examples(
    "vuemantics-ws uploads",
    "vuemantics-ws uploads --filter 'state=running and followers=0'",
    "vuemantics-ws uploads --sort=-refused --limit 10 --json",
)


def uploads(
    filter: UploadFilter = "",  # noqa: A002 - the option's name
    sort: UploadSort = "",
    limit: Limit = 50,
    offset: Offset = 0,
    scope: Scope = "cluster",
    control: ControlUrl = DEFAULT_CONTROL,
    as_json: AsJson = False,
) -> None:
    """List the uploads that the server knows of, and how each does.

    A table on stdout, or with --json one object a line; how many there are stands on stderr. The heads of the columns are the
    names that --filter and --sort take.
    """
    list_page("uploads", control, filter_text=filter, sort=sort, limit=limit, offset=offset, scope=scope, as_json=as_json)
