"""What can befall a Redis in memory, and in which order it speaks."""

import pytest

from tests.events import UPLOAD_ID, progress
from tests.simulation.resp.speaking import Client, Clock
from vuemantics_ws.brokers.redis.commands import Script
from vuemantics_ws.simulation.resp.connection import OUTPUT_BYTES_LONG, OUTPUT_BYTES_MAX, OUTPUT_LONG_S
from vuemantics_ws.simulation.resp.memory_redis import MemoryRedis

PUBLISH = Script("publish", after=["judge"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def redis(clock: Clock) -> MemoryRedis:
    return MemoryRedis(monotonic=clock, wall=clock, seed=1, history_s=10)


def publishing(number: int) -> tuple[bytes | str | int, ...]:
    """An event without a version."""
    keys = ("head", "digests")
    arguments = ("channel", "PUBLISH", 100, "born", 0, 0, "-", "ann", f"digest {number}", "-", 0, progress(number=number))
    return ("EVAL", PUBLISH.text, 2, *keys, *arguments)


class TestOrder:
    def test_what_a_script_publishes_comes_before_other_commands_of_the_same_read_are_answered(
        self, redis: MemoryRedis
    ) -> None:
        hearing, speaking = Client(redis), Client(redis)
        hearing.ask("SUBSCRIBE", "channel")

        speaking.say(publishing(1), ("PUBLISH", "channel", "x"), ("PING",))

        assert [reply[2][-8:] for reply in hearing.all()] == [progress(number=1)[-8:], b"x"]
        assert [reply if isinstance(reply, bytes | int) else reply[0] for reply in speaking.all()] == [b"accepted", 1, b"PONG"]

    def test_all_that_one_read_brought_is_answered_with_one_write(self, redis: MemoryRedis) -> None:
        hearing, speaking = Client(redis), Client(redis)
        hearing.ask("PSUBSCRIBE", "chan*")
        before = hearing.writes

        speaking.say(*[("PUBLISH", "channel", number) for number in range(64)])

        assert len(hearing.all()) == 64
        assert (hearing.writes - before, speaking.writes) == (1, 1)

    def test_who_hears_a_channel_by_its_name_and_by_a_pattern_is_told_twice(self, redis: MemoryRedis) -> None:
        hearing = Client(redis)
        hearing.say(("PSUBSCRIBE", "c[a-h]?nnel", "other"), ("SUBSCRIBE", "channel"))
        hearing.all()

        assert Client(redis).ask("PUBLISH", "channel", "x") == 2
        assert hearing.all() == [[b"message", b"channel", b"x"], [b"pmessage", b"c[a-h]?nnel", b"channel", b"x"]]


class TestSubscribers:
    def test_it_may_say_little_and_a_ping_is_answered_otherwise(self, redis: MemoryRedis) -> None:
        client = Client(redis)
        client.ask("SUBSCRIBE", "c")

        assert client.ask("PING") == [b"pong", b""]
        assert client.ask("GET", "k").startswith("ERR Can't execute 'get'")
        assert client.ask("UNSUBSCRIBE") == [b"unsubscribe", b"c", 0]
        assert client.ask("UNSUBSCRIBE") == [b"unsubscribe", None, 0]
        assert client.ask("GET", "k") is None

    def test_whoever_is_gone_is_told_nothing_and_counts_no_more(self, redis: MemoryRedis) -> None:
        client = Client(redis)
        client.ask("SUBSCRIBE", "c")
        client.lose()

        assert redis.subscribers == 0
        assert Client(redis).ask("PUBLISH", "c", "x") == 0

    @pytest.mark.parametrize(("unread", "for_s", "is_cut_off"), [
        (OUTPUT_BYTES_MAX + 2**21, 0.0, True),
        (OUTPUT_BYTES_LONG + 2**21, OUTPUT_LONG_S + 1, True),
        (OUTPUT_BYTES_LONG + 2**21, OUTPUT_LONG_S - 1, False),
        (OUTPUT_BYTES_LONG - 2**21, OUTPUT_LONG_S + 1, False),
    ])  # fmt: skip
    def test_who_does_not_read_is_cut_off_when_too_much_waits_or_much_for_too_long(
        self, redis: MemoryRedis, clock: Clock, unread: int, for_s: float, is_cut_off: bool
    ) -> None:
        hearing, speaking = Client(redis), Client(redis)
        hearing.ask("SUBSCRIBE", "c")
        hearing.reads = False
        for _ in range(unread // 2**20):
            speaking.ask("PUBLISH", "c", bytes(2**20))
        clock.now += for_s

        speaking.ask("PUBLISH", "c", "x")

        assert hearing.is_lost == is_cut_off
        assert redis.subscribers == (0 if is_cut_off else 1)


class TestFaults:
    def test_it_comes_back_under_another_name_with_what_it_kept(self, redis: MemoryRedis) -> None:
        client, before = Client(redis), redis.run_id
        client.say(("SET", "k", "v"), ("SCRIPT", "LOAD", PUBLISH.text))

        redis.stop()
        redis.start()

        again = Client(redis)
        assert client.is_lost
        assert redis.run_id != before
        assert f"run_id:{redis.run_id}\r\n".encode() in again.ask("INFO", "server")
        assert again.ask("GET", "k") == b"v"
        assert again.ask("SCRIPT", "EXISTS", PUBLISH.sha) == [0]

    def test_it_comes_back_with_nothing(self, redis: MemoryRedis) -> None:
        Client(redis).ask("SET", "k", "v")

        redis.stop()
        redis.start(lose_data=True)

        assert redis.keys == 0

    def test_nobody_is_let_in_while_it_is_gone(self, redis: MemoryRedis) -> None:
        redis.stop()

        assert Client(redis).is_lost

    def test_while_it_hangs_nobody_is_answered_and_then_all_are_in_order(self, redis: MemoryRedis) -> None:
        one, other = Client(redis), Client(redis)
        redis.hang()
        one.say(("SET", "k", "one"))
        other.say(("SET", "k", "other"), ("GET", "k"))
        late = Client(redis)
        late.say(("GET", "k"))
        assert [*one.all(), *other.all(), *late.all()] == []

        redis.resume()

        assert [one.all(), other.all(), late.all()] == [[b"OK"], [b"OK", b"other"], [b"other"]]

    def test_what_was_asked_by_one_who_did_not_wait_is_done(self, redis: MemoryRedis) -> None:
        impatient = Client(redis)
        redis.hang()
        impatient.say(("SET", "k", "v"), ("SUBSCRIBE", "c"))
        impatient.lose()

        redis.resume()

        assert Client(redis).ask("GET", "k") == b"v"
        assert redis.subscribers == 0

    def test_a_hang_ends_with_its_death(self, redis: MemoryRedis) -> None:
        client = Client(redis)
        redis.hang()
        client.say(("SET", "k", "v"))

        redis.stop()
        redis.start()

        assert redis.keys == 0
        assert Client(redis).ask("PING") == b"PONG"

    def test_it_is_emptied_and_nobody_is_told(self, redis: MemoryRedis) -> None:
        client = Client(redis)
        client.say(("SET", "k", "v"), ("HSET", "h", "f", "v"))
        client.all()

        assert redis.flush() == 2
        assert client.ask("DBSIZE") == 0

    def test_subscribers_are_cut_off_and_others_are_not(self, redis: MemoryRedis) -> None:
        hearing, by_pattern, speaking = Client(redis), Client(redis), Client(redis)
        hearing.ask("SUBSCRIBE", "c")
        by_pattern.ask("PSUBSCRIBE", "*")

        assert speaking.ask("CLIENT", "KILL", "TYPE", "pubsub") == 2
        assert [hearing.is_lost, by_pattern.is_lost, speaking.is_lost] == [True, True, False]
        assert speaking.ask("PUBLISH", "c", "x") == 0


class TestFailOver:
    def test_everything_is_as_the_replica_had_heard_it(self, redis: MemoryRedis, clock: Clock) -> None:
        client = Client(redis)
        for number in range(70):
            client.ask(*publishing(number))
            clock.now += 1.0  # so that digests are forgotten meanwhile, from the 65th on
        client.say(("SET", "old", "1"), ("SET", "gone", "1"), ("HSET", "hash", "f", "1"))
        clock.now += 0.5
        was = kept(redis)
        clock.now += 0.5
        for number in (70, 71, 30, 72):
            client.ask(*publishing(number))
        client.say(("SET", "old", "2"), ("DEL", "gone"), ("HSET", "hash", "f", "2", "g", "3"), ("SET", "new", "1"))
        clock.now += 0.5
        client.ask("FLUSHALL")
        assert redis.keys == 0
        before = redis.run_id

        redis.fail_over(1.0)

        clock.now -= 1.0  # for the times to live
        assert kept(redis) == was
        assert client.is_lost
        assert redis.run_id != before

    def test_what_has_expired_meanwhile_does_not_come_back(self, redis: MemoryRedis, clock: Clock) -> None:
        client = Client(redis)
        client.say(("SET", "short", "1", "PX", 500), ("SET", "long", "1", "PX", 5000))
        clock.now += 1.0
        client.say(("GET", "short"), ("SET", "short", "2"))

        redis.fail_over(0.75)

        assert Client(redis).ask("KEYS", "*") == [b"long"]

    def test_no_replica_is_further_behind_than_is_known(self, redis: MemoryRedis) -> None:
        with pytest.raises(ValueError, match="expected 0 to 10 s"):
            redis.fail_over(10.5)


class TestExpiry:
    def test_keys_expire_by_the_wall_clock(self, redis: MemoryRedis, clock: Clock) -> None:
        client = Client(redis)
        client.say(("SET", "k", "v", "EX", 10), ("SET", "kept", "v"))
        client.all()
        clock.now += 9.9
        assert client.ask("PTTL", "k") == 100

        clock.now += 0.1

        assert client.ask("EXISTS", "k") == 0
        assert client.ask("PTTL", "k") == -2
        assert redis.keys == 1


def test_the_same_seed_gives_the_same_names() -> None:
    one, same, other = (MemoryRedis(monotonic=Clock(), wall=Clock(), seed=seed) for seed in (1, 1, 2))

    assert one.run_id == same.run_id != other.run_id
    assert len(one.run_id) == 40


def test_what_is_no_command_ends_the_connection(redis: MemoryRedis) -> None:
    client = Client(redis)

    client._connection.data_received(b"+OK\r\n*1\r\n$4\r\nPING\r\n")

    assert client.all() == ["ERR Protocol error: expected a command as an array of strings"]
    assert client.is_lost


def test_a_script_of_somebody_else_is_refused(redis: MemoryRedis) -> None:
    assert "no other scripts" in Client(redis).ask("EVAL", "return 1", 0)


def kept(redis: MemoryRedis) -> dict[bytes, object]:
    client, found = Client(redis), dict[bytes, object]()
    for key in client.ask("KEYS", "*"):
        kind = client.ask("TYPE", key)
        command = {b"string": ("GET", key), b"hash": ("HGETALL", key), b"zset": ("ZRANGE", key, 0, -1, "WITHSCORES")}[kind]
        found[key] = client.ask(*command), client.ask("PTTL", key)
    return found


def test_an_upload_has_its_head_and_its_digests(redis: MemoryRedis) -> None:
    client = Client(redis)
    client.ask(*publishing(1))

    assert dict(zip(*[iter(client.ask("HGETALL", "head"))] * 2, strict=True))[b"payload"].startswith(b'{"attempt":1,"seq":1,')
    assert UPLOAD_ID.encode() in client.ask("HGET", "head", "payload")
    assert client.ask("ZCARD", "digests") == 1
