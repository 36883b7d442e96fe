"""``doorward.lock``: what each server was when it was first used or last accepted.

TOML, sorted and written by hand, so that a change of it reads well in review. It is the only place where pins are
kept. Readers need no lock: a new file replaces the old one whole. Writers hold an ``flock`` on a sibling file (never on
the lock file itself, which is replaced under them) only while they read, change and write, so many ``wrap`` processes
may record a first use at once and none loses another's.

Whoever can write this file decides which servers are known, so it is believed only under the conditions of
`doorward.policy.trusted`. It proves nothing against another program of the same user.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from doorward.errors import DoorwardError, PolicyError, Problem
from doorward.policy.identity import name_problem
from doorward.policy.trusted import read_trusted

COMMAND: Final = "command"
URL: Final = "url"
VERSION: Final = 1

_HEAD: Final = """\
# What each server was when it was first used or last accepted. Written by Doorward; review it like code.
# Change it with `doorward pin accept` and `doorward pin remove`.
"""


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One server, as it is known. Digests are hexadecimal SHA-256; paths are resolved; what does not apply is empty.

    ``argv`` is the command as written, for people to read: values that look like secrets are masked in it.
    ``arguments_sha256`` is over the real ones. An interpreter or launcher has ``executable_owner`` (a user id) in place
    of ``executable_sha256``, since the system replaces it at every update. ``script`` is what the interpreter runs;
    ``package`` is ``name version`` (the name alone where no version was given) and ``package_sha256`` is over what
    describes the installed package; of one that Doorward fetched it is over all packages that came with it, and
    ``package_integrity`` is the registry's of the package itself. ``first_seen`` is UTC; ``accepted_by`` says who took
    it in and how.

    A server that is reached by URL has ``url`` in place of all that. Where values that look like secrets are masked in
    it, ``url_sha256`` is over the real one. ``owner`` is the user id that owns the listening socket on loopback.
    """

    name: str
    kind: str
    argv: tuple[str, ...] = ()
    arguments_sha256: str = ""
    executable: str = ""
    first_seen: str = ""
    accepted_by: str = ""
    executable_sha256: str = ""
    executable_owner: int = -1
    script: str = ""
    script_sha256: str = ""
    package: str = ""
    package_sha256: str = ""
    package_integrity: str = ""
    url: str = ""
    url_sha256: str = ""
    owner: int = -1


_ALWAYS: Final = ("first_seen", "accepted_by")
_NEEDED: Final = {COMMAND: ("argv", "arguments_sha256", "executable", *_ALWAYS), URL: ("url", *_ALWAYS)}
_ALLOWED: Final = {
    COMMAND: frozenset(Pin.__struct_fields__) - {"url", "url_sha256", "owner"},
    URL: frozenset({"name", "kind", "url", "url_sha256", "owner", *_ALWAYS}),
}

Pins = dict[str, Pin]


def read(path: Path) -> Pins:
    """The pins in ``path`` by name; none if there is no such file.

    Raises:
        PolicyError: the file could have been written by somebody else, or is not a lock file (all problems).
    """
    try:
        text = read_trusted(path)
    except FileNotFoundError:
        return {}
    import tomllib

    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise PolicyError((Problem(str(path), f"is not TOML: {problem}"),)) from None
    return _pins(path, raw)


def update(path: Path, change: Callable[[Pins], Pins]) -> Pins:
    """Replace the pins in ``path`` by what ``change`` makes of them, as one step; return what is there then.

    ``change`` runs while other writers wait: it must not ask a person. If it raises, or returns what it was given,
    nothing is written.

    Raises:
        PolicyError: the present file cannot be believed.
        DoorwardError: the file cannot be written.
    """
    try:
        with _only_writer(path):
            before = read(path)
            after = change(dict(before))
            if after != before:
                _replace(path, render(after))
            return after
    except OSError as problem:
        reason = (problem.strerror or str(problem)).lower()
        raise DoorwardError(f"cannot write {path}: {reason}", hint="pins must be kept to mean anything") from None


def render(pins: Pins) -> str:
    """The text of a lock file that holds ``pins``, sorted by name."""
    parts = [_HEAD, f"version = {VERSION}\n"]
    for name in sorted(pins):
        fields: dict[str, Any] = msgspec.to_builtins(pins[name])
        lines = [f"{field} = {_value(value)}\n" for field, value in fields.items() if field != "name"]
        parts.append(f"\n[pins.{_quoted(name)}]\n" + "".join(lines))
    return "".join(parts)


def _pins(path: Path, raw: dict[str, Any]) -> Pins:
    problems = [Problem(str(path), f"{key}: is not a known key") for key in raw if key not in ("version", "pins")]
    if raw.get("version") != VERSION or type(raw["version"]) is not int:
        problems.append(Problem(str(path), f"version: is not {VERSION}", "a newer Doorward may have written this file"))
    tables = raw.get("pins", {})
    if not isinstance(tables, dict):
        problems.append(Problem(str(path), "pins: is not a table"))
        tables = {}
    pins: Pins = {}
    for name, table in tables.items():
        try:
            pins[name] = _pin(name, table)
        except (msgspec.ValidationError, ValueError) as problem:
            what = str(problem)
            problems.append(Problem(str(path), f"pins.{name}: {what[:1].lower()}{what[1:]}"))
    if problems:
        raise PolicyError(
            tuple(problems), hint="doorward never writes such a file; restore it, or accept its servers anew"
        )
    return pins


def _pin(name: str, table: Any) -> Pin:
    if not isinstance(table, dict) or "name" in table:
        raise ValueError("is not a table of a pin")
    if problem := name_problem(name):
        raise ValueError(problem)
    pin = msgspec.convert({"name": name, **table}, Pin)
    if pin.kind not in _NEEDED:
        raise ValueError(f"kind {pin.kind!r} is not known")
    if missing := [field for field in _NEEDED[pin.kind] if not getattr(pin, field)]:
        raise ValueError(f"object missing required field `{missing[0]}`")
    if strange := [field for field in table if field not in _ALLOWED[pin.kind]]:
        raise ValueError(f"`{strange[0]}` is no field of a {pin.kind}")
    return pin


@contextlib.contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    gate = os.open(_sibling(path, "writing"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield
    finally:
        os.close(gate)


def _replace(path: Path, text: str) -> None:
    """Put ``text`` at ``path`` whole and durable, or leave what is there. Call it as the only writer."""
    new = _sibling(path, "new")
    new.unlink(missing_ok=True)  # left behind by a writer that was killed
    # 0600: command lines tell where people keep their things. Whoever shares the file changes its mode, and keeps it.
    mode = path.stat().st_mode & 0o755 if path.exists() else 0o600
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    os.replace(new, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sibling(path: Path, purpose: str) -> Path:
    return path.with_name(f".{path.name}.{purpose}")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return str(value)
    return "[" + ", ".join(map(_value, value)) + "]"


def _quoted(text: str) -> str:
    """``text`` as a TOML basic string in which everything that a reader could not see is escaped."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08X}"
