"""``dropped``: how many events the judge refuses, and why."""

from collections.abc import Iterator

from vuemantics_ws.simulation.format.expected import DroppedExpected
from vuemantics_ws.simulation.judging.expectations.case import Case, beyond, bounds, said
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge


def check_dropped(expected: DroppedExpected, case: Case) -> Finding:
    return judge("dropped", _about(expected), case.history, _samples(expected, case))


def _about(expected: DroppedExpected) -> str:
    return f"{bounds(expected.min, expected.max)} events of {said(expected.uploads, 'all uploads')} are {expected.reason}"


def _samples(expected: DroppedExpected, case: Case) -> Iterator[Seen]:
    """One of each event that was judged. Whether there were enough of them shows at the last."""
    ids = case.upload_ids(expected.uploads)
    judged = [
        record for record in case.history.published if record.verdict is not None and (ids is None or record.upload_id in ids)
    ]
    dropped = 0
    for place, record in enumerate(judged, start=1):
        hit = record.verdict == expected.reason
        dropped += hit
        too_many = hit and expected.max is not None and dropped > expected.max
        too_few = place == len(judged) and expected.min is not None and dropped < expected.min
        rather = beyond(dropped, expected.min, expected.max) if too_many or too_few else ""
        wrong = f"{dropped} events were {expected.reason}, {rather}" if rather else None
        yield Seen(wrong, record, None, record.upload_id)
