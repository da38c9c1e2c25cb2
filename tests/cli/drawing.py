"""A view as a terminal of some width shows it."""

from rich.console import Console, RenderableType


def drawn(view: RenderableType, *, width: int, colour: bool = False, ascii_only: bool = False) -> list[str]:
    console = Console(
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
        safe_box=ascii_only,
    )
    with console.capture() as captured:
        console.print(view)
    return captured.get().splitlines()
