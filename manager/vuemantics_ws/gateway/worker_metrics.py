"""What Prometheus is told of several workers: every metric of each, with a label that says whose it is."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from vuemantics_ws.gateway.metrics import PREFIX

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LABEL = "worker"


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
        def collect(self) -> "Iterator[Metric]":
            families: dict[str, Metric] = {}
            for number, text in expositions.items():
                for family in text_string_to_metric_families(text):
                    joined = families.setdefault(family.name, family)
                    marked = [sample._replace(labels={LABEL: str(number), **sample.labels}) for sample in family.samples]
                    joined.samples = marked if joined is family else joined.samples + marked
            yield from families.values()
            yield GaugeMetricFamily(f"{PREFIX}workers", "Workers that answer.", len(expositions))
            yield CounterMetricFamily(f"{PREFIX}worker_restarts", "Workers that ended and were started again.", restarts)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry), CONTENT_TYPE_LATEST
