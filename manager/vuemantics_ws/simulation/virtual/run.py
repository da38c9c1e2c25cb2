"""A STAND-IN until the virtual arm is there: it plays nothing, and writes the log of a perfect world. To be replaced."""

import hashlib
import itertools
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vuemantics_ws.errors import VuemanticsError
from vuemantics_ws.simulation.judging.checkers import MUST_BE_EMPTY
from vuemantics_ws.simulation.judging.report import Report, judge_run
from vuemantics_ws.simulation.log import (
    Authenticated,
    Began,
    ClientFacts,
    Closed,
    Emptied,
    Log,
    Measured,
    NodeExited,
    Opened,
    Published,
    Received,
    Record,
    Sent,
    Settled,
    UploadFacts,
    to_ndjson,
)
from vuemantics_ws.simulation.planning.plan import Plan

_CLOSED_BY_BROWSER = 1000


class VirtualFault(VuemanticsError):
    """Virtual time came to nothing: a deadlock, a busy loop, a task that died."""


@dataclass(frozen=True)
class VirtualOptions:
    broker: Literal["simulated", "redis"] | None = None
    shuffle: bool = True
    slices: bool = True


class VirtualRun(NamedTuple):
    report: Report
    trace_hash: str


def broker_of(plan: Plan, options: VirtualOptions) -> str:
    return options.broker or "simulated"


_DEFAULT = VirtualOptions()


def run_virtual(plan: Plan, log: Log, *, options: VirtualOptions = _DEFAULT) -> VirtualRun:
    for record in _perfect(plan):
        log.append(record)
    return VirtualRun(judge_run(plan, log, arm="virtual"), hashlib.sha256(to_ndjson(log)).hexdigest())


def _perfect(plan: Plan) -> list[Record]:
    ids = {upload.name: upload.upload_id for upload in plan.uploads}
    found: list[Record] = []
    for number, client in enumerate(plan.clients, start=1):
        join = client.join_s
        found += [Opened(join, number, client.name, join), Authenticated(join, number)]
        for want in client.subscribes:
            found.append(Sent(join, number, "subscribe_upload", ids[want.upload]))
            found.append(Received(join, number, "subscribed", ids[want.upload], known=False))
    for upload in plan.uploads:
        for seq, event in enumerate(upload.events, start=1):
            if event.at_s > plan.scenario.duration:
                continue
            terminal = event.action != "upload_progress"
            found.append(
                Published(
                    at=event.at_s,
                    scheduled_at=event.at_s,
                    sent_at=event.at_s,
                    upload_id=upload.upload_id,
                    action=event.action,
                    terminal=terminal,
                    size_bytes=100,
                    verdict="accepted",
                    attempt=1,
                    seq=seq,
                )
            )
            for number, client in enumerate(plan.clients, start=1):
                if client.user == upload.owner and any(
                    w.upload == upload.name and client.join_s < event.at_s for w in client.subscribes
                ):
                    at = event.at_s + 0.01
                    found.append(Received(at, number, event.action, upload.upload_id, attempt=1, seq=seq, terminal=terminal))
    times = [0.25 * n for n in range(int((found[-1].at + 3) / 0.25))]
    found += [Measured(at, {"outbox_bytes_max": 0, **dict.fromkeys(MUST_BE_EMPTY, 1)}) for at in times]
    found.sort(key=lambda record: record.at)
    end = found[-1].at + 2.0
    began = Began(
        scenario=plan.scenario.name,
        seed=plan.seed,
        access="owner",
        grace_s=0.0,
        uploads_per_user_max=1000,
        waiting_bytes_max=1 << 20,
        uploads={u.upload_id: UploadFacts(u.name, u.owner, u.ends) for u in plan.uploads},
        clients={c.name: ClientFacts(c.user, [ids[w.upload] for w in c.subscribes]) for c in plan.clients},
    )
    left = itertools.count(1)
    closes: list[Record] = [Closed(end, next(left), _CLOSED_BY_BROWSER, "", "browser") for _ in plan.clients]
    return [began, *found, Settled(end), *closes, Emptied(end, dict.fromkeys(MUST_BE_EMPTY, 0)), NodeExited(end, 0, True)]
