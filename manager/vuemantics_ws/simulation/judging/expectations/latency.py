"""``latency`` and ``connect_time``: upper bounds on how long things take, for shares of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vuemantics_ws.core.upload import Version
from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.format.expected import ConnectTimeExpected, LatencyExpected
from vuemantics_ws.simulation.judging.expectations.case import Case, said
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.judging.latency import connect_time, delays
from vuemantics_ws.simulation.judging.percentiles import SHARES, Durations
from vuemantics_ws.simulation.log import Authenticated, Record


class _Sample(NamedTuple):
    """What took this client how long. ``due`` is the state that it waited for, where it was one."""

    seconds: float
    client: str
    record: Record
    connection: int
    upload_id: str | None = None
    due: Version | None = None

    def words(self, case: Case) -> str:
        if self.due is None or self.upload_id is None:
            return self.client
        upload = case.history.upload(self.upload_id)
        name = upload.name if upload is not None else "an unknown upload"
        return f"{self.client} with ({self.due.attempt}, {self.due.seq}) of {name}"


def check_latency(expected: LatencyExpected, case: Case) -> Finding:
    """The rule of what a sample is: :func:`vuemantics_ws.simulation.judging.latency.delays`."""
    about = (
        f"{said(expected.clients, 'all clients')} see states of {said(expected.uploads, 'all uploads')} "
        f"within {_said(expected.bounds())}"
    )
    return _check("latency", about, expected.bounds(), case, list(_latencies(expected, case)))


def check_connect_time(expected: ConnectTimeExpected, case: Case) -> Finding:
    """From when a client began to connect until ``auth_success``, of each connection that came so far."""
    about = f"{said(expected.clients, 'all clients')} connect within {_said(expected.bounds())}"
    return _check("connect time", about, expected.bounds(), case, list(_connect_times(expected, case)))


def _latencies(expected: LatencyExpected, case: Case) -> Iterator[_Sample]:
    clients, ids = case.client_names(expected.clients), case.upload_ids(expected.uploads)
    for seconds, due, state, window in delays(case.history, clients=clients, upload_ids=ids):
        yield _Sample(seconds, window.connection.client, state, state.connection, window.upload_id, due)


def _connect_times(expected: ConnectTimeExpected, case: Case) -> Iterator[_Sample]:
    for client in case.clients(expected.clients):
        for connection in case.connections(client):
            took_s = connect_time(connection)
            if took_s is not None:
                greeted = next(record for record in connection.records if isinstance(record, Authenticated))
                yield _Sample(took_s, client.name, greeted, connection.number)


def _check(name: str, about: str, bounds: dict[str, float], case: Case, samples: list[_Sample]) -> Finding:
    durations = Durations(sample.seconds for sample in samples)
    names = [share for share in SHARES if share in {"p50", "p99", "max", *bounds}]
    return judge(name, about, case.history, _judge(bounds, durations, samples, case), figures=durations.figures(names))


def _judge(bounds: dict[str, float], durations: Durations, samples: Sequence[_Sample], case: Case) -> Iterator[Seen]:
    """Every sample; where a bound is broken, each that took longer than that bound is wrong."""
    broken = {name: bound for name, bound in bounds.items() if durations.at(SHARES[name]) > bound}
    strictest = min(broken, key=lambda name: broken[name], default=None)
    longer = sum(sample.seconds > broken[strictest] for sample in samples) if strictest else 0
    for sample in samples:
        wrong = None
        if strictest is not None and sample.seconds > broken[strictest]:
            wrong = (
                f"{strictest} is {format_ms(durations.at(SHARES[strictest]))}, expected at most "
                f"{format_duration(broken[strictest])}; {longer} of {durations.count} took longer, first {sample.words(case)}: "
                f"{format_ms(sample.seconds)}"
            )
        yield Seen(wrong, sample.record, sample.connection, sample.upload_id)


def _said(bounds: dict[str, float]) -> str:
    return ", ".join(f"{format_duration(bound)} ({name})" for name, bound in bounds.items())


def format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
