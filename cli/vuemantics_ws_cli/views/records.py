"""One record of a log in one line."""

from collections.abc import Mapping

from vuemantics_ws.simulation.log import FaultBegan, FaultEnded, Health, Published, Received, Record
from vuemantics_ws_cli.console import printable


def record_line(record: Record, upload_names: Mapping[str, str], client_names: Mapping[int, str]) -> str:
    """By the names of its uploads and clients."""
    words = [f"{record.at:8.3f} s"]
    number = getattr(record, "connection", None)
    client = client_names.get(number) if number is not None else getattr(record, "client", None)
    if client is not None:
        words.append(f"{client} ({number})" if number is not None else client)
    words.append(str(record.__struct_config__.tag).replace("_", " "))
    action, code = getattr(record, "action", None), getattr(record, "code", None)
    words += [str(part) for part in (action, code, getattr(record, "reason", None)) if part not in (None, "")]
    if isinstance(record, FaultBegan | FaultEnded):
        words.append(f"{record.do} of {record.target}: {record.evidence or 'nothing was seen of it'}")
    elif isinstance(record, Health):
        words.append(f"of {record.node}: {record.state}")
    upload_id = getattr(record, "upload_id", None)
    if upload_id is not None:
        words.append(upload_names.get(upload_id, upload_id))
    if isinstance(record, Received | Published) and record.version is not None:
        words.append(f"({record.attempt}, {record.seq})")
    if isinstance(record, Received) and record.known is not None:
        words.append("known" if record.known else "not known")
    if isinstance(record, Published):
        words.append(record.verdict or f"failed: {record.error}")
    if isinstance(record, Received | Published) and record.percent is not None:
        words.append(f"{record.percent} %")
    return printable(" ".join(words))
