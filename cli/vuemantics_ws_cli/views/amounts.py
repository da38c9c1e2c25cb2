"""Amounts as tables show them: short, and written as a filter takes them."""

_SIZES = ("B", "kB", "MB", "GB")


def age(seconds: float) -> str:
    """``0.4s``, ``12s``, ``3m12s``, ``2h05m``, ``3d04h``: never more than the two greatest units."""
    if seconds <= 0:
        return "0s"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole // 60 % 60:02d}m"
    return f"{whole // 86_400}d{whole // 3600 % 24:02d}h"


def lag(seconds: float) -> str:
    """What is milliseconds on a good day, and seconds on a bad one."""
    if seconds >= 1 or seconds <= 0:
        return age(seconds)
    return f"{seconds * 1000:.1f}ms" if seconds < 0.01 else f"{seconds * 1000:.0f}ms"


def size(count: float) -> str:
    """``812B``, ``12.3kB``, ``123kB``."""
    for unit in _SIZES:
        if count < 999.5 or unit == _SIZES[-1]:
            return f"{count:.0f}{unit}" if unit == "B" or count >= 99.95 else f"{count:.1f}{unit}"
        count /= 1000
    raise AssertionError("the last unit takes everything")


def rate(per_s: float) -> str:
    """``0/s``, ``0.3/s``, ``12/s``, ``1,200/s``."""
    if per_s <= 0:
        return "0/s"
    return f"{per_s:.1f}/s" if per_s < 9.95 else f"{per_s:,.0f}/s"


def sparkline(numbers: list[float], width: int, *, top: float = 0.0, ascii_only: bool = False) -> str:
    """The last numbers as a row of bars, the newest at the right. Nothing is the lowest bar, and something never is.

    The highest bar is the greatest number, or ``top`` where that is more: small noise should not look like much.
    """
    steps = "_.:-=+*#" if ascii_only else "▁▂▃▄▅▆▇█"
    shown = numbers[-width:] if width > 0 else []
    top = max(top, *shown) if shown else top
    highest = len(steps) - 1
    bars = "".join(steps[0] if number <= 0 else steps[max(1, round(highest * number / top))] for number in shown)
    return bars.rjust(width)
