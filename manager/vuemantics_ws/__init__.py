"""Live upload progress over WebSockets. These are the names that applications use; everything else may change.

The manager
    :class:`ConnectionManager` sends each message to whoever should have it; :class:`Limits` bounds everything, and
    :class:`CloseCode` has the codes with which a connection ends.

Brokers
    :class:`MemoryBroker` makes a manager the whole thing, within one process; :class:`RedisBroker` makes any number of
    processes one system; :class:`Broker` says what another one would have to promise, :class:`Health` how one is. An
    :class:`Event` is published, a :class:`Head` the newest one of an upload. A :class:`Receipt` tells a publisher what became
    of its event: a :class:`Verdict`, and the :class:`Version` at which the upload now stands.

Workers
    :class:`UploadProgressPublisher` says how uploads are doing, to all nodes around one Redis;
    :class:`SyncUploadProgressPublisher` is the same for code without an event loop. :class:`NotPublished` is what became of an
    end that could not be published in time.

Access
    An :data:`Access` rule says who may have what: :func:`owner_only`, :func:`anyone`, or one of your own.

Messages
    What a worker publishes and a browser gets: :class:`UploadProgress` with its :class:`ProgressPayload`, :class:`Status` and
    :class:`Stage`, then :class:`UploadCompleted` or :class:`UploadFailed`.

Errors
    :class:`VuemanticsError` is the root; :class:`BadEvent`, :class:`BrokerAway`, :class:`LimitReached` and :class:`BadSetting`
    are those that an application meets.

Time
    A :class:`Clock` is passed in wherever time matters; :class:`SystemClock` is the machine's.

Each name is loaded when it is first asked for, so that the import itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vuemantics_ws.ambient import Clock, SystemClock
    from vuemantics_ws.brokers.base import Broker, Health, Receipt
    from vuemantics_ws.brokers.memory import MemoryBroker
    from vuemantics_ws.brokers.redis.broker import RedisBroker
    from vuemantics_ws.closing import CloseCode
    from vuemantics_ws.connection_manager import ConnectionManager
    from vuemantics_ws.core.access import Access, anyone, owner_only
    from vuemantics_ws.core.upload import Event, Head, Verdict, Version
    from vuemantics_ws.errors import BadEvent, BadSetting, BrokerAway, LimitReached, NotPublished, VuemanticsError
    from vuemantics_ws.limits import Limits
    from vuemantics_ws.messages import ProgressPayload, Stage, Status, UploadCompleted, UploadFailed, UploadProgress
    from vuemantics_ws.publisher.publisher import UploadProgressPublisher
    from vuemantics_ws.publisher.synchronous import SyncUploadProgressPublisher

    __version__: str

__all__ = [
    "Access",
    "BadEvent",
    "BadSetting",
    "Broker",
    "BrokerAway",
    "Clock",
    "CloseCode",
    "ConnectionManager",
    "Event",
    "Head",
    "Health",
    "LimitReached",
    "Limits",
    "MemoryBroker",
    "NotPublished",
    "ProgressPayload",
    "Receipt",
    "RedisBroker",
    "Stage",
    "Status",
    "SyncUploadProgressPublisher",
    "SystemClock",
    "UploadCompleted",
    "UploadFailed",
    "UploadProgress",
    "UploadProgressPublisher",
    "Verdict",
    "Version",
    "VuemanticsError",
    "__version__",
    "anyone",
    "owner_only",
]

_HOMES = {
    "ambient": ("Clock", "SystemClock"),
    "brokers.base": ("Broker", "Health", "Receipt"),
    "brokers.memory": ("MemoryBroker",),
    "brokers.redis.broker": ("RedisBroker",),
    "closing": ("CloseCode",),
    "connection_manager": ("ConnectionManager",),
    "core.access": ("Access", "anyone", "owner_only"),
    "core.upload": ("Event", "Head", "Verdict", "Version"),
    "errors": ("BadEvent", "BadSetting", "BrokerAway", "LimitReached", "NotPublished", "VuemanticsError"),
    "limits": ("Limits",),
    "messages": ("ProgressPayload", "Stage", "Status", "UploadCompleted", "UploadFailed", "UploadProgress"),
    "publisher.publisher": ("UploadProgressPublisher",),
    "publisher.synchronous": ("SyncUploadProgressPublisher",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = _version()
    elif name in _HOME_OF:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """Of the distribution; a checkout that is not installed has none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vuemantics-ws")
    except PackageNotFoundError:
        return "0+unknown"
