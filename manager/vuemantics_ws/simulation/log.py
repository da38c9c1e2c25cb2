"""What happened in a run, as plain data: recorded first, judged afterwards.

Records are in the order in which they were seen by one observer, and their times, in seconds since the scenario began, never
fall. Within a connection that is the order of the wire. Between connections it is causal: what a client sent stands before
what came of it. One JSON object a line is the form on disk; its ``kind`` names the record.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from vuemantics_ws.core.upload import Version
from vuemantics_ws.errors import BadEvent
from vuemantics_ws.simulation.format.faults import FaultName

# Records that come in numbers hold none but numbers and text (gc=False): the collector need not look at them.


ONE = "node:0"
"""The node where there is no other."""

STATES = frozenset({"upload_progress", "upload_completed", "upload_failed"})
"""The actions that show the state of an upload."""


class UploadFacts(Struct, frozen=True):
    """An upload as the plan has it. ``ends`` says whether an end will be published of it."""

    name: str
    owner: str
    ends: bool
    published: bool = True
    """Whether this run publishes anything of it. Others may."""


class ClientFacts(Struct, frozen=True):
    """A client as the plan has it; ``subscribes`` are the ids of the uploads that it will ask for."""

    user: str
    subscribes: list[str]
    reads_slowly: bool = False
    """Nothing can be said of how soon it has what was sent to it."""
    reads_again_at: float | None = None
    """When one that only pauses goes on to read all that comes."""


class Began(Struct, frozen=True, tag="began", tag_field="kind", kw_only=True):
    """What a judge must know beforehand. Stands first."""

    at: float = 0.0
    scenario: str
    seed: int
    access: Literal["owner", "open"]
    grace_s: float
    uploads_per_user_max: int
    waiting_bytes_max: int
    """What may wait for one connection beside states: replies and direct messages."""
    stall_after_s: float = 0.0
    """After how long without an event the server ends an upload as failed; 0 for never."""
    control: str = ""
    """Where the server's control port is, for whoever wants to look into it meanwhile."""
    nodes: tuple[str, ...] = (ONE,)
    shared: bool = False
    """The server ran before, and its tables may be about others, too."""
    uploads: dict[str, UploadFacts]
    clients: dict[str, ClientFacts]


class Opened(Struct, frozen=True, tag="opened", tag_field="kind", gc=False):
    """A socket was upgraded. Connections are numbered from 1 over all clients. ``dialed_at`` is when it was begun, ``node``
    who took it.
    """

    at: float
    connection: int
    client: str
    dialed_at: float | None = None
    node: str = ONE


class Unreachable(Struct, frozen=True, tag="unreachable", tag_field="kind", gc=False):
    """A try to connect came to nothing."""

    at: float
    client: str
    reason: str


class Authenticated(Struct, frozen=True, tag="authenticated", tag_field="kind", gc=False):
    at: float
    connection: int


class Sent(Struct, frozen=True, tag="sent", tag_field="kind", gc=False):
    """A browser asked to follow an upload, or gave it up."""

    at: float
    connection: int
    action: Literal["subscribe_upload", "unsubscribe_upload"]
    upload_id: str


class Unsent(Struct, frozen=True, tag="unsent", tag_field="kind", gc=False):
    """The same while its socket was not open: the page drops such a request silently, and never repeats it (PROTOCOL.md
    section 4).
    """

    at: float
    client: str
    action: Literal["subscribe_upload", "unsubscribe_upload"]
    upload_id: str


class Received(Struct, frozen=True, tag="received", tag_field="kind", omit_defaults=True, gc=False):
    """A documented message. ``known`` is that of a ``subscribed``; a state has a version, unless its server gives none."""

    at: float
    connection: int
    action: str
    upload_id: str | None = None
    attempt: int | None = None
    seq: int | None = None
    terminal: bool = False
    known: bool | None = None
    stage: str | None = None
    percent: int | None = None
    code: str | None = None
    """Of an ``error``."""
    words: str | None = None
    """What an ``error`` or an ``auth_error`` says to a person."""

    @property
    def version(self) -> Version | None:
        return None if self.attempt is None or self.seq is None else Version(self.attempt, self.seq)

    @property
    def is_state(self) -> bool:
        return self.action in STATES


class Undocumented(Struct, frozen=True, tag="undocumented", tag_field="kind", gc=False):
    """A message that the browser's validator refuses, or whose action PROTOCOL.md does not have."""

    at: float
    connection: int
    reason: str


class Closed(Struct, frozen=True, tag="closed", tag_field="kind", gc=False):
    """A connection ended as its browser sees it: 1006 where no close frame came. ``by`` says who began it."""

    at: float
    connection: int
    code: int
    reason: str
    by: Literal["browser", "server", "network"]


class Published(Struct, frozen=True, tag="published", tag_field="kind", kw_only=True, omit_defaults=True, gc=False):
    """An event was answered, or refused: then ``verdict`` is None and ``error`` says why.

    ``at`` is when the answer came, ``scheduled_at`` when the plan has the event, ``sent_at`` when it was sent. Where it was
    accepted, ``attempt`` and ``seq`` are its own.
    """

    at: float
    scheduled_at: float
    sent_at: float
    upload_id: str
    action: str
    terminal: bool
    stage: str | None = None
    percent: int | None = None
    size_bytes: int
    verdict: str | None = None
    attempt: int | None = None
    seq: int | None = None
    error: str | None = None
    messy: bool = False
    """It is a slip of its worker's, which the judge may refuse."""
    copy: bool = False
    """It was published before, byte for byte."""
    held_up_s: float = 0.0
    """For how long it had to be tried again, or had to wait for an event before it that was, or whose answer was slow: the
    server's time, not ours.
    """

    @property
    def version(self) -> Version | None:
        return None if self.attempt is None or self.seq is None else Version(self.attempt, self.seq)


class Measured(Struct, frozen=True, tag="measured", tag_field="kind"):
    """A node's own statistics during the run, and by how much the observer itself was late then."""

    at: float
    tables: dict[str, int]
    lag_s: float = 0.0
    counters: Mapping[str, int | float] = {}
    """What happened since the node's start; what is counted by kind has names such as ``events.accepted``."""
    node: str = ONE


class Health(Struct, frozen=True, tag="health", tag_field="kind"):
    """What a node says of itself where load balancers ask, whenever it is in another state than before."""

    at: float
    node: str
    state: Literal["ready", "degraded", "draining", "silent"]
    """``silent`` where it does not answer at all."""
    reason: str = ""


class Settled(Struct, frozen=True, tag="settled", tag_field="kind"):
    """Nothing is left to happen. From here on the browsers say goodbye."""

    at: float
    cut_short: bool = False
    """The scenario's duration came first."""


class Emptied(Struct, frozen=True, tag="emptied", tag_field="kind"):
    """A node's tables when everybody had left and the grace time was over: of one that ran before, what was added."""

    at: float
    tables: dict[str, int]
    others: bool = False
    """Others were connected meanwhile, so what is left may be theirs."""
    node: str = ONE


class NodeExited(Struct, frozen=True, tag="node_exited", tag_field="kind"):
    """A node ended. ``asked`` says whether it had been told to."""

    at: float
    code: int
    asked: bool
    took_s: float | None = None
    """How long an orderly stop took."""
    node: str = ONE
    killed: bool = False
    """By a fault of the scenario's."""


class Troubled(Struct, frozen=True, tag="troubled", tag_field="kind"):
    """A node met a fault of its own: it logged an error, or an exception reached nobody. Seen in virtual time alone."""

    at: float
    node: str
    what: str


class FaultBegan(Struct, frozen=True, tag="fault_began", tag_field="kind"):
    """A fault of the scenario has happened. Its number tells it from all others of the run."""

    at: float
    number: int
    do: FaultName
    target: str
    evidence: str | None
    """What was seen of it; None where it was made to happen, and nothing was seen of it."""
    loses_data: bool = False
    behind_s: float = 0.0
    """How much of the newest was lost; 0 where all was, or nothing."""


class FaultEnded(Struct, frozen=True, tag="fault_ended", tag_field="kind"):
    """It is over: whatever it had befallen is whole again, as far as that can be seen from outside."""

    at: float
    number: int
    do: FaultName
    target: str
    evidence: str | None


Record = (
    Began
    | Opened
    | Unreachable
    | Authenticated
    | Sent
    | Unsent
    | Received
    | Undocumented
    | Closed
    | Published
    | Measured
    | Health
    | Settled
    | Emptied
    | NodeExited
    | Troubled
    | FaultBegan
    | FaultEnded
)


class Played(Struct, frozen=True, tag="played", tag_field="kind", kw_only=True):
    """What was played: the first line of a trace that can be played again, and no record of the run."""

    scenario: str
    """The text of the file, as it stands: what it takes from the environment is not in it."""
    environment: list[str] = []
    """The variables that it took from there. Their values are nobody else's business."""
    seed: int
    arm: Literal["real", "virtual"]
    options: dict[str, str | int | bool | None] = {}
    versions: dict[str, str] = {}
    trace_hash: str
    """Of the records that follow (:func:`hash_of`)."""


_DECODER = msgspec.json.Decoder(Record | Played)
KINDS: tuple[type[Struct], ...] = get_args(Record)


class Log:
    """Grows by appending; whoever listens is told of each record at once."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.records: list[Record] = list(records)
        self._listeners: list[Callable[[Record], None]] = []

    def append(self, record: Record) -> None:
        self.records.append(record)
        for listener in self._listeners:
            listener(record)

    def listen(self, listener: Callable[[Record], None]) -> None:
        """``listener`` is called with every record from now on. It must return at once and raise nothing."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[Record], None]) -> None:
        """It is called no more, and nothing that it holds is kept."""
        self._listeners.remove(listener)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


def to_ndjson(records: Iterable[Record]) -> bytes:
    """One JSON object a line. The same records give the same bytes."""
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def hash_of(records: Iterable[Record]) -> str:
    """The SHA-256 of the records as :func:`to_ndjson` writes them."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(msgspec.json.encode(record) + b"\n")
    return digest.hexdigest()


def from_ndjson(data: bytes) -> list[Record]:
    """What :func:`to_ndjson` wrote. Lines that say what was played are passed over.

    Raises:
        BadEvent: a line is no record.
    """
    return [line for line in lines_of(data) if not isinstance(line, Played)]


def lines_of(data: bytes) -> list[Record | Played]:
    """Every line of a trace.

    Raises:
        BadEvent: one is neither.
    """
    lines: list[Record | Played] = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            lines.append(_DECODER.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadEvent(f"expected a record of a run in line {number}") from None
    return lines
