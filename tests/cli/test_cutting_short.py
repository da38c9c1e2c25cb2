"""A time limit ends what computes, and is told from Ctrl-C, however short it is."""

import signal

import pytest

from vuemantics_ws_cli.simulating.cutting_short import Limit, cut_short


def test_a_limit_that_is_over_before_anything_has_begun_is_told_as_one() -> None:
    limit, before = Limit(), signal.getsignal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), cut_short(0.0, limit):
        signal.pause()

    assert limit.is_over
    assert signal.getsignal(signal.SIGTERM) is before
