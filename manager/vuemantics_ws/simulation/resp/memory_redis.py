"""A Redis in memory, and everything that can befall it."""

from collections.abc import Callable, Sequence
from hashlib import sha1

from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.resp.channels import Channels
from vuemantics_ws.simulation.resp.connection import Connection
from vuemantics_ws.simulation.resp.key_commands import KEY_COMMANDS, wrong_number
from vuemantics_ws.simulation.resp.keyspace import Keyspace
from vuemantics_ws.simulation.resp.replies import OK, ErrorReply, Reply, Simple, encode, integer
from vuemantics_ws.simulation.resp.scripts.call import Call
from vuemantics_ws.simulation.resp.scripts.known import runs

VERSION = "7.0.15"
"""The Redis whose answers these are."""

Words = Sequence[bytes]

TO_SUBSCRIBERS = frozenset([b"SUBSCRIBE", b"UNSUBSCRIBE", b"PSUBSCRIBE", b"PUNSUBSCRIBE", b"PING"])
"""All that a connection may say that has subscribed to something."""


class MemoryRedis:
    """One server with one database. It runs as soon as it is made, and a command takes it no time.

    Replies and what is published leave each connection in one order: what a script publishes comes before the script's own
    answer. All that came with one read is answered with one write.

    Args:
        monotonic, wall: seconds; keys expire by the wall clock, as those of Redis do.
        seed: of its names for itself.
        history_s: for how long, in seconds, it remembers what it held, and so how far behind a replica of it can be.
    """

    def __init__(self, *, monotonic: Callable[[], float], wall: Callable[[], float], seed: int, history_s: float = 0.0) -> None:
        self.is_running = True
        self.run_id = ""
        """What it calls itself, which is another name after each start."""
        self._monotonic = monotonic
        self._dice = stream(seed, "redis", "run id")
        self._wall = wall
        self._history_s = history_s
        self._keyspace = self._nothing()
        self._channels = Channels()
        self._connections: dict[Connection, None] = {}
        self._unsent: list[Connection] = []
        self._held: list[tuple[Connection, bytes | None]] | None = None
        """What came while it hangs, in order; None where it does not."""
        self._scripts: dict[bytes, bytes] = {}
        """Those that it was told, by SHA-1."""
        self._shas: dict[bytes, bytes] = {}
        """By text, so that each is made once."""
        self._commands: dict[bytes, tuple[Callable[[Connection, Words], Reply], int]] = {
            b"PUBLISH": (self._publish, 3),
            b"EVALSHA": (self._evaluate_sha, -3),
            b"EVAL": (self._evaluate, -3),
            b"SCRIPT": (self._script, -2),
            b"SUBSCRIBE": (lambda connection, words: self._channels.subscribe(connection, words[1:]), -2),
            b"UNSUBSCRIBE": (lambda connection, words: self._channels.unsubscribe(connection, words[1:]), -1),
            b"PSUBSCRIBE": (lambda connection, words: self._channels.subscribe_patterns(connection, words[1:]), -2),
            b"PUNSUBSCRIBE": (lambda connection, words: self._channels.unsubscribe_patterns(connection, words[1:]), -1),
            b"PING": (self._ping, -1),
            b"SELECT": (self._select, 2),
            b"CLIENT": (self._client, -2),
            b"INFO": (self._info, -1),
            b"TIME": (self._time, 1),
            b"DBSIZE": (lambda connection, words: self.keys, 1),
            b"FLUSHALL": (self._flush_all, -1),
        }
        self._name_itself()

    def connection(self) -> Connection:
        """A protocol for one more client: what a listening socket makes of each that connects."""
        connection = Connection(self._receive, self._unsent, monotonic=self._monotonic)
        if self.is_running:
            self._connections[connection] = None
        else:
            connection.is_over = True
        return connection

    @property
    def keys(self) -> int:
        self._keyspace.tick()
        return len(self._keyspace.names())

    @property
    def subscribers(self) -> int:
        """How many connections hear something."""
        return sum(connection.subscriptions > 0 for connection in self._connections)

    # What befalls it.

    def stop(self) -> None:
        """As a crash ends it: all connections end. What it kept is there at its next start."""
        self.is_running = False
        self._held = None
        self._scripts.clear()
        self._end(list(self._connections))

    def start(self, *, lose_data: bool = False) -> None:
        """Under another name, with all that it kept, or with nothing."""
        if lose_data:
            self._keyspace = self._nothing()
        self.is_running = True
        self._name_itself()

    def hang(self) -> None:
        """It takes what is sent to it, and answers nobody."""
        self._held = self._held or []

    def resume(self) -> None:
        """What came meanwhile is answered now, in the order in which it came."""
        held, self._held = self._held, None
        for connection, data in held or []:
            self._take(connection, data)
        self._send()

    def flush(self) -> int:
        """Everything in it is gone, and nobody is told. Returns how many keys that were."""
        self._keyspace.tick()
        return self._keyspace.clear()

    def kill_subscribers(self) -> int:
        """End the connections of all subscribers. Returns how many."""
        subscribers = [connection for connection in self._connections if connection.subscriptions]
        self._end(subscribers)
        return len(subscribers)

    def fail_over(self, behind_s: float) -> None:
        """A replica takes its place that has not heard what was written in the last ``behind_s``: all connections end.

        Raises:
            ValueError: that is more than the ``history_s`` that it remembers.
        """
        self._keyspace.go_back(behind_s)
        self.stop()
        self.start()

    def _nothing(self) -> Keyspace:
        return Keyspace(wall=self._wall, monotonic=self._monotonic, history_s=self._history_s)

    def _name_itself(self) -> None:
        self.run_id = f"{self._dice.getrandbits(160):040x}"

    def _end(self, connections: list[Connection]) -> None:
        for connection in connections:
            self._forget(connection)
            connection.end()

    def _forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._channels.forget(connection)

    # What clients say.

    def _receive(self, connection: Connection, data: bytes | None) -> None:
        if self._held is not None:
            self._held.append((connection, data))
            return
        self._take(connection, data)
        self._send()

    def _take(self, connection: Connection, data: bytes | None) -> None:
        if data is None:
            connection.is_over = True
            self._forget(connection)
            return
        for words in connection.commands(data):
            try:
                reply = self._run(connection, words)
            except ErrorReply as error:
                reply = error
            connection.say(encode(reply))

    def _send(self) -> None:
        for connection in self._unsent:
            connection.send()
            if connection.is_over:
                self._forget(connection)
        self._unsent.clear()

    def _run(self, connection: Connection, words: Words) -> Reply:
        self._keyspace.tick()
        name = words[0].upper()
        command = self._commands.get(name)
        if command is not None:
            run, count = command
        elif name in KEY_COMMANDS:
            key_command = KEY_COMMANDS[name]
            run, count = (lambda _, words: key_command.run(self._keyspace, words)), key_command.words
        else:
            raise _unknown(words)
        if len(words) != count if count > 0 else len(words) < -count:
            raise wrong_number(name)
        if connection.subscriptions and name not in TO_SUBSCRIBERS:
            raise ErrorReply(
                f"ERR Can't execute '{name.decode(errors='replace').lower()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING "
                "/ QUIT / RESET are allowed in this context"
            )
        return run(connection, words)

    # Commands.

    def _publish(self, connection: Connection, words: Words) -> Reply:
        return self._channels.publish(words[1], words[2])

    def _evaluate_sha(self, connection: Connection, words: Words) -> Reply:
        sha, count = words[1].lower(), integer(words[2])
        if count < 0:
            raise ErrorReply("ERR Number of keys can't be negative")
        if count > len(words) - 3:
            raise ErrorReply("ERR Number of keys can't be greater than number of args")
        if sha not in self._scripts:
            raise ErrorReply("NOSCRIPT No matching script. Please use EVAL.")
        run = runs().get(sha)
        if run is None:
            raise ErrorReply("ERR a Redis in memory runs no other scripts than those of this project")
        return run(Call(self._keyspace, self._channels.publish, words[3 : 3 + count], words[3 + count :]))

    def _evaluate(self, connection: Connection, words: Words) -> Reply:
        return self._evaluate_sha(connection, [words[0], self._load(words[1]), *words[2:]])

    def _script(self, connection: Connection, words: Words) -> Reply:
        verb, arguments = words[1].upper(), words[2:]
        if verb == b"LOAD" and len(arguments) == 1:
            return self._load(arguments[0])
        if verb == b"EXISTS" and arguments:
            return [int(sha.lower() in self._scripts) for sha in arguments]
        if verb == b"FLUSH":
            self._scripts.clear()
            return OK
        raise _unknown_part(words)

    def _load(self, text: bytes) -> bytes:
        sha = self._shas.get(text)
        if sha is None:
            sha = self._shas[text] = sha1(text, usedforsecurity=False).hexdigest().encode()
        self._scripts[sha] = text
        return sha

    def _ping(self, connection: Connection, words: Words) -> Reply:
        if len(words) > 2:
            raise wrong_number(words[0])
        if connection.subscriptions:
            return [b"pong", words[1] if len(words) > 1 else b""]
        return words[1] if len(words) > 1 else Simple(b"PONG")

    def _select(self, connection: Connection, words: Words) -> Reply:
        if integer(words[1]) != 0:
            raise ErrorReply("ERR DB index is out of range")
        return OK

    def _client(self, connection: Connection, words: Words) -> Reply:
        verb = words[1].upper()
        if verb in (b"SETNAME", b"SETINFO"):
            return OK
        if verb == b"KILL" and [word.lower() for word in words[2:]] == [b"type", b"pubsub"]:
            return self.kill_subscribers()
        raise _unknown_part(words)

    def _info(self, connection: Connection, words: Words) -> Reply:
        said = ["# Server", f"redis_version:{VERSION}", "redis_mode:standalone", f"run_id:{self.run_id}", ""]
        return "\r\n".join(said).encode()

    def _time(self, connection: Connection, words: Words) -> Reply:
        return [b"%d" % part for part in divmod(self._keyspace.now_us, 1_000_000)]

    def _flush_all(self, connection: Connection, words: Words) -> Reply:
        self._keyspace.clear()
        return OK


def _unknown(words: Words) -> ErrorReply:
    name, *arguments = (word.decode(errors="replace") for word in words)
    quoted = "".join(f"'{argument[:128]}' " for argument in arguments)
    return ErrorReply(f"ERR unknown command '{name[:128]}', with args beginning with: {quoted}")


def _unknown_part(words: Words) -> ErrorReply:
    name, part = (word.decode(errors="replace") for word in words[:2])
    return ErrorReply(f"ERR unknown subcommand '{part[:128]}'. Try {name.upper()} HELP.")
