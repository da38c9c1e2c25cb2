"""Luck is repeatable, and nobody's luck depends on anybody else."""

import re

from vuemantics_ws.simulation.dice import Exponential, Spread, drawn, stream, upload_id_of


def test_the_same_names_give_the_same_dice() -> None:
    assert [stream(1, "tab", "join").random() for _ in range(2)] == [stream(1, "tab", "join").random()] * 2


def test_another_seed_entity_or_purpose_gives_other_dice() -> None:
    shown = {stream(*names).random() for names in ((1, "tab", "join"), (2, "tab", "join"), (1, "tub", "join"), (1, "tab", "x"))}

    assert len(shown) == 4


def test_dice_are_the_same_on_every_machine() -> None:
    assert round(stream(7, "tab", "join").random(), 12) == 0.508851926404


def test_a_draw_lies_within_its_spread() -> None:
    dice = stream(1, "tab", "join")

    values = [Spread(2.0, 5.0).draw(dice) for _ in range(100)]

    assert 2.0 <= min(values) < 2.5
    assert 4.5 < max(values) <= 5.0


def test_a_fixed_quantity_takes_as_much_luck_as_a_drawn_one() -> None:
    fixed, spread = stream(1, "tab", "join"), stream(1, "tab", "join")

    assert Spread(3.0, 3.0).draw(fixed) == 3.0
    Spread(0.0, 9.0).draw(spread)

    assert fixed.random() == spread.random()


def test_an_exponential_quantity_has_its_mean_and_takes_one_number() -> None:
    dice, beside = stream(1, "tab", "join"), stream(1, "tab", "join")

    values = [Exponential(5.0).draw(dice) for _ in range(2000)]

    assert 4.5 < sum(values) / len(values) < 5.5
    assert min(values) >= 0
    assert max(values) > 25, "now and then it is large"
    assert [beside.random() for _ in range(2001)][-1] == dice.random()


def test_an_upload_id_is_the_same_uuid_each_time() -> None:
    ids = [upload_id_of(1, "holiday"), upload_id_of(1, "holiday"), upload_id_of(2, "holiday"), upload_id_of(1, "cat")]

    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", name) for name in ids)


def test_a_quantity_with_dice_of_its_own_is_the_same_whether_they_are_made_or_not() -> None:
    for quantity in (Spread(3.0, 3.0), Spread(0.0, 9.0), Exponential(2.0)):
        assert drawn(quantity, 1, "tab", "join") == quantity.draw(stream(1, "tab", "join"))
