"""The one ancestor of our exceptions.

A refusal is a value (a ``Finding``), never an exception. Exceptions are for misuse and for the environment: a policy
that does not parse, a disk that is full, a log that does not verify. Each class has a stable ``code`` that scripts and
tests may rely on, and an optional ``hint``: what the reader can do about it. Only ``cli`` prints them.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class DoorwardError(Exception):
    """Anything that goes wrong in Doorward and is not a judgment.

    The text is one lower-case sentence without a full stop; ``hint`` is another, or empty.
    """

    code: ClassVar[str] = "doorward"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(DoorwardError):
    """The caller asked for something that cannot be: a wrong option, a file that is not there."""

    code = "usage"


class Problem(NamedTuple):
    """One thing wrong with a policy or a lock file: where it stands, what is wrong, what to write instead."""

    where: str
    what: str
    hint: str = ""


class PolicyError(DoorwardError):
    """A policy or lock file does not say anything that could be enforced.

    ``problems`` holds all of them, not only the first.
    """

    code = "policy"

    def __init__(self, problems: tuple[Problem, ...], *, hint: str = "") -> None:
        super().__init__("; ".join(f"{p.where}: {p.what}" for p in problems), hint=hint)
        self.problems = problems


class MalformedMessageError(DoorwardError):
    """Bytes that are not one strict JSON-RPC message within the limits (see ``wire.jsonrpc``).

    ``rpc_code`` is the JSON-RPC error for the peer, ``rule`` the stable name of the rule that was broken, and
    ``request_id`` the id of the message where it could be read, else None.
    """

    code = "malformed"

    def __init__(
        self, rule: str, message: str, *, rpc_code: int = -32600, request_id: str | int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.rule = rule
        self.rpc_code = rpc_code
        self.request_id = request_id


class ConfinementError(DoorwardError):
    """A child cannot be confined as asked on this machine, so it was not started."""

    code = "confinement"


class FetchError(DoorwardError):
    """A package that a command asks for cannot be fetched, or is not what it was, so nothing of it was started."""

    code = "fetch"


class RefusedError(DoorwardError):
    """A guard refused what somebody asked a server of yours to do (see ``doorward.guard``).

    The text may go to whoever asked: it names what was refused and why, never a value, a path of this machine or what
    else is allowed. ``rule`` is the stable name of the guard that refused, ``retry_after`` the seconds after which the
    same may be tried again, where that would help.
    """

    code = "refused"

    def __init__(self, rule: str, message: str, *, retry_after: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.rule = rule
        self.retry_after = retry_after


class IdentityError(DoorwardError):
    """A server is not what was pinned, or cannot be identified, so it was not started or reached."""

    code = "identity"


class CapacityError(DoorwardError):
    """Somebody has as much as policy lets one have; it is free again when something of it ends."""

    code = "capacity"


class ConsentError(DoorwardError):
    """The consent channel could not be opened, or its peer could not prove who it is."""

    code = "consent"


class AuditError(DoorwardError):
    """The archive cannot do what was asked of it."""

    code = "audit"


class StorageError(AuditError):
    """An entry could not be written. Nothing that depended on it may be sent."""

    code = "audit-storage"


class VerificationError(AuditError):
    """A log is not what its checkpoints say.

    ``index`` is the first entry (or checkpoint) concerned, or None when the log as a whole is; ``expected`` and
    ``actual`` are the evidence.
    """

    code = "audit-verification"

    def __init__(self, message: str, *, index: int | None = None, expected: str = "", actual: str = "") -> None:
        super().__init__(message)
        self.index = index
        self.expected = expected
        self.actual = actual
