"""What several workers say of themselves, as one exposition."""

from prometheus_client.parser import text_string_to_metric_families

from vuemantics_ws.gateway.worker_metrics import join

ONE = """\
# HELP vuemantics_ws_connections Open sockets of the public port.
# TYPE vuemantics_ws_connections gauge
vuemantics_ws_connections 3.0
# HELP vuemantics_ws_closes_total Connections that ended.
# TYPE vuemantics_ws_closes_total counter
vuemantics_ws_closes_total{code="1000"} 2.0
# HELP vuemantics_ws_loop_lag_seconds Lag.
# TYPE vuemantics_ws_loop_lag_seconds histogram
vuemantics_ws_loop_lag_seconds_bucket{le="0.1"} 4.0
vuemantics_ws_loop_lag_seconds_bucket{le="+Inf"} 5.0
vuemantics_ws_loop_lag_seconds_count 5.0
vuemantics_ws_loop_lag_seconds_sum 0.75
"""
OTHER = """\
# TYPE vuemantics_ws_connections gauge
vuemantics_ws_connections 4.0
# TYPE vuemantics_ws_new gauge
vuemantics_ws_new 1.0
"""


def test_every_metric_is_there_once_with_the_figures_of_each_worker() -> None:
    text, kind = join({1: ONE, 3: OTHER}, restarts=7)

    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    samples = {
        (sample.name, *sorted(sample.labels.items(), reverse=True)): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert kind.startswith("text/plain; version=")
    assert text.count(b"# TYPE vuemantics_ws_connections gauge") == 1
    assert samples == {
        ("vuemantics_ws_connections", ("worker", "1")): 3,
        ("vuemantics_ws_connections", ("worker", "3")): 4,
        ("vuemantics_ws_closes_total", ("worker", "1"), ("code", "1000")): 2,
        ("vuemantics_ws_loop_lag_seconds_bucket", ("worker", "1"), ("le", "0.1")): 4,
        ("vuemantics_ws_loop_lag_seconds_bucket", ("worker", "1"), ("le", "+Inf")): 5,
        ("vuemantics_ws_loop_lag_seconds_count", ("worker", "1")): 5,
        ("vuemantics_ws_loop_lag_seconds_sum", ("worker", "1")): 0.75,
        ("vuemantics_ws_new", ("worker", "3")): 1,
        ("vuemantics_ws_workers",): 2,
        ("vuemantics_ws_worker_restarts_total",): 7,
    }


def test_where_no_worker_answers_the_supervisor_still_tells_of_itself() -> None:
    text, _ = join({}, restarts=2)

    assert b"vuemantics_ws_workers 0.0" in text
    assert b"vuemantics_ws_worker_restarts_total 2.0" in text
