"""``rate``: how often something happens at most and at least, in every window of the run."""

from bisect import bisect_right
from collections.abc import Iterator

from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.format.expected import RateExpected
from vuemantics_ws.simulation.judging.expectations.case import Case, bounds, said
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.log import Closed, Opened, Published, Received, Record


def check_rate(expected: RateExpected, case: Case) -> Finding:
    """Judged in every window, wherever it begins: a burst cannot hide behind the edge between two seconds.

    Events count when they are answered. What happens once everybody says goodbye does not count, since then it is the run that
    ends. ``min`` holds from the first of the moments to the last. Where there is only ``max``, nothing at all is a sample too,
    if somebody was connected to whom it could have happened.
    """
    about = f"{bounds(expected.min, expected.max)} {expected.of} a second in every {format_duration(expected.window)}"
    if expected.clients is not None:
        about += f" of {said(expected.clients, '')}"
    if expected.except_ is not None:
        about += f", but for {' and '.join(expected.except_)}"
    left_out = [
        (fault.begins, fault.ends + expected.window) for fault in case.history.faults if fault.do in (expected.except_ or ())
    ]
    moments = [
        record
        for record in _records(expected, case)
        if record.at <= case.settled_s and not any(begins <= record.at <= ends for begins, ends in left_out)
    ]
    if not moments and expected.min is None and expected.of in ("closes", "deliveries"):
        names = case.client_names(expected.clients)
        return judge("rate", about, case.history, (Seen(None, record) for record in _opened(case, names)))
    figures = {"most_a_second": _most(moments, expected.window) / expected.window} if moments else {}
    return judge("rate", about, case.history, _samples(expected, moments), figures=figures)


def _records(expected: RateExpected, case: Case) -> Iterator[Record]:
    names = case.client_names(expected.clients)
    for record in case.history.records:
        match expected.of, record:
            case "connects", Opened(client=client):
                wanted = names is None or client in names
            case "closes", Closed(connection=number):
                wanted = names is None or case.history.connections[number].client in names
            case "deliveries", Received(connection=number, is_state=True):
                wanted = names is None or case.history.connections[number].client in names
            case "events", Published():
                wanted = True
            case _:
                continue
        if wanted:
            yield record


def _opened(case: Case, names: set[str] | None) -> Iterator[Record]:
    return (
        record for record in case.history.records if isinstance(record, Opened) and (names is None or record.client in names)
    )


def _most(moments: list[Record], window_s: float) -> int:
    return max(count for _, count in _counts(moments, window_s))


def _counts(moments: list[Record], window_s: float) -> Iterator[tuple[Record, int]]:
    """Of each moment, how many there were in the window that ends with it."""
    first = 0
    for place, record in enumerate(moments):
        while moments[first].at <= record.at - window_s:
            first += 1
        yield record, place - first + 1


def _samples(expected: RateExpected, moments: list[Record]) -> Iterator[Seen]:
    times = [record.at for record in moments]
    for (record, count), after in zip(_counts(moments, expected.window), range(1, len(moments) + 1), strict=True):
        wrong = None
        if expected.max is not None and count > expected.max * expected.window + 1e-9:
            wrong = _wrong(expected, count, f"expected at most {expected.max:g} a second")
        elif expected.min is not None and record.at + expected.window <= times[-1]:
            count = bisect_right(times, record.at + expected.window) - after
            if count < expected.min * expected.window - 1e-9:
                wrong = _wrong(expected, count, f"expected at least {expected.min:g} a second")
        yield Seen(wrong, record, getattr(record, "connection", None))


def _wrong(expected: RateExpected, count: int, rather: str) -> str:
    return f"{count} {expected.of} within {format_duration(expected.window)}, {rather}"
