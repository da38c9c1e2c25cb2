"""Quantities as people write them, and what is told to somebody who wrote none."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws.errors import BadQuantity, OperatorError
from vuemantics_ws.quantities import (
    format_duration,
    format_size,
    parse_bandwidth,
    parse_duration,
    parse_factor,
    parse_rate,
    parse_share,
    parse_size,
)

Parse = Callable[[str], float]

GOOD: list[tuple[Parse, str, float]] = [
    (parse_duration, "0", 0),
    (parse_duration, "0s", 0),
    (parse_duration, "250ms", 0.25),
    (parse_duration, "30s", 30),
    (parse_duration, "5m", 300),
    (parse_duration, "5min", 300),
    (parse_duration, "1.5h", 5_400),
    (parse_duration, "2d", 172_800),
    (parse_duration, "1m30s", 90),
    (parse_duration, "1h2m3s4ms", 3_723.004),
    (parse_duration, " 30s\n", 30),
    (parse_size, "512B", 512),
    (parse_size, "64KiB", 65_536),
    (parse_size, "64 KiB", 65_536),
    (parse_size, "1.5kB", 1_500),
    (parse_size, "1MB", 1_000_000),
    (parse_size, "1MiB", 1_048_576),
    (parse_size, "2GB", 2_000_000_000),
    (parse_size, "2GiB", 2_147_483_648),
    (parse_bandwidth, "40kB/s", 40_000),
    (parse_bandwidth, "1 MiB/s", 1_048_576),
    (parse_rate, "20/s", 20),
    (parse_rate, "0.5/s", 0.5),
    (parse_share, "10%", 0.1),
    (parse_share, "0%", 0),
    (parse_share, "100%", 1),
    (parse_factor, "20x", 20),
    (parse_factor, "0.5x", 0.5),
]
BAD: list[tuple[Parse, str]] = [
    *((parse_duration, text) for text in ("", "30", "s", "-5s", "+5s", "1e3s", "30 s", "5M", "5S", "5mins", "1m 30s", "1m30")),
    *((parse_duration, text) for text in ("٣s", "３s", ".5s", "5.s", "1,5s", "1_000s", "nan", "infs", "5 apples", "0x5s")),
    *((parse_size, text) for text in ("", "64", "64K", "64kib", "64KB", "-1B", "1e3B", "B", "64KiB/s", "٦B", "64KiB!")),
    *((parse_bandwidth, text) for text in ("", "40", "40kB", "40/s", "40kb/s", "40kB/m")),
    *((parse_rate, text) for text in ("", "20", "20/m", "20/ s", "-1/s", "20B/s")),
    *((parse_share, text) for text in ("", "0.1", "10", "101%", "100.001%", "-1%", "10 percent")),
    *((parse_factor, text) for text in ("", "20", "x20", "0x", "0.0x", "-1x", "20X")),
]
EVERY_PARSE: list[Parse] = [parse_duration, parse_size, parse_bandwidth, parse_rate, parse_share, parse_factor]


@pytest.mark.parametrize(("parse", "text", "value"), GOOD)
def test_a_quantity_is_read(parse: Parse, text: str, value: float) -> None:
    assert parse(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("parse", "text"), BAD)
def test_what_is_no_quantity_is_refused_with_an_example(parse: Parse, text: str) -> None:
    with pytest.raises(BadQuantity, match=r"^expected a ") as caught:
        parse(text)

    assert isinstance(caught.value, OperatorError)
    assert not str(caught.value).endswith(".")


@pytest.mark.parametrize("parse", EVERY_PARSE)
@given(text=st.text() | st.from_regex(r"[0-9.]{0,40} ?[a-zA-Z%/]{0,4}"))
def test_any_text_is_a_finite_number_or_refused(parse: Parse, text: str) -> None:
    try:
        value = parse(text)
    except BadQuantity:
        return
    assert math.isfinite(value)
    assert value >= 0


@pytest.mark.parametrize(
    ("parse", "unit"), [(parse_duration, "s"), (parse_size, "GiB"), (parse_rate, "/s"), (parse_factor, "x")]
)
def test_a_number_beyond_a_machine_s_is_refused(parse: Parse, unit: str) -> None:
    with pytest.raises(BadQuantity, match="a quantity that a machine can hold"):
        parse("9" * 400 + unit)


def test_a_long_text_is_not_quoted_whole() -> None:
    with pytest.raises(BadQuantity) as caught:
        parse_size("9" * 1_000)

    assert len(str(caught.value)) < 120


def test_a_text_of_any_length_is_refused_at_once() -> None:
    for parse in EVERY_PARSE:
        with pytest.raises(BadQuantity):
            parse("1" * 100_000)


@given(st.integers(0, 10**12))
def test_a_duration_is_written_as_it_is_read_to_the_millisecond(milliseconds: int) -> None:
    text = format_duration(milliseconds / 1_000)

    assert round(parse_duration(text) * 1_000) == milliseconds


@given(st.floats(0, 1e9))
def test_no_duration_is_written_so_that_it_cannot_be_read(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=0.000_501)


@given(st.integers(0, 2**53))
def test_a_size_is_written_as_it_is_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.25, "250ms"), (1, "1s"), (90, "90s"), (300, "5m"), (3_600, "1h"), (86_400, "1d"), (1.5, "1.5s"),
        (3_600.9, "3600.9s"), (86_434.56, "86434.56s"), (123_456.789, "123456.789s"), (1e-9, "0s"), (0.9999999, "1s"),
    ],
)  # fmt: skip
def test_a_duration_is_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1, "1B"), (1_000, "1000B"), (65_536, "64KiB"), (2**20, "1MiB"), (2**30, "1GiB")]
)
def test_a_size_is_written(size: int, text: str) -> None:
    assert format_size(size) == text
