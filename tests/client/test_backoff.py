"""The pauses of a client that comes back."""

import random

from vuemantics_ws.client.backoff import Backoff


def test_the_default_is_the_browser_s() -> None:
    without_jitter = Backoff(jitter_s=0.0)

    assert list(without_jitter.delays(random.Random(1))) == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]


def test_jitter_adds_up_to_three_seconds_and_is_the_dice_s() -> None:
    bare = list(Backoff(jitter_s=0.0).delays(random.Random(7)))

    pauses = list(Backoff().delays(random.Random(7)))

    assert all(0 <= pause - least <= 3 for pause, least in zip(pauses, bare, strict=True))
    assert pauses == list(Backoff().delays(random.Random(7)))
    assert pauses != list(Backoff().delays(random.Random(8)))


def test_ten_tries_end_before_a_server_forgets_the_user() -> None:
    longest = sum(Backoff(jitter_s=0.0).delays(random.Random(1))) + 10 * 3

    assert longest == 211
