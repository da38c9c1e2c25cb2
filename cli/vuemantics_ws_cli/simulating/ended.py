"""How something that was played ended."""

from collections.abc import Callable
from typing import NamedTuple

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.views.results import Played, Swept


class Ended(NamedTuple):
    """``result`` is None where nothing had begun yet. ``trace`` makes what is to be written of it, where that is not written as
    it happens.
    """

    code: ExitCode
    result: Played | Swept | None
    trace: Callable[[], bytes] | None = None
