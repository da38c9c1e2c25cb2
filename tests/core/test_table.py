"""A table of somebody else's rows: made when somebody looks, so it may be kept and changed."""

import pytest

from vuemantics_ws.core.table import Table


def test_a_look_is_a_copy() -> None:
    rows = {"a": [1, 2]}
    table = Table(rows, lambda row: set(row))

    table["a"].clear()

    assert table["a"] == {1, 2}


def test_a_table_shows_what_the_rows_are_now() -> None:
    rows = {"a": [1]}
    table = Table(rows, lambda row: set(row))

    rows["b"] = [2, 2]
    rows["a"].append(3)

    assert dict(table) == {"a": {1, 3}, "b": {2}}
    assert repr(table) == "{'a': {1, 3}, 'b': {2}}"


def test_what_has_nothing_in_it_is_not_in_it() -> None:
    rows: dict[str, list[int]] = {"a": [], "b": [1]}
    table = Table(rows, lambda row: set(row))

    assert (list(table), len(table), "a" in table, table.get("a")) == (["b"], 1, False, None)
    with pytest.raises(KeyError):
        table["a"]


def test_the_rows_may_change_while_somebody_looks_through_them() -> None:
    rows = {"a": [1], "b": [2]}

    for key in Table(rows, lambda row: set(row)):
        rows[key + key] = [3]

    assert list(rows) == ["a", "b", "aa", "bb"]
