"""Laws where not everything is the run's own: tabs that read when they like, and servers that ran before."""

from typing import Any

import msgspec
import pytest

from tests.simulation.judging.histories import CAT, DOG, EMPTY, Story
from vuemantics_ws.simulation.judging.checkers import convergence, independence, no_residue, no_seam, privacy, the_end_arrives
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.judging.rules import taken
from vuemantics_ws.simulation.log import Began, Emptied, Measured


def changed(story: Story, **facts: Any) -> History:
    """The story, with other things known beforehand."""
    began, *rest = story.records
    assert isinstance(began, Began)
    return History([msgspec.structs.replace(began, **facts), *rest])


def desk(story: Story, **facts: Any) -> History:
    """The same with other things known of the desk."""
    began = story.records[0]
    assert isinstance(began, Began)
    clients = {**began.clients, "desk": msgspec.structs.replace(began.clients["desk"], **facts)}
    return changed(story, clients=clients)


class TestReadersThatAreLate:
    def told(self) -> Story:
        """The phone gets all of it, the desk nothing after the first state."""
        story = Story().joins("desk").joins("phone").follows("desk", CAT).publishes(CAT, 1, 1)
        story.gets("desk", CAT, 1, 1).gets("phone", CAT, 1, 1).publishes(CAT, 1, 2, end=True)
        return story.gets("phone", CAT, 1, 2, end=True).waits(10.0)

    def test_what_is_on_its_way_breaks_no_law(self) -> None:
        history = desk(self.told(), reads_slowly=True)

        assert [law(history).verdict for law in (convergence, the_end_arrives, no_seam, independence)] == ["held"] * 4
        assert convergence(desk(self.told())).verdict == "violated"

    def test_who_only_paused_must_have_it_soon_after(self) -> None:
        told = self.told()

        assert convergence(desk(told, reads_slowly=True, reads_again_at=told.now - 0.5)).verdict == "held"
        assert convergence(desk(told, reads_slowly=True, reads_again_at=told.now - 5.0)).verdict == "violated"
        assert the_end_arrives(desk(told, reads_slowly=True, reads_again_at=told.now - 5.0)).verdict == "violated"

    def test_what_does_arrive_is_judged(self) -> None:
        told = self.told().gets("desk", CAT, 1, 2, end=True).gets("desk", CAT, 1, 2, end=True)

        assert the_end_arrives(desk(told, reads_slowly=True)).verdict == "violated"


class TestServersThatRanBefore:
    def test_what_others_publish_gives_some_laws_nothing_to_hold_for(self) -> None:
        story = Story().joins("desk").follows("desk", CAT, known=True).gets("desk", CAT, 3, 7).waits()
        began = story.records[0]
        assert isinstance(began, Began)
        uploads = {name: msgspec.structs.replace(facts, published=False, ends=False) for name, facts in began.uploads.items()}

        history = changed(story, uploads=uploads, shared=True)

        laws = (convergence, the_end_arrives, independence, taken)
        assert {law(history).verdict for law in laws} == {"does not apply"}
        assert (no_seam(history).verdict, privacy(history).verdict) == ("held", "held")

    def test_what_a_user_follows_from_before_is_nobodys_fault(self) -> None:
        story = Story().joins("desk").gets("desk", "old-id", 1, 1).gets("desk", CAT, 1, 1)

        assert privacy(changed(story, shared=True)).verdict == "held"
        assert privacy(story.history()).verdict == "violated"

    def test_what_is_foreign_stays_private(self) -> None:
        story = Story().joins("desk").gets("desk", DOG, 1, 1)

        assert privacy(changed(story, shared=True)).verdict == "violated"

    def test_what_waits_there_may_be_others(self) -> None:
        story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)
        story.add(Measured(story.now, {**EMPTY, "outbox_bytes_max": 10**9}))

        assert independence(story.history()).verdict == "violated"
        assert independence(changed(story, shared=True)).verdict == "held"

    @pytest.mark.parametrize(("others", "verdict"), [(False, "violated"), (True, "held")])
    def test_what_is_left_may_be_others_where_others_came(self, others: bool, verdict: str) -> None:
        story = Story().add(Emptied(1.0, {**EMPTY, "connections": 1}, others))

        assert no_residue(story.history()).verdict == verdict


class TestMessyWorkers:
    @pytest.mark.parametrize("verdict", ["accepted", "stale", "after_terminal", "duplicate"])
    def test_a_slip_may_be_taken_or_refused(self, verdict: str) -> None:
        assert taken(self.told(messy=True, verdict=verdict)).verdict == "held"

    def test_what_is_no_slip_may_not_be_refused(self) -> None:
        assert taken(self.told(messy=False, verdict="stale")).verdict == "violated"

    def told(self, *, messy: bool, verdict: str) -> History:
        story = Story().publishes(CAT, 1, 2).publishes(CAT, 1, 1, verdict=verdict)
        *others, last = story.records
        return History([*others, msgspec.structs.replace(last, messy=messy)])
