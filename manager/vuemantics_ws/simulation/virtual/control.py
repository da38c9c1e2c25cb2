"""What a node of the virtual world answers at its control port, asked without the HTTP."""

from collections.abc import Callable
from typing import Any

from vuemantics_ws.client.control import Readiness, Receipt
from vuemantics_ws.core.upload import Event
from vuemantics_ws.gateway.metrics import METRICS, expose
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.simulation.system import ASK_TIMEOUT_S, PUBLISH_TIMEOUT_S
from vuemantics_ws.simulation.virtual.node import VirtualNode

ASKED_FOR = [metric for metric in METRICS if metric.name.startswith("redis_")]
"""All else that is observed stands in the statistics, and writing out what nobody reads takes most of a run's time."""


class VirtualControl:
    """A :class:`vuemantics_ws.simulation.system.Control`."""

    def __init__(self, node: VirtualNode) -> None:
        self._node = node

    async def statistics(self) -> dict[str, Any]:
        return await self._node.look(Gateway.statistics, within_s=ASK_TIMEOUT_S)

    async def health(self) -> Readiness:
        return await self._node.look(_health, within_s=ASK_TIMEOUT_S)

    async def metrics(self) -> str:
        return await self._node.look(_metrics, within_s=ASK_TIMEOUT_S)


class VirtualWorkers:
    """A :class:`vuemantics_ws.simulation.system.Workers`."""

    def __init__(self, node: VirtualNode) -> None:
        self._node = node

    async def publish(self, event: bytes, *, owner: str | None = None, sent: Callable[[], None] | None = None) -> Receipt:
        async def judge(gateway: Gateway) -> Receipt:
            read = Event.read(event, owner=owner)
            receipt = await gateway.publish(read)
            attempt, seq = receipt.version or (None, None)
            return Receipt(read.upload_id, receipt.verdict.value, attempt, seq, receipt.receivers)

        if sent is not None:
            sent()
        return await self._node.ask(judge, within_s=PUBLISH_TIMEOUT_S)


def _health(gateway: Gateway) -> Readiness:
    """As ``/readyz`` says it."""
    if gateway.state != "ready":
        return Readiness("draining", f"the node is {gateway.state}")
    broker = gateway.inspection.broker()
    if not broker["ready"]:
        return Readiness("degraded", broker["reason"] or "the broker is away")
    return Readiness("ready")


def _metrics(gateway: Gateway) -> str:
    text, _ = expose(gateway, gateway.inspection.survey_at_once(), ASKED_FOR)
    return text.decode()
