"""Numbers as people read them: durations, figures with their names, and how something went over time."""

from collections.abc import Mapping, Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_LETTERS = "_.:-=+*#"


def seconds(value: float) -> str:
    """A duration to three figures or so: ``0.4 ms``, ``12 ms``, ``1.25 s``."""
    if value < 0.00995:
        return f"{value * 1000:.1f} ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 99.995 else f"{value:.0f} s"


def figures(measured: Mapping[str, float]) -> str:
    """What was measured, in one line. The end of a name is its unit: ``p99_s`` is seconds."""
    return ", ".join(_figure(name, value) for name, value in measured.items())


def spark(counts: Sequence[int], width: int, *, ascii_only: bool = False) -> str:
    """The last ``width`` of the counts, each as a column beside the largest of them."""
    marks = _LETTERS if ascii_only else _BLOCKS
    last = list(counts)[-width:]
    most = max(last, default=0)
    return "".join(marks[-(-count * (len(marks) - 1) // most) if most else 0] for count in last)


def _figure(name: str, value: float) -> str:
    if name.endswith("_s"):
        return f"{name.removesuffix('_s').replace('_', ' ')} {seconds(value)}"
    return f"{name.replace('_', ' ')} {value:,.0f}" if value == int(value) else f"{name.replace('_', ' ')} {value:,.1f}"
