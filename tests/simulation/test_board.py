"""The board shows what has happened, and nothing else."""

import msgspec
import pytest

from tests.simulation.judging.histories import CAT, DOG, Story
from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.board import Board
from vuemantics_ws.simulation.log import Began, ClientFacts, NodeExited, Received, Unreachable, UploadFacts


def board(story: Story) -> Board:
    made = Board()
    for record in story.records:
        made.take(record)
    return made


def test_everybody_waits_at_first() -> None:
    made = board(Story())

    assert Board().phase == "starting"
    assert made.phase == "running"
    assert {upload.state for upload in made.uploads.values()} == {"waiting"}
    assert {client.state for client in made.clients.values()} == {"waiting"}
    assert (made.ended, made.open, made.states) == (0, 0, 0)


def test_an_upload_shows_what_was_accepted_last() -> None:
    made = board(Story().publishes(CAT, 1, 2).publishes(CAT, 1, 1).publishes(DOG, 1, 1).publishes(DOG, 1, 2, end=True))

    assert (made.uploads[CAT].state, made.uploads[CAT].version) == ("running", Version(1, 2))
    assert (made.uploads[DOG].state, made.uploads[DOG].percent) == ("completed", 100)
    assert made.ended == 1


def test_what_was_refused_changes_nothing() -> None:
    made = board(Story().publishes(CAT, 1, 2).publishes(CAT, 1, 3, verdict="stale"))

    assert made.uploads[CAT].version == Version(1, 2)


def test_followers_are_current_or_behind() -> None:
    story = Story().joins("desk").joins("phone").publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).gets("phone", CAT, 1, 1)

    behind = board(story.publishes(CAT, 1, 2).gets("desk", CAT, 1, 2)).uploads[CAT]
    gone = board(story.leaves("phone")).uploads[CAT]

    assert (behind.up_to_date, len(behind.shown)) == (1, 2)
    assert (gone.up_to_date, len(gone.shown)) == (1, 1)


def test_a_client_comes_and_goes_and_comes_back() -> None:
    story = Story().joins("desk")
    assert board(story).clients["desk"].state == "open"

    story.leaves("desk", code=1012)
    assert board(story).clients["desk"].state == "away"

    story.add(Unreachable(story.step(), "desk", "nothing listens there")).joins("desk").leaves("desk")
    client = board(story).clients["desk"]
    assert (client.state, client.connections) == ("left", 2)


def test_a_client_shows_what_it_got() -> None:
    story = Story().joins("desk")
    story.add(Received(story.step(), 1, "upload_progress", CAT, attempt=1, seq=1, percent=40))
    assert board(story).clients["desk"].shows == {"cat": 40}

    story.gets("desk", CAT, 1, 2, end=True).hears("desk", "upload_failed", DOG)
    made = board(story)
    assert made.clients["desk"].shows == {"cat": "completed", "dog": "failed"}
    assert (made.clients["desk"].received, made.states) == (3, 3)


@pytest.mark.parametrize(("length", "phase"), [(-1, "emptying"), (None, "over")])
def test_the_end_has_its_phases(length: int | None, phase: str) -> None:
    story = Story().is_over()
    story.records = story.records[:length]

    assert board(story).phase == phase


def test_deliveries_have_a_pulse() -> None:
    story = Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 1, 1).gets("desk", CAT, 1, 2)

    made = board(story.waits(1.2).gets("desk", CAT, 1, 3))

    assert made.pulse == [2, 0, 1]


def test_latency_so_far_is_of_what_came_and_not_of_what_was_a_welcome() -> None:
    story = Story().publishes(CAT, 1, 1).waits(60.0).joins("desk").follows("desk", CAT, known=True).gets("desk", CAT, 1, 1)
    assert board(story).latency.count == 0

    story.publishes(CAT, 1, 2).gets("desk", CAT, 1, 2).gets("desk", CAT, 1, 3).publishes(CAT, 1, 3, late_s=0.025)
    latency = board(story).latency
    assert (latency.count, round(latency.at(0.5), 6), round(latency.at(1.0), 6)) == (2, 0.02, 0.025)

    story.follows("desk", CAT, known=True).gets("desk", CAT, 1, 3)
    assert board(story).latency.count == 2


def test_a_crowd_is_counted_by_its_entries() -> None:
    facts = {f"tab:{number}": ClientFacts("alice", [CAT]) for number in range(3)} | {"desk": ClientFacts("alice", [CAT])}
    story = Story()
    began = story.records[0]
    assert isinstance(began, Began)
    story.records[0] = msgspec.structs.replace(began, clients=facts)
    story.joins("tab:0").joins("tab:1").publishes(CAT, 1, 1).gets("tab:0", CAT, 1, 1).gets("tab:1", CAT, 1, 1)
    story.publishes(CAT, 1, 2).gets("tab:1", CAT, 1, 2)

    tabs, desk = board(story).groups()

    assert (tabs.entry, tabs.members, tabs.joined, tabs.open, tabs.received, tabs.behind) == ("tab", 3, 2, 2, 3, 1)
    assert (desk.entry, desk.members, desk.joined, desk.behind) == ("desk", 1, 0, 0)

    tabs, _ = board(story.leaves("tab:0", code=1012).leaves("tab:1")).groups()
    assert (tabs.open, tabs.away, tabs.left, tabs.behind) == (0, 1, 1, 0)


def test_every_answered_event_counts() -> None:
    assert board(Story().publishes(CAT, 1, 2).publishes(CAT, 1, 1, verdict="stale")).events == 2


def test_an_upload_that_others_publish_is_what_the_clients_see_of_it() -> None:
    uploads = {CAT: UploadFacts("cat", "alice", ends=False, published=False)}
    story = Story(uploads=uploads).joins("desk").joins("phone").follows("desk", CAT).gets("desk", CAT, 1, 2)
    story.gets("phone", CAT, 1, 1)

    row = board(story).uploads[CAT]
    assert (row.state, row.version, row.up_to_date, row.behind) == ("running", Version(1, 2), 1, 1)

    made = board(story.gets("desk", CAT, 1, 3, end=True))
    assert (made.uploads[CAT].state, made.ended, made.latency.count) == ("completed", 1, 0)


def test_nodes_and_faults_are_as_they_were_seen_last() -> None:
    story = Story().joins("desk").joins("phone").leaves("phone").says("degraded").breaks("redis.hang").breaks("redis.flush", 2)

    made = board(story.mends("redis.flush", 2))

    assert (made.nodes["node:0"].state, made.nodes["node:0"].open) == ("degraded", 1)
    hang, flush = made.faults.values()
    assert (hang.do, hang.ended_at_s) == ("redis.hang", None)
    assert flush.ended_at_s is not None


def test_a_node_that_ends_while_the_run_goes_on_ends_no_run() -> None:
    story = Story().joins("desk")

    gone = board(story.add(NodeExited(story.step(), -9, asked=True, killed=True)))
    back = board(story.says("ready"))

    assert (gone.phase, gone.nodes["node:0"].state) == ("running", "gone")
    assert back.nodes["node:0"].state == "ready"
