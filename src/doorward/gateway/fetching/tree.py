"""The values that the package managers and the fetching itself share."""

from __future__ import annotations

import hashlib
import os
from typing import Final

import msgspec

_DOMAIN: Final = b"doorward/packages/1\0"
_READABLE: Final = 160  # characters: an SHA-512 of npm, or two archives of a Python release


class Step(msgspec.Struct, frozen=True):
    """One command of a package manager, whether it may read the operator's settings, and variables that it gets.

    ``keeps`` are files that stay as they were, since code of what was fetched may run: it would say itself what it is.
    ``closed`` are hosts that it does not reach unless the operator's settings name them.
    """

    argv: tuple[str, ...]
    settings: bool = True
    told: tuple[tuple[str, str], ...] = ()
    keeps: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


class Package(msgspec.Struct, frozen=True, order=True):
    """One package that was fetched. ``integrity`` is the registry's: npm's ``sha512-…``; of PyPI the SHA-256 of every
    archive of that version, any of which may be the one that was taken.
    """

    name: str
    version: str
    integrity: str


class Found(msgspec.Struct, frozen=True):
    """What lies in a folder: the packages, the program (argv without the server's arguments), the folder of programs,
    and the packages that bring install scripts.
    """

    main: Package
    packages: tuple[Package, ...]
    program: tuple[str, ...]
    programs: str
    with_scripts: tuple[str, ...] = ()


def beside(launcher: str, program: str) -> str:
    """The file ``program`` in the folder of ``launcher``, or in the one to which that leads; the former if in none."""
    folders = (os.path.dirname(launcher), os.path.dirname(os.path.realpath(launcher)))
    candidates = [os.path.join(folder, program) for folder in folders]
    return next((path for path in candidates if os.access(path, os.X_OK)), candidates[0])


def digest(packages: tuple[Package, ...]) -> str:
    """SHA-256 over every package with its version and integrity, in order."""
    lines = b"".join(f"{one.name}\0{one.version}\0{one.integrity}\0".encode() for one in packages)
    return hashlib.sha256(_DOMAIN + lines).hexdigest()


def readable(integrity: str) -> str:
    """``integrity`` as it is kept in the lock: itself, or where it is too long for people, a digest of it."""
    if len(integrity) <= _READABLE:
        return integrity
    return f"{integrity.count(' ') + 1} archives, sha256:{hashlib.sha256(integrity.encode()).hexdigest()}"
