"""Who is connected and who follows which upload, behind the verbs that applications call."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from vuemantics_ws.absences import Absences
from vuemantics_ws.ambient import Clock, SystemClock
from vuemantics_ws.brokers.base import Broker, Receipt
from vuemantics_ws.closing import CloseCode
from vuemantics_ws.core.access import Access, owner_only
from vuemantics_ws.core.counters import Counters
from vuemantics_ws.core.delivery import Answer, Delivery
from vuemantics_ws.core.receiver import Receiver
from vuemantics_ws.core.registry import Registry
from vuemantics_ws.core.table import Table
from vuemantics_ws.core.upload import Event, Verdict, claims_event
from vuemantics_ws.errors import BadEvent, LimitReached
from vuemantics_ws.frame import Frame
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import Gist, Message, encode, gist_of
from vuemantics_ws.shared_delivery import SharedDelivery
from vuemantics_ws.socket_writer import SocketWriter, StateWriter, Turns

logger = logging.getLogger(__name__)

Happened = Callable[[str, dict[str, Any]], None]
"""``happened(kind, fields)``: told of what changes, for whoever watches a server. Plain values only."""


class ConnectionManager:
    """Sends each message to whoever should have it, and lets nobody's slowness reach anybody else.

    ``ConnectionManager()`` is a registry with outboxes: a message that is sent is delivered, in call order, to every
    connection of every subscriber, once a call. Only for a connection that does not keep up does newer progress of an upload
    take the place of older, and never across an end; a connection for which too much else waits is closed with 4008.
    Subscriptions end with the user's last connection.

    ``async with ConnectionManager(broker=…)`` is the whole thing. Events are judged, subscribers get the newest state at
    once, and each connection ends with the newest state and every end, however slowly it reads. Subscriptions outlive the
    last connection by ``limits.grace_s``, in which a browser that comes back finds them restored. Where the broker has other
    nodes, a user is one user on all of them.

    A websocket is whatever the caller has, as long as it has an awaitable ``send_text``, ``send`` or ``send_json``, and
    ``close(code=, reason=)``. Any verb may run while any other is suspended; all belong to one event loop. Unknown users,
    uploads and sockets are no error anywhere. A verb that sends starts all sends, gives them two turns of the loop, and leaves
    the rest to each connection's writer: it never waits for a slow one. SEMANTICS.md section 2 has the rules.

    Args:
        broker: judges and keeps events; started and stopped by ``async with``.
        access: who may get what is said of an upload, with a broker. By default its owner alone, as named to :meth:`publish`.
        happened: told of every connect, follow and event.
    """

    def __init__(
        self,
        *,
        broker: Broker | None = None,
        access: Access = owner_only,
        limits: Limits | None = None,
        clock: Clock | None = None,
        happened: Happened | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.clock = clock or SystemClock()
        self.counters = Counters()
        self._broker = broker
        self._users = None if broker is None else broker.users
        self._access = access
        self._happened = happened
        self._writers: dict[tuple[str, int], SocketWriter] = {}  # by user and identity of the socket
        self._absences = Absences(
            grace_s=self.limits.grace_s,
            waiting_max=self.limits.waiting_users_max,
            waiting_ends=self._users is not None,
            grace_ended=self._end_grace,
            made_room=self._make_room,
        )
        self._turns = Turns()
        self._entered = False
        self._warned_unowned = False
        self._delivery = None if broker is None else self._delivery_of(broker)
        self._registry: Registry[Any] = (
            Registry(uploads_per_user_max=self.limits.uploads_per_user_max, released=lambda upload: None)
            if self._delivery is None
            else self._delivery.registry
        )

    def _delivery_of(self, broker: Broker) -> Delivery:
        if broker.users is not None:
            return SharedDelivery(
                broker,
                broker.users,
                access=self._access,
                limits=self.limits,
                counters=self.counters,
                changed=self._note_elsewhere,
            )
        return Delivery(
            access=self._access, limits=self.limits, counters=self.counters, watch=broker.watch, unwatch=broker.unwatch
        )

    async def __aenter__(self) -> "ConnectionManager":
        if self._broker is not None:
            assert self._delivery is not None
            await self._broker.start(self._delivery.deliver)
            if isinstance(self._delivery, SharedDelivery):
                self._delivery.start()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.disconnect_all()
        finally:
            if self._broker is not None:
                await self._broker.stop()

    # The verbs.

    async def connect(self, user_id: str, websocket: Any) -> None:
        """A socket that the caller has accepted belongs to this user. With a broker it gets the user's newest states.

        Raises:
            LimitReached: with a broker, where the user has all the connections that a user may have.
        """
        if (user_id, id(websocket)) in self._writers:
            return
        kind = SocketWriter if self._delivery is None else StateWriter
        writer = kind(user_id, websocket, limits=self.limits, turns=self._turns, dropped=self._drop)
        self.join(user_id, writer)
        self._writers[user_id, id(websocket)] = writer
        await self._turns.two()

    async def disconnect(self, user_id: str, websocket: Any) -> None:
        """The socket is gone or going; the caller closes it. What was pending for it is forgotten."""
        writer = self._writers.get((user_id, id(websocket)))
        if writer is not None:
            writer.stop()
            self._drop(writer, None)

    async def subscribe_upload(self, user_id: str, upload_id: str, *, connection: Any = None) -> None:
        """The user follows an upload, on every connection. ``connection`` is the socket that asks, if one does.

        A subscribe before the user's first connection is remembered. Being cancelled while the broker still reads the newest
        state takes nothing back: the user follows.

        Raises:
            LimitReached: the user follows all that a user may follow, and none of it is finished.
        """
        writer = self._writer(user_id, connection)
        user = self._registry.users.get(user_id)
        if connection is not None and writer is None and user is not None and upload_id in user.follows:
            return  # the socket that asks is gone, and to the others it would look as if the whole user had asked
        answered = asyncio.Event()
        self.follow(user_id, upload_id, writer, lambda known: answered.set())
        await answered.wait()
        await self._turns.two()

    async def unsubscribe_upload(self, user_id: str, upload_id: str, *, connection: Any = None) -> None:
        """The user gives an upload up: on the socket ``connection``, or everywhere.

        With a socket, the subscription ends once no other open connection of the user holds it.
        """
        writer = self._writer(user_id, connection)
        if connection is None or writer is not None:
            self.give_up(user_id, upload_id, writer)

    async def send_to_user(self, user_id: str, message: Message) -> None:
        """To every connection of the user, on every node.

        Raises:
            BrokerAway: whether the other nodes were told is not known. The connections here have it.
        """
        frame = Frame.of(message)
        user = self._registry.users.get(user_id)
        if user is not None:
            self._send_direct(list(user.connections), frame, gist_of(frame.payload))
        await self._turns.two()
        if self._users is not None:
            await self._users.say_to_user(user_id, frame.payload)

    async def send_to_upload_subscribers(self, upload_id: str, message: Message) -> None:
        """To every connection of everybody who follows the upload, on every node.

        With a broker, a message about the upload's progress or end is published, so the judge applies, and the access rule
        applies to every message.

        Raises:
            BadEvent: with a broker, where such a message would not pass the browser's validator.
            BrokerAway: whether the other nodes were told is not known. The connections here have it, unless it is published.
        """
        payload = encode(message)
        if self._delivery is not None and claims_event(payload):
            event = Event.read(payload)
            if event.upload_id != upload_id:
                raise BadEvent("expected an event about the upload that it is sent for")
            await self.publish(event)
            return
        if self._delivery is not None:
            self._send_direct(self._delivery.receivers(upload_id), Frame(payload), Gist(None, None))
        elif upload_id in self._registry.uploads:
            upload = self._registry.uploads[upload_id]
            gist = gist_of(payload, sent_for=upload_id)
            upload.finished = gist.ends == upload_id or (upload.finished and gist.progress_of != upload_id)
            self._send_direct(list(upload.receivers()), Frame(payload), gist)
        await self._turns.two()
        if self._users is not None:
            await self._users.say_of_upload(upload_id, payload)

    async def publish(self, event: Event | Message | bytes, *, owner: str | None = None) -> Receipt:
        """Judge an event and deliver it if it is news. Needs a broker.

        Args:
            event: a message about an upload, the JSON bytes of one, or one read already (which has its own owner).
            owner: whose upload it is; None leaves the owner as it was.

        Raises:
            BadEvent: the browser would refuse it, or it is larger than ``limits.event_bytes_max``.
            BrokerAway: whether it was published is not known. Publishing the same again does no harm.
        """
        if self._broker is None:
            raise TypeError("publish needs a manager with a broker")
        assert self._entered, "a manager with a broker is used inside `async with`"
        if not isinstance(event, Event):
            event = Event.read(event if isinstance(event, bytes) else encode(event), owner=owner)
        if len(event.published) > self.limits.event_bytes_max:
            raise BadEvent(f"expected at most {self.limits.event_bytes_max} bytes, got {len(event.published)}")
        receipt = await self._broker.publish(event)
        self.counters.events[receipt.verdict.value] += 1
        if not receipt.owned and self._access is owner_only and receipt.verdict is Verdict.ACCEPTED:
            self._note_unowned()
        attempt, seq = receipt.version or (None, None)
        said = {"upload_id": event.upload_id, "verdict": receipt.verdict.value, "terminal": event.terminal}
        self._tell("event", **said, attempt=attempt, seq=seq)
        await self._turns.two()
        return receipt

    def get_upload_subscriber_ids(self, upload_id: str) -> set[str]:
        """The users who follow the upload and are known to this node, as a copy."""
        upload = self._registry.uploads.get(upload_id)
        return set(upload.followers) if upload is not None else set()

    async def disconnect_all(self) -> None:
        """Close every socket with 1012 and forget everything. Ends within seconds, whoever does not read.

        All is forgotten before the first socket is closed, so who connects meanwhile begins anew, and stays. Where there are
        other nodes, all that was followed waits there for its users, for the grace time.
        """
        writers = list(self._writers.values())
        for writer in writers:
            self._drop(writer, CloseCode.SERVER_RELOADING)
        for user_id in [*self._registry.users]:
            self._registry.forget(user_id)
        self._absences.clear()
        leaving = [] if self._users is None else [self._users.leave()]
        await asyncio.gather(*leaving, *(writer.close() for writer in writers))

    # The tables of this process, for reading. Each look is a copy.

    @property
    def user_connections(self) -> Mapping[str, set[Any]]:
        """Open sockets by user; a user without one is not in it."""
        return Table(
            self._registry.users,
            lambda user: {getattr(connection, "websocket", connection) for connection in user.connections},
        )

    @property
    def upload_subscribers(self) -> Mapping[str, set[str]]:
        """Users by the upload that they follow."""
        return Table(self._registry.uploads, lambda upload: set(upload.followers))

    @property
    def user_subscriptions(self) -> Mapping[str, set[str]]:
        """Uploads by the user who follows them; a user who follows none is not in it."""
        return Table(self._registry.users, lambda user: set(user.follows))

    @property
    def registry(self) -> Registry[Any]:
        """The tables themselves. Not to be changed, nor kept across an await."""
        return self._registry

    def leaves_in_s(self, user_id: str) -> float | None:
        """How long the follows of a user without a connection still last; None where no grace time runs."""
        return self._absences.leaves_in_s(user_id)

    # The same without waiting, for a gateway whose connections take frames at once.

    def join(self, user_id: str, receiver: Receiver | SocketWriter) -> None:
        """A connection opens. With a broker it gets the newest state of all that its user follows.

        Raises:
            LimitReached: with a broker, where the user has all the connections that a user may have.
        """
        try:
            if self._delivery is None:
                self._registry.join(user_id, receiver)
            else:
                self._delivery.join(user_id, receiver)  # type: ignore[arg-type]
        except LimitReached as error:
            self.counters.limits[error.limit] += 1
            raise
        self._absences.end(user_id)
        self.counters.connects += 1
        self._tell("connected", user_id=user_id)

    def leave(self, user_id: str, receiver: Receiver | SocketWriter) -> None:
        """A connection closed. With its last one the user's grace time begins."""
        user = self._registry.users.get(user_id)
        if user is None or receiver not in user.connections:
            return
        last = (self._delivery or self._registry).leave(user_id, receiver)  # type: ignore[arg-type]
        self._tell("disconnected", user_id=user_id)
        if not last or user_id not in self._registry.users:
            return
        if self._delivery is None or self.limits.grace_s == 0:
            self._forget(user_id)
        else:
            self._absences.left(user_id)

    def follow(self, user_id: str, upload_id: str, receiver: Receiver | SocketWriter | None, answer: Answer) -> None:
        """A user subscribes; ``answer`` is called once the upload's state is known or known to be missing.

        Raises:
            LimitReached: the user follows all that a user may follow, and none of it is finished.
        """
        try:
            if self._delivery is None:
                _, upload = self._registry.follow(user_id, upload_id, receiver, lambda upload: upload.finished)
                if upload is None:
                    raise LimitReached("the user follows too many unfinished uploads", limit="uploads_per_user_max")
                answer(False)
            else:
                self._delivery.follow(user_id, upload_id, receiver, answer)  # type: ignore[arg-type]
        except LimitReached as error:
            self.counters.limits[error.limit] += 1
            raise
        user = self._registry.users.get(user_id)
        if user is not None and not user.connections:
            self._absences.waits(user_id)
        self._tell("followed", user_id=user_id, upload_id=upload_id)

    def give_up(self, user_id: str, upload_id: str, receiver: Receiver | SocketWriter | None) -> None:
        """A connection, or with None the whole user, gives an upload up.

        With a broker nothing of it leaves after this returns; alone, what was sent before is delivered.
        """
        (self._delivery or self._registry).give_up(user_id, upload_id, receiver)  # type: ignore[arg-type]
        self._end_absence(user_id)
        self._tell("gave_up", user_id=user_id, upload_id=upload_id)

    def _forget(self, user_id: str) -> None:
        (self._delivery or self._registry).forget(user_id)

    def _end_grace(self, user_id: str) -> None:
        self._forget(user_id)
        self._tell("forgotten", user_id=user_id)

    def _make_room(self, user_id: str) -> None:
        self._forget(user_id)
        self.counters.limits["waiting_users_max"] += 1

    def _end_absence(self, user_id: str) -> None:
        if user_id not in self._registry.users:
            self._absences.end(user_id)

    def _note_elsewhere(self, kind: str, user_id: str, upload_id: str) -> None:
        self._end_absence(user_id)
        self._tell(kind, user_id=user_id, upload_id=upload_id)

    def _send_direct(self, receivers: list[Any], frame: Frame, gist: Gist) -> None:
        for receiver in receivers:
            if self._delivery is None:
                receiver.put(frame, gist)
            else:
                receiver.put_direct(frame)

    def _writer(self, user_id: str, websocket: Any) -> SocketWriter | None:
        return None if websocket is None else self._writers.get((user_id, id(websocket)))

    def _drop(self, writer: SocketWriter, code: CloseCode | None) -> None:
        """``code`` is what we close the socket with, None where that is the caller's."""
        key = writer.user_id, id(writer.websocket)
        if self._writers.get(key) is not writer:
            return  # everybody has been forgotten meanwhile, and this socket may have come back
        del self._writers[key]
        self.counters.conflated += writer.conflated
        if code is not None:
            self.counters.closes[code] += 1
        self.leave(writer.user_id, writer)

    def _note_unowned(self) -> None:
        self.counters.unowned_events += 1
        if not self._warned_unowned:
            self._warned_unowned = True
            logger.warning("an event names no owner, so nobody gets it; publish with an owner, or choose another access rule")

    def _tell(self, kind: str, **fields: Any) -> None:
        if self._happened is None:
            return
        try:
            self._happened(kind, fields)
        except Exception as error:  # noqa: BLE001 - whoever watches must not trouble who is watched
            logger.error("the watcher of what happens raised %s", type(error).__name__)
