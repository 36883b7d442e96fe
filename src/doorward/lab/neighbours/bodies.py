"""Bodies that two programs read in two ways, and calls that come where nobody looks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from doorward.lab import another
from doorward.lab.endpoint import Endpoint
from doorward.lab.neighbours.ledger import PIPE, READ, WIPE, OnLedger, on_ledger
from doorward.lab.peer import RAW, modern_meta
from doorward.lab.scenario import Era, Topology, Variant

if TYPE_CHECKING:
    from doorward.lab.stage import Stage

LEGACY = (Era.LEGACY,)
BOTH = (Topology.WRAP, Topology.SERVE_URL)


class OtherBody(OnLedger):
    """A body that is no honest JSON, in the honest client's pipe or in a session of the attacker's own."""

    stride = "tampering, elevation of privilege"
    cwe = ("CWE-436",)
    owasp = "MCP07:2025"
    controls: ClassVar[tuple[str, ...]] = ("strict-decode",)
    key = f"{RAW}body"
    version = ""

    def body(self, variant: Variant, asked: dict[str, Any], /) -> bytes:
        """What is sent in the place of ``asked``, a call of the forbidden tool."""
        raise NotImplementedError

    async def attack(self, stage: Stage, variant: Variant) -> None:
        if isinstance(stage.pipe, Endpoint):
            wire = await self.wire(stage, self.version)
            asked = wire.message("tools/call", self.calling(WIPE, variant))
            harmless = wire.message("tools/call", {"name": READ})
            await wire.say(wire.post(harmless, body=self.body(variant, asked)))
            return
        meta = {"_meta": modern_meta()} if stage.staging.era is Era.MODERN else {}
        asked = {"jsonrpc": "2.0", "id": self.key, "method": "tools/call", "params": self.calling(WIPE, variant) | meta}
        await stage.pipe.say(self.body(variant, asked), self.key)


class DuplicateKeys(OtherBody):
    """One member of an object twice.

    Goal:
        Have a call executed that the guard forbids.
    Attacker:
        A client that writes its own JSON.
    Steps:
        1. A member stands twice: ``name`` with a harmless tool and with the forbidden one, or ``method``.
        2. The guard's parser keeps the first, the server's the last; the standard allows both.
    Impact:
        Whatever was judged, something else is executed.
    Remedy:
        Refuse a body that can be read in two ways, and send on an encoding of one's own.
    """

    id = "duplicate-keys"
    title = "one member of an object twice"
    examples = on_ledger(
        "a guard that reads the first of two members",
        Variant("tool", "the name of a tool", ('"name": ', f'"name": "{READ}", "name": '), topologies=BOTH),
        Variant("method", "the method", ('"method": ', '"method": "tools/list", "method": '), topologies=BOTH),
        Variant(
            "escaped", "the second one escaped", ('"name": ', f'"name": "{READ}", "\\u006eame": '), topologies=BOTH
        ),
    )

    def body(self, variant: Variant, asked: dict[str, Any], /) -> bytes:
        here, twice = variant.payload
        return json.dumps(asked).replace(here, twice, 1).encode()


class ByteOrderMark(OtherBody):
    """A mark before the first brace.

    Goal:
        Have a call executed that the guard forbids.
    Attacker:
        A client that writes its own bytes.
    Steps:
        1. The body begins with a byte order mark, which JSON does not allow.
        2. The guard cannot read it, and leaves it to the server to complain; the server skips the mark.
    Impact:
        Three bytes, and nothing of the guard is left.
    Remedy:
        What cannot be read does not pass.
    """

    id = "bom"
    title = "a byte order mark before a message"
    examples = on_ledger(
        "a guard that passes on what it cannot read",
        Variant("utf-8", "that of UTF-8", b"\xef\xbb\xbf", topologies=BOTH),
    )

    def body(self, variant: Variant, asked: dict[str, Any], /) -> bytes:
        return bytes(variant.payload) + json.dumps(asked).encode()


class BatchHidesACall(OtherBody):
    """A forbidden call behind an allowed one, in one batch.

    Goal:
        Have a call executed that the guard forbids.
    Attacker:
        A client that sends several messages at once, as only the revision 2025-03-26 allows.
    Steps:
        1. The first message of the batch is harmless; the second is the forbidden call.
        2. The guard judges the first, and passes on the batch.
    Impact:
        One allowed call is a way in for any other.
    Remedy:
        A revision without batches has none; where there are batches, each message is judged as if it came alone.
    """

    id = "batch-hides-a-call"
    title = "a batch that hides a call"
    controls = ("strict-decode",)
    examples = on_ledger(
        "a guard that reads the first message of a batch",
        Variant("second", "the second of two", None, topologies=BOTH),
        eras=LEGACY,
    )

    def body(self, _variant: Variant, asked: dict[str, Any], /) -> bytes:
        harmless = {"jsonrpc": "2.0", "id": f"{RAW}harmless", "method": "tools/list", "params": {}}
        return json.dumps([harmless, asked]).encode()


class JudgedOneByOne(BatchHidesACall):
    """A forbidden call behind an allowed one, where batches are allowed.

    Goal:
        Have a tool executed without the question that it needs.
    Attacker:
        A client that has agreed on 2025-03-26, the only revision with batches.
    Steps:
        1. The first message of the batch is harmless; the second calls a tool that destroys.
        2. The guard judges the first, and passes on the batch.
    Impact:
        One allowed call is a way in for any other.
    Remedy:
        Each message of a batch is judged, asked about and recorded as if it came alone.
    """

    id = "batch-in-its-revision"
    title = "a batch that hides a call, in the revision that has batches"
    controls = ("destructive-consent",)
    version = "2025-03-26"
    examples = on_ledger(
        "a guard that reads the first message of a batch",
        Variant("second", "the second of two", None, topologies=(Topology.SERVE_URL,)),
        eras=LEGACY,
    )


class PreInitialize(OnLedger):
    """A call before the session begins.

    Goal:
        Reach a server before anybody guards it.
    Attacker:
        A client that does not say hello.
    Steps:
        1. The guard begins with the session, which begins with ``initialize``.
        2. The first line is a call of the forbidden tool.
    Impact:
        There is no agreed revision, no capability and no guard, and the tool runs.
    Remedy:
        Nothing but the beginning passes before the beginning.
    """

    id = "pre-initialize"
    title = "a call before the session begins"
    stride = "elevation of privilege"
    cwe = ("CWE-696", "CWE-841")
    owasp = "MCP07:2025"
    controls = ("lifecycle",)
    examples = on_ledger(
        "a guard that begins with the session", Variant("call", "a call", WIPE, topologies=PIPE), eras=LEGACY
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        async with another.beside(stage, Era.LEGACY) as wire:
            await wire.ask("tools/call", self.calling(variant.payload, variant))


LINES = (DuplicateKeys(), ByteOrderMark(), BatchHidesACall(), JudgedOneByOne(), PreInitialize())
