"""What Prometheus is told, read by its own parser and held against what the node says otherwise."""

import asyncio
import re
import subprocess
import sys
from itertools import pairwise
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.controlled import until
from tests.gateway.inspected import frozen, inspected
from tests.gateway.nodes import browser, client, completed, event
from vuemantics_ws.client.control import Control
from vuemantics_ws.gateway.histogram import Histogram
from vuemantics_ws.gateway.metrics import METRICS
from vuemantics_ws.gateway.server import Gateway

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scraped(node: Gateway) -> tuple[str, Samples]:
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.get(f"{node.control_url}/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    samples = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return response.text, samples


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"vuemantics_ws_{name}", tuple(sorted(labels.items()))]


async def busy(node: Gateway, control: Control) -> None:
    """Something of everything."""
    async with browser(node, "alice") as tab, client(node) as guest:
        await tab.subscribe("u1")
        for percent in (1, 2, 3):
            await control.publish(event("u1", percent), owner="alice")
            await tab.next()
        await control.publish(event("u1", 3))
        await control.publish(event("u1", 1, attempt=1, seq=1))
        await control.publish(completed("u1"))
        await tab.next()
        await control.publish(event("u1", 4))
        await tab.send(action="subscribe_upload", upload_id="u2")
        await tab.next()
        await guest.send(type="auth")
        await guest.close_code()
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.get(f"http://127.0.0.1:{node.address[1]}/nowhere")
    await until(lambda: not node.connections)


def test_what_prometheus_is_told_is_what_the_statistics_say() -> None:
    async def scenario() -> tuple[Samples, dict[str, Any]]:
        async with inspected(uploads_per_user_max=1) as (node, control):
            await busy(node, control)
            _, samples = await scraped(node)
            return samples, await control.statistics()

    samples, statistics = asyncio.run(scenario())

    tables, counters = statistics["tables"], statistics["counters"]
    for name, table in {
        "connections": "connections", "unauthenticated_connections": "unauthenticated", "users": "users", "uploads": "uploads",
        "follows": "follows", "heads": "heads", "outbox_bytes": "outbox_bytes", "outbox_largest_bytes": "outbox_bytes_max",
    }.items():  # fmt: skip
        assert of(samples, name) == tables[table], name
    for name in ("deliveries", "conflated", "connects", "unowned_events"):
        assert of(samples, f"{name}_total") == counters[name], name
    for name, label, by in [
        ("events", "verdict", "events"),
        ("closes", "code", "closes"),
        ("limits_reached", "limit", "limits"),
    ]:
        told = {labels[0][1]: count for (full, labels), count in samples.items() if full == f"vuemantics_ws_{name}_total"}
        assert {value: count for value, count in told.items() if count} == counters[by], name
        assert label in {labels[0][0] for (full, labels) in samples if full == f"vuemantics_ws_{name}_total"}
    assert counters["events"] == {"accepted": 4, "duplicate": 1, "stale": 1, "after_terminal": 1}
    assert counters["closes"] == {"1000": 1, "4002": 1}
    assert of(samples, "never_upgraded_total") == 1
    assert of(samples, "state", state="ready") == 1
    assert of(samples, "state", state="draining") == 0
    assert of(samples, "displayed_age_seconds_count") == counters["deliveries"] - counters["conflated"] == 4
    assert of(samples, "time_to_terminal_seconds_count") == 1


def test_every_metric_has_a_name_a_kind_and_a_sentence_that_suit_prometheus() -> None:
    async def scenario() -> tuple[str, Samples]:
        async with inspected() as (node, _):
            return await scraped(node)

    text, _ = asyncio.run(scenario())

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert list(families) == [f"vuemantics_ws_{metric.name}" for metric in METRICS]
    for metric in METRICS:
        family = families[f"vuemantics_ws_{metric.name}"]
        assert (family.type, family.documentation) == (metric.kind, metric.about)
        assert family.samples or metric.name == "broker_lag_seconds", metric.name  # nobody measures inside a process
        assert re.fullmatch(r"[A-Z1B][^.]*[^.]\.( .*\.)?", metric.about), metric.about
        assert re.fullmatch("[a-z_]+", metric.name)
        if metric.kind == "histogram":
            assert metric.name.endswith("_seconds")
    assert not re.search(r"# UNIT|_created", text)


def test_what_is_kept_elsewhere_is_no_number() -> None:
    from tests.connection_manager.brokers import LateBroker
    from vuemantics_ws.ambient import SystemClock

    async def scenario() -> Samples:
        async with inspected(broker=LateBroker(clock=SystemClock())) as (node, _):
            return (await scraped(node))[1]

    assert ("vuemantics_ws_heads", ()) not in asyncio.run(scenario())


@pytest.mark.slow
def test_a_reader_that_does_not_keep_up_is_counted_and_what_it_gets_in_the_end_is_old() -> None:
    async def scenario() -> tuple[Samples, Samples]:
        async with inspected() as (node, _), frozen(node, "never") as peer:
            (connection,) = node.connections
            _, before = await scraped(node)
            await asyncio.sleep(0.3)
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            while connection.is_slow or connection.pending_bytes:
                await peer.reader.read(65_536)
            return before, (await scraped(node))[1]

    before, after = asyncio.run(scenario())

    assert (of(before, "slow_connections"), of(after, "slow_connections")) == (1, 0)
    assert of(before, "outbox_largest_bytes") > 0
    aged = [
        of(samples, "displayed_age_seconds_count") - of(samples, "displayed_age_seconds_bucket", le="0.25")
        for samples in (before, after)
    ]
    assert aged[0] == 0
    assert aged[1] > 0


def test_counters_never_fall_while_connections_come_and_go() -> None:
    async def scenario() -> list[Samples]:
        seen = []
        async with inspected() as (node, control):
            for turn in range(3):
                async with browser(node, f"user-{turn}") as tab:
                    await tab.subscribe("u1")
                    await asyncio.gather(*(control.publish(event("u1", percent)) for percent in range(20)))
                    seen.append((await scraped(node))[1])
                seen.append((await scraped(node))[1])
        return seen

    seen = asyncio.run(scenario())

    for earlier, later in pairwise(seen):
        for (name, labels), count in earlier.items():
            if name.endswith(("_total", "_count", "_sum", "_bucket")):
                assert later[name, labels] >= count, name


def test_the_library_is_not_imported_before_somebody_asks() -> None:
    script = "import sys, vuemantics_ws.gateway.run; print('prometheus_client' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout

    assert said == "False\n"


def test_a_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram([1.0, 2.0])

    for size, times in ((0.5, 1), (1.0, 2), (1.5, 3), (2.5, 4)):
        histogram.observe(size, times)

    assert histogram.up_to() == [(1.0, 3), (2.0, 6), (None, 10)]
    assert (histogram.sum, histogram.count) == (0.5 + 2.0 + 4.5 + 10.0, 10)


def test_no_client_makes_a_label() -> None:
    async def scenario() -> tuple[Samples, Samples]:
        async with inspected() as (node, _):
            _, before = await scraped(node)
            for code in (1001, 3000, 4321, 4322, 4999):
                async with browser(node, f"user-{code}") as tab:
                    await tab.socket.close(code)
            await until(lambda: not node.connections)
            _, after = await scraped(node)
            return before, after

    before, after = asyncio.run(scenario())

    assert set(after) == set(before)
    assert of(after, "closes_total", code="1001") == 1
    assert of(after, "closes_total", code="other") == 4


def test_a_scrape_waits_for_nobody_who_looks_at_pages() -> None:
    async def scenario() -> Samples:
        async with inspected() as (node, _), node.inspection._slices.turn, asyncio.timeout(10):
            _, samples = await scraped(node)
            return samples

    assert of(asyncio.run(scenario()), "connections") == 0
