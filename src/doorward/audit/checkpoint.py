"""Signed statements of how far a log has come: C2SP ``tlog-checkpoint`` in a C2SP ``signed-note``, with Ed25519.

    doorward/4f0c…/20261122T091000Z-5b1c…      origin: the name of the key, then the id of the log
    57                                         number of entries
    qINS1Gkx…                                  root of their tree, RFC 6962
    doorward-time-us 1795338600123456          extension line: when, so that nothing can be dated back behind it

    — doorward/4f0c… x08go/ZJkuBS…

One key signs all logs of a state directory, so its name is the origin's first part and not all of it (the specification
says SHOULD). ``cryptography`` is imported where it is used: it takes 16 ms, and the start of ``wrap`` need not wait.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from typing import Final

import msgspec

from doorward.errors import AuditError

TIME_LINE: Final = "doorward-time-us "
SEED_BYTES: Final = 32
_KEY_ID_BYTES: Final = 4
_ED25519: Final = b"\x01"
_PRIVATE: Final = "PRIVATE+KEY"


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """The tree of the log ``origin`` had ``size`` entries and this ``root`` at ``at`` (microseconds, UTC)."""

    origin: str
    size: int
    root: bytes
    at: int


class SigningKey(msgspec.Struct, frozen=True, gc=False):
    """An Ed25519 key under its note name. ``repr`` does not show the seed."""

    name: str
    key_id: bytes
    seed: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.name}+{self.key_id.hex()})"


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_KEY_ID_BYTES]


def _public(seed: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def generate(seed: bytes) -> SigningKey:
    """The key that 32 fresh random bytes make, named ``doorward/`` and sixteen digits of its own fingerprint."""
    public = _public(seed)
    name = f"doorward/{hashlib.sha256(public).hexdigest()[:16]}"
    return SigningKey(name, _key_id(name, public), seed)


def private_text(key: SigningKey) -> str:
    """The line that ``STATE/audit.key`` holds: the encoding that Go's note tools use."""
    return f"{_PRIVATE}+{key.name}+{key.key_id.hex()}+{b64encode(_ED25519 + key.seed).decode()}\n"


def public_text(key: SigningKey) -> str:
    """The line that ``STATE/audit.pub`` holds: the vkey that verifiers and witnesses are configured with."""
    return f"{key.name}+{key.key_id.hex()}+{b64encode(_ED25519 + _public(key.seed)).decode()}\n"


def read_private(text: str) -> SigningKey:
    """The key in a line of ``private_text``, read without ``cryptography``. ``AuditError``: it is none."""
    try:
        # The last field is Base64 and may hold a plus itself.
        private, of_key, name, key_id, encoded = text.rstrip("\n").split("+", 4)
        identity, kind_and_seed = bytes.fromhex(key_id), b64decode(encoded, validate=True)
        sizes = (len(identity), len(kind_and_seed))
        if f"{private}+{of_key}" != _PRIVATE or not name or sizes != (_KEY_ID_BYTES, 1 + SEED_BYTES):
            raise ValueError(name)
        if kind_and_seed[:1] != _ED25519:
            raise ValueError(name)
    except ValueError:
        raise AuditError("it is not an Ed25519 note key") from None
    return SigningKey(name, identity, kind_and_seed[1:])


def note_text(checkpoint: Checkpoint) -> str:
    """The text that is signed. ``AuditError``: the origin could not stand on one line of a note."""
    if not checkpoint.origin or not checkpoint.origin.isprintable():
        raise AuditError("the origin of a checkpoint is one printable line")
    root = b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n{TIME_LINE}{checkpoint.at}\n"


def sign(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The signed note. About 35 µs once ``cryptography`` is loaded."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = note_text(checkpoint)
    signature = Ed25519PrivateKey.from_private_bytes(key.seed).sign(text.encode())
    return f"{text}\n— {key.name} {b64encode(key.key_id + signature).decode()}\n"


def parse(note: str) -> Checkpoint:
    """What a note of ours says, *without* checking who signed it: for a writer that reads its own log back.

    Whoever has to be convinced uses ``doorward.audit.verify``. ``AuditError``: not a checkpoint of ours.
    """
    text, blank, _ = note.rpartition("\n\n")
    try:
        origin, size, root, time = text.split("\n")
        if not blank or not time.startswith(TIME_LINE) or not (size.isascii() and size.isdecimal()):
            raise ValueError(note)
        parsed = Checkpoint(origin, int(size), b64decode(root, validate=True), int(time.removeprefix(TIME_LINE)))
    except ValueError:
        raise AuditError("not a checkpoint of this program") from None
    if note_text(parsed) != text + "\n":
        raise AuditError("not a checkpoint of this program")
    return parsed
