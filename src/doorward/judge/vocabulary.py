"""The words of judgment: what a control sees, what it may say, and what is decided.

A control returns a :class:`Finding` or nothing. Only :func:`decide` decides: DENY over ASK over ALLOW. The meaning of
the words follows Cedar (principal, action, resource, context, decision, policy) and NIST (control).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from doorward.policy.identity import Principal, VerifiedIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from doorward.content.redaction import Masker
    from doorward.policy.model import Policy, ServerPolicy
    from doorward.protocol.actions import Action
    from doorward.protocol.definitions import Definitions
    from doorward.protocol.link import Link
    from doorward.protocol.shown import Shown
    from doorward.wire.jsonrpc import Message

__all__ = [
    "MAX_EVIDENCE",
    "Answer",
    "Answers",
    "Context",
    "Decision",
    "Effect",
    "Facts",
    "FileSize",
    "Finding",
    "Open",
    "Peer",
    "Principal",
    "Question",
    "RealPath",
    "SealedState",
    "Side",
    "Ticket",
    "VerifiedIdentity",
    "decide",
]

Side = Literal["client", "server"]


class Effect(IntEnum):
    """What a finding asks for. The order is the precedence: a DENY outweighs any number of ASKs."""

    NOTE = 0
    ASK = 1
    DENY = 2


class Peer(msgspec.Struct, frozen=True):
    """What a peer is told instead of the general refusal (DESIGN §5): a code of the specification, or, with
    ``code`` 0, a tool result that a model can correct itself by. It speaks of the protocol and of the server's own
    published schema, never of the policy.
    """

    code: int
    message: str
    data: dict[str, Any] = {}


MAX_EVIDENCE = 4096
"""How much of a peer's text a control gives as evidence. The archive masks it and then keeps a part: half a secret has
no shape."""


class Finding(msgspec.Struct, frozen=True):
    """What one control saw: for the operator and the archive, never for the peer, except ``peer``."""

    control: str
    effect: Effect
    reason: str
    evidence: str = ""
    peer: Peer | None = None


class Decision(msgspec.Struct, frozen=True):
    """What was decided, from which findings, under which policy."""

    effect: Effect | None  # None is ALLOW: nothing was found, or only notes
    findings: tuple[Finding, ...]
    policy: str

    @property
    def word(self) -> str:
        return "ALLOW" if self.effect is None else self.effect.name


def decide(findings: tuple[Finding, ...], policy: str) -> Decision:
    """DENY over ASK over ALLOW. Notes travel along and decide nothing."""
    if not findings:
        return Decision(None, (), policy)
    worst = max(f.effect for f in findings)
    return Decision(None if worst is Effect.NOTE else worst, findings, policy)


class RealPath(msgspec.Struct, frozen=True):
    """The first question that depends on a body: which file does this path mean, once links are followed?"""

    path: str


class FileSize(msgspec.Struct, frozen=True):
    """The second: how many bytes would be read from this path, links followed? No regular file there: none."""

    path: str


Question = RealPath | FileSize
Answers = Mapping[Question, str | int | None]
"""The answers of the doors; None, or no answer, is a missing fact."""


class Facts(msgspec.Struct, frozen=True):
    """Everything a judgment may rest on besides the message, gathered by the doors before ``handle``.

    ``fresh`` is 64 bytes of the operating system's randomness, new for each event: nonces, salts and references are
    derived from it. ``answers`` holds the answers to what ``foresee`` asked; a question without an answer is a missing
    fact, and a missing fact refuses. ``too_much`` is what the doors found who count what comes.
    ``consent`` says whether a person can be asked right now.
    """

    principal: Principal
    server: VerifiedIdentity
    fresh: bytes
    consent: bool = False
    answers: Answers = {}
    headers: Mapping[str, tuple[str, ...]] | None = None  # of the HTTP request, names in lower case; None: no HTTP
    too_much: Finding | None = None

    def real_path(self, path: str) -> str | None:
        """Where ``path`` leads; None where nobody found out."""
        real = self.answers.get(RealPath(path))
        return real if isinstance(real, str) else None

    def file_size(self, path: str) -> int | None:
        """How much is to be read at ``path``; None where nobody found out."""
        size = self.answers.get(FileSize(path))
        return size if isinstance(size, int) else None


class SealedState(msgspec.Struct, frozen=True):
    """What Doorward sealed into a modern ``requestState``: the server's own state, and what the client was asked.

    ``asked`` holds (key, method, digest) of each ask that was shown. The rest binds it to one request (``relay.seal``).
    """

    state: str | None
    asked: tuple[tuple[str, str, str], ...]
    ticket: str
    principal: str
    server: str
    method: str
    params: str
    expires: int  # microseconds since the epoch, UTC


class Open(msgspec.Struct):
    """A request that is in flight: who asked, what exactly, and how far it got.

    Mutable on purpose and only in the relay's table: everything else here is a value. ``body`` holds the encoded bytes
    as sent or as shown; no tree outlives ``handle``.
    """

    asker: Side
    key: str  # the id as JSON text: `1` and `"1"` are two ids
    method: str
    exchange: int
    body: bytes
    era: str  # "legacy" | "modern"
    state: Literal["FETCHING", "HELD", "SENT", "ANSWER_HELD"]
    at: int
    subject: str = ""
    digest: str = ""
    params_digest: str = ""
    reference: str = ""
    progress: str = ""  # progress token as JSON text
    ticket: str = ""
    facts: Facts | None = None  # only while FETCHING: what the held call arrived with
    ours: bool = False  # Doorward asked: its answer goes to nobody else
    declared: Mapping[str, Any] = {}  # capabilities that this request declared (modern), else those of the link


class Context(msgspec.Struct, frozen=True):
    """What a control may look at besides the message or action itself."""

    link: Link
    sender: Side
    exchange: int
    era: str  # "legacy" | "modern" | "" when the message itself decides nothing
    facts: Facts
    now: int  # microseconds since the epoch, UTC
    policy: Policy
    server: ServerPolicy
    definitions: Definitions
    folders: tuple[str, ...]
    opened: Mapping[tuple[Side, str], Open]
    body: bytes  # our encoding of the message as it arrived
    message: Message | None = None  # as it arrived; None once it is held, because no tree outlives its event
    nodes: int = 0
    owed: int = 0  # outcomes that could not be recorded yet
    cancelled: Collection[tuple[Side, str]] = ()  # ids whose late answers may still come
    tasks: Mapping[str, str] = {}  # of this principal on this server: the tool of each
    clients_tasks: Mapping[str, str] = {}  # that this client runs for its server: what was asked by each
    shown: Shown | None = None  # resources that this server named to this principal
    answers: Open | None = None  # for a response: the request that it answers
    seal: SealedState | str | None = None  # of a retried request's requestState: opened, or why it does not open
    masker: Masker | None = None
    seen: list[tuple[bytes, bool]] = msgspec.field(default_factory=list)  # by `may_hold_credential`, to be read by it

    def may_hold_credential(self, body: bytes) -> bool:
        """What ``masker`` says of ``body``. It is looked at once, however many ask: a megabyte takes a millisecond."""
        for known, found in self.seen:
            if known is body:
                return found
        found = self.masker is None or self.masker.maybe_credential(body)
        self.seen.append((body, found))
        return found

    @property
    def tool(self) -> str:
        """The tool that a request calls, that an answer comes from, or that a task was begun by; empty: none."""
        answered = self.answers
        if answered is not None:
            if answered.asker == "server":
                return ""
            return answered.subject if answered.method == "tools/call" else self.tasks.get(answered.subject, "")
        params = getattr(self.message, "params", None) or {}
        method = getattr(self.message, "method", "")
        named = params.get("name" if method == "tools/call" else "taskId")
        if not isinstance(named, str) or self.sender != ("client" if method == "tools/call" else "server"):
            return ""
        return named if method == "tools/call" else self.tasks.get(named, "")


class Ticket(msgspec.Struct, frozen=True):
    """A question to a person, bound to the very bytes that an approval would release.

    ``shown`` is the complete end-to-end message as it will be sent, ``digest`` = SHA-256(domain, nonce, action digest).
    A ticket is single use, expires, and dies with the request that it belongs to.
    """

    id: str
    exchange: int
    kind: str  # "first-use" | "tool-call" | "sampling" | "elicitation" | "roots" | "input"
    title: str  # one line: what is asked
    shown: bytes
    action_digest: str
    digest: str
    nonce: str
    principal: str
    session: str
    server: VerifiedIdentity
    policy: str
    definitions: str
    reasons: tuple[str, ...]
    expires: int  # microseconds since the epoch, UTC


class Answer(msgspec.Struct, frozen=True):
    """What a person said to a ticket: who, by which channel, about which digest."""

    ticket: str
    digest: str
    approved: bool
    by: str  # the OS user at the other end of the socket, as the kernel says
    how: str  # "doorward consent, terminal"


if TYPE_CHECKING:
    Gate = Callable[[Message, Context], Finding | None]
    Rewrite = Callable[[Message, Context], tuple[Message, Finding | None]]
    Check = Callable[[Action, Context], Finding | None]
