"""Random histories of one upload, for every implementation of the judge: few different events, so that they meet again."""

from typing import NamedTuple

from hypothesis import strategies as st

from tests.events import completed, failed, progress

VERSION_MAX = 2**53 - 1


class Published(NamedTuple):
    """``at_s`` never falls within a history, and is exact in binary."""

    at_s: float
    event: bytes


_numbers = st.sampled_from((1, 1, 1, 2, 2, 3, 4, VERSION_MAX - 1, VERSION_MAX))
_versions = st.none() | st.none() | st.tuples(_numbers, _numbers)
_moments = st.integers(0, 3)
_events = st.one_of(
    st.builds(
        lambda stage, number, version: progress(stage, number=number, version=version),
        st.sampled_from(("queued", "vision_analysis", "completed")),
        _moments,
        _versions,
    ),
    st.builds(
        lambda text, number, version: completed(text=text, number=number, version=version),
        st.sampled_from(("a cat", "a dog")),
        _moments,
        _versions,
    ),
    st.builds(lambda number, version: failed(number=number, version=version), _moments, _versions),
)
_pauses_s = st.sampled_from((0.0, 0.0, 0.0, 0.25, 5.0, 9.75, 10.0, 10.25, 30.0, 59.75, 60.0, 60.25, 3600.0))


def _flood(first: int, count: int) -> list[bytes]:
    return [progress(number=first + offset) for offset in range(count)]


_floods = st.builds(_flood, st.sampled_from((10, 1_000, 2_000)), st.sampled_from((62, 63, 64, 65)))
_together = st.one_of(*[st.builds(lambda event: [event], _events)] * 12, _floods)


@st.composite
def histories(draw: st.DrawFn) -> list[Published]:
    """At most twelve pauses, with what was published between them; now and then enough to fill the memory of digests."""
    history: list[Published] = []
    now = 0.0
    for pause_s, events in draw(st.lists(st.tuples(_pauses_s, _together), min_size=1, max_size=24)):
        now += pause_s
        history += [Published(now, event) for event in events]
    return history
