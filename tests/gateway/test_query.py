"""The language of filters and orders: what it means, and that no text can hurt."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws.errors import BadQuery
from vuemantics_ws.gateway.query import COMPARISONS_MAX, Kind, SortField, read_filter, read_sort
from vuemantics_ws.gateway.views import VIEWS

KINDS = {
    "user": Kind.TEXT, "state": Kind.TEXT, "pending": Kind.SIZE, "age": Kind.DURATION, "percent": Kind.PERCENT,
    "sent": Kind.NUMBER, "upload": Kind.TEXTS, "connection": Kind.NUMBERS,
}  # fmt: skip
ROW = {
    "user": "Alice", "state": "open", "pending": 65_536, "age": 90.0, "percent": 50, "sent": 12_000, "upload": ["u1", "u2"],
    "connection": [3, 4],
}  # fmt: skip
FIELDS = {name: lambda row, name=name: row[name] for name in KINDS}


def passes(text: str, **row: Any) -> bool:
    test = read_filter(text, KINDS).bind(FIELDS)
    return test is None or test(ROW | row)


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "user=Alice", "user = 'Alice'", 'user="Alice"', "user~LIC", "user=Al*", "user=*ce", "user=A*i*e", "user=*",
        "user!=bob", "not user=bob", "NOT user=bob", "not not user=Alice", "user=Alice AND state=open",
        "user=bob Or state=open",
        "user=bob and state=x or state=open", "(user=bob or state=open) and sent>1", "((user=Alice))", "pending=64KiB",
        "pending > 64k", "pending>65kB", "pending<1M", "pending >= 65536", "pending <= 65536", "pending<1MiB", "age>1m",
        "age>=1m30s", "age<5m", "age>250ms", "age=90", "percent=50%", "percent=50", "percent>49.5", "sent>10k", "sent=12000",
        "sent>-1", "upload=u1", "upload=u2", "upload~U", "upload=u*", "upload!=u3", "connection=3", "connection>3",
        "connection!=5", "user!=null", "not(user=bob)", "user=Alice and(state=open)",
        "age > 1m and not (state = x or user = bob)",
    ],
)  # fmt: skip
def test_a_filter_lets_through_what_it_says(text: str) -> None:
    assert passes(text)


@pytest.mark.parametrize(
    "text",
    [
        "user=alice", "user=Al", "user=bob", "user~x", "user!=Alice", "user=A*x", "user=Alice*Alice", "not user=Alice",
        "user=Alice and state=x", "user=bob or state=x", "user=bob or user=x and state=open", "pending>65536", "pending>1M",
        "age<1m30s", "percent<50%", "upload=u3", "upload!=u1", "connection=5", "connection>4", "user=null", "user='null'",
    ],
)  # fmt: skip
def test_a_filter_keeps_out_what_it_says(text: str) -> None:
    assert not passes(text)


@pytest.mark.parametrize(
    ("text", "through"), [("user=null", True), ("user!=null", False), ("user=x", False), ("user!=x", True)]
)
def test_what_is_missing_equals_null_and_nothing_else(text: str, through: bool) -> None:
    assert passes(text, user=None) is through


@pytest.mark.parametrize("nothing", [(), [], {}, iter(())], ids=["tuple", "list", "mapping", "iterator"])
@pytest.mark.parametrize("field", ["upload", "connection"])
def test_a_field_of_many_that_has_none_is_missing(field: str, nothing: Any) -> None:
    assert passes(f"{field}=null", **{field: nothing})
    assert not passes(f"{field}!=null", **{field: nothing})
    assert passes(f"{field}!=null")


@pytest.mark.parametrize("operator", [">", ">=", "<", "<=", "="])
def test_what_is_missing_is_neither_more_nor_less(operator: str) -> None:
    assert not passes(f"percent {operator} 0", percent=None)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("pendin > 1", "filter, character 1: expected a field", "did you mean pending?"),
        ("state=open and Usr=x", "filter, character 16: expected a field", "did you mean user?"),
        ("zzzzzz=1", "filter, character 1: expected a field", f"the fields are {', '.join(KINDS)}"),
        ("user", "filter, character 5: expected one of = != > >= < <= ~", None),
        ("user=", "filter, character 6: expected a value", None),
        ("user=(", "filter, character 6: expected a value", None),
        ("user=Alice state=open", "filter, character 12: expected and, or, or the end", None),
        ("user=Alice)", "filter, character 11: expected and, or, or the end", None),
        ("(user=Alice", "filter, character 12: expected and, or, or )", None),
        ("user=Alice and", "filter, character 15: expected a field, not, or (", None),
        ("and", "filter, character 1: expected a field", None),
        ("user='Alice", "filter, character 6: expected the quote to be closed", None),
        ("!user=x", "filter, character 1: expected !=, or not before the comparison", None),
        ("user>x", "filter, character 5: expected =, != or ~, since this field is text", None),
        ("sent~1", "filter, character 5: expected another comparison than ~, since this field is a number", None),
        ("sent=x", "filter, character 6: expected a number, or null", None),
        ("sent=1e5", "filter, character 6: expected a number, or null", None),
        ("sent>null", "filter, character 6: expected null only after = or !=", None),
        ("pending>5s", "filter, character 9: expected a size such as 512, 64k, 64KiB or 1M, or null", None),
        ("age>5kB", "filter, character 5: expected a duration such as 250ms, 30s or 5m, or null", None),
        ("percent>5s", "filter, character 9: expected a percentage such as 50%, or null", None),
        ("x" * 1_001, "filter: expected at most 1000 characters, got 1001", None),
        ("(" * 17 + "user=x", "filter, character 17: expected at most 16 parentheses inside one another", None),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_refused_with_where_and_what(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(BadQuery) as refused:
        read_filter(text, KINDS)

    assert refused.value.message == message
    if hint is not None:
        assert refused.value.hint == hint


def test_a_filter_has_a_maximum_of_comparisons() -> None:
    most = " or ".join(["sent=1"] * COMPARISONS_MAX)

    read_filter(most, KINDS)
    with pytest.raises(BadQuery, match="at most 64 comparisons"):
        read_filter(most + " or sent=1", KINDS)


def test_an_order_names_fields() -> None:
    assert read_sort(" -pending, user ", KINDS) == (SortField("pending", True), SortField("user", False))
    assert read_sort("", KINDS) == ()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("-pendng", "sort, character 2: expected a field", "did you mean pending?"),
        ("user,,age", "sort, character 6: expected a field", None),
        ("user,", "sort, character 6: expected a field", None),
        ("user,upload", "sort, character 6: expected a field that has one value a row", None),
        ("user," * 9, "sort, character 41: expected at most 8 fields", None),
        ("u" * 1_001, "sort: expected at most 1000 characters, got 1001", None),
    ],
)
def test_an_order_that_cannot_be_read_is_refused_with_where_and_what(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(BadQuery) as refused:
        read_sort(text, KINDS)

    assert refused.value.message == message
    if hint is not None:
        assert refused.value.hint == hint


def refusal(read: Callable[[], object]) -> str | None:
    """What is said against a text; None where it can be read."""
    try:
        read()
    except BadQuery as refused:
        return refused.message
    return None


WORDS = [
    "user", "sent", "age", "upload", "and", "or", "not", "(", ")", "=", "!=", ">", "<=", "~",
    "'", '"', "1k", "50%", "null", "*", "x", "!", ",",
]  # fmt: skip


@given(st.one_of(st.text(max_size=1_100), st.lists(st.sampled_from(WORDS), max_size=200).map(" ".join)))
def test_any_text_is_a_filter_or_is_refused_in_words_of_ours(text: str) -> None:
    said = refusal(lambda: passes(text))

    if said is not None:
        assert re.match(r"filter(, character \d+)?: expected ", said)
        at = re.search(r"character (\d+)", said)
        assert at is None or 1 <= int(at[1]) <= len(text) + 1


@given(st.one_of(st.text(max_size=1_100), st.lists(st.sampled_from([*KINDS, "-", ",", " "]), max_size=100).map("".join)))
def test_any_text_is_an_order_or_is_refused(text: str) -> None:
    said = refusal(lambda: read_sort(text, KINDS))

    assert said is None or re.match(r"sort(, character \d+)?: expected ", said)


@given(st.text(alphabet="ab*", max_size=12), st.text(alphabet="ab", max_size=12))
def test_a_star_stands_for_anything(pattern: str, text: str) -> None:
    wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None

    assert passes(f"user='{pattern}'", user=text) is wanted


def test_a_hostile_pattern_costs_no_more_than_its_length() -> None:
    pattern = "*a" * 490 + "*b"

    assert not passes(f"user={pattern}", user="a" * 100_000)  # a search that goes back would not end in a lifetime


@pytest.mark.parametrize("view", VIEWS)
def test_every_field_that_a_view_promises_can_be_read(view: str) -> None:
    class Anything:
        def __getattr__(self, name: str) -> Any:
            return self

        def __call__(self, *arguments: Any) -> Any:
            return self

    made = VIEWS[view](Anything())

    assert set(made.fields) == set(made.kinds)
