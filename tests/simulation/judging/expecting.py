"""An expectation of two people and their two uploads, judged over a story about them."""

from tests.simulation.judging.histories import Story
from vuemantics_ws.simulation.dice import upload_id_of
from vuemantics_ws.simulation.format.expected import Arm
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.judging.expectations import check_expectations
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.log import UploadFacts
from vuemantics_ws.simulation.planning.plan import Plan, make_plan

CAT, DOG = upload_id_of(1, "cat"), upload_id_of(1, "dog")


def plan(expectation: str, *, phone_leaves: bool = False, more: str = "", desk: str = "") -> Plan:
    """``more`` are further keys of the file, ``desk`` further ones of that client."""
    leave = ", leave: {after: 5ms}" if phone_leaves else ""
    text = f"""\
version: 1
name: expectations
description: Alice's cat, Bob's dog.
duration: 10s
users: {{alice: {{}}, bob: {{}}}}
uploads:
  - {{id: cat, owner: alice, pipeline: [{{stage: queued, for: 10ms}}]}}
  - {{id: dog, owner: bob, pipeline: [{{stage: queued, for: 10ms}}]}}
clients:
  - {{id: desk, user: alice, subscribe: [cat, dog]{desk}}}
  - {{id: phone, user: alice{leave}}}
  - {{id: tablet, user: bob, subscribe: none}}
expect:
  - {expectation}
{more}"""
    return make_plan(parse_scenario(text, file="e.yaml", environment={}), 1)


def story() -> Story:
    return Story(uploads={CAT: UploadFacts("cat", "alice", True), DOG: UploadFacts("dog", "bob", True)})


def judged(expectation: str, told: Story, *, phone_leaves: bool = False, arm: Arm = "real") -> Finding:
    (finding,) = check_expectations(plan(expectation, phone_leaves=phone_leaves), told.history(), arm=arm)
    return finding


def violation(finding: Finding) -> str:
    assert finding.verdict == "violated"
    assert finding.violation is not None
    return finding.violation.message


def both_follow() -> Story:
    return story().joins("desk").joins("phone").follows("desk", CAT).follows("phone", CAT)


def desk_and_phone_learn(*, failed: bool = False) -> Story:
    told = both_follow().publishes(CAT, 1, 1, end=True, failed=failed)
    return told.gets("desk", CAT, 1, 1, end=True, failed=failed).gets("phone", CAT, 1, 1, end=True, failed=failed)
