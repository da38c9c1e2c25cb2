"""Frames as a control port sends them, for views that need no server."""

from typing import Any

STATES = ("running", "unpublished", "failed", "completed")


def upload_row(number: int, **more: Any) -> dict[str, Any]:
    state = STATES[number % 4]
    known = state != "unpublished"
    return {
        "upload": f"{number:08x}-3f5c-4d1e-9a54-2f6f3e8f5a10",
        "state": state,
        "stage": "embedding_generation" if known else None,
        "percent": (60 if state == "running" else 100) if known else None,
        "attempt": 1 + number % 3 if known else None,
        "seq": 7 + number if known else None,
        "owner": "alice" if number % 2 else None,
        "followers": number,
        "connections": number * 2,
        "rate_per_s": 1.25 if state == "running" else 0,
        "age_s": 12.3 * number if known else None,
        "accepted": 7,
        "duplicate": number % 2,
        "stale": 2 * (number % 3),
        "after_terminal": 0,
        "refused": 2 * (number % 3),
        **more,
    }


def connection_row(number: int, **more: Any) -> dict[str, Any]:
    state = ("open", "slow", "stalled", "handshake", "closing")[number % 5]
    slow = state in ("slow", "stalled")
    return {
        "connection": number,
        "user": None if state == "handshake" else f"user-{number}",
        "state": state,
        "address": f"127.0.0.1:{40_000 + number}",
        "age_s": 192.0,
        "sent": 12_345,
        "sent_bytes": 7_654_321,
        "conflated": 812 if slow else 0,
        "pending_bytes": 65_536 if slow else 0,
        "behind_s": 7.3 if slow else 0,
        "silent_s": 3.1,
        "uploads": 50,
        "node": "node:0",
        **more,
    }


def followers_row(number: int, **more: Any) -> dict[str, Any]:
    users = [f"user-{user}" for user in range(min(20, number))]
    upload = {name: upload_row(number)[name] for name in ("upload", "state", "percent")}
    return {**upload, "followers": number, "connections": 2 * number, "users": users, **more}


def follows_row(number: int, **more: Any) -> dict[str, Any]:
    gone = number % 4 == 3
    connections = [] if gone else [number, number + 100]
    held = [
        {**{name: upload_row(upload)[name] for name in ("upload", "state", "percent")}, "held_by": connections[upload % 2 :]}
        for upload in range(min(20, number))
    ]
    return {
        "user": f"user-{number}",
        "connections": connections,
        "uploads": number,
        "follows": held,
        "leaves_in_s": 252.0 if gone else None,
        **more,
    }


def node_row(name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"id-of-{name}",
        "name": name,
        "state": "ready",
        "version": "0.1.0",
        "url": "ws://127.0.0.1:8765/ws/uploads",
        "control": "http://127.0.0.1:8766",
        "pid": 12,
        "started_at": 1_738_328_207.8,
        "uptime_s": 192.4,
        "connections": 506,
        "users": 202,
        "uploads": 602,
        "events_per_s": 12.5,
        "lag_s": 0.0004,
        "broker_ready": True,
        "adopts": True,
        "seen_s": 0.0,
        **more,
    }


MAKERS = {
    "uploads": upload_row,
    "connections": connection_row,
    "followers": followers_row,
    "follows": follows_row,
    "nodes": lambda number: node_row(f"web-{number}:8765", state=("ready", "silent", "draining")[number % 3]),
}


def page(view: str, count: int = 6, *, rows: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    made = [MAKERS[view](number) for number in range(count)] if rows is None else rows
    return {
        "view": view, "filter": "", "sort": "", "offset": 0, "matched": len(made), "total": len(made), "rows": made, **more,
    }  # fmt: skip


def frame(*pages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "at": 1_738_328_400.2,
        "node": {
            "name": "node:0",
            "state": "ready",
            "version": "0.1.0",
            "url": "ws://127.0.0.1:8765/ws/uploads",
            "control": "http://127.0.0.1:8766",
            "pid": 12,
            "uptime_s": 192.4,
            "access": "open",
            "development": True,
        },
        "broker": {
            "name": "memory",
            "ready": True,
            "reason": None,
            "since_s": 192.4,
            "lag_ms": None,
            "gaps": 0,
            "adopts": None,
        },
        "nodes": [node_row("node:0", adopts=None)],
        "missing": [],
        "tables": {
            "connections": 1_012,
            "unauthenticated": 3,
            "users": 404,
            "uploads": 1_204,
            "follows": 2_408,
            "watches": 1_204,
            "heads": 1_204,
            "outbox_bytes": 131_072,
            "outbox_bytes_max": 65_536,
        },
        "limits": {"connections_max": 19_000, "unauthenticated_max": 256, "heads_max": 20_000},
        "counters": {},
        "rates": {
            "events_per_s": [float(number % 9) for number in range(60)],
            "deliveries_per_s": [float(number * 20) for number in range(60)],
            "connects_per_s": [0.0] * 55 + [1.0, 0.0, 2.0, 0.0, 0.0],
            "closes_per_s": [0.0] * 60,
            "refused_per_s": [0.0] * 60,
            "loop_lag_s": [0.0004] * 60,
        },
        "warnings": [{"code": "stalled_reader", "message": "connection 12 of alice has taken nothing for 12 s", "count": 3}],
        "views": list(pages or [page("uploads")]),
        **more,
    }
