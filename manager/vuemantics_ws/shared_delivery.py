"""Delivery to users who may be on other nodes, too: for a broker whose nodes share users (SEMANTICS.md sections 2 and 6)."""

from collections.abc import Callable, Sequence

from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.brokers.users import Here, Stand, Users
from vuemantics_ws.core.access import Access
from vuemantics_ws.core.counters import Counters
from vuemantics_ws.core.delivery import Answer, Delivery
from vuemantics_ws.core.receiver import Receiver
from vuemantics_ws.frame import Frame
from vuemantics_ws.limits import Limits

Changed = Callable[[str, str, str], None]
"""``changed(kind, user_id, upload_id)``: a follow began or ended here because it did so elsewhere."""


class SharedDelivery(Delivery, Here):
    """Tells the other nodes what happens here, and does here what happened elsewhere: a :class:`Here`."""

    def __init__(
        self, broker: Broker, users: Users, *, access: Access, limits: Limits, counters: Counters, changed: Changed
    ) -> None:
        super().__init__(access=access, limits=limits, counters=counters, watch=broker.watch, unwatch=broker.unwatch)
        self._users = users
        self._changed = changed

    def start(self) -> None:
        """Must be called once, inside the running loop."""
        self._users.start(self)

    def join(self, user_id: str, receiver: Receiver) -> None:
        super().join(user_id, receiver)
        self._users.connections_changed(user_id)

    def leave(self, user_id: str, receiver: Receiver) -> bool:
        last = super().leave(user_id, receiver)
        self._users.connections_changed(user_id)
        self._forget_gone(user_id)
        return last

    def follow(self, user_id: str, upload_id: str, receiver: Receiver | None, answer: Answer) -> str | None:
        made_room = super().follow(user_id, upload_id, receiver, answer)
        if made_room is not None:
            self._users.end(user_id, made_room)
        self._users.follow(user_id, upload_id)
        return made_room

    def give_up(self, user_id: str, upload_id: str, receiver: Receiver | None) -> None:
        """What a connection gives up may be held on another node: the follow ends when the broker says so."""
        if receiver is None:
            super().give_up(user_id, upload_id, None)
            self._users.end(user_id, upload_id)
            self._forget_gone(user_id)
        elif self.renounce(user_id, upload_id, receiver):
            self._users.give_up(user_id, upload_id)
        elif user_id in self.registry.users:  # perhaps it gave up what nobody follows, which a look shows
            self._users.connections_changed(user_id)

    def forget(self, user_id: str) -> None:
        super().forget(user_id)
        self._forget_gone(user_id)

    # What the other nodes ask.

    def stand(self, user_id: str) -> Stand:
        user = self.registry.users.get(user_id)
        return Stand((), False, ()) if user is None else Stand(user.follows, bool(user.connections), user.given_up())

    def converge(self, user_id: str, *, arrived: Sequence[str], ended: Sequence[str], settled: bool) -> None:
        for upload_id in arrived:
            self.learn(user_id, upload_id)
            self._changed("followed", user_id, upload_id)
        for upload_id in ended:
            super().give_up(user_id, upload_id, None)
            self._forget_gone(user_id)
            self._changed("gave_up", user_id, upload_id)
        if settled:
            self.registry.settle(user_id)

    def said_to_user(self, user_id: str, payload: bytes) -> None:
        user = self.registry.users.get(user_id)
        if user is not None:
            self._send([*user.connections], payload)

    def said_of_upload(self, upload_id: str, payload: bytes) -> None:
        self._send(self.receivers(upload_id), payload)

    def _send(self, receivers: Sequence[Receiver], payload: bytes) -> None:
        frame = Frame(payload)
        for receiver in receivers:
            receiver.put_direct(frame)

    def _forget_gone(self, user_id: str) -> None:
        if user_id not in self.registry.users:
            self._users.forget(user_id)
