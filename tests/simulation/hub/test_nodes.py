"""Who is there around a simulated middle, and what they say when they are asked."""

import asyncio
import logging
from typing import Any

import pytest

from tests.simulation.hub.around import Around, Node, play, settled, soon
from vuemantics_ws.simulation.hub.store import PRESENT_S


def introduce(node: Node, **handlers: Any) -> dict[str, Any]:
    """A node that answers with its name what it was asked. Returns what it says of itself, to be changed."""
    about = {"name": node.name, "state": "ready"}

    async def echo(asked: dict[str, Any]) -> dict[str, Any]:
        return {"of": node.name, **asked}

    node.broker.nodes.introduce(lambda: dict(about), {"echo": echo, **handlers})
    node.broker.nodes.changed()
    return about


def names_of(node: Node) -> list[str]:
    return sorted(other["name"] for other in node.broker.nodes.others())


class TestPresence:
    def test_each_knows_the_others_and_not_itself_nor_who_is_not_introduced(self) -> None:
        async def act(around: Around, one: Node, other: Node, third: Node) -> None:
            introduce(one)
            introduce(other)
            await soon()

            assert [names_of(node) for node in (one, other, third)] == [["node:1"], ["node:0"], ["node:0", "node:1"]]
            [seen] = one.broker.nodes.others()
            assert seen["id"] == other.broker.node_id
            assert 0 <= seen["seen_s"] < 0.1

        play(act, count=3)

    def test_what_a_node_says_of_itself_is_known_at_once_where_its_state_is_another(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            introduce(one)
            about = introduce(other)
            await settled()
            about["state"] = "draining"
            other.broker.nodes.changed()
            await soon()

            assert [said["state"] for said in one.broker.nodes.others()] == ["draining"]

        play(act)

    def test_one_that_stops_is_gone_at_once_and_one_that_was_killed_after_a_while(self) -> None:
        async def act(around: Around, one: Node, other: Node, third: Node) -> None:
            for node in (one, other, third):
                introduce(node)
            await settled()
            await other.broker.stop()
            around.kill(third)
            await soon()
            assert names_of(one) == ["node:2"]
            await asyncio.sleep(PRESENT_S)
            assert names_of(one) == []

        play(act, count=3)

    def test_nobody_is_gone_because_the_middle_was(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            introduce(one)
            introduce(other)
            await settled()
            around.hub.down()
            await asyncio.sleep(3 * PRESENT_S)
            assert names_of(one) == []
            around.hub.up()
            await asyncio.sleep(2)
            assert names_of(one) == ["node:1"]

        play(act)

    def test_a_successor_has_another_id(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            introduce(one)
            introduce(other)
            await settled()
            around.kill(other)
            again = await around.start("node:1")
            introduce(again)
            await settled()
            assert {said["id"] for said in one.broker.nodes.others()} == {other.broker.node_id, again.broker.node_id}
            await settled()
            assert [said["id"] for said in one.broker.nodes.others()] == [again.broker.node_id]

        play(act)


class TestAsking:
    def test_all_others_answer_or_the_one_that_was_asked(self) -> None:
        async def act(around: Around, *nodes: Node) -> None:
            for node in nodes:
                introduce(node)
            await settled()
            began_at = around.loop.time()
            every = await nodes[0].broker.nodes.ask("echo", {"n": 1})
            one = await nodes[0].broker.nodes.ask("echo", {"n": 2}, node_id=nodes[1].broker.node_id)

            assert every == ([{"of": "node:1", "n": 1}, {"of": "node:2", "n": 1}], [])
            assert one == ([{"of": "node:1", "n": 2}], [])
            assert around.loop.time() - began_at < 0.1

        play(act, count=3)

    def test_who_does_not_know_fails_or_hangs_is_missing_within_a_second(self, caplog: pytest.LogCaptureFixture) -> None:
        async def broken(asked: dict[str, Any]) -> dict[str, Any]:
            raise ValueError("canary-5f1d")

        async def hangs(asked: dict[str, Any]) -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        async def act(around: Around, one: Node, other: Node) -> None:
            introduce(one)
            introduce(other, broken=broken, hangs=hangs)
            await settled()
            for question in ("unheard of", "broken", "hangs"):
                began_at = around.loop.time()
                assert await one.broker.nodes.ask(question, {}) == ([], ["node:1"])
                assert around.loop.time() - began_at <= 1.0
            assert (await one.broker.nodes.ask("echo", {})).missing == []
            await settled()

        with caplog.at_level(logging.ERROR):
            play(act)

        assert "a fault of ours while another node was answered: ValueError" in caplog.text
        assert "canary-5f1d" not in caplog.text

    @pytest.mark.parametrize("how", ["down", "hang", "part", "pause", "kill"])
    def test_who_is_away_is_missing_within_a_second(self, how: str) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            introduce(one)
            introduce(other)
            await settled()
            match how:
                case "down":
                    around.hub.down()
                case "hang":
                    around.hub.hang()
                case "part":
                    around.hub.barrier("node:1").cut_off()
                case "pause":
                    around.loop.pause(other.process)
                case _:
                    around.kill(other)
            began_at = around.loop.time()
            assert await one.broker.nodes.ask("echo", {}) == ([], ["node:1"])
            assert around.loop.time() - began_at <= 1.0
            if how == "pause":
                around.loop.resume(other.process)
            around.hub.heal()

        play(act)
