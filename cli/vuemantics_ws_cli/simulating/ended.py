"""How something that was played ended."""

from typing import NamedTuple

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.views.results import Played, Swept


class Ended(NamedTuple):
    """``result`` is None where nothing had begun yet."""

    code: ExitCode
    result: Played | Swept | None
