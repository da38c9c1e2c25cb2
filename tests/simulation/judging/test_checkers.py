"""Each law recognises what keeps it and what breaks it."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.simulation.judging.histories import CAT, DOG, EMPTY, FOX, UPLOADS, Story
from vuemantics_ws.simulation.judging.checkers import (
    LAWS,
    check_laws,
    convergence,
    independence,
    no_residue,
    no_seam,
    order,
    privacy,
    the_end_arrives,
)
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.judging.rules import documented, taken
from vuemantics_ws.simulation.log import Began, Measured, Published, Received, UploadFacts, from_ndjson, to_ndjson


def told() -> Story:
    """Alice follows her cat from the beginning to its end, then looks at it again from her phone."""
    return (
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .publishes(CAT, 1, 1)
        .gets("desk", CAT, 1, 1)
        .gets("desk", CAT, 1, 3, end=True)
        .publishes(CAT, 1, 2)
        .publishes(CAT, 1, 3, end=True)
        .joins("phone")
        .gets("phone", CAT, 1, 3, end=True)
        .waits()
        .is_over()
    )


def test_what_keeps_every_law_is_found_to_keep_it() -> None:
    findings = check_laws(told().history())

    assert {finding.name: finding.verdict for finding in findings} == dict.fromkeys((f.name for f in findings), "held")
    assert len(findings) == len(LAWS) + 2


def test_findings_are_of_what_was_written_to_disk_too() -> None:
    story = told()

    read = from_ndjson(to_ndjson(story.records))

    assert check_laws(History(read)) == check_laws(story.history())


Law = Callable[[History], Finding]
BROKEN: dict[str, tuple[Law, Story, str]] = {
    "an older version after a newer": (
        order,
        Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 1, 2).gets("desk", CAT, 1, 1),
        "(1, 1) of cat after (1, 2)",
    ),
    "an older attempt after a newer": (
        order,
        Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 2, 1).gets("desk", CAT, 1, 9),
        "(1, 9) of cat after (2, 1)",
    ),
    "the same version twice": (
        order,
        Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 1, 2).gets("desk", CAT, 1, 2),
        "(1, 2) of cat after (1, 2)",
    ),
    "a last state that is not the newest": (
        convergence,
        Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).publishes(CAT, 1, 2).waits(),
        "the last it got is (1, 1)",
    ),
    "no state at all": (
        convergence,
        Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).waits(),
        "it got nothing",
    ),
    "a second tab that is left out": (
        convergence,
        Story().joins("desk").joins("phone").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).waits(),
        "phone (connection 2): it got nothing",
    ),
    "a state that nobody published": (
        convergence,
        Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).gets("desk", CAT, 1, 2).waits(),
        "(1, 1) of cat is the newest; desk (connection 1): the last it got is (1, 2)",
    ),
    "an end that never comes": (
        the_end_arrives,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .publishes(CAT, 1, 1)
        .gets("desk", CAT, 1, 1)
        .publishes(CAT, 1, 2, end=True)
        .waits(),
        "never got the end of cat, (1, 2)",
    ),
    "an end that comes twice": (
        the_end_arrives,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .publishes(CAT, 1, 1, end=True)
        .gets("desk", CAT, 1, 1, end=True)
        .gets("desk", CAT, 1, 1, end=True),
        "the end of attempt 1 of cat twice",
    ),
    "an end after something of a newer attempt": (
        the_end_arrives,
        Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 2, 1).gets("desk", CAT, 1, 5, end=True),
        "after something of a newer attempt",
    ),
    "a snapshot that is old": (
        no_seam,
        Story()
        .publishes(CAT, 1, 1)
        .publishes(CAT, 1, 2)
        .joins("desk")
        .follows("desk", CAT, known=True)
        .gets("desk", CAT, 1, 1)
        .waits(),
        "began with (1, 1) of cat, which was at (1, 2)",
    ),
    "a snapshot that never comes": (
        no_seam,
        Story().publishes(CAT, 1, 1).joins("desk").follows("desk", CAT, known=True).waits(),
        "joined and never got the state of cat",
    ),
    "a state that is missing at the join": (
        no_seam,
        Story()
        .publishes(CAT, 1, 1)
        .joins("desk")
        .asks("desk", CAT)
        .publishes(CAT, 1, 2)
        .is_told("desk", CAT, known=True)
        .gets("desk", CAT, 1, 1)
        .waits()
        .publishes(CAT, 1, 3)
        .gets("desk", CAT, 1, 3),
        "joined cat at (1, 2), and soon after had nothing as new",
    ),
    "a state that is denied": (
        no_seam,
        Story().publishes(CAT, 1, 1).waits().joins("desk").follows("desk", CAT, known=False).gets("desk", CAT, 1, 2),
        "was told that nothing is known of cat",
    ),
    "a returning tab that gets nothing": (
        no_seam,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .publishes(CAT, 1, 1)
        .gets("desk", CAT, 1, 1)
        .leaves("desk", code=1012)
        .publishes(CAT, 1, 2)
        .joins("desk")
        .waits(),
        "desk (connection 2) joined and never got the state of cat",
    ),
    "a snapshot that comes again": (
        no_seam,
        Story()
        .publishes(CAT, 1, 1)
        .joins("desk")
        .follows("desk", CAT, known=True)
        .gets("desk", CAT, 1, 1)
        .gets("desk", CAT, 1, 2)
        .gets("desk", CAT, 1, 1),
        "(1, 1) of cat twice",
    ),
    "somebody else's upload": (
        privacy,
        Story().joins("tablet").follows("tablet", CAT).gets("tablet", CAT, 1, 1),
        "tablet got upload_progress of cat, which is alice's",
    ),
    "the word that somebody else's upload exists": (
        privacy,
        Story().joins("tablet").follows("tablet", CAT, known=True),
        "tablet got subscribed of cat",
    ),
    "the word that an upload is somebody else's": (
        privacy,
        Story().joins("tablet").asks("tablet", CAT).add(Received(0.1, 1, "error", CAT, code="forbidden")),
        "tablet got error of cat, which is alice's",
    ),
    "an upload that nobody asked for": (
        privacy,
        Story().joins("desk").gets("desk", CAT, 1, 1),
        "which alice never asked for",
    ),
    "an upload that does not exist": (
        privacy,
        Story().joins("desk").asks("desk", "ghost").gets("desk", "ghost", 1, 1),
        "an upload that does not exist",
    ),
    "a delivery that waited for somebody": (
        independence,
        Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).waits(3.0).gets("desk", CAT, 1, 1),
        "3.0 s after it was published",
    ),
    "a delivery that waited until another took its place": (
        independence,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .publishes(CAT, 1, 1)
        .gets("desk", CAT, 1, 1)
        .publishes(CAT, 1, 2)
        .waits(3.0)
        .publishes(CAT, 1, 3)
        .gets("desk", CAT, 1, 3),
        "got (1, 3) of cat 3.0 s after (1, 2) was published, and nothing new before",
    ),
    "memory without a bound": (
        independence,
        Story().joins("desk").follows("desk", CAT).measures(outbox_bytes=5_000, outbox_bytes_max=5_000, connections=1_000),
        "5000 bytes wait for one connection",
    ),
    "memory that nobody counts": (
        independence,
        Story().joins("desk").add(Measured(0.1, {"outbox_bytes": 0})),
        "does not say how much waits",
    ),
    "a follow that is left over": (no_residue, Story().joins("desk").is_over(follows=1), "there still are 1 follows"),
    "a connection that is left over": (no_residue, Story().joins("desk").is_over(connections=2), "2 connections"),
    "heads of what was never published": (no_residue, Story().joins("desk").is_over(heads=9), "9 heads"),
    "a message that nobody documented": (documented, Story().joins("desk").chokes("desk"), "the browser refuses"),
    "a close code that nobody documented": (documented, Story().joins("desk").leaves("desk", code=4999), "4999"),
    "a close code that says whose fault it is": (
        documented,
        Story().joins("desk").leaves("desk", code=1011),
        "a fault of its own",
    ),
    "a state that was published as another": (
        documented,
        Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1, end=True).gets("desk", CAT, 1, 1),
        "desk got (1, 1) of cat as None at None %; published was upload_completed",
    ),
    "a subscribe that is not answered": (
        documented,
        Story().joins("desk").follows("desk", CAT).asks("desk", CAT).asks("desk", FOX).waits(),
        "desk got no answer to its subscribe_upload of cat",
    ),
    "a state before the answer to the subscribe": (
        documented,
        Story().joins("desk").asks("desk", CAT).gets("desk", CAT, 1, 1).is_told("desk", CAT, known=True),
        "desk got a state of cat before the answer to its subscribe",
    ),
    "an unsubscribe that is not answered": (
        documented,
        Story().joins("desk").follows("desk", CAT).gives_up("desk", CAT).waits().leaves("desk"),
        "desk got no answer to its unsubscribe_upload of cat",
    ),
    "an id that is none, of which nothing is said": (
        documented,
        Story()
        .joins("desk")
        .asks("desk", "../cat")
        .hears("desk", "pong")
        .asks("desk", CAT)
        .is_refused("desk", "forbidden", upload=CAT)
        .waits(),
        "desk got no answer to its subscribe_upload of an unknown upload",
    ),
    "a state of what was given up": (
        documented,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .gives_up("desk", CAT)
        .hears("desk", "unsubscribed", CAT)
        .gets("desk", CAT, 1, 1),
        "what it had given up",
    ),
    "a node that fell": (documented, Story().joins("desk").is_over(code=-11, asked=False), "exit code -11 without being told"),
    "a node that did not end well": (documented, Story().joins("desk").is_over(code=1), "node:0 ended with exit code 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_law_is_found_and_shown(name: str) -> None:
    law, story, said = BROKEN[name]

    finding = law(story.history())

    assert finding.verdict == "violated"
    assert not finding.is_good
    assert finding.violation is not None
    assert said in finding.violation.message
    assert finding.violation.record in story.records
    assert finding.violation.context[-1] is finding.violation.record


def test_every_law_has_something_that_breaks_it() -> None:
    assert {law for law, _, _ in BROKEN.values()} == {*LAWS, documented}


def test_an_event_that_was_not_taken_is_no_fair_trial() -> None:
    story = Story().joins("desk").publishes(CAT, 1, 1)
    refused = Published(
        at=1.0, scheduled_at=1.0, sent_at=1.0, upload_id=CAT, action="upload_progress", terminal=False, size_bytes=1,
        error="no server answers",
    )  # fmt: skip

    assert taken(story.history()).verdict == "held"
    assert taken(story.add(refused).history()).verdict == "violated"
    assert taken(Story().publishes(CAT, 1, 1, verdict="stale").history()).verdict == "violated"


def test_a_duplicate_was_accepted_when_it_was_sent_first_and_its_answer_was_lost() -> None:
    story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)
    story.publishes(CAT, 1, 2, verdict="duplicate").waits()

    assert taken(story.history()).verdict == "held"
    assert convergence(story.history()).verdict == "violated"
    assert convergence(story.gets("desk", CAT, 1, 2).history()).verdict == "held"


@pytest.mark.parametrize("verdict", ["accepted", "duplicate"])
def test_no_two_events_are_taken_under_one_version(verdict: str) -> None:
    story = Story().publishes(CAT, 1, 1).publishes(CAT, 1, 2).publishes(CAT, 1, 2, verdict=verdict)

    finding = taken(story.history())

    assert finding.violation is not None
    assert finding.violation.message == f"an event of cat was taken as (1, 2), {verdict}, which another had been before it"


def test_nobody_who_reads_slowly_is_judged_by_when_it_reads() -> None:
    def read_late(*, slowly: bool) -> list[str]:
        story = Story().publishes(CAT, 1, 1).joins("desk").follows("desk", CAT, known=True).asks("desk", CAT)
        story.waits(3.0).gets("desk", CAT, 1, 1)
        began = story.records[0]
        assert isinstance(began, Began)
        clients = {name: replace(client, reads_slowly=slowly) for name, client in began.clients.items()}
        story.records[0] = replace(began, clients=clients)
        return [finding.name for finding in check_laws(story.history()) if finding.violation]

    assert read_late(slowly=False) == ["no seam", "independence", "documented"]
    assert read_late(slowly=True) == []


def test_on_a_server_that_ran_before_users_may_have_asked_for_something_at_another_time() -> None:
    def told(*, shared: bool) -> Story:
        story = Story()
        began = story.records[0]
        assert isinstance(began, Began)
        story.records[0] = replace(began, shared=shared)
        return story.joins("desk").gets("desk", "of-another-run", 1, 1).gets("desk", CAT, 1, 1)

    assert privacy(told(shared=False).history()).verdict == "violated"
    assert (privacy(told(shared=True).history()).verdict, privacy(told(shared=True).history()).samples) == ("held", 1)
    assert privacy(told(shared=True).gets("desk", DOG, 1, 1).history()).verdict == "violated"


class TestMessyWorkers:
    @pytest.mark.parametrize("verdict", ["accepted", "stale", "after_terminal", "duplicate"])
    def test_a_slip_may_be_accepted_or_refused(self, verdict: str) -> None:
        told = Story().publishes(CAT, 1, 2).publishes(CAT, 1, 1, verdict=verdict, messy=True)

        assert taken(told.history()).verdict == "held"

    def test_a_copy_is_no_news(self) -> None:
        story = Story().publishes(CAT, 1, 1).publishes(CAT, 1, 2, copy=True)

        finding = taken(story.history())

        assert finding.violation is not None
        assert "an event of cat was taken as news when it came once more, as (1, 2)" in finding.violation.message
        for verdict in ("duplicate", "stale", "unheard"):
            assert taken(Story().publishes(CAT, 1, 1).publishes(CAT, 1, 2, verdict=verdict, copy=True).history()).is_good

    def test_whoever_lost_something_may_take_a_copy_for_news(self) -> None:
        story = Story().publishes(CAT, 1, 1).breaks("redis.flush", loses_data=True).publishes(CAT, 1, 2, copy=True)

        assert taken(story.history()).is_good

    def test_what_a_slip_overtook_may_be_refused_until_something_else_is_taken(self) -> None:
        told = Story().publishes(CAT, 2, 1, messy=True).publishes(CAT, 1, 9, verdict="stale")

        assert taken(told.history()).verdict == "held"
        assert taken(told.publishes(CAT, 2, 2).publishes(CAT, 2, 1, verdict="stale").history()).verdict == "violated"

    def test_a_refused_slip_excuses_nothing(self) -> None:
        told = Story().publishes(CAT, 1, 2).publishes(CAT, 1, 1, verdict="stale", messy=True)

        assert taken(told.publishes(CAT, 1, 2, verdict="stale").history()).verdict == "violated"

    def test_a_slip_of_another_upload_excuses_nothing(self) -> None:
        told = Story().publishes(CAT, 2, 1, messy=True).publishes(DOG, 1, 1, verdict="stale")

        assert taken(told.history()).verdict == "violated"


class TestSlowReaders:
    def told(self) -> Story:
        """The desk stops reading; the phone goes on."""
        told = Story(slow=("desk",)).joins("desk").joins("phone").follows("desk", CAT).publishes(CAT, 1, 1)
        told.gets("desk", CAT, 1, 1).gets("phone", CAT, 1, 1).publishes(CAT, 1, 2, end=True)
        return told.gets("phone", CAT, 1, 2, end=True).waits(30.0)

    @pytest.mark.parametrize("law", LAWS)
    def test_what_is_still_on_its_way_to_them_breaks_no_law(self, law: Law) -> None:
        assert law(self.told().is_over().history()).verdict == "held"

    def test_what_they_do_get_is_judged(self) -> None:
        told = self.told().gets("desk", CAT, 1, 2, end=True).gets("desk", CAT, 1, 2, end=True)

        assert order(told.history()).verdict == "violated"
        assert the_end_arrives(told.history()).verdict == "violated"

    def test_where_nobody_else_is_there_a_law_about_the_last_state_does_not_apply(self) -> None:
        told = Story(slow=("desk", "phone", "tablet")).joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).waits()

        assert convergence(told.history()).verdict == "does not apply"


def test_an_observer_that_is_late_sees_everything_late() -> None:
    def late(lag_s: float) -> Story:
        story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).waits(1.5)
        return story.add(Measured(story.now, EMPTY, lag_s)).gets("desk", CAT, 1, 1)

    assert independence(late(0.1).history()).verdict == "violated"
    assert independence(late(0.6).history()).verdict == "held"


ALLOWED: dict[str, tuple[Law, Story]] = {
    "a subscribe before the authentication, which is closed": (
        documented,
        Story().opens("desk").asks("desk", CAT).waits().leaves("desk", code=4002),
    ),
    "an id that is none, which is a bad message": (
        documented,
        Story()
        .joins("desk")
        .asks("desk", "../cat")
        .gives_up("desk", "")
        .is_refused("desk", "bad_message")
        .is_refused("desk", "bad_message")
        .waits(),
    ),
    "a gap": (order, Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 1, 1).gets("desk", CAT, 1, 9)),
    "the head once more for whoever asks again": (
        order,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .publishes(CAT, 1, 1)
        .gets("desk", CAT, 1, 1)
        .follows("desk", CAT, known=True)
        .gets("desk", CAT, 1, 1),
    ),
    "a head that comes here before the answer comes there": (
        convergence,
        Story()
        .publishes(CAT, 1, 1)
        .joins("desk")
        .joins("phone")
        .asks("desk", CAT)
        .gets("phone", CAT, 1, 1)
        .is_told("desk", CAT, known=True)
        .gets("desk", CAT, 1, 1)
        .waits(),
    ),
    "an end that a regeneration overtook": (
        the_end_arrives,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .publishes(CAT, 1, 1, end=True)
        .publishes(CAT, 2, 1)
        .gets("desk", CAT, 2, 1)
        .publishes(CAT, 2, 2, end=True)
        .gets("desk", CAT, 2, 2, end=True)
        .waits(),
    ),
    "nothing of a foreign upload": (
        no_seam,
        Story()
        .publishes(CAT, 1, 1)
        .publishes(DOG, 1, 1)
        .joins("tablet")
        .follows("tablet", CAT, known=False)
        .follows("tablet", DOG, known=True)
        .gets("tablet", DOG, 1, 1)
        .waits(),
    ),
    "everybody's uploads where access is open": (
        privacy,
        Story(access="open").joins("tablet").follows("tablet", CAT).gets("tablet", CAT, 1, 1),
    ),
    "a sibling's upload": (privacy, Story().joins("desk").joins("phone").follows("desk", CAT).gets("phone", CAT, 1, 1)),
    "a state that was on its way when it was given up": (
        documented,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .gives_up("desk", CAT)
        .gets("desk", CAT, 1, 1)
        .hears("desk", "unsubscribed", CAT),
    ),
    "heads that outlive their followers": (no_residue, Story().joins("desk").is_over(heads=3)),
    "a state of what a sibling follows anew": (
        documented,
        Story()
        .joins("desk")
        .follows("desk", CAT)
        .gives_up("desk", CAT)
        .hears("desk", "unsubscribed", CAT)
        .joins("phone")
        .asks("phone", CAT)
        .gets("desk", CAT, 1, 1)
        .is_told("phone", CAT, known=True),
    ),
    "the same, asked before the answer came": (
        documented,
        Story()
        .joins("desk")
        .joins("phone")
        .follows("desk", CAT)
        .gives_up("phone", CAT)
        .gives_up("desk", CAT)
        .asks("phone", CAT)
        .hears("desk", "unsubscribed", CAT)
        .gets("desk", CAT, 1, 1)
        .hears("phone", "unsubscribed", CAT)
        .is_told("phone", CAT, known=True),
    ),
    "nothing of what was given up before its subscribe was answered": (
        convergence,
        Story()
        .joins("desk")
        .asks("desk", CAT)
        .gives_up("desk", CAT)
        .is_told("desk", CAT, known=False)
        .hears("desk", "unsubscribed", CAT)
        .joins("phone")
        .follows("phone", CAT)
        .publishes(CAT, 1, 1)
        .gets("phone", CAT, 1, 1)
        .waits(),
    ),
    "an older state for who joined after a sibling had asked and gone": (
        no_seam,
        Story()
        .publishes(CAT, 1, 1)
        .joins("phone")
        .asks("phone", CAT)
        .leaves("phone")
        .publishes(CAT, 1, 2)
        .joins("desk")
        .gets("desk", CAT, 1, 1)
        .joins("phone")
        .asks("phone", CAT)
        .gets("desk", CAT, 1, 2)
        .is_told("phone", CAT, known=True)
        .gets("phone", CAT, 1, 2)
        .waits(),
    ),
    "nothing of a follow that may have ended with who left": (
        convergence,
        Story()
        .joins("desk")
        .joins("phone")
        .follows("desk", CAT)
        .gives_up("phone", CAT)
        .leaves("desk")
        .hears("phone", "unsubscribed", CAT)
        .joins("desk")
        .joins("tablet")
        .follows("tablet", DOG)
        .publishes(CAT, 1, 1)
        .publishes(DOG, 1, 1)
        .gets("tablet", DOG, 1, 1)
        .waits(),
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_the_rules_allow_breaks_no_law(name: str) -> None:
    law, story = ALLOWED[name]

    finding = law(story.history())

    assert finding.verdict == "held"
    assert [finding.name for finding in check_laws(story.history()) if finding.verdict == "violated"] == []


def test_what_a_tab_gets_because_another_asked_is_as_old_as_that_other_ones_question() -> None:
    story = Story().joins("desk").joins("phone").publishes(CAT, 1, 1).asks("phone", CAT).publishes(CAT, 1, 2)

    story.gets("desk", CAT, 1, 1).is_told("phone", CAT, known=True).gets("phone", CAT, 1, 1)
    story.gets("desk", CAT, 1, 2).gets("phone", CAT, 1, 2).waits()

    assert no_seam(story.history()).verdict == "held"


def test_what_another_node_took_just_before_a_question_may_come_just_after_the_answer() -> None:
    def asked(after_s: float, *, known: bool) -> Story:
        story = Story().publishes(CAT, 1, 1).waits().joins("desk").publishes(CAT, 1, 2).waits(after_s)
        story.follows("desk", CAT, known=known)
        return story.gets("desk", CAT, 1, 1) if known else story

    for known in (True, False):
        assert no_seam(asked(0.0, known=known).gets("desk", CAT, 1, 2).waits().history()).verdict == "held"
        assert no_seam(asked(1.5, known=known).gets("desk", CAT, 1, 2).waits().history()).verdict == "violated"
        assert no_seam(asked(0.0, known=known).waits().history()).verdict == "violated"


def test_a_state_may_come_before_the_answer_to_its_publisher_where_its_reader_goes_meanwhile() -> None:
    def left(after_s: float) -> Story:
        story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).waits()
        return story.gets("desk", CAT, 1, 2).waits(after_s).leaves("desk").publishes(CAT, 1, 2).waits()

    assert convergence(left(0.0).history()).verdict == "held"
    assert convergence(left(1.5).history()).verdict == "violated"


def test_an_end_that_the_server_makes_of_a_silent_upload_is_as_good_as_published() -> None:
    def told(stall_after_s: float, silent_s: float) -> Story:
        story = Story(stall_after_s=stall_after_s).joins("desk").joins("phone").follows("desk", CAT).publishes(CAT, 1, 1)
        story.gets("desk", CAT, 1, 1).gets("phone", CAT, 1, 1).waits(silent_s).gets("desk", CAT, 1, 2, end=True, failed=True)
        return story

    def violated(story: Story) -> list[str]:
        return [finding.name for finding in check_laws(story.waits().history()) if finding.verdict == "violated"]

    assert violated(told(60.0, 60.0).gets("phone", CAT, 1, 2, end=True, failed=True)) == []
    assert violated(told(60.0, 60.0)) == ["convergence", "the end arrives"]
    assert "convergence" in violated(told(60.0, 50.0).gets("phone", CAT, 1, 2, end=True, failed=True))
    assert "convergence" in violated(told(0.0, 60.0).gets("phone", CAT, 1, 2, end=True, failed=True))


def test_whoever_was_gone_for_the_grace_time_is_owed_nothing() -> None:
    def returning(away_s: float) -> Story:
        story = Story(grace_s=10.0).joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)
        return story.waits(2.0).leaves("desk").waits(away_s).joins("desk").waits(2.0)

    assert no_seam(returning(5.0).history()).verdict == "violated"
    assert no_seam(returning(11.0).history()).verdict == "held"


def test_nothing_is_owed_to_a_user_whose_follows_may_have_made_room() -> None:
    story = Story(uploads_per_user_max=1).joins("desk").follows("desk", CAT).follows("desk", FOX)

    assert convergence(story.publishes(CAT, 1, 1).waits().history()).verdict == "vacuous"


def test_whoever_closes_at_once_is_owed_nothing() -> None:
    story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).leaves("desk").waits()

    assert convergence(story.history()).verdict == "vacuous"


def test_what_was_given_up_is_owed_no_more() -> None:
    story = Story().joins("desk").joins("phone").follows("desk", CAT).gives_up("desk", CAT)
    story.publishes(CAT, 1, 1).gets("phone", CAT, 1, 1).waits()

    finding = convergence(story.history())

    assert (finding.verdict, finding.samples) == ("held", 1)


@pytest.mark.parametrize("law", [*LAWS, documented, taken])
def test_nothing_seen_is_nothing_proved(law: Law) -> None:
    finding = law(Story().history())

    assert finding.verdict == "vacuous"
    assert not finding.is_good


def test_a_law_about_ends_does_not_apply_where_nothing_ends() -> None:
    endless = {upload: UploadFacts(facts.name, facts.owner, ends=False) for upload, facts in UPLOADS.items()}

    finding = the_end_arrives(Story(uploads=endless).history())

    assert finding.verdict == "does not apply"
    assert finding.is_good


def test_the_first_violation_is_the_one_that_is_shown() -> None:
    story = Story().joins("desk").joins("phone").follows("desk", CAT).follows("phone", CAT)
    story.gets("phone", CAT, 1, 5).gets("desk", CAT, 1, 5)
    story.gets("desk", CAT, 1, 4).gets("phone", CAT, 1, 3)

    finding = order(story.history())

    assert finding.violation is not None
    assert "desk (connection 1) got (1, 4)" in finding.violation.message


def test_nothing_of_an_attempt_may_come_after_its_end() -> None:
    def ended(*more: tuple[int, int]) -> Story:
        story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 5, end=True).gets("desk", CAT, 1, 5, end=True)
        for attempt, seq in more:
            story.publishes(CAT, attempt, seq).gets("desk", CAT, attempt, seq)
        return story

    assert the_end_arrives(ended().history()).verdict == "held"
    assert the_end_arrives(ended((2, 1)).history()).verdict == "held"
    finding = the_end_arrives(ended((1, 6)).history())
    assert finding.violation is not None
    assert finding.violation.message == "desk (connection 1) got (1, 6) of cat after the end of its attempt"


def test_no_more_states_are_shown_than_were_published() -> None:
    def twice(story: Story) -> Story:
        story.joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)
        return story.gets("desk", CAT, 1, 2)

    finding = documented(twice(Story()).history())
    assert finding.violation is not None
    assert finding.violation.message == "desk got (1, 2) of cat: more states than were published"
    assert documented(twice(Story()).publishes(CAT, 1, 2, verdict="unheard").history()).verdict == "held"
    assert documented(twice(Story()).publishes(CAT, 1, 2, verdict="stale").history()).verdict == "violated"
    lost = Story().breaks("redis.flush", loses_data=True).mends("redis.flush")
    assert documented(twice(lost).history()).verdict == "held"
