"""Whether a command is the server it was: the control ``first-use``. `judgment_url` says the same of URLs.

`judge` compares and decides nothing that a person should: it says first, known, changed, or a near-miss of a known
name, and whether that asks. The caller asks, refuses or goes on. A near-miss asks in every profile, a change always
refuses: what was approved under a name is not what would run.

Protects against another executable first on PATH, another version or digest, changed arguments, and names made to be
mistaken. Does not protect against code that was bad at its first use, nor against names that merely mean the same.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec

from doorward.errors import IdentityError
from doorward.gateway.identity.command import CommandIdentity, shown
from doorward.gateway.identity.hosts import display
from doorward.gateway.identity.likeness import alike, as_seen
from doorward.policy.lock import COMMAND, Pin, Pins, update
from doorward.policy.profiles import values

_COMPARED: Final = (
    "executable",
    "executable_sha256",
    "executable_owner",
    "script",
    "script_sha256",
    "package",
    "package_sha256",
    "package_integrity",
)
_NUMBER: Final = re.compile(r"[0-9]+")
_DERIVED_TAIL: Final = re.compile(r"-[0-9a-f]{8}")
FIRST_USE: Final = "first use"


class First(msgspec.Struct, frozen=True):
    """Nothing is known under this name. ``asks``: the profile wants a person to look; else it is recorded and said."""

    asks: bool


class Known(msgspec.Struct, frozen=True):
    """It is what was pinned."""

    pin: Pin


class Changed(msgspec.Struct, frozen=True):
    """Something else would run under a known name: refuse. ``differences`` are (field, pinned, found)."""

    differences: tuple[tuple[str, str, str], ...]


class NearMiss(msgspec.Struct, frozen=True):
    """A first use under a name that can be mistaken for the known server ``of``, because of ``why``: ask, always."""

    of: str
    why: str


class Pinned(Protocol):
    """An identity that can be kept, whichever kind it is of."""

    @property
    def name(self) -> str: ...
    def pin(self, *, first_seen: str, accepted_by: str) -> Pin: ...


Verdict = First | Known | Changed | NearMiss


def judge(identity: CommandIdentity, pins: Mapping[str, Pin], profile: str) -> Verdict:
    """What ``identity`` is to the pins, under ``profile``. Pure; looks nothing up.

    Raises:
        UsageError: there is no such profile.
    """
    if pin := pins.get(identity.name):
        found = differences(pin, identity)
        return Changed(found) if found else Known(pin)
    for name in sorted(pins):
        if why := _mistakable(identity, pins[name]):
            return NearMiss(name, why)
    return First(asks=values(profile).ask_first_use)


def asks(verdict: Verdict) -> bool:
    """Whether a person must agree before anything of the server runs."""
    return isinstance(verdict, NearMiss) or (isinstance(verdict, First) and verdict.asks)


def record_first_use(lock: Path, identity: CommandIdentity, profile: str, *, at: str) -> Verdict:
    """Judge, and keep a first use that does not ask: see `keep_first`."""
    return keep_first(lock, identity, lambda pins: judge(identity, pins, profile), at=at)


def keep_first(lock: Path, identity: Pinned, judged: Callable[[Pins], Verdict], *, at: str) -> Verdict:
    """Judge against the lock file as it is now and, where that is a first use that does not ask, keep it.

    Judged again as the only writer, so of many that start at once one records and the others find it. ``at`` is UTC.

    Raises:
        PolicyError: the lock file cannot be believed.
        DoorwardError: it cannot be written.
    """
    verdict: list[Verdict] = []

    def first(pins: Pins) -> Pins:
        verdict.append(judged(pins))
        if verdict[0] == First(asks=False):
            pins[identity.name] = identity.pin(first_seen=at, accepted_by=FIRST_USE)
        return pins

    update(lock, first)
    return verdict[0]


def keep_accepted(lock: Path, pin: Pin, differs: Callable[[Pin], object]) -> None:
    """Keep what a person agreed to, unless somebody pinned something else under that name meanwhile: IdentityError."""

    def accepted(pins: Pins) -> Pins:
        if pin.name in pins and differs(pins[pin.name]):
            raise IdentityError(f"{pin.name} was pinned as something else while this was asked", hint="start it again")
        return pins | {pin.name: pin}

    update(lock, accepted)


def refused(name: str, verdict: Changed, hint: str) -> IdentityError:
    """What is raised where a known name would reach or run something else; ``hint`` is the command that accepts it."""
    told = "; ".join(f"{field}: pinned {old}, found {new}" for field, old, new in verdict.differences)
    return IdentityError(f"{name} is not what it was pinned as: {told}", hint=f"if you changed it: {hint}")


def differences(pin: Pin, identity: CommandIdentity) -> tuple[tuple[str, str, str], ...]:
    """Every field in which ``identity`` is not what ``pin`` says: (field, pinned, found), empty values as ``none``."""
    if pin.kind != COMMAND:
        return (("kind", pin.kind, COMMAND), ("command", "none", shlex.join(shown(identity.argv))))
    found = [
        (field, _worded(getattr(pin, field)), _worded(getattr(identity, field)))
        for field in _COMPARED
        if getattr(pin, field) != getattr(identity, field)
    ]
    if pin.arguments_sha256 != identity.arguments_sha256:
        old, new = shlex.join(pin.argv[1:]), shlex.join(shown(identity.argv)[1:])
        found.append(("arguments", old, new if new != old else f"{new} (a masked value differs)"))
    return tuple(found)


def accept_hint(identity: CommandIdentity, pin: Pin | None = None) -> str:
    """The command that accepts ``identity``: by name where the command line is the pinned one, else in full.

    Values that look like secrets are masked in it, and must be written by hand.
    """
    if pin and pin.arguments_sha256 == identity.arguments_sha256:
        return f"doorward pin accept {identity.name}"
    name = "" if identity.derived else f"--name {identity.name} "
    return f"doorward pin accept {name}-- {shlex.join(shown(identity.argv))}"


def _mistakable(identity: CommandIdentity, pin: Pin) -> str:
    """Why a person might take ``identity`` for the server of ``pin``; empty if there is no reason."""
    same = _same_program(identity, pin)
    named = names_alike(identity.name, pin, derived=identity.derived, same=same)
    return named or _packages(identity, pin) or _executables(identity, pin)


def names_alike(name: str, pin: Pin, *, derived: bool, same: bool) -> str:
    """Why ``name`` can be mistaken for the pin's; empty if it cannot. ``same``: both are one program, or one host."""
    new, old = (_DERIVED_TAIL.sub("", one) for one in (name, pin.name))
    if new != old:
        counted = _NUMBER.sub("#", new) == _NUMBER.sub("#", old)  # db-1 and db-2 are told apart by whoever counts them
        plain, known = as_seen(new), as_seen(old)
        mistaken = not counted and (plain == known or alike(plain, known))
        seen = f"{new} (displays as {display(new)})" if display(new) != new else new
        return f"the name {seen} can be mistaken for {old}" if mistaken else ""
    # The same word before a derived tail: two entries of one program are expected, two programs are not.
    both_derived = derived and pin.name != old
    return "" if both_derived or same else f"another program is already called {old}"


def _packages(identity: CommandIdentity, pin: Pin) -> str:
    (new, _, version), (old, _, known) = (package.partition(" ") for package in (identity.package, pin.package))
    if not new or not old:
        return ""
    if new == old:
        other = identity.derived and version != known
        return (
            f"package {new} is known at {known or 'any version'}, this is {version or 'any version'}" if other else ""
        )
    short, known_short = (re.split("[:/]", package)[-1] for package in (new, old))
    if short == known_short or alike(new, old) or alike(short, known_short):
        return f"package {new} can be mistaken for {old}"
    return ""


def _executables(identity: CommandIdentity, pin: Pin) -> str:
    if not (identity.executable_sha256 and pin.executable_sha256) or identity.executable == pin.executable:
        return ""
    new, old = (path.rpartition("/")[2] for path in (identity.executable, pin.executable))
    if new == old or alike(new, old):
        return f"{identity.executable} can be mistaken for {pin.executable}"
    return ""


def _same_program(identity: CommandIdentity, pin: Pin) -> bool:
    if identity.package or pin.package:
        return identity.package.partition(" ")[0] == pin.package.partition(" ")[0]
    if identity.script or pin.script:
        return identity.script == pin.script
    return identity.executable == pin.executable


def _worded(value: str | int) -> str:
    return "none" if value in ("", -1) else str(value)
