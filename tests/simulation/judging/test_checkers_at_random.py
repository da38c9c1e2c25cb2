"""Histories of a correct server break no law; the same with one fault put in break the law that it offends."""

from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.judging.histories import CAT, DOG, FOX, USERS, Server, Story
from vuemantics_ws.simulation.judging.checkers import check_laws, privacy
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.judging.rules import documented
from vuemantics_ws.simulation.log import NodeExited, Received, Record

steps = st.one_of(
    st.tuples(st.sampled_from(["join", "leave", "flush"]), st.sampled_from(sorted(USERS))),
    st.tuples(st.just("subscribe"), st.sampled_from(sorted(USERS)), st.sampled_from([CAT, DOG, FOX])),
    st.tuples(st.sampled_from(["publish", "end"]), st.sampled_from([CAT, DOG, FOX])),
    st.tuples(st.just("wait"), st.sampled_from([1.5, 30.0])),
)


@st.composite
def lawful(draw: st.DrawFn) -> Story:
    """What a correct server does with up to fifty things that happen to it, until everybody has gone."""
    grace_s = draw(st.sampled_from([0.0, 10.0, 300.0]))
    story = Story(grace_s=grace_s)
    server = Server(story, grace_s=grace_s)
    server.join("desk")
    server.join("tablet")
    server.subscribe("desk", CAT)
    server.subscribe("tablet", DOG)
    for step in draw(st.lists(steps, max_size=50)):
        match step:
            case ("join", str() as client):
                server.join(client)
            case ("leave", str() as client):
                server.leave(client)
            case ("flush", str() as client):
                server.flush(client)
            case ("subscribe", str() as client, upload):
                server.subscribe(client, upload)
            case ("publish" | "end" as kind, str() as upload):
                server.publish(upload, end=kind == "end")
            case ("wait", float() as seconds):
                server.flush_all()
                story.waits(seconds)
    server.join("desk")
    server.subscribe("desk", CAT)
    server.publish(CAT, end=draw(st.booleans()))
    server.flush_all()
    return story.waits(1.5).is_over()


@given(lawful())
def test_a_correct_server_breaks_no_law(story: Story) -> None:
    findings = check_laws(story.history())

    assert [(finding.name, finding.violation) for finding in findings if finding.violation] == []


@given(lawful())
def test_judging_halfway_finds_nothing_that_is_not_there(story: Story) -> None:
    for length in range(1, len(story.records), 7):
        findings = check_laws(History(story.records[:length]))

        assert [finding.name for finding in findings if finding.violation] == []


def states(story: Story) -> list[int]:
    return [at for at, record in enumerate(story.records) if isinstance(record, Received) and record.is_state]


@given(lawful(), st.data())
def test_a_state_that_is_sent_twice_is_found(story: Story, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(states(story)))

    story.records.insert(at, story.records[at])

    findings = {finding.name: finding.verdict for finding in check_laws(story.history())}
    assert findings["order"] == "violated"
    record = story.records[at]
    assert isinstance(record, Received)
    if record.terminal:
        assert findings["the end arrives"] == "violated"


@given(lawful())
def test_a_newest_state_that_is_lost_is_found(story: Story) -> None:
    last = story.records[states(story)[-1]]
    for at in states(story):
        record = story.records[at]
        if (
            isinstance(record, Received)
            and isinstance(last, Received)
            and record.upload_id == CAT
            and record.connection == last.connection
        ):
            last = record
    assert isinstance(last, Received)
    story.records = [record for record in story.records if not _is_same_news(record, last)]

    findings = {finding.name: finding.verdict for finding in check_laws(story.history())}

    assert findings["convergence"] == "violated"
    if last.terminal:
        assert findings["the end arrives"] == "violated"


def _is_same_news(record: Record, lost: Received) -> bool:
    return (
        isinstance(record, Received)
        and record.is_state
        and (record.connection, record.upload_id, record.version) == (lost.connection, lost.upload_id, lost.version)
    )


@given(lawful(), st.data())
def test_a_message_that_went_to_the_wrong_person_is_found(story: Story, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(states(story)))
    sent = story.records[at]
    assert isinstance(sent, Received)
    history = story.history()
    upload = history.upload(sent.upload_id or "")
    strangers = [other for other in history.connections.values() if upload is not None and other.user != upload.owner]
    assert strangers
    number = data.draw(st.sampled_from(strangers)).number
    leaked = Received(sent.at, number, sent.action, sent.upload_id, sent.attempt, sent.seq, sent.terminal)
    opened = next(place for place, record in enumerate(story.records) if getattr(record, "connection", None) == number)

    story.records.insert(max(at, opened + 1), leaked)

    assert privacy(story.history()).verdict == "violated"


@given(lawful())
def test_a_node_that_falls_is_found(story: Story) -> None:
    story.records[-1] = NodeExited(story.now, -9, asked=False)

    assert documented(story.history()).verdict == "violated"
