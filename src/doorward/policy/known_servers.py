"""What Doorward itself demands of well-known servers, by the package that they verifiably are.

Each file of ``servers/`` names the packages that it is for, and demands something of their tools and prompts, in the
words of a policy file; it grants nothing. It holds where the evidence of a server's identity names the package: found
beside the program that is started, or on the command line of the launcher that fetches it. What a server says of itself
counts for nothing. A server's own table adds to it, and ``unsafe_no_profile`` there does without it.

Does not protect a server that is started in a way that names no package (a wrapper, a container, a URL).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from doorward.errors import PolicyError, Problem
from doorward.policy.identity import VerifiedIdentity
from doorward.policy.lock import COMMAND
from doorward.policy.model import ServerPolicy

FOLDER: Final = Path(__file__).with_name("servers")


class KnownServer(msgspec.Struct, frozen=True):
    """One file: its name, the packages that it is for (``registry:name``), and what it says of their tools."""

    name: str
    packages: tuple[str, ...]
    said: ServerPolicy


def every() -> tuple[KnownServer, ...]:
    """All of them, by name."""
    return tuple(read(path) for path in sorted(FOLDER.glob("*.toml")))


def of_identity(identity: VerifiedIdentity) -> KnownServer | None:
    """What is demanded of the server with this identity, if it is a well-known one."""
    if identity.kind != COMMAND:
        return None
    return of_package(next((value for field, value in identity.evidence if field == "package"), ""))


def of_package(label: str) -> KnownServer | None:
    """The same by the label of a pin: ``registry:name version``, or without a version."""
    package = label.partition(" ")[0]
    return _of(package) if package else None


@cache
def _of(package: str) -> KnownServer | None:
    for path in sorted(FOLDER.glob("*.toml")):
        if f'"{package}"' in path.read_text(encoding="utf-8"):  # only then it is worth parsing
            known = read(path)
            if package in known.packages:
                return known
    return None


def read(path: Path) -> KnownServer:
    """The file at ``path``.

    Raises:
        PolicyError: it says what cannot be meant, or more than such a file may (all problems).
    """
    import tomllib  # most servers are not well known, and start without a parser

    from doorward.policy.positions import Positions
    from doorward.policy.reader import Reader

    text = path.read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    packages = raw.pop("packages", None)
    if not isinstance(packages, list) or not packages or not all(isinstance(one, str) for one in packages):
        raise PolicyError((Problem(str(path), "packages: is not a list of texts"),))
    said = Reader(str(path), Positions(text)).offered(path.stem, raw)
    return KnownServer(path.stem, tuple(packages), said)
