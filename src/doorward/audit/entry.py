"""What one record of the archive says, and its bytes.

The bytes of an entry are a leaf of the log's tree. They are made once, here, and never again: readers and verifiers
take the stored bytes. Pure: the clock, the salt and the index belong to the caller. ``docs/audit-format.md`` describes
the same for readers who do not trust this code.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal, get_args

import msgspec

from doorward.errors import StorageError

Kind = Literal["opened", "intent", "outcome", "refusal", "ask", "answer", "notice", "run", "interrupted", "closed"]
"""``opened`` and ``closed`` with an empty ``link`` are about the log itself: its first and its last entry."""

KINDS: frozenset[str] = frozenset(get_args(Kind))

INLINE_BODY_BYTES = 64 * 1024
"""Above this a body stands once in the store's ``bodies``, and the entry names its digest (architecture §4)."""

SALT_BYTES = 16
"""The least a salt may have: 128 bits keep a short secret behind a commitment from being guessed."""

_LONGEST_SALT_BYTES = 255  # its length is hashed as one byte

_COMMITMENT_DOMAIN = b"doorward audit commitment v2\x00"
_DIGEST_BYTES = 32


class FindingRecord(msgspec.Struct, frozen=True, gc=False):
    """A finding as it is archived: which control, what it asked for, why, and on what evidence (already masked)."""

    control: str
    effect: str
    reason: str
    evidence: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One record. Fields at their default are not written.

    ``index`` is set by the store, whatever the caller gives. An outcome names the same ``link`` and ``request`` as the
    intent it ends, and the answering side as ``sender``: that is how an interrupted log's open requests are found.
    """

    index: int = 0
    kind: Kind
    at: int
    """Microseconds since the epoch, UTC."""
    link: str
    exchange: int = 0
    principal: str = ""
    """The authenticated principal; how it was authenticated stands in ``detail``."""
    server: str = ""
    """The verified identity on one line: name (kind, fingerprint). Never what the server says of itself."""
    sender: str = ""
    """``client``, ``server`` or ``doorward``."""
    method: str = ""
    subject: str = ""
    """The tool, the prompt or the URI."""
    request: str = ""
    """The JSON-RPC id as JSON text, so that ``1`` and ``"1"`` stay apart."""
    trace: str = ""
    """W3C ``traceparent``."""
    decision: str = ""
    findings: tuple[FindingRecord, ...] = ()
    reference: str = ""
    """What the refused peer was told; ``doorward audit show REFERENCE`` explains it."""
    ticket: str = ""
    """The ticket this entry is about."""
    spends: str = ""
    """The ticket this entry releases. A store accepts each value once."""
    policy: str = ""
    """Digest of the policy in force."""
    body: str = ""
    """Masked JSON."""
    body_digest: str = ""
    """SHA-256 of the masked body, hexadecimal."""
    body_size: int = 0
    body_stored: bool = False
    """The body stands in the store's ``bodies`` under ``body_digest``. Set by the store."""
    commitment: str = ""
    """See ``commit``. The salt lies beside the leaf and not in it, so a leaf can be shown without it."""
    outcome: str = ""
    duration_us: int = 0
    count: int = 0
    running: str = ""
    """Runs: how many messages, and the running hash over them."""
    detail: dict[str, str] = {}
    """Few and flat."""


class AlreadySpent(StorageError):  # noqa: N818 (it says what happened to the ticket)
    """A ticket that an earlier entry of this log released was to be released again. Nothing was appended.

    ``position`` is the place of the offending item in what was given to ``append``, so the others can be tried anew.
    """

    code: ClassVar[str] = "audit-already-spent"

    def __init__(self, ticket: str, position: int) -> None:
        super().__init__(f"ticket {ticket!r} was already spent")
        self.ticket = ticket
        self.position = position


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Entry)


def encode(entry: Entry, index: int | None = None) -> bytes:
    """The bytes of an entry: compact JSON, fields in the order of ``Entry``, defaults left out, ``detail`` sorted.
    ``index``, if given, takes the place of the entry's own.

    ``ValueError``: the kind is none of ``KINDS``, or a text is not Unicode (a lone surrogate). ``TypeError``: a value
    that JSON cannot hold.
    """
    if entry.kind not in KINDS:
        raise ValueError(f"no such kind of entry: {entry.kind!r}")
    if index is None:
        return _ENCODER.encode(entry)
    if entry.index:
        return _ENCODER.encode(msgspec.structs.replace(entry, index=index))
    leaf = _ENCODER.encode(entry)
    return b'{"index":%d,%b' % (index, leaf[1:]) if index else leaf  # the first field, and it cannot be the only one


def decode(leaf: bytes) -> Entry:
    """The entry a leaf holds. ``msgspec.ValidationError`` if it holds anything else, unknown fields included.

    A field we do not know is refused because a reader that dropped it would show less than was recorded.
    """
    return _DECODER.decode(leaf)


def commit(salt: bytes, digest: bytes) -> str:
    """A commitment to the unmasked original, of which ``digest`` is the SHA-256: SHA-256(domain, length of the salt,
    salt, digest), hexadecimal.

    It lets whoever still has the original prove later that it is what was recorded, while the log keeps only the masked
    text. It does not hide an original that can be guessed from somebody who has the salt. ``ValueError``: the salt is
    shorter than ``SALT_BYTES`` or longer than 255 bytes, or the digest has not 32.
    """
    if not SALT_BYTES <= len(salt) <= _LONGEST_SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} to 255 bytes, not {len(salt)}")
    if len(digest) != _DIGEST_BYTES:
        raise ValueError(f"a digest has {_DIGEST_BYTES} bytes, not {len(digest)}")
    return hashlib.sha256(b"%b%c%b%b" % (_COMMITMENT_DOMAIN, len(salt), salt, digest)).hexdigest()


def open_commitment(commitment: str, salt: bytes, original: bytes) -> bool:
    """Whether ``original`` is what was committed to with this salt. A salt of a wrong length opens nothing."""
    if not SALT_BYTES <= len(salt) <= _LONGEST_SALT_BYTES:
        return False
    return commit(salt, hashlib.sha256(original).digest()) == commitment
