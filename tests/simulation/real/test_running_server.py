"""A server that runs already: it is neither started nor stopped, and what is not ours is held against nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.events import UPLOAD_ID, completed, progress
from tests.simulation.playing import not_held, of, plan
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.client.control import Control
from vuemantics_ws.errors import BadSetting, EnvironmentUnfit, Refused
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws.simulation.log import Authenticated, Began, Emptied, FaultBegan, Log, NodeExited, Opened, Received, Record
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.planning.visitors import plan_visitors
from vuemantics_ws.simulation.real.node import Node
from vuemantics_ws.simulation.real.run import run_real
from vuemantics_ws.simulation.site import Target, target_of

SECRET = "thirty-two bytes that only tests know of"

SMALL = """\
    users: {alice: {}}
    uploads: [{id: up, owner: alice, start: 200ms, pipeline: [{stage: queued, for: 200ms, steps: 2}]}]
    clients: [{id: tab, user: alice, count: 2}]
    expect:
      - terminal: {is: completed, within: 1s}
      - close: {codes: [1000]}
"""


@contextlib.asynccontextmanager
async def server(*, grace_s: float = 0.2, secret: str | None = None) -> AsyncIterator[Node]:
    async with Node(Settings(port=0, control_port=0, grace_s=grace_s, drain_s=0.0, secret=secret, access="owner")) as node:
        yield node


async def visited(plan: Plan, log: Log, target: Target, *, others_publish: bool = False) -> Report:
    return await asyncio.wait_for(run_real(plan, log, clock=SystemClock(), target=target, others_publish=others_publish), 20)


@pytest.mark.slow
@pytest.mark.parametrize("secret", [None, SECRET])
def test_a_plan_is_played_there_and_the_server_goes_on(secret: str | None) -> None:
    async def main() -> tuple[Report, Log]:
        async with server(secret=secret) as node:
            log = Log()
            file = plan(SMALL + "    server: {config: {access: owner}}\n")
            report = await visited(file, log, Target(node.url, node.control, secret))
            assert node.exit_code is None
            return report, log

    report, log = asyncio.run(main())

    assert not_held(report) == []
    assert of(log, NodeExited) == []
    assert of(log, Began)[0].shared
    assert of(log, Emptied)[0].tables["connections"] == 0


@pytest.mark.slow
def test_a_file_may_be_played_again_and_what_others_have_is_no_residue_of_ours() -> None:
    file = plan(SMALL + "    server: {config: {access: owner}}\n")

    async def main() -> list[Report]:
        async with server(grace_s=10.0) as node:
            target = Target(node.url, node.control)
            staying = asyncio.ensure_future(visited(plan_visitors(3, [UPLOAD_ID], duration_s=60), Log(), target))
            async with Control(node.control) as control:
                while (await control.statistics())["tables"]["follows"] < 1:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.02)
                reports = [await visited(file, Log(), target)]
            log = Log()
            running = asyncio.ensure_future(visited(file, log, target))
            late = asyncio.ensure_future(
                visited(plan_visitors(1, [UPLOAD_ID], duration_s=60), Log(), target, others_publish=True)
            )
            reports.append(await running)
            assert of(log, Emptied)[0].others, "one who came meanwhile"
            for others in (staying, late):
                others.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await others
            return reports

    assert [not_held(report) for report in asyncio.run(main())] == [[], []]


@pytest.mark.slow
def test_visitors_follow_what_somebody_else_publishes_until_they_are_told_to_stop() -> None:
    async def main() -> tuple[Report, Log]:
        async with server() as node, Control(node.control) as control:
            log, stop, ready = Log(), asyncio.Event(), asyncio.Event()

            def look(record: Record) -> None:
                if len(of(log, Authenticated)) == 5:
                    ready.set()
                if isinstance(record, Received) and record.terminal and sum(r.terminal for r in of(log, Received)) == 5:
                    stop.set()

            log.listen(look)
            running = asyncio.ensure_future(
                run_real(
                    plan_visitors(5, [UPLOAD_ID], duration_s=60, user="alice"),
                    log,
                    clock=SystemClock(),
                    target=Target(node.url, node.control),
                    stop=stop,
                    others_publish=True,
                )
            )
            await asyncio.wait_for(ready.wait(), 10)
            for event in (progress(version=(1, 1)), progress(version=(1, 2)), completed(version=(1, 3))):
                await control.publish(event, owner="alice")
            return await asyncio.wait_for(running, 10), log

    report, log = asyncio.run(main())

    assert not_held(report) == []
    assert report.cut_short
    assert report.received["upload_completed"] == 5
    assert {law.name: law.verdict for law in report.laws if law.verdict != "held"} == {
        "convergence": "does not apply",
        "independence": "does not apply",
        "taken": "does not apply",
    }
    assert of(log, Emptied)[0].tables["follows"] == 0


@pytest.mark.slow
def test_being_cancelled_leaves_the_server_without_a_connection_of_ours() -> None:
    async def main() -> int:
        async with server() as node, Control(node.control) as control:
            log, joined = Log(), asyncio.Event()
            log.listen(lambda record: joined.set() if isinstance(record, Authenticated) else None)
            tunnel = plan(
                """\
                network: {tunnel: {latency: 50ms, outage: {every: 200ms, for: 10s}}}
                users: {alice: {}}
                clients:
                  - {id: tunnel, user: alice, count: 2, network: tunnel, join: 0s..1s}
                  - {id: tab, user: alice, join: 500ms, reading: {stop: 0s}}
                  - {id: near, user: alice, script: [auth, {wait: 1m}]}
                """,
                duration="1m",
            )
            running = asyncio.ensure_future(visited(tunnel, log, Target(node.url, node.control)))
            await asyncio.wait_for(joined.wait(), 10)
            await asyncio.sleep(0.7)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert asyncio.all_tasks() == {asyncio.current_task()}
            async with asyncio.timeout(10):
                while left := (await control.statistics())["tables"]["connections"]:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.02)
            return int(left)

    assert asyncio.run(main()) == 0


@pytest.mark.slow
def test_a_token_that_only_the_secret_makes_is_refused_before_anything_starts() -> None:
    async def main(token: str) -> None:
        async with server() as node:
            file = plan(f"users: {{alice: {{}}}}\nclients: [{{id: tab, user: alice, token: {token}}}]\n")
            log = Log()
            try:
                await visited(file, log, Target(node.url, node.control))
            finally:
                assert len(log) == 0

    with pytest.raises(BadSetting, match="tab shows a token of the kind expired") as refused:
        asyncio.run(main("expired"))
    assert refused.value.hint is not None
    with pytest.raises(BadSetting, match="a token that ends"):
        asyncio.run(main("{ttl: 5s}"))


@pytest.mark.slow
def test_a_server_with_a_secret_gives_no_tokens_away() -> None:
    async def main() -> None:
        async with server(secret=SECRET) as node:
            await visited(plan(SMALL), Log(), Target(node.url, node.control))

    with pytest.raises(Refused, match="development mode"):
        asyncio.run(main())


def test_nobody_there_is_told() -> None:
    with pytest.raises(EnvironmentUnfit, match="no server answers"):
        asyncio.run(visited(plan(SMALL), Log(), Target("ws://127.0.0.1:1/ws/uploads", "http://127.0.0.1:1")))


def test_a_file_may_name_the_server() -> None:
    file = plan(SMALL + "    server: {url: 'ws://127.0.0.1:9000/ws/uploads', control: 'http://127.0.0.1:9001'}\n")

    assert target_of(file, SECRET) == Target("ws://127.0.0.1:9000/ws/uploads", "http://127.0.0.1:9001", SECRET)
    assert target_of(plan(SMALL)) is None
    assert SECRET not in repr(target_of(file, SECRET))


def test_of_a_server_elsewhere_the_control_port_must_be_named() -> None:
    assert Target.at("ws://127.0.0.1:9000").control == "http://127.0.0.1:8766"
    assert Target.at("wss://example.org/ws", "https://example.org/control").control == "https://example.org/control"
    with pytest.raises(BadSetting, match="control: expected the control port's URL"):
        Target.at("wss://example.org/ws/uploads")
    with pytest.raises(BadSetting, match="url: expected a URL that begins with ws:// or wss://"):
        Target.at("http://127.0.0.1:8765")


@pytest.mark.slow
def test_its_clients_can_be_befallen() -> None:
    file = plan(
        """\
        server: {config: {access: owner}}
        users: {alice: {}}
        uploads: [{id: up, owner: alice, pipeline: [{stage: queued, for: 500ms}, {stage: indexing, for: 4s, steps: 20}]}]
        clients: [{id: tab, user: alice, count: 2, reconnect: {initial: 200ms, jitter: 0}}]
        faults:
          - {at: 1s, do: connections.kill, target: tab}
          - {at: 2s, do: partition, between: ["node:0", tab], for: 1s}
        expect: [{terminal: {within: 1s, after: faults}}]
        """,
        duration="20s",
    )

    async def main() -> tuple[Report, Log]:
        async with server(grace_s=5.0) as node:
            log = Log()
            return await visited(file, log, Target(node.url, node.control)), log

    report, log = asyncio.run(main())

    (killed, *_) = of(log, FaultBegan)
    assert killed.evidence == "2 connections were reset"
    assert len(of(log, Opened)) == 4
    assert not_held(report) == []
