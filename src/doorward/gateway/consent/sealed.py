"""A stream between two processes that can both read ``consent.key``, and in which nobody else can say a word.

Each end sends a greeting with a fresh nonce of 32 bytes. From the key and both nonces each direction gets a key of its
own, and every frame carries an HMAC-SHA256 over its number, its length and its bytes. That one mechanism is the whole
challenge:

- the first good frame proves the key, in both directions, and the person's program proves first, so that a stranger
  learns nothing, not even the name of the server;
- a replayed transcript fails, because the nonce of the other end is new;
- a reflected frame fails, because the directions have different keys;
- somebody in the middle who passes the greetings along can drop frames but cannot write, change, reorder or repeat one
  (a plain challenge followed by plain frames would let it answer in the person's place).

Nothing is encrypted: the socket is mode 0600, and whoever can read the memory of these processes needs no socket.
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import TYPE_CHECKING, Literal

from doorward.errors import ConsentError

if TYPE_CHECKING:
    import asyncio

GREETING = b"doorward consent 1\n"
NONCE_BYTES = 32
MAC_BYTES = 32
PROOF_DEADLINE_S = 2.0

_LENGTH = struct.Struct(">I")
_NUMBERED = struct.Struct(">QI")

Role = Literal["gateway", "person"]


def direction_key(key: bytes, role: Role, gateway_nonce: bytes, person_nonce: bytes) -> bytes:
    """The key with which `role` seals what it says on this one connection."""
    return hmac.digest(key, GREETING + role.encode() + b" says\0" + gateway_nonce + person_nonce, "sha256")


class SealedStream:
    """Frames of bytes, sealed in both directions. Made by :func:`greet`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, say_key: bytes, hear_key: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._say_key = say_key
        self._hear_key = hear_key
        self._said = 0
        self._heard = 0

    async def say(self, frame: bytes) -> None:
        """Send one frame and wait until the kernel has room again: at most one frame is in our memory."""
        self._writer.writelines((_LENGTH.pack(len(frame)), frame, _seal(self._say_key, self._said, frame)))
        self._said += 1
        await self._writer.drain()

    async def hear(self, *, max_bytes: int) -> bytes:
        """The next frame.

        Raises EOFError (asyncio.IncompleteReadError) when the other end went away, and ConsentError when the frame is
        longer than `max_bytes`, which is checked before any of it is read, or when its seal does not fit.
        """
        (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
        if length > max_bytes:
            raise ConsentError(f"a frame of {length:,} bytes where {max_bytes:,} are allowed")
        frame = await self._reader.readexactly(length)
        mac = await self._reader.readexactly(MAC_BYTES)
        if not hmac.compare_digest(mac, _seal(self._hear_key, self._heard, frame)):
            raise ConsentError("the other end could not prove that it can read consent.key")
        self._heard += 1
        return frame


def _seal(key: bytes, number: int, frame: bytes) -> bytes:
    mac = hmac.new(key, _NUMBERED.pack(number, len(frame)), "sha256")
    mac.update(frame)
    return mac.digest()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, role: Role, key: bytes) -> SealedStream:
    """Exchange nonces and derive the keys. Nothing is proven yet: the first frame heard proves the other end.

    Raises ConsentError when the other end speaks something else, EOFError when it leaves.
    """
    ours = os.urandom(NONCE_BYTES)
    writer.write(GREETING + ours)
    await writer.drain()
    heard = await reader.readexactly(len(GREETING) + NONCE_BYTES)
    if not heard.startswith(GREETING):
        raise ConsentError("the other end does not speak this version of the consent protocol")
    theirs = heard[len(GREETING) :]
    nonces = (ours, theirs) if role == "gateway" else (theirs, ours)
    other: Role = "person" if role == "gateway" else "gateway"
    return SealedStream(
        reader, writer, say_key=direction_key(key, role, *nonces), hear_key=direction_key(key, other, *nonces)
    )
