"""Networks, slow readers and messy workers, for real: what they do to a client, and that no law falls with them."""

from collections import Counter
from itertools import pairwise

import pytest

from tests.simulation.playing import by_client, not_held, of, plan, played
from vuemantics_ws.simulation.log import (
    Began,
    Closed,
    Measured,
    Opened,
    Published,
    Received,
    Settled,
    Unreachable,
)

pytestmark = pytest.mark.slow

ONE_UPLOAD = """\
    server: {config: {grace: 200ms, drain: 0}}
    users: {alice: {}}
    uploads:
      - {id: up, owner: alice, start: 300ms, pipeline: [{stage: queued, for: 1s, steps: 5}]}
"""


def test_the_handshake_and_all_that_follows_passes_through_the_network() -> None:
    report, log = played(
        plan(
            ONE_UPLOAD
            + """\
    network: {far: {latency: 100ms}}
    clients:
      - {id: far, user: alice, network: far, subscribe: [up]}
      - {id: near, user: alice, subscribe: [up]}
    expect:
      - terminal: {within: 1s}
"""
        )
    )

    opened = {record.client: record for record in of(log, Opened)}
    assert not_held(report) == []
    assert opened["far"].dialed_at is not None
    assert opened["far"].at - opened["far"].dialed_at >= 0.4, "a round trip to connect, and one for the upgrade"
    assert opened["near"].at < 0.3
    published = {record.version: record for record in of(log, Published)}
    states = [record for record in by_client(log, Received, "far") if record.is_state]
    assert all(state.at - published[state.version].sent_at >= 0.1 for state in states[2:])


def test_a_narrow_network_fills_the_servers_outbox_and_the_end_arrives_all_the_same() -> None:
    report, log = played(
        plan(
            """\
            server: {config: {grace: 200ms, drain: 0}}
            users: {alice: {}}
            network: {narrow: {bandwidth: 20kB/s}}
            uploads:
              - {id: up, owner: alice, count: 40, start: 200ms, pipeline: {progress: 20/s, for: 2s}}
            clients:
              - {id: narrow, user: alice, network: narrow}
              - {id: wide, user: alice}
            expect:
              - terminal: {within: 10s, is: completed}
            """,
            duration="20s",
        )
    )

    counters = of(log, Measured)[-1].counters
    assert not_held(report) == []
    assert counters["conflated"] > 0
    assert counters["events.accepted"] == 40 * 41
    assert max(record.tables["outbox_bytes"] for record in of(log, Measured)) > 0
    assert len(by_client(log, Received, "narrow")) < len(by_client(log, Received, "wide"))
    began = of(log, Began)[0]
    assert {name: facts.reads_slowly for name, facts in began.clients.items()} == {"narrow": True, "wide": False}


def test_in_a_blackhole_nothing_comes_and_afterwards_the_newest_state_does() -> None:
    report, log = played(
        plan(
            ONE_UPLOAD
            + """\
    network: {tunnel: {outage: {every: 800ms, for: 600ms}}}
    clients:
      - {id: tab, user: alice, network: tunnel, subscribe: [up]}
      - {id: outside, user: alice, subscribe: [up]}
    expect:
      - terminal: {within: 1s, is: completed}
      - close: {codes: [1000], max_reconnects: 0}
"""
        )
    )

    states = [record.at for record in by_client(log, Received, "tab") if record.is_state]
    assert not_held(report) == []
    assert [at for at in states if 0.82 < at < 1.38] == []
    assert max(after - before for before, after in pairwise(states)) > 0.5


def test_a_reset_cuts_the_tab_which_comes_back_when_it_can() -> None:
    report, log = played(
        plan(
            ONE_UPLOAD
            + """\
    network: {shaky: {outage: {every: 700ms, for: 200ms, how: reset}}}
    clients:
      - {id: tab, user: alice, network: shaky, subscribe: [up], reconnect: {initial: 50ms, factor: 1, jitter: 0s}}
      - {id: outside, user: alice, subscribe: [up]}
    expect:
      - terminal: {within: 2s, after: reconnect}
"""
        )
    )

    cuts = [record for record in by_client(log, Closed, "tab") if record.by == "network"]
    assert not_held(report) == []
    assert len(cuts) >= 2
    assert {record.code for record in cuts} == {1006}
    assert cuts[0].at == pytest.approx(0.7, abs=0.1)
    assert "network is unreachable" in {record.reason for record in of(log, Unreachable)}


def test_whoever_stops_reading_goes_on_with_the_newest_state() -> None:
    report, log = played(
        plan(
            """\
            server: {config: {grace: 200ms, drain: 0}}
            users: {alice: {}}
            uploads:
              - {id: up, owner: alice, count: 20, start: 200ms, pipeline: {progress: 50/s, for: 2s}}
            clients:
              - {id: pauses, user: alice, reading: {stop: 500ms, for: 2s}}
              - {id: reads, user: alice}
            expect:
              - terminal: {within: 5s, is: completed}
            """,
            duration="10s",
        )
    )

    states = [record.at for record in by_client(log, Received, "pauses") if record.is_state]
    assert not_held(report) == []
    assert [at for at in states if 0.6 < at < 2.4] == []
    assert of(log, Measured)[-1].counters["conflated"] > 0


def test_whoever_never_reads_again_hears_of_its_end_through_the_kernel() -> None:
    report, log = played(
        plan(
            """\
            server: {config: {grace: 200ms, drain: 0, stall_timeout: 500ms, close_timeout: 200ms}}
            users: {alice: {}}
            uploads:
              - {id: up, owner: alice, count: 20, start: 200ms, pipeline: {progress: 50/s, for: 2s}}
            clients:
              - {id: dead, user: alice, reading: {stop: 300ms}, reconnect: none}
              - {id: reads, user: alice}
            expect:
              - terminal: {clients: reads, within: 1s}
              - close: {clients: dead, codes: [4008, 1006], between: 500ms..18s}
            """,
            duration="20s",
        )
    )

    (closed,) = by_client(log, Closed, "dead")
    assert not_held(report) == []
    assert (closed.code, closed.by) == (1006, "network")
    assert closed.at < of(log, Settled)[0].at
    assert of(log, Measured)[-1].counters["closes.4008"] == 1


def test_a_messy_workers_slips_are_published_as_they_were_planned() -> None:
    world = plan(
        """\
        server: {config: {grace: 200ms, drain: 0}}
        users: {alice: {}}
        uploads:
          - id: up
            owner: alice
            count: 5
            start: 100ms
            pipeline: {progress: 10/s, for: 1s}
            messiness: {duplicate: 50%, reorder: 30%, after_terminal: 2}
        clients: [{id: tab, user: alice}]
        expect: [{terminal: {within: 1s, is: completed}}]
        """
    )

    report, log = played(world)

    events = [event for upload in world.uploads for event in upload.events]
    published = of(log, Published)
    verdicts = Counter(record.verdict for record in published)
    assert not_held(report) == []
    assert len(published) == len(events)
    assert sum(record.messy for record in published) == sum(event.messy for event in events) > 0
    assert verdicts["duplicate"] > 0, "a copy is the same bytes, its timestamp, too"
    assert verdicts["after_terminal"] == 10
    assert verdicts["stale"] > 0
    assert {record.verdict for record in published if not record.messy} == {"accepted"}


def test_an_upload_that_does_not_exist_publishes_nothing() -> None:
    _, log = played(
        plan(
            """\
            server: {config: {grace: 200ms, drain: 0}}
            users: {alice: {}}
            uploads: [{id: none, owner: alice, pipeline: image, publisher: none}]
            clients: [{id: tab, user: alice, subscribe: [none]}]
            """
        )
    )

    assert of(log, Published) == []
    assert [record.known for record in of(log, Received) if record.action == "subscribed"] == [False]
