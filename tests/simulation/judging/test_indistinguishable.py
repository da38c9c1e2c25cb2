"""What is told of a foreign upload and of one that does not exist is the same, to the letter and in its time."""

import pytest

from tests.simulation.judging.expecting import CAT, DOG, judged, story, violation
from tests.simulation.judging.histories import Story

EXPECTED = "indistinguishable: {clients: desk, uploads: [cat, dog]}"


def asked() -> Story:
    return story().joins("desk").asks("desk", CAT).is_told("desk", CAT, known=False).asks("desk", DOG)


def test_the_same_answers_hold() -> None:
    finding = judged(EXPECTED, asked().is_told("desk", DOG, known=False))

    assert (finding.verdict, finding.samples) == ("held", 2)


def test_clients_are_compared_with_each_other_too() -> None:
    told = story().joins("desk").asks("desk", CAT).is_told("desk", CAT, known=False)
    told.joins("tablet").asks("tablet", DOG)

    assert judged("indistinguishable: {}", told.is_told("tablet", DOG, known=False)).verdict == "held"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (asked().is_told("desk", DOG, known=True), "desk was told of dog: subscribed known; desk of cat: subscribed not known"),
        (asked().is_refused("desk", "forbidden", "no", DOG), "desk was told of dog: error forbidden no"),
        (asked().is_refused("desk", "forbidden", "no"), "desk was told of dog: error forbidden no"),
        (asked().is_told("desk", DOG, known=False).gets("desk", DOG, 1, 1), "upload_progress (1, 1)"),
    ],
)
def test_another_answer_is_found(told: Story, words: str) -> None:
    assert words in violation(judged(EXPECTED, told))


def test_words_may_differ_by_the_id_alone() -> None:
    def refused(words: str) -> Story:
        told = story().joins("desk").asks("desk", CAT).is_refused("desk", "forbidden", f"no access to {CAT}", CAT)
        return told.asks("desk", DOG).is_refused("desk", "forbidden", words, DOG)

    assert judged(EXPECTED, refused(f"no access to {DOG}")).verdict == "held"
    assert judged(EXPECTED, refused(f"no access to {DOG}, which is bob's")).verdict == "violated"


def test_being_shown_the_door_for_one_of_them_is_found() -> None:
    told = story().joins("desk").asks("desk", CAT).is_told("desk", CAT, known=False)
    told.joins("tablet").asks("tablet", DOG).is_told("tablet", DOG, known=False).leaves("tablet", code=4003)

    assert "closed 4003" in violation(judged("indistinguishable: {}", told))


def test_a_much_slower_answer_is_found() -> None:
    assert judged(EXPECTED, asked().waits(0.03).is_told("desk", DOG, known=False)).verdict == "held"
    assert violation(judged(EXPECTED, asked().waits(0.2).is_told("desk", DOG, known=False))) == (
        "desk was answered about dog after 210.0 ms, about cat after 10.0 ms"
    )


def test_an_observer_that_was_late_says_less() -> None:
    told = asked().counts(lag_s=0.3).waits(0.2).is_told("desk", DOG, known=False)

    assert judged(EXPECTED, told).verdict == "held"


def test_with_nothing_to_compare_nothing_is_proved() -> None:
    assert judged(EXPECTED, story().joins("desk").asks("desk", CAT).is_told("desk", CAT, known=False)).verdict == "vacuous"
    assert judged(EXPECTED, story().joins("desk")).verdict == "vacuous"
