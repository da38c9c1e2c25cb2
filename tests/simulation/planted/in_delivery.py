"""Bugs of who gets what, and when."""

import asyncio
from typing import Any

from tests.simulation.planted.planting import Bug, Soil
from vuemantics_ws.absences import Absences
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core import upload as judging
from vuemantics_ws.core.delivery import Asked, Delivery
from vuemantics_ws.core.receiver import Receiver
from vuemantics_ws.core.registry import Registry, Upload
from vuemantics_ws.core.upload import Event, Head, Judgement, Verdict, Version
from vuemantics_ws.shared_delivery import SharedDelivery


def versions_compared_by_seq(soil: Soil) -> None:
    right = Delivery.deliver

    def deliver(self: Delivery, upload_id: str, head: Head) -> None:
        upload = self.registry.uploads.get(upload_id)
        if upload is None or upload.head is None or head.version.seq > upload.head.version.seq:
            right(self, upload_id, head)

    soil.replace(Delivery, "deliver", deliver)


def leaked_follow(soil: Soil) -> None:
    def forget(self: Registry[Receiver], user_id: str) -> None:
        user = self.users.get(user_id)
        if user is not None and not user.connections:
            del self.users[user_id]

    soil.replace(Registry, "forget", forget)


def first_tab_ends_all(soil: Soil) -> None:
    right = ConnectionManager.leave

    def leave(self: ConnectionManager, user_id: str, receiver: Any) -> None:
        right(self, user_id, receiver)
        user = self.registry.users.get(user_id)
        for upload_id in list(user.follows) if user is not None else ():
            self.give_up(user_id, upload_id, None)

    soil.replace(ConnectionManager, "leave", leave)


def no_ownership_at_send(soil: Soil) -> None:
    def deliver(self: Delivery, upload_id: str, head: Head) -> None:
        upload = self.registry.uploads.get(upload_id)
        if upload is None or (upload.head is not None and head.version <= upload.head.version):
            return
        upload.head, upload.finished = head, head.terminal
        if upload_id not in self._asked:
            for connection in upload.receivers():
                connection.put_state(upload_id, head.frame)

    soil.replace(Delivery, "deliver", deliver)


def snapshot_to_all(soil: Soil) -> None:
    def _answer(self: Delivery, upload: Upload[Receiver], asked: Asked) -> None:
        asked.answer(upload.head is not None and self._access(asked.user.user_id, upload.head.owner))
        for connection in asked.user.connections:
            self._send_head(asked.user, upload, connection)

    soil.replace(Delivery, "_answer", _answer)


def unsubscribe_silences_all(soil: Soil) -> None:
    right = ConnectionManager.give_up

    def give_up(self: ConnectionManager, user_id: str, upload_id: str, receiver: Any) -> None:
        right(self, user_id, upload_id, None)

    soil.replace(ConnectionManager, "give_up", give_up)


def straggler_after_the_end(soil: Soil) -> None:
    def _judge_versioned(head: Head | None, event: Event, version: Version) -> Judgement:
        if head is None or version > head.version:
            return Judgement(Verdict.ACCEPTED, version)
        is_known = version == head.version and event.digest == head.digest
        return Judgement(Verdict.DUPLICATE if is_known else Verdict.STALE, head.version)

    soil.replace(judging, "_judge_versioned", _judge_versioned)


def digest_forgotten(soil: Soil) -> None:
    def remembers(self: judging.Upload, digest: bytes, now: float) -> bool:
        return False

    soil.replace(judging.Upload, "remembers", remembers)


def grace_goes_on(soil: Soil) -> None:
    def left(self: Absences, user_id: str) -> None:
        asyncio.get_running_loop().call_later(self._grace_s, self._grace_ended, user_id)

    def forget(self: Registry[Receiver], user_id: str) -> None:
        user = self.users.get(user_id)
        for upload_id in list(user.follows) if user is not None else ():
            self.give_up(user_id, upload_id, None)

    soil.replace(Absences, "left", left)
    soil.replace(Registry, "forget", forget)


def join_not_told(soil: Soil) -> None:
    def join(self: SharedDelivery, user_id: str, receiver: Receiver) -> None:
        Delivery.join(self, user_id, receiver)

    soil.replace(SharedDelivery, "join", join)


def given_up_for_all_nodes(soil: Soil) -> None:
    def give_up(self: SharedDelivery, user_id: str, upload_id: str, receiver: Receiver | None) -> None:
        Delivery.give_up(self, user_id, upload_id, receiver)
        if user_id in self.registry.users and upload_id in self.registry.users[user_id].follows:
            return
        self._users.end(user_id, upload_id)
        self._forget_gone(user_id)

    soil.replace(SharedDelivery, "give_up", give_up)


IN_DELIVERY = (
    Bug(
        "a version compared by its seq",
        "News is what has a higher seq, whatever its attempt.",
        versions_compared_by_seq,
        "regenerate",
    ),
    Bug(
        "a leaked follow",
        "Whoever's grace time is over is forgotten, and the uploads still name them.",
        leaked_follow,
        "quickstart",
    ),
    Bug("the first tab ends all", "A tab that closes ends what its user follows.", first_tab_ends_all, "many-tabs"),
    Bug("no check of the owner", "Who may get an upload is asked at the subscribe alone.", no_ownership_at_send, "quickstart"),
    Bug(
        "a snapshot for all",
        "A second tab that asks makes all tabs of its user get the newest state again.",
        snapshot_to_all,
        "quickstart",
    ),
    Bug("one tab silences all", "What a tab gives up its user gives up.", unsubscribe_silences_all, "tabs-on-two-nodes"),
    Bug("a straggler after the end", "Progress of an attempt that has ended is taken.", straggler_after_the_end, "regenerate"),
    Bug("a digest forgotten", "What was judged is not remembered, so a copy is news.", digest_forgotten, "plain-publishers"),
    Bug(
        "the grace time goes on", "The timer of whoever left is not stopped when they come back.", grace_goes_on, "token-expiry"
    ),
    Bug(
        "a join that no other node hears of",
        "What a user follows elsewhere is asked for at a subscribe alone.",
        join_not_told,
        "orderly-restart",
    ),
    Bug(
        "given up for all nodes",
        "Where no tab of this node wants an upload any more, the user wants it no more.",
        given_up_for_all_nodes,
        "tabs-on-two-nodes",
    ),
)
