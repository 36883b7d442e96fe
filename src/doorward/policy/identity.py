"""Who asks and who answers, as far as Doorward verified it itself.

Both types say *how* something is known, because a name alone proves nothing: what a peer says of itself
(``clientInfo``, ``serverInfo``) never becomes a principal or an identity.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

_DOMAIN: Final = b"doorward/identity/1\0"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Principal(msgspec.Struct, frozen=True, gc=False):
    """On whose behalf a message comes in: ``id`` names them, ``how`` says how they were authenticated.

    On stdio that is the OS user and the program that started us; it distinguishes users, not programs of one user.
    """

    id: str
    how: str


class VerifiedIdentity(msgspec.Struct, frozen=True):
    """A server as Doorward knows it, without asking the server.

    ``name`` is the operator's word for it and no part of the proof; ``evidence`` is what was looked at, as sorted
    (field, value) pairs; ``fingerprint`` is the hexadecimal SHA-256 over ``kind`` and ``evidence``. Make one with
    `verified`, so that the fingerprint is of this evidence.
    """

    kind: str
    name: str
    evidence: tuple[tuple[str, str], ...]
    fingerprint: str

    @property
    def line(self) -> str:
        """It on one line, as entries and questions name it."""
        return f"{self.name} ({self.kind}, {self.fingerprint[:16]})"


def verified(kind: str, name: str, evidence: dict[str, str]) -> VerifiedIdentity:
    """The identity of kind ``kind`` that ``evidence`` proves, called ``name`` by the operator."""
    pairs = tuple(sorted(evidence.items()))
    # A JSON array of strings: no two different pieces of evidence are written alike.
    encoded = msgspec.json.encode((kind, pairs))
    return VerifiedIdentity(kind, name, pairs, hashlib.sha256(_DOMAIN + encoded).hexdigest())


def name_problem(name: str) -> str:
    """Why ``name`` cannot be the operator's name for a server; empty if it can.

    A name stands on consent screens, in files that people review, on command lines and in the names of folders, so it
    is plain: up to 64 of letters, digits, ``.``, ``_`` and ``-``, beginning with a letter or a digit.
    """
    if _NAME.fullmatch(name):
        return ""
    return f"{name!r} cannot be the name of a server: letters, digits and . _ - only, at most 64, no sign first"


def variable_problem(name: str) -> str:
    """Why ``name`` cannot be that of a variable of the environment; empty if it can.

    What stands behind a ``=`` is a value, often of a credential, and is not repeated.
    """
    if _VARIABLE.fullmatch(name):
        return ""
    before, has_value, _ = name.partition("=")
    return f"{(f'{before}=…' if has_value else before)!r} is not the name of a variable"
