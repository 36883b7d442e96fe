"""The identity of a server that is a command: what would be executed, by digest, before it is.

An executable is known by path and digest; an interpreter, launcher or wrapper by path and owner, since the system
replaces those at every update; the script or package that it runs by digest; the arguments by a digest of their own.

Does not protect against: a file exchanged between this look and the start (only who may write it can do that, and
files that everybody may write are refused); code that a script loads from elsewhere; what a launcher downloads that
Doorward does not fetch itself (`doorward.gateway.fetching`), of which only the words on the command line are known
(`CommandIdentity.notes` says so).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from typing import Final

import msgspec

from doorward.errors import IdentityError
from doorward.gateway.identity.packages import (
    Package,
    module_file,
    module_package,
    node_package,
    python_folders,
    script_package,
)
from doorward.gateway.identity.programs import Program, label, program_of
from doorward.policy.identity import VerifiedIdentity, name_problem, verified
from doorward.policy.lock import COMMAND, Pin

_SHEBANG_BYTES: Final = 256  # what the kernel reads of it (BINPRM_BUF_SIZE)
_ARGUMENTS_DOMAIN: Final = b"doorward/arguments/1\0"
_CODE_SUFFIXES: Final = (
    *(".py", ".pyz", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx", ".jsx", ".rb", ".sh", ".pl", ".php", ".lua"),
    *(".jar", ".wasm"),
)


class CommandIdentity(msgspec.Struct, frozen=True):
    """What a command line would start. Digests are hexadecimal SHA-256; what does not apply is empty, or -1.

    ``invoked`` is the path to execute: absolute, its last symbolic link unresolved, since a virtual environment knows
    itself by it. ``executable`` is where that leads; for a script, the interpreter that its first line names. ``notes``
    are sentences for the operator about what this identity cannot prove. The other fields are those of
    `doorward.policy.lock.Pin`.
    """

    name: str
    derived: bool
    argv: tuple[str, ...]
    arguments_sha256: str
    invoked: str
    executable: str
    executable_sha256: str = ""
    executable_owner: int = -1
    script: str = ""
    script_sha256: str = ""
    package: str = ""
    package_sha256: str = ""
    package_integrity: str = ""
    notes: tuple[str, ...] = ()

    def verified(self) -> VerifiedIdentity:
        """The same as everything above the doors sees it."""
        owner = "" if self.executable_owner < 0 else str(self.executable_owner)
        fields = {
            "arguments-sha256": self.arguments_sha256,
            "executable": self.executable,
            "executable-sha256": self.executable_sha256,
            "executable-owner": owner,
            "script": self.script,
            "script-sha256": self.script_sha256,
            "package": self.package,
            "package-sha256": self.package_sha256,
            "package-integrity": self.package_integrity,
        }
        return verified(COMMAND, self.name, {field: value for field, value in fields.items() if value})

    def pin(self, *, first_seen: str, accepted_by: str) -> Pin:
        """The same as it is kept in ``doorward.lock``, with values that look like secrets masked."""
        return Pin(
            name=self.name,
            kind=COMMAND,
            argv=shown(self.argv),
            arguments_sha256=self.arguments_sha256,
            executable=self.executable,
            first_seen=first_seen,
            accepted_by=accepted_by,
            executable_sha256=self.executable_sha256,
            executable_owner=self.executable_owner,
            script=self.script,
            script_sha256=self.script_sha256,
            package=self.package,
            package_sha256=self.package_sha256,
            package_integrity=self.package_integrity,
        )


def identify_here(argv: tuple[str, ...], name: str = "", fetched: Package | None = None) -> CommandIdentity:
    """Who ``argv`` would start from this process: its folder, its search path. Raises as `identify`."""
    return identify(argv, path=os.environ.get("PATH", os.defpath), cwd=os.getcwd(), name=name, fetched=fetched)


def identify(
    argv: tuple[str, ...], *, path: str, cwd: str, name: str = "", fetched: Package | None = None
) -> CommandIdentity:
    """Who ``argv`` would start from the folder ``cwd`` with the search path ``path`` (the text of ``$PATH``).

    ``name`` is the operator's (``--name``); without one, `derived_name` makes one of the command as written.
    ``fetched`` is the package that Doorward fetched for a launcher, in place of what the launcher's words say of it.

    Raises:
        IdentityError: the command is empty, is not text, is not found, cannot be executed, or everybody may write a
            file that it would run; or ``name`` cannot be a name.
    """
    _examine_words(argv)
    if name and (problem := name_problem(name)):
        raise IdentityError(problem)
    invoked = _find(argv[0], path, cwd)
    program = program_of(invoked, os.path.realpath(invoked), argv[1:], cwd)
    found = _behind(invoked, program, path, cwd)
    if fetched is not None:
        known = {f"package_{field}": getattr(fetched, field) for field in ("sha256", "integrity")}
        found = msgspec.structs.replace(found, package=fetched.label, notes=(), **known)
    return CommandIdentity(
        name=name or derived_name(argv),
        derived=not name,
        argv=argv,
        arguments_sha256=_arguments_digest(argv[1:]),
        invoked=invoked,
        **msgspec.structs.asdict(msgspec.structs.replace(found, notes=(*found.notes, *_unpinned(argv, found, cwd)))),
    )


def derived_name(argv: tuple[str, ...]) -> str:
    """``<program>-<8 hexadecimal digits of argv's SHA-256>``: short, and another for other folders of one package.

    A function of the words alone: whatever comes first on PATH is looked up, and found changed, under the same name.
    """
    return f"{label(argv)}-{_arguments_digest(argv)[:8]}"


def shown(argv: tuple[str, ...]) -> tuple[str, ...]:
    """``argv`` for people and files: values that look like credentials, or follow an option named so, are masked.

    The mask carries no fingerprint, since a file outlives the key that one would need. Whoever has the file can still
    try guesses against ``arguments_sha256``: a short password does not belong on a command line.
    """
    # Imported here: a server that is known and unchanged, the usual start, shows nothing.
    from doorward.content.redaction import MASK, Masker

    masker = Masker(bytes(16))  # its fingerprints are cut off again below, so this key keeps nothing secret
    words = []
    option = ""
    for word in argv:
        [masked] = masker.mask_tree({option: word})[0].values()
        words.append(MASK.sub(lambda mask: f"{mask[0].rpartition(':')[0]}{mask[0][-1]}", masked))
        option = word.lstrip("-") if word.startswith("-") else ""
    return tuple(words)


def is_masked(pin: Pin) -> bool:
    """Whether the command that ``pin`` shows is not the whole one, because a value was masked in it."""
    return _arguments_digest(pin.argv[1:]) != pin.arguments_sha256


def _unpinned(argv: tuple[str, ...], found: _Found, cwd: str) -> Iterator[str]:
    """Files on the command line that look like code and are not what is pinned: a preload, what a runner will run."""
    known = {found.executable, found.script}
    for word in argv[1:]:
        value = word.partition("=")[2] if word.startswith("-") else word
        path = os.path.realpath(os.path.join(cwd, value)) if value.endswith(_CODE_SUFFIXES) else ""
        if path and path not in known and os.path.isfile(path):
            known.add(path)
            yield f"{value} is known by its name only: what it holds can change unseen"


class _Found(msgspec.Struct, frozen=True):
    executable: str
    executable_sha256: str = ""
    executable_owner: int = -1
    script: str = ""
    script_sha256: str = ""
    package: str = ""
    package_sha256: str = ""
    package_integrity: str = ""
    notes: tuple[str, ...] = ()


def _behind(invoked: str, program: Program, path: str, cwd: str) -> _Found:
    executable = os.path.realpath(invoked)
    if program.replaceable:
        return _run_by(invoked, executable, program, cwd)
    words = _shebang(executable)
    if not words:
        return _Found(executable, executable_sha256=_digest(executable))
    interpreter = _find(words[0], path, cwd)
    return _run_by(interpreter, os.path.realpath(interpreter), Program(script=executable), cwd)


def _run_by(invoked: str, executable: str, program: Program, cwd: str) -> _Found:
    """What ``program`` is, run by the interpreter, launcher or wrapper ``invoked``."""
    owner = _examine_file(executable).st_uid
    notes = (program.note,) if program.note else ()
    script, package = os.path.realpath(program.script) if program.script else "", Package(program.package)
    if program.module:
        # Python looks in the working folder first; a package installed elsewhere may be shadowed there.
        script = module_file(program.module, (cwd, *python_folders(invoked, executable)))
        package = module_package(script) if script else Package()
        notes = () if script else (f"module {program.module} was not found: it is known by its name only",)
    elif script:
        package = node_package(script)
        package = package if package.label else script_package(script)
    return _Found(
        executable,
        executable_owner=owner,
        script=script,
        script_sha256=_digest(script) if script else "",
        package=package.label,
        package_sha256=package.sha256,
        notes=notes,
    )


def _find(word: str, path: str, cwd: str) -> str:
    """The file to run for ``word``, as ``execvp`` finds it on an absolute ``path``, its last link unresolved."""
    folders = filter(os.path.isabs, path.split(":"))  # what lies in the working folder never stands in for a program
    candidates = (word,) if "/" in word else tuple(f"{folder}/{word}" for folder in folders)
    for candidate in candidates:
        found = os.path.normpath(os.path.join(cwd, candidate))
        if os.path.isfile(found) and os.access(found, os.X_OK):
            return found
    where = "is not an executable file" if "/" in word else "is nowhere on PATH"
    raise IdentityError(
        f"{word!r} {where}", hint="write the command as you would in a shell, or the program's full path"
    )


def _shebang(executable: str) -> tuple[str, ...]:
    """The interpreter and its options that a script's first line names; empty for anything else."""
    try:
        with open(executable, "rb") as file:
            head = file.read(_SHEBANG_BYTES)
    except OSError as problem:
        raise IdentityError(f"cannot read {executable}: {_reason(problem)}") from None
    if not head.startswith(b"#!"):
        return ()
    words = os.fsdecode(head[2:].partition(b"\n")[0]).split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    if not words:
        raise IdentityError(f"{executable} names no interpreter in its first line")
    return tuple(words)


def _digest(path: str) -> str:
    _examine_file(path)
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise IdentityError(f"cannot read {path}: {_reason(problem)}") from None


def _examine_file(path: str) -> os.stat_result:
    try:
        status = os.stat(path)
    except OSError as problem:
        raise IdentityError(f"cannot look at {path}: {_reason(problem)}") from None
    if status.st_mode & stat.S_IWOTH:
        raise IdentityError(f"everybody may write {path}, so it cannot be identified", hint=f"chmod o-w '{path}'")
    return status


def _examine_words(argv: tuple[str, ...]) -> None:
    if not argv or not argv[0]:
        raise IdentityError("there is no command", hint="doorward wrap -- COMMAND…")
    for word in argv:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError:
            raise IdentityError("the command is not UTF-8, so it could not be shown as it is") from None
        if "\0" in word:
            raise IdentityError("the command holds a NUL character")


def _arguments_digest(words: tuple[str, ...]) -> str:
    # No word can hold a NUL, so a NUL after each keeps ("a b",) and ("a", "b") apart.
    return hashlib.sha256(_ARGUMENTS_DOMAIN + b"".join(word.encode() + b"\0" for word in words)).hexdigest()


def _reason(problem: OSError) -> str:
    return (problem.strerror or str(problem)).lower()
