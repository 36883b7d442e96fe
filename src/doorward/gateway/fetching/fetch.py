"""Fetches what a launcher would fetch, once, before anything of it runs, and keeps what came.

One folder of the state directory for each thing asked for (``fetched/``, then a digest of the packages and the
program). In it lie the trees, and ``current.json``, which names the one in use and says what it holds. A tree is made
by the package manager inside walls (`doorward.confine.fetching`): it may use the operator's settings and the registry,
and write that tree; no install script runs, unless the operator said so. The server then runs from the tree, which it
can read and not write, by the program's own path: the launcher itself, and whatever it would fetch, is not started
again.

- *A second start fetches nothing*, whatever the registry has meanwhile, and needs no network. ``doorward pin accept
  --refresh`` is the only way to something newer; where a newest version was asked for and what there is has become old,
  that is said.
- *The same version stays the same.* A refresh, or a fetch for a pin whose tree is gone, that brings other content under
  a version that was known is refused: a registry never gives that honestly.
- *A tree that a server may be running from is not touched*: a refresh makes another; the one before is kept.

Does not protect against a package that was bad when it was first fetched, nor against another program of the same user
that writes below the state directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import msgspec

from doorward.confine.environment import own_environment
from doorward.confine.fetching import Outcome, Own
from doorward.confine.profile import Mechanism
from doorward.confine.removal import remove_tree
from doorward.content.text import reveal
from doorward.errors import FetchError
from doorward.gateway.fetching import npm, pypi
from doorward.gateway.fetching.asked import NPM, Asked
from doorward.gateway.fetching.programs import refuse_written, trusted_path, with_interpreter
from doorward.gateway.fetching.settings import Settings, settings_of
from doorward.gateway.fetching.tree import Found, digest, readable
from doorward.gateway.identity import packages as identity
from doorward.policy.amounts import Caps
from doorward.policy.home import home

if TYPE_CHECKING:
    from doorward.gateway.reporter import Say

OLD_DAYS: Final = 90
"""After so long, a newest version that was asked for is said to be old. It is never fetched anew unasked."""

_DOMAIN: Final = b"doorward/fetched/1\0"
_RECORD: Final = "current.json"
_LOOK_S: Final = 0.1
_DAY_S: Final = 86400
_SHOWN_LINES: Final = 6
_SHOWN_CHARACTERS: Final = 600


class Fetched(msgspec.Struct, frozen=True):
    """What was fetched for one command line. ``tree`` is the folder it lies in; ``at`` is when, in seconds (Unix)."""

    registry: str
    tree: str
    found: Found
    scripts: bool
    at: int

    @property
    def package(self) -> identity.Package:
        """What a pin knows it by: ``registry:name version``, a digest over all packages, the integrity of the first."""
        main = self.found.main
        label = f"{self.registry}:{main.name} {main.version}"
        return identity.Package(label, digest(self.found.packages), readable(main.integrity))


class Wish(msgspec.Struct, frozen=True):
    """One thing to have: what was asked for, by which launcher (its path), and how.

    ``known`` is the label of the pin, if there is one: that version is fetched where a tree is missing. ``scripts``:
    install scripts run, and source distributions are built. ``refresh``: fetch anew whatever there is. ``mechanism`` is
    by what the steps are confined, ``caps`` what they may use up: as much as the server. ``doorward`` are our own
    folders, ``written`` those that servers may write: no program is taken from there (``programs``).
    """

    asked: Asked
    launcher: str
    doorward: Own
    caps: Caps
    known: str = ""
    scripts: bool = False
    refresh: bool = False
    mechanism: Mechanism = "auto"
    unsafe_no_sandbox: bool = False
    written: tuple[str, ...] = ()


def can_fetch(wish: Wish) -> bool:
    """Whether what it takes to fetch this is installed."""
    return os.access(_manager(wish).manager(wish.launcher, own_environment().get("PATH", os.defpath)), os.X_OK)


def present(wish: Wish) -> Fetched | None:
    """What was fetched for this before, if it is there whole. Looks at the disk, and at nothing else."""
    folder = _folder(wish)
    fetched = _record(folder)
    if fetched is None:
        return None
    is_there = (
        all(map(os.path.isfile, filter(os.path.isabs, fetched.found.program))) and Path(fetched.tree).parent == folder
    )
    return fetched if is_there and fetched.scripts == wish.scripts else None


def have(wish: Wish, say: Say) -> Fetched:
    """Have it, by fetching what is not there, and wait for that. Raises as `fetch`."""
    if (fetched := present(wish)) and not wish.refresh:
        _tell_age(wish, fetched, say)
        return fetched
    import asyncio  # the usual start of a server fetches nothing

    return asyncio.run(fetch(wish, say))


async def fetch(wish: Wish, say: Say) -> Fetched:
    """The same for an event loop, which must be the main thread's, where steps are started.

    Raises:
        FetchError: no registry gave it; it is not what it was; or the package manager is missing.
        ConfinementError: a step could not be started inside its walls, or did not end.
    """
    if (fetched := present(wish)) and not wish.refresh:
        _tell_age(wish, fetched, say)
        return fetched
    import asyncio

    folder = _folder(wish)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".fetching").open("w") as gate:
        while not _is_ours(gate.fileno()):  # noqa: ASYNC110 - another process holds it
            await asyncio.sleep(_LOOK_S)
        if (fetched := present(wish)) and not wish.refresh:  # another doorward was quicker
            return fetched
        return await _fetch_anew(wish, folder, say)


async def _fetch_anew(wish: Wish, folder: Path, say: Say) -> Fetched:
    before = _record(folder)
    tree = folder / os.urandom(8).hex()
    tree.mkdir(mode=0o700)
    try:
        found = await _make_tree(wish, tree, before, say)
        fetched = Fetched(wish.asked.registry, str(tree), found, wish.scripts, int(time.time()))
        _compare(wish, before, fetched)
        remove_tree(str(tree / "cache"))
        _write(folder / _RECORD, msgspec.json.encode(fetched))
    except BaseException:
        remove_tree(str(tree))
        raise
    _remove_others(folder, {str(tree), before.tree if before else ""})
    package = fetched.package
    say(f"fetched {package.label} ({package.integrity}) and {len(found.packages) - 1} more packages")
    if found.with_scripts and not wish.scripts:
        names = ", ".join(found.with_scripts)
        say(f"install scripts were not run, of: {names}", "--unsafe-install-scripts runs them, inside walls")
    return fetched


async def _make_tree(wish: Wish, tree: Path, before: Fetched | None, say: Say) -> Found:
    """Have the package manager fill ``tree``; where only its scripts differ, with the packages there were before."""
    from doorward.gateway.fetching.step import do

    environ = own_environment()
    environ["PATH"], left_out = trusted_path(environ.get("PATH", os.defpath), wish.written)
    for place in left_out:
        say(f"{place} on PATH is not used to fetch {wish.asked.specs[0].name}: a server may write there")
    manager = _manager(wish)
    program = manager.manager(wish.launcher, environ["PATH"])
    if not os.access(program, os.X_OK):
        raise FetchError(f"there is no {os.path.basename(program)} beside {wish.launcher}")
    refuse_written(program, wish.written)
    pinned = before is not None and not wish.refresh
    if before is not None and pinned:
        for name in manager.PINS:
            shutil.copyfile(os.path.join(before.tree, name), tree / name)
    settings = settings_of(wish.asked.registry, environ, str(home()))
    for step in manager.steps(_exactly(wish), program, str(tree), pinned=pinned, scripts=wish.scripts):
        kept = {name: (tree / name).read_bytes() for name in step.keeps}
        outcome = await do(
            step,
            folder=str(tree),
            environ=environ,
            settings=settings if step.settings else Settings(),
            doorward=wish.doorward,
            caps=wish.caps,
            mechanism=wish.mechanism,
            unsafe_no_sandbox=wish.unsafe_no_sandbox,
            say=say,
        )
        if outcome.status != 0:
            raise _failure(wish, outcome)
        for name, content in kept.items():
            _put_back(tree / name, content)
    found: Found = manager.found(wish.asked, str(tree))
    program = with_interpreter(found.program, f"{found.programs}:{environ['PATH']}")
    return msgspec.structs.replace(found, program=program)


def _manager(wish: Wish) -> ModuleType:
    return npm if wish.asked.registry == NPM else pypi


def _exactly(wish: Wish) -> Asked:
    """What was asked for, at the version that is pinned: a tree that was lost comes back as it was."""
    known, _, version = wish.known.partition(" ")
    main = wish.asked.specs[0]
    if wish.refresh or not version or known.partition(":")[0] != wish.asked.registry:
        return wish.asked
    at = npm.at if wish.asked.registry == NPM else pypi.at
    return msgspec.structs.replace(wish.asked, specs=(at(main, version), *wish.asked.specs[1:]))


def _compare(wish: Wish, before: Fetched | None, fetched: Fetched) -> None:
    """Raises FetchError where a package has other content than before under the same version."""
    known = {(one.name, one.version): one.integrity for one in before.found.packages} if before else {}
    for one in fetched.found.packages:
        old = known.get((one.name, one.version), one.integrity)
        if old != one.integrity:
            raise FetchError(
                f"the registry gives other content for {one.name} {one.version} than before: "
                f"it was {readable(old)}, now it is {readable(one.integrity)}",
                hint=f"find out why; {_folder(wish)} holds what is known, and forgets it when it is removed",
            )


def _failure(wish: Wish, outcome: Outcome) -> FetchError:
    name, told = wish.asked.specs[0].name, outcome.text
    lines = [line.strip() for line in told.splitlines() if line.strip()][:_SHOWN_LINES]
    words = reveal("; ".join(lines))[:_SHOWN_CHARACTERS] or "the package manager said nothing"
    hint = "is the registry reachable? what was fetched once needs none"
    if "no-build" in told or "--no-build" in told or "building is disabled" in told.lower():
        hint = "no wheel of it fits; --unsafe-install-scripts builds it, which runs its code inside walls"
    return FetchError(f"{name} could not be fetched: {words}", hint=hint)


def _tell_age(wish: Wish, fetched: Fetched, say: Say) -> None:
    """Where the newest was asked for, and what there is has not been that for long."""
    if not wish.asked.specs[0].is_exact() and time.time() - fetched.at > OLD_DAYS * _DAY_S:
        hint = "doorward pin accept --refresh NAME looks for a newer one"
        say(f"{fetched.package.label} was fetched more than {OLD_DAYS} days ago", hint)


def _folder(wish: Wish) -> Path:
    asked = wish.asked
    said = (asked.registry, asked.program, asked.python, *(f"{s.name}{s.extras} {s.versions}" for s in asked.specs))
    key = hashlib.sha256(_DOMAIN + b"".join(word.encode() + b"\0" for word in said)).hexdigest()[:32]
    return Path(os.path.realpath(wish.doorward.state)) / "fetched" / f"{asked.registry}-{key}"


def _record(folder: Path) -> Fetched | None:
    try:
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=Fetched)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    os.replace(new, path)


def _put_back(path: Path, content: bytes) -> None:
    """Whatever lies there now. The name in between is one that nobody can have prepared."""
    new = path.with_name(os.urandom(8).hex())
    new.write_bytes(content)
    try:
        os.replace(new, path)
    except OSError as problem:
        raise FetchError(f"an install script left something else in the place of {path.name}: {problem}") from None


def _is_ours(gate: int) -> bool:
    try:
        fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_others(folder: Path, kept: set[str]) -> None:
    for place in _trees(folder):
        if str(place) not in kept:
            with contextlib.suppress(OSError):
                remove_tree(str(place))


def _trees(folder: Path) -> Iterator[Path]:
    return (place for place in folder.iterdir() if place.is_dir() and not place.is_symlink())
