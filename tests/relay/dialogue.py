"""A relay in conversation: a client, a server, a person, a clock and a disk, all played by the test.

The driver performs what the relay decides as ``gateway.perform`` does, one unit per event, and holds every unit against
the rules that no dialogue may break: what leaves was recorded before in the same unit, what leaves can be decoded, and
nothing is recorded for nobody. A test says what comes in and looks at the :class:`Turn` that comes out.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
import pytest

from doorward.content.redaction import Masker
from doorward.errors import MalformedMessageError
from doorward.judge.vocabulary import (
    Answer,
    Answers,
    Facts,
    FileSize,
    Open,
    Principal,
    Question,
    Side,
    Ticket,
    VerifiedIdentity,
)
from doorward.policy.identity import verified
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, ToolPolicy
from doorward.protocol import versions
from doorward.relay import pipeline
from doorward.relay.commands import (
    Answered,
    Arrived,
    AskConsent,
    Closed,
    Command,
    Event,
    NotRecorded,
    Record,
    Send,
    Tick,
    Undelivered,
    Unproven,
    Unreadable,
    Withdraw,
)
from doorward.relay.relay import Relay
from doorward.relay.state import Settings
from doorward.wire.jsonrpc import FrameLimits, decode

Era = Literal["legacy", "modern"]
Tree = dict[str, Any]

START_US: Final = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z
LEGACY: Final = "2025-11-25"
MODERN: Final = "2026-07-28"
LIMITS: Final = FrameLimits(max_bytes=16 << 20, max_nodes=100_000)

PRINCIPAL: Final = Principal("user:ada", "operating system user 1000")
SERVER: Final = verified("command", "notes", {"path": "/usr/bin/notes", "sha256": "ab" * 32})
MASKER: Final = Masker(b"k" * 32, secrets=("a-secret-that-doorward-holds",))

READ: Final[Tree] = {
    "name": "read",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}
WIPE: Final[Tree] = {"name": "wipe", "inputSchema": {"type": "object"}, "annotations": {"destructiveHint": True}}
TOOLS: Final = (READ, WIPE)
ASKABLE: Final[Tree] = {"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}}


class Why(enum.Enum):
    """Why a dialogue cannot be held in one of the eras."""

    NO_SERVER_REQUESTS = "a modern server sends no requests; what it asks stands in an input_required result"
    NO_INPUT_REQUIRED = "a legacy result asks for nothing; a legacy server sends requests"
    NO_HANDSHAKE = "the modern era has no initialize"
    NO_ENVELOPE = "a legacy request carries no envelope"


def eras(*, without: Mapping[Era, Why] | None = None) -> pytest.MarkDecorator:
    """Play the test in both eras, less those that lack the thing, each with its reason."""
    out = without or {}
    return pytest.mark.parametrize("era", [era for era in ("legacy", "modern") if era not in out])


only_legacy = eras(without={"modern": Why.NO_SERVER_REQUESTS})
only_modern = eras(without={"legacy": Why.NO_INPUT_REQUIRED})


@dataclass
class Turn:
    """What one event led to, after the disk had its say. ``commands`` are all of them, in order."""

    commands: list[Command] = field(default_factory=list)
    written: list[Record] = field(default_factory=list)
    sent: list[tuple[Side, Tree]] = field(default_factory=list)

    def told(self, side: Side) -> list[Tree]:
        return [tree for to, tree in self.sent if to == side]

    def only(self, side: Side) -> Tree:
        """The one message of this turn, which goes to ``side``."""
        assert [to for to, _ in self.sent] == [side], self.sent
        return self.sent[0][1]

    @property
    def silent(self) -> bool:
        return not self.sent

    @property
    def ticket(self) -> Ticket:
        (ticket,) = self.tickets
        return ticket

    @property
    def tickets(self) -> list[Ticket]:
        return [command.ticket for command in self.commands if isinstance(command, AskConsent)]

    @property
    def withdrawn(self) -> list[str]:
        return [command.ticket for command in self.commands if isinstance(command, Withdraw)]

    @property
    def record(self) -> Record:
        (record,) = self.written
        return record

    def records(self, kind: str) -> list[Record]:
        return [record for record in self.written if record.entry.kind == kind]

    def bytes_to(self, side: Side) -> list[bytes]:
        return [command.body for command in self.commands if isinstance(command, Send) and command.to == side]

    @property
    def controls(self) -> set[str]:
        """The controls that found something, as the archive has it."""
        return {finding.control for record in self.written for finding in record.entry.findings}


class Dialogue:
    """One link. ``attached`` says whether a person can be asked; ``disk`` whether records can be written."""

    def __init__(
        self,
        era: Era = "legacy",
        *,
        policy: Policy | None = None,
        folders: tuple[str, ...] = (),
        pipe: pipeline.Pipeline | None = None,
        attached: bool = False,
        known: ServerPolicy | None = None,
    ) -> None:
        self.era: Era = era
        self.policy = policy or load(None)
        self.attached = attached
        self.principal: Principal = PRINCIPAL
        self.server_identity: VerifiedIdentity = SERVER
        self.now = START_US
        self.disk = True
        self.archive: list[Record] = []
        self.events = 0
        self.files: dict[str, int] = {}
        self.answered: dict[tuple[Side, str], int] = {}
        self.relay = Relay(
            Settings(
                policy=self.policy,
                server="notes",
                pipeline=pipe or pipeline.build(MASKER),
                link="link",
                session="session",
                seal_key=b"s" * 32,
                folders=folders,
                known=known,
            )
        )
        self.perform(self.relay.start(self.facts(), self.now))

    # -- what happens -------------------------------------------------------------------------------------------------

    def client(self, message: Tree | bytes, *, exchange: int = 0) -> Turn:
        return self._arrives(message, "client", exchange)

    def server(self, message: Tree | bytes, *, exchange: int = 0) -> Turn:
        return self._arrives(message, "server", exchange)

    def person(self, ticket: Ticket, *, approved: bool = True, digest: str | None = None) -> Turn:
        about = ticket.digest if digest is None else digest
        return self.event(
            Answered(Answer(ticket.id, about, approved, "ada", "doorward consent, terminal"), self.facts())
        )

    def tick(self, seconds: float = 0.0) -> Turn:
        self.now += round(seconds * 1_000_000)
        return self.event(Tick(self.facts()))

    def until_deadline(self) -> Turn:
        """Time runs to the moment that the relay itself named, and not a microsecond further."""
        assert self.relay.deadline is not None
        self.now = max(self.now, self.relay.deadline)
        return self.tick()

    def closes(self, side: Side, cause: str = "gone", *, exchange: int = 0) -> Turn:
        return self.event(Closed(side, exchange, cause, self.facts()))

    @staticmethod
    def exchanges_to(turn: Turn, side: Side) -> list[int]:
        """The exchanges on which messages went to ``side``."""
        return [command.exchange for command in turn.commands if isinstance(command, Send) and command.to == side]

    def undelivered(self, send: Send, why: str = "nobody reads") -> Turn:
        return self.event(Undelivered(send, why, self.facts()))

    def unreadable(self, line: bytes, sender: Side, *, limits: FrameLimits = LIMITS) -> Turn:
        """``line`` comes in and is not one message."""
        with pytest.raises(MalformedMessageError) as found:
            decode(line, limits)
        return self.event(Unreadable(found.value, sender, 0, self.facts(), line[:1024]))

    def unproven(self, why: str, *, exchange: int = 0) -> Turn:
        """Somebody else answered in the server's place."""
        return self.event(Unproven(why, exchange, self.facts()))

    def fails_to_record(self) -> None:
        """From now on the disk takes nothing."""
        self.disk = False

    def records_again(self) -> None:
        self.disk = True

    def event(self, event: Event) -> Turn:
        self.events += 1
        return self.perform(self.relay.handle(event, self.now))

    def _arrives(self, message: Tree | bytes, sender: Side, exchange: int) -> Turn:
        body = message if isinstance(message, bytes) else msgspec.json.encode(message)
        frame = decode(body, LIMITS)
        facts = self.facts({question: self.found(question) for question in self.relay.foresee(frame, sender)})
        return self.event(Arrived(frame, sender, exchange, facts))

    def found(self, question: Question) -> str | int | None:
        """What a door finds: every path leads where it says, every file holds what ``files`` says."""
        return self.files.get(question.path, 0) if isinstance(question, FileSize) else question.path

    def facts(self, answers: Answers | None = None) -> Facts:
        """What is true right now; the randomness is new for each event and the same in each run."""
        fresh = hashlib.sha512(f"event {self.events}".encode()).digest()
        return Facts(self.principal, self.server_identity, fresh, consent=self.attached, answers=answers or {})

    # -- the doors, played ---------------------------------------------------------------------------------------------

    def perform(self, unit: list[Command]) -> Turn:
        check_order(unit)
        turn = Turn(list(unit))
        records = [command for command in unit if isinstance(command, Record)]
        if records and not self._writable(records):
            lost = self.relay.handle(NotRecorded(tuple(records), "the disk is full"), self.now)
            assert not any(isinstance(command, Record | AskConsent) for command in lost), (
                "what could not be recorded asks for no more"
            )
            turn.commands = list(lost)
            self._deliver(lost, turn)
            return turn
        turn.written = records
        self.archive += records
        self._deliver(unit, turn)
        return turn

    def _writable(self, records: list[Record]) -> bool:
        spent = {record.entry.spends for record in self.archive} - {""}
        return self.disk and not any(record.entry.spends in spent for record in records)

    def _deliver(self, commands: Iterable[Command], turn: Turn) -> None:
        for command in commands:
            if isinstance(command, Send):
                tree = msgspec.json.decode(msgspec.json.encode(msgspec.Raw(command.body)))
                decode(command.body, LIMITS)  # what we send is what we would accept
                turn.sent.append((command.to, tree))
                if "method" not in tree and tree["id"] is not None:
                    key = (command.to, msgspec.json.encode(tree["id"]).decode())
                    self.answered[key] = self.answered.get(key, 0) + 1

    # -- what peers say in this era -----------------------------------------------------------------------------------

    def request(self, id: object, method: str, params: Tree | None = None, **envelope: Any) -> Tree:
        """A client's request in this era; ``capabilities=`` and ``meta=`` reach the envelope."""
        params = dict(params or {})
        if self.era == "modern":
            params["_meta"] = modern_meta(**envelope)
        elif envelope.get("meta"):
            params["_meta"] = envelope["meta"]
        return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}

    def call(self, id: object = 1, tool: str = "read", arguments: Tree | None = None, **envelope: Any) -> Tree:
        given = {"text": "hello"} if arguments is None and tool == "read" else arguments or {}
        return self.request(id, "tools/call", {"name": tool, "arguments": given}, **envelope)

    def result(self, id: object, **members: Any) -> Tree:
        body: Tree = members or {"content": [{"type": "text", "text": "done"}]}
        if self.era == "modern":
            body = {"resultType": "complete", **body}
        return {"jsonrpc": "2.0", "id": id, "result": body}

    def cancel(self, id: object) -> Tree:
        return notification("notifications/cancelled", requestId=id)

    def shows(self, *uris: str, templates: Iterable[str] = ()) -> None:
        """The client lists the server's resources and templates, so that Doorward knows them too."""
        self.client(self.request("resources", "resources/list"))
        self.server(self.result("resources", resources=[{"name": uri, "uri": uri} for uri in uris]))
        self.client(self.request("templates", "resources/templates/list"))
        listed = [{"name": one, "uriTemplate": one} for one in templates]
        self.server(self.result("templates", resourceTemplates=listed))

    # -- where things stand -------------------------------------------------------------------------------------------

    def opened(self, side: Side, key: str) -> Open | None:
        return self.relay.state.opened.get((side, key))

    def progress_to(self, token: object, at: float = 1) -> Tree:
        return notification("notifications/progress", progressToken=token, progress=at)


def check_order(unit: list[Command]) -> None:
    """Within one unit a record stands before everything that has an effect, and it is about that."""
    records: list[Record] = []
    for command in unit:
        if isinstance(command, Record):
            records.append(command)
        elif isinstance(command, AskConsent):
            assert any(r.entry.kind == "ask" and r.entry.ticket == command.ticket.id for r in records), (
                "asked unrecorded"
            )
        elif isinstance(command, Send):
            _check_send(msgspec.json.decode(command.body), records)


def _check_send(tree: Tree, records: list[Record]) -> None:
    method = tree.get("method", "")
    key = msgspec.json.encode(tree["id"]).decode() if "id" in tree else ""
    if method == "notifications/progress":
        return  # a run of progress is recorded by its count
    if "id" in tree and method:
        fit = [r for r in records if r.entry.kind == "intent" and (r.entry.request, r.entry.method) == (key, method)]
        assert fit, f"{method} left without its intent"
        assert fit[-1].grade == "durable", f"{method} left before its intent was synced"
    elif method:
        grades = {r.grade for r in records if r.entry.kind == "notice" and r.entry.method == method}
        assert grades, f"{method} left unrecorded"
        assert grades == {"written" if method == "notifications/message" else "durable"}
    elif "result" in tree and not (tree["result"].get("isError") or tree["result"] == {"action": "decline"}):
        assert any(r.entry.kind == "outcome" and r.entry.request == key for r in records), "a result left unrecorded"


def notification(method: str, **params: Any) -> Tree:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def failure(id: object, code: int = -32000, message: str = "no", **data: Any) -> Tree:
    error: Tree = {"code": code, "message": message}
    return {"jsonrpc": "2.0", "id": id, "error": {**error, "data": data} if data else error}


def modern_meta(*, capabilities: Tree | None = None, version: object = MODERN, meta: Tree | None = None) -> Tree:
    return {
        versions.META_VERSION: version,
        versions.META_CAPABILITIES: ASKABLE if capabilities is None else capabilities,
        versions.META_CLIENT_INFO: {"name": "tests", "version": "1"},
        **(meta or {}),
    }


def initialize(id: object = "init", *, version: str = LEGACY, capabilities: Tree | None = None) -> Tree:
    params = {
        "protocolVersion": version,
        "capabilities": ASKABLE if capabilities is None else capabilities,
        "clientInfo": {"name": "tests", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": id, "method": "initialize", "params": params}


def initialized(id: object = "init", *, version: str = LEGACY, capabilities: Tree | None = None) -> Tree:
    """The server's answer to ``initialize``."""
    result = {
        "protocolVersion": version,
        "capabilities": capabilities or {"tools": {}},
        "serverInfo": {"name": "n", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": id, "result": result}


def discovered(id: object, *, capabilities: Tree | None = None) -> Tree:
    """The server's answer to ``server/discover``."""
    result = {"resultType": "complete", "supportedVersions": [MODERN], "capabilities": capabilities or {"tools": {}}}
    return {"jsonrpc": "2.0", "id": id, "result": result}


def greet(talk: Dialogue, *, client: Tree | None = None, server: Tree | None = None) -> Dialogue:
    """The two ends get to know each other, as their era does it."""
    if talk.era == "legacy":
        assert talk.client(initialize(capabilities=client)).told("server")
        assert talk.server(initialized(capabilities=server)).told("client")
        assert talk.client(notification("notifications/initialized")).told("server")
    else:
        assert talk.client(talk.request("discover", "server/discover", capabilities=client)).told("server")
        assert talk.server(discovered("discover", capabilities=server)).told("client")
    return talk


def lists(talk: Dialogue, tools: Iterable[Tree] = TOOLS) -> Dialogue:
    """The client lists the server's tools, so that Doorward knows them too."""
    talk.client(talk.request("list", "tools/list"))
    talk.server(talk.result("list", tools=list(tools)))
    assert talk.relay.state.definitions.complete
    return talk


def ready(era: Era, *, tools: Iterable[Tree] = TOOLS, client: Tree | None = None, **options: Any) -> Dialogue:
    """A link on which the next call is judged at once."""
    return lists(greet(Dialogue(era, **options), client=client), tools)


def asks(talk: Dialogue, method: str = "sampling/createMessage", id: object = "s1", params: Tree | None = None) -> Turn:
    """A legacy server asks its client for something."""
    given = {"messages": [], "maxTokens": 5} if params is None else params
    return talk.server({"jsonrpc": "2.0", "id": id, "method": method, "params": given})


def requires(id: object, *, state: object = "server-state", **asked: str) -> Tree:
    """A modern result that asks: ``key="sampling/createMessage"``. Without a state if ``state`` is None."""
    result: Tree = {"resultType": "input_required"}
    if asked:
        result["inputRequests"] = {key: {"method": method, "params": {"for": key}} for key, method in asked.items()}
    if state is not None:
        result["requestState"] = state
    return {"jsonrpc": "2.0", "id": id, "result": result}


def with_tool(policy: Policy, name: str, tool: ToolPolicy) -> Policy:
    """``policy`` with one thing said of one tool, for every server."""
    from doorward.policy.model import sealed

    return sealed(msgspec.structs.replace(policy, servers={"*": ServerPolicy("*", tools={name: tool})}))


InState = Callable[[Dialogue], Any]


def bring(era: Era, state: str, id: object = 1, *, exchange: int = 0, **envelope: Any) -> tuple[Dialogue, Turn]:
    """A dialogue in which the client's request ``id`` has got as far as ``state``, and the turn that led there."""
    if state == "FETCHING":
        talk = greet(Dialogue(era, attached=True))
        return talk, talk.client(talk.call(id, **envelope), exchange=exchange)
    talk = ready(era, attached=True)
    turn = talk.client(talk.call(id, "wipe" if state == "HELD" else "read", **envelope), exchange=exchange)
    if state == "ANSWER_HELD":
        assert era == "modern", Why.NO_INPUT_REQUIRED
        turn = talk.server(requires(id, a="sampling/createMessage"), exchange=exchange)
    found = talk.opened("client", msgspec.json.encode(id).decode())
    assert found is not None
    assert found.state == state
    return talk, turn


def states(*names: str) -> pytest.MarkDecorator:
    """Play the test for each state of a request, in each era that has it (a legacy answer is never held)."""
    cells = [(era, name) for era in ("legacy", "modern") for name in names if (era, name) != ("legacy", "ANSWER_HELD")]
    return pytest.mark.parametrize(("era", "state"), cells)


ALL_STATES: Final = ("FETCHING", "HELD", "SENT", "ANSWER_HELD")
