"""Servers that break a law: each function is one bug, as somebody might write it, in the code that a node runs."""

import asyncio
from typing import Any

from tests.simulation.judging.planting import fault, later, patch
from vuemantics_ws.absences import Absences
from vuemantics_ws.brokers.base import Found
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.access import anyone
from vuemantics_ws.core.delivery import Delivery
from vuemantics_ws.core.outbox import ConflatingOutbox
from vuemantics_ws.core.receiver import Receiver
from vuemantics_ws.core.registry import Registry, Upload, User
from vuemantics_ws.core.upload import Head
from vuemantics_ws.frame import Frame
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.conversation import UploadConversation
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.messages import ErrorMessage

# Order.


@fault
def the_end_overtakes() -> None:
    """progress waits 120 ms for more of it, an end leaves at once"""
    put_state = Connection.put_state

    def put(self: Connection, upload_id: str, frame: Frame) -> None:
        if b'"upload_progress"' in frame.payload:
            later(0.12, put_state, self, upload_id, frame)
        else:
            put_state(self, upload_id, frame)

    patch(Connection, "put_state", put)


@fault
def the_snapshot_comes_late() -> None:
    """a snapshot is taken at once and sent 250 ms later, whatever has been sent meanwhile"""
    put_state = Connection.put_state

    def send_head(self: Delivery, user: User[Receiver], upload: Upload[Receiver], receiver: Receiver) -> None:
        if upload.head is not None and user.user_id == upload.head.owner:
            later(0.25, put_state, receiver, upload.upload_id, upload.head.frame)

    patch(Delivery, "_send_head", send_head)


@fault
def every_event_for_itself() -> None:
    """each event is handed on by a task of its own, some in 100 ms, and a node does not judge again"""
    deliver = Delivery.deliver

    def hand_on(self: Delivery, upload_id: str, head: Head) -> None:
        if upload_id in self.registry.uploads:
            self.registry.uploads[upload_id].head = None
            deliver(self, upload_id, head)

    def dispatch(self: Delivery, upload_id: str, head: Head) -> None:
        later(0.1 * (head.version.seq % 2 == 0), hand_on, self, upload_id, head)

    patch(Delivery, "deliver", dispatch)


# Convergence.


@fault
def the_attempt_is_not_compared() -> None:
    """whether an event is news is asked of its seq alone, so a regeneration is old news"""
    deliver = Delivery.deliver

    def compare(self: Delivery, upload_id: str, head: Head) -> None:
        upload = self.registry.uploads.get(upload_id)
        if upload is None or upload.head is None or head.version.seq > upload.head.version.seq:
            deliver(self, upload_id, head)

    patch(Delivery, "deliver", compare)


@fault
def the_last_flush_is_lost() -> None:
    """progress within 400 ms of what was sent last is dropped, and nothing sends the last of it"""
    deliver = Delivery.deliver
    sent_at: dict[str, float] = {}

    def throttle(self: Delivery, upload_id: str, head: Head) -> None:
        now = asyncio.get_running_loop().time()
        if head.terminal or now - sent_at.get(upload_id, 0.0) >= 0.4:
            sent_at[upload_id] = now
            deliver(self, upload_id, head)

    patch(Delivery, "deliver", throttle)


# The end arrives.


@fault
def the_end_is_sent_twice() -> None:
    """an end is sent once more 100 ms later, to be certain"""
    put_state = Connection.put_state

    def insist(self: Connection, upload_id: str, frame: Frame) -> None:
        put_state(self, upload_id, frame)
        if b'"upload_progress"' not in frame.payload:
            later(0.1, put_state, self, upload_id, frame)

    patch(Connection, "put_state", insist)


@fault
def the_end_is_for_one_tab() -> None:
    """an end goes to the first tab of a user and to no other"""
    deliver = Delivery.deliver

    def spare(self: Delivery, upload_id: str, head: Head) -> None:
        deliver(self, upload_id, head)
        upload = self.registry.uploads.get(upload_id)
        for user in upload.followers.values() if upload is not None and head.terminal else ():
            for connection in list(user.connections)[1:]:
                connection.discard(upload_id)

    patch(Delivery, "deliver", spare)


@fault
def a_full_outbox_takes_nothing() -> None:
    """while a state of an upload waits, newer ones are dropped in place of it"""

    def put_state(self: ConflatingOutbox[bytes], upload_id: str, frame: bytes) -> None:
        self._states.setdefault(upload_id, frame)

    patch(ConflatingOutbox, "put_state", put_state)


# No seam.


@fault
def the_head_is_read_before_the_watch() -> None:
    """a subscribe reads the head, and begins to watch 600 ms later"""
    watch = MemoryBroker.watch

    def read_first(self: MemoryBroker, upload_id: str, found: Found) -> None:
        upload = self._uploads.get(upload_id)
        head = upload.head if upload is not None else None
        later(0.6, watch, self, upload_id, lambda newer: found(head))

    patch(MemoryBroker, "watch", read_first)


@fault
def no_snapshot_at_the_join() -> None:
    """a connection that joins gets nothing until the next event"""

    def join(self: Delivery, user_id: str, receiver: Receiver) -> None:
        self.registry.join(user_id, receiver)

    patch(Delivery, "join", join)


@fault
def the_snapshot_comes_twice() -> None:
    """a snapshot is sent by the join, and again 150 ms later by whoever looks after newcomers"""
    send_head = Delivery._send_head

    def send(self: Delivery, user: User[Receiver], upload: Upload[Receiver], receiver: Receiver) -> None:
        send_head(self, user, upload, receiver)
        later(0.15, send_head, self, user, upload, receiver)

    patch(Delivery, "_send_head", send)


@fault
def no_grace() -> None:
    """a user's follows end with the last connection, not with the grace time"""
    leave = ConnectionManager.leave

    def forget(self: ConnectionManager, user_id: str, receiver: Receiver) -> None:
        leave(self, user_id, receiver)
        if self.leaves_in_s(user_id) is not None:
            self._absences.end(user_id)
            self.registry.forget(user_id)

    patch(ConnectionManager, "leave", forget)


# Privacy.


def without_rule(name: str) -> None:
    """A method of :class:`Delivery` that asks nobody who may get what."""
    real = getattr(Delivery, name)

    def unruled(self: Delivery, *arguments: object) -> object:
        rule, self._access = self._access, anyone
        try:
            return real(self, *arguments)
        finally:
            self._access = rule

    patch(Delivery, name, unruled)


@fault
def no_rule_at_the_delivery() -> None:
    """who may get an upload is asked at the subscribe, and not where an event is delivered"""
    without_rule("deliver")


@fault
def no_rule_at_the_snapshot() -> None:
    """who may get an upload is asked where an event is delivered, and not for the snapshot"""
    without_rule("_send_head")


@fault
def the_answer_tells() -> None:
    """the answer to a subscribe says whether there is such an upload, whoever asks"""
    answer = Delivery._answer

    def tell(self: Delivery, upload: Upload[Receiver], asked: Any) -> None:
        known = upload.head is not None
        answer(self, upload, asked._replace(answer=lambda _: asked.answer(known)))

    patch(Delivery, "_answer", tell)


@fault
def a_stranger_is_told() -> None:
    """a subscribe to somebody else's upload is answered with forbidden, and to one that does not exist with subscribed"""
    follow = UploadConversation._follow

    def refuse(self: UploadConversation, upload_id: str) -> None:
        upload = self._office.manager.registry.uploads.get(upload_id)
        if upload is not None and upload.head is not None and upload.head.owner != self.user_id:
            self._reply(ErrorMessage("forbidden", "this upload is not yours", upload_id))
        else:
            follow(self, upload_id)

    patch(UploadConversation, "_follow", refuse)


# Independence.


@fault
def no_conflation() -> None:
    """every state waits for a slow reader, not the newest of each upload"""

    def put_state(self: ConflatingOutbox[bytes], upload_id: str, frame: bytes) -> None:
        self._states[f"{upload_id} {len(self._states)} {id(frame)}"] = frame

    patch(ConflatingOutbox, "put_state", put_state)


@fault
def a_full_buffer_is_not_heard() -> None:
    """the transport says that its buffer is full, and is given more"""
    patch(Connection, "pause_writing", lambda self: None)
    patch(Connection, "resume_writing", lambda self: None)


@fault
def the_flush_waits_for_the_slowest() -> None:
    """nobody is sent anything while somebody's buffer is full"""
    flush = Gateway._flush

    def wait(self: Gateway) -> None:
        if any(connection._stall is not None for connection in self.connections):
            later(0.02, wait, self)
        else:
            flush(self)

    patch(Gateway, "_flush", wait)


# No residue.


@fault
def nobody_leaves() -> None:
    """the end of a connection is not told to the manager"""
    patch(UploadConversation, "on_closed", lambda self: None)


@fault
def the_grace_never_ends() -> None:
    """the end of the grace time forgets nobody"""
    patch(Absences, "_end_grace", lambda self: None)


@fault
def an_upload_is_leaked() -> None:
    """an upload that lost its last follower stays in the table"""

    def unfollow(self: Registry[Any], user: User[Any], upload_id: str) -> None:
        del user.follows.pop(upload_id).followers[user.user_id]

    patch(Registry, "_unfollow", unfollow)
