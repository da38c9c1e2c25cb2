"""Servers that break a rule that stands beside the laws: one bug a function."""

import os
from typing import Any

from tests.simulation.judging.planting import fault, later, patch
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core import upload as upload_module
from vuemantics_ws.core.delivery import Answer, Delivery
from vuemantics_ws.core.receiver import Receiver
from vuemantics_ws.core.registry import Upload
from vuemantics_ws.core.upload import Event, Head, Judgement, Verdict, Version
from vuemantics_ws.frame import Frame
from vuemantics_ws.gateway import conversation as conversation_module

# Documented.


@fault
def an_unknown_message() -> None:
    """the ping is called heartbeat"""
    patch(conversation_module, "_PING", Frame(b'{"action":"heartbeat"}').data)


@fault
def giving_up_is_not_heeded() -> None:
    """an unsubscribe is answered, and changes nothing"""
    patch(Delivery, "give_up", lambda self, user_id, upload_id, receiver: None)


@fault
def an_unanswered_subscribe() -> None:
    """a subscribe is answered once there is something to say, and of somebody else's upload there never is"""
    answer = Delivery._answer

    def keep_quiet(self: Delivery, upload: Upload[Receiver], asked: Any) -> None:
        if upload.head is None or upload.head.owner == asked.user.user_id:
            answer(self, upload, asked)

    patch(Delivery, "_answer", keep_quiet)


@fault
def the_answer_comes_late() -> None:
    """the answer to a subscribe waits 150 ms for somebody else, and states do not wait for it"""
    answer = Delivery._answer

    def answer_late(self: Delivery, upload: Upload[Receiver], asked: Any) -> None:
        answer(self, upload, asked._replace(answer=lambda known: later(0.15, asked.answer, known)))

    patch(Delivery, "_answer", answer_late)


@fault
def a_fault_at_a_subscribe() -> None:
    """a subscribe to somebody else's upload raises"""
    follow = Delivery.follow

    def fail(self: Delivery, user_id: str, upload_id: str, receiver: Receiver | None, answer: Answer) -> None:
        follow(self, user_id, upload_id, receiver, answer)
        head = self.registry.uploads[upload_id].head
        assert head is None or head.owner == user_id

    patch(Delivery, "follow", fail)


@fault
def another_state_under_the_version() -> None:
    """the frame is cached by upload, and only its seq is kept up to date"""
    deliver = Delivery.deliver
    cached: dict[tuple[str, int], tuple[bytes, int]] = {}

    def send_cached(self: Delivery, upload_id: str, head: Head) -> None:
        attempt, seq = head.version
        payload, first = cached.setdefault((upload_id, attempt), (head.frame.payload, seq))
        said = payload.replace(b'"seq":%d' % first, b'"seq":%d' % seq)
        deliver(self, upload_id, head if head.terminal else head._replace(frame=Frame(said)))

    patch(Delivery, "deliver", send_cached)


@fault
def a_node_that_falls() -> None:
    """the process ends with the first connection that leaves"""
    patch(ConnectionManager, "leave", lambda self, user_id, receiver: os._exit(3))


# Taken.


@fault
def a_seq_is_compared_as_text() -> None:
    """the judge compares numbers as text, where 10 comes before 9"""
    judge = upload_module._judge_versioned

    def as_text(head: Head | None, event: Event, version: Version) -> Judgement:
        if head is not None and list(map(str, version)) < list(map(str, head.version)):
            return Judgement(Verdict.STALE, head.version)
        return judge(head, event, version)

    patch(upload_module, "_judge_versioned", as_text)


@fault
def a_second_end_is_a_duplicate() -> None:
    """an end that says what the end before it said is taken for the same, though a run lies between"""
    judge = upload_module.Upload.judge

    def remember(self: upload_module.Upload, event: Event, now: float) -> Judgement:
        head = self.head
        if event.terminal and head is not None and head.version.attempt > 1:
            return Judgement(Verdict.DUPLICATE, head.version)
        return judge(self, event, now)

    patch(upload_module.Upload, "judge", remember)
