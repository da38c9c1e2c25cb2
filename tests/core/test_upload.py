"""The judge: the vectors that every implementation passes, the table read aloud, and what is true of every history."""

from collections import Counter

import pytest
from hypothesis import given

from tests.core import judge_vectors
from tests.core.histories import Published, histories
from tests.core.judge_table import ROWS, TableJudge
from tests.events import completed, failed, progress, read
from vuemantics_ws.core.upload import DIGESTS_MAX, Event, Upload, Verdict, Version, judge
from vuemantics_ws.errors import BadEvent


class TestVectors:
    @pytest.mark.parametrize("name", judge_vectors.names())
    def test_a_history_is_judged_as_written(self, name: str) -> None:
        upload = Upload()

        for step in judge_vectors.steps_of(name):
            verdict, version = upload.judge(read(step.published, step.owner), step.at_s)

            assert upload.head is not None
            assert verdict == step.verdict
            assert version == upload.head.version
            assert step.head in (None, upload.head.version)
            if step.owned_by is not None:
                assert upload.head.owner == step.owned_by
            if step.leaves is not None and verdict is Verdict.ACCEPTED:
                assert upload.head.frame.payload == step.leaves

    @pytest.mark.parametrize("name", judge_vectors.names())
    def test_the_table_read_aloud_says_the_same(self, name: str) -> None:
        table = TableJudge()

        for step in judge_vectors.steps_of(name):
            ruling = table.judge(step.published, step.at_s)

            assert ruling.verdict == step.verdict
            assert step.head in (None, ruling.head)

    def test_they_come_to_every_row_more_than_once(self) -> None:
        rows: Counter[str] = Counter()

        for name in judge_vectors.names():
            table = TableJudge()
            rows.update({table.judge(step.published, step.at_s).row for step in judge_vectors.steps_of(name)})

        assert set(rows) == set(ROWS)
        assert min(rows.values()) > 1

    def test_most_of_them_need_no_time_to_pass(self) -> None:
        assert len(judge_vectors.at_one_instant()) > len(judge_vectors.names()) / 2


class TestEveryHistory:
    @given(histories())
    def test_the_judge_agrees_with_the_table_read_aloud(self, history: list[Published]) -> None:
        upload, table = Upload(), TableJudge()

        for at_s, published in history:
            verdict, version = upload.judge(read(published), at_s)

            ruling = table.judge(published, at_s)
            assert (verdict, version) == (ruling.verdict, ruling.head)

    @given(histories())
    def test_accepted_versions_grow_and_nothing_else_moves_the_head(self, history: list[Published]) -> None:
        upload = Upload()

        for at_s, published in history:
            before = upload.head
            verdict, version = upload.judge(read(published), at_s)

            assert upload.head is not None
            assert upload.head.version == version
            if verdict is Verdict.ACCEPTED:
                assert before is None or upload.head.version > before.version
                assert upload.head.accepted_at == at_s
            else:
                assert upload.head is before

    @given(histories())
    def test_nothing_of_an_attempt_follows_its_end(self, history: list[Published]) -> None:
        upload = Upload()
        ended: set[int] = set()

        for at_s, published in history:
            event = read(published)
            verdict, version = upload.judge(event, at_s)

            if verdict is Verdict.ACCEPTED:
                assert version is not None
                assert version.attempt not in ended
                if event.terminal:
                    ended.add(version.attempt)

    @given(histories())
    def test_what_is_published_again_at_once_is_a_duplicate_or_refused_as_before(self, history: list[Published]) -> None:
        upload = Upload()

        for at_s, published in history:
            event = read(published)
            first = upload.judge(event, at_s)
            head = upload.head
            again = upload.judge(event, at_s)

            assert upload.head is head
            assert again.version == first.version
            if event.version is None or first.verdict is Verdict.ACCEPTED:
                assert again.verdict is Verdict.DUPLICATE
            else:
                assert again == first

    @given(histories())
    def test_a_whole_history_replayed_at_its_end_moves_nothing_but_forwards(self, history: list[Published]) -> None:
        upload = Upload()
        for at_s, published in history:
            upload.judge(read(published), at_s)
        newest = upload.head
        assert newest is not None

        for _, published in history[-64:]:
            upload.judge(read(published), history[-1].at_s)

        assert upload.head is newest

    @given(histories())
    def test_equal_histories_have_equal_outcomes(self, history: list[Published]) -> None:
        one, other = Upload(), Upload()

        for at_s, published in history:
            assert one.judge(read(published), at_s) == other.judge(read(published), at_s + 1_000)


class TestMemory:
    def test_the_digests_of_an_upload_are_bounded_whatever_is_published(self) -> None:
        upload = Upload()

        for number in range(DIGESTS_MAX + 500):
            upload.judge(read(progress(number=number)), 0.0)

        assert len(upload._digests) == DIGESTS_MAX

    def test_a_quiet_upload_forgets_all_but_the_last_with_the_next_event(self) -> None:
        upload = Upload()
        for number in range(1_000):
            upload.judge(read(progress(number=number)), 0.0)

        upload.judge(read(progress(number=1_000)), 61.0)

        assert len(upload._digests) == 64

    def test_versioned_events_leave_no_digest(self) -> None:
        upload = Upload()

        for seq in range(1, 100):
            upload.judge(read(progress(version=(1, seq))), 0.0)

        assert not upload._digests


class TestEvent:
    def test_an_event_says_what_the_judge_needs_to_know(self) -> None:
        begun = read(progress("queued"), "alice")
        ended = read(completed(version=(2, 3)))

        assert (begun.version, begun.terminal, begun.queued, begun.owner) == (None, False, True, "alice")
        assert (ended.version, ended.terminal, ended.queued, ended.owner) == (Version(2, 3), True, False, None)

    def test_what_an_end_says_is_compared_without_when_and_version(self) -> None:
        assert read(failed(number=1)).outcome == read(failed(number=2, version=(3, 4))).outcome
        assert read(failed()).outcome != read(failed(text="another")).outcome
        assert read(progress()).outcome is None

    @pytest.mark.parametrize(
        "value", [b"1e400", b"-1e400", b"9" * 5_000, b'{"in": [1e999]}'], ids=["1e400", "-1e400", "5000 digits", "nested"]
    )
    def test_an_end_whose_undeclared_numbers_no_machine_holds_is_a_bad_event(self, value: bytes) -> None:
        published = completed().removesuffix(b"}") + b',"more":' + value + b"}"

        with pytest.raises(BadEvent):
            read(published)

    def test_the_judge_is_a_plain_function_of_what_it_is_given(self) -> None:
        upload = Upload()
        upload.judge(read(completed()), 0.0)
        straggler = read(progress())

        assert judge(upload.head, straggler, 9.999, remembered=False).verdict is Verdict.AFTER_TERMINAL
        assert judge(upload.head, straggler, 10.0, remembered=False) == (Verdict.ACCEPTED, Version(2, 1))
        assert judge(upload.head, straggler, 10.0, remembered=True) == (Verdict.DUPLICATE, Version(1, 1))
        assert judge(None, straggler, 0.0, remembered=False) == (Verdict.ACCEPTED, Version(1, 1))

    def test_after_an_end_that_was_presumed_nobody_is_a_straggler(self) -> None:
        upload = Upload()
        upload.judge(read(progress()), 0.0)
        presumed = Event.read(failed(version=(1, 2)), presumed=True)

        ended = upload.judge(presumed, 60.0)
        returned = upload.judge(read(progress(number=1)), 60.5)
        again = upload.judge(read(progress(number=2)), 60.6)

        assert ended == (Verdict.ACCEPTED, Version(1, 2))
        assert returned == (Verdict.ACCEPTED, Version(2, 1))
        assert again == (Verdict.ACCEPTED, Version(2, 2))

    def test_a_publisher_may_go_on_after_success_and_duplicate_alone(self) -> None:
        assert [verdict for verdict in Verdict if verdict.is_success] == [Verdict.ACCEPTED, Verdict.DUPLICATE]
