"""What Prometheus is told of several workers: every metric of each, with a label that says whose it is."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from vuemantics_ws.gateway.metrics import PREFIX, Metric

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

LABEL = "worker"

WORKERS = Metric("workers", "gauge", "Workers that answer.")
RESTARTS = Metric("worker_restarts", "counter", "Workers that ended and are there again.")
SUPERVISOR_METRICS = (WORKERS, RESTARTS)
"""What a supervisor tells of itself."""


def join(expositions: Mapping[int, str], *, restarts: int) -> tuple[bytes, str]:
    """Everything in Prometheus' text format, and the type of content that this is.

    Args:
        expositions: what each worker that answers says, by its number.
        restarts: how often a worker was there again after it had ended.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.parser import text_string_to_metric_families

    class Collector:
        def collect(self) -> "Iterator[Family]":
            families: dict[str, Family] = {}
            for number, text in expositions.items():
                for family in text_string_to_metric_families(text):
                    joined = families.setdefault(family.name, family)
                    marked = [sample._replace(labels={LABEL: str(number), **sample.labels}) for sample in family.samples]
                    joined.samples = marked if joined is family else joined.samples + marked
            yield from families.values()
            yield GaugeMetricFamily(PREFIX + WORKERS.name, WORKERS.about, len(expositions))
            yield CounterMetricFamily(PREFIX + RESTARTS.name, RESTARTS.about, restarts)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry), CONTENT_TYPE_LATEST
