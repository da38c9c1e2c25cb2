"""What a scenario may ask of a server is what a server tells."""

from vuemantics_ws.core.counters import Counters
from vuemantics_ws.gateway.answers import Tables
from vuemantics_ws.simulation.format.metrics import METRICS


def test_every_table_and_every_counter_can_be_named() -> None:
    by_kind = {"events", "closes", "limits"}
    counters = set(Counters().as_json())
    named = {name.partition(".")[0] for name in METRICS}

    assert by_kind <= counters
    assert counters <= named
    assert set(Tables.model_fields) <= named
    assert named - counters - set(Tables.model_fields) <= {"outbox_bytes_max", "shutdown_seconds", "redis_NAME"}
