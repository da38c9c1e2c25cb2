"""One line for each message that a listener gets."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from vuemantics_ws_cli.console import printable

_STYLES = {"completed": "green", "failed": "red", "embedding": "magenta", "analyzing": "cyan", "pending": "blue"}
STAGE_WIDTH = len("embedding_generation")
_WIDE = 120


def bar(percent: int, width: int, *, style: str = "", ascii_only: bool = False) -> Text:
    """A bar that can be read without colour."""
    full, empty = ("#", "-") if ascii_only else ("█", "░")
    filled = round(width * min(100, max(0, percent)) / 100)
    return Text.assemble((full * filled, style), (empty * (width - filled), "dim"))


def short_names(upload_ids: Sequence[str]) -> dict[str, str]:
    """The shortest beginnings of at least eight characters that tell the uploads apart."""
    size = 8
    while len({upload_id[:size] for upload_id in upload_ids}) < len(set(upload_ids)):
        size += 1
    return {upload_id: upload_id[:size] for upload_id in upload_ids}


def message_line(
    message: Mapping[str, Any],
    *,
    at: datetime,
    names: Mapping[str, str],
    width: int | None = None,
    ascii_only: bool = False,
) -> Text:
    """When, which upload, a bar, percent, stage, version, and what the worker says.

    Args:
        at: when the message came.
        names: what to call each upload.
        width: how much fits on a line; None where nothing needs to be cut.
    """
    bar_width = 12 if width is None or width < _WIDE else 24
    line = Text.assemble((f"{at:%H:%M:%S}", "dim"), "  ")
    progress = _progress(message)
    if progress is None:
        line.append_text(_anything_else(message))
    else:
        upload_id, percent, stage, status, said = progress
        style = _STYLES.get(status, "")
        name_width = max((len(name) for name in names.values()), default=8)
        line.append(f"{printable(names.get(upload_id, upload_id[:8])):<{name_width}}  ", "bold")
        line.append_text(bar(percent or 0, bar_width, style=style, ascii_only=ascii_only))
        line.append(f" {'' if percent is None else percent:>3} {' ' if percent is None else '%'}  ")
        line.append(f"{printable(stage):<{STAGE_WIDTH}}  ", style)
        line.append(f"{_version(message):<5}  ", "dim")
        line.append(printable(said))
    if width is not None:
        line.truncate(width, overflow="ellipsis")
    line.rstrip()
    return line


def _progress(message: Mapping[str, Any]) -> tuple[str, int | None, str, str, str] | None:
    """Upload, percent, stage, status and words; None where the message is of no upload, or not as it should be."""
    action, payload = message.get("action"), message.get("payload")
    if action == "upload_progress" and isinstance(payload, dict):
        upload_id, percent = payload.get("upload_id"), payload.get("progress_percent")
        if isinstance(upload_id, str) and isinstance(percent, int):
            said = payload.get("error_message") or payload.get("message") or ""
            return upload_id, percent, str(payload.get("stage")), str(payload.get("status")), str(said)
    upload_id = message.get("upload_id")
    if action == "upload_completed" and isinstance(upload_id, str):
        said = f"audit {message.get('audit_score')}: {message.get('description')}"
        return upload_id, 100, "completed", "completed", said
    if action == "upload_failed" and isinstance(upload_id, str):
        return upload_id, None, "failed", "failed", str(message.get("error_message"))
    return None


def _anything_else(message: Mapping[str, Any]) -> Text:
    action = printable(str(message.get("action")))
    if action == "error":
        words = f"{message.get('code')}: {message.get('message')}"
        return Text.assemble(("error", "red"), "  ", printable(words))
    rest = {key: value for key, value in message.items() if key != "action"}
    return Text.assemble((action, "bold"), "  ", printable(json.dumps(rest, ensure_ascii=False)) if rest else "")


def _version(message: Mapping[str, Any]) -> str:
    attempt, seq = message.get("attempt"), message.get("seq")
    return f"{attempt}.{seq}" if isinstance(attempt, int) and isinstance(seq, int) else ""
