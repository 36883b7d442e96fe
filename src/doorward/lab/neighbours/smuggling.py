"""Requests of HTTP that two programs cut in two ways, so that one sees a request where the other sees a body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from doorward.lab.neighbours.ledger import CLOSE, HTTP, WIPE, OnLedger, on_ledger
from doorward.lab.scenario import Variant

if TYPE_CHECKING:
    from doorward.lab.neighbours.wire import Changes
    from doorward.lab.stage import Stage

NOTHING = b"0\r\n\r\n"
"""A chunked body of no bytes."""

TWO = "two"


class Smuggled(OnLedger):
    """A forbidden call in what the guard takes for the body of another request."""

    stride = "tampering, elevation of privilege"
    cwe = ("CWE-444",)
    owasp = "MCP07:2025"
    controls = ("http-syntax",)

    async def attack(self, stage: Stage, variant: Variant) -> None:
        wire = await self.wire(stage)
        inner = wire.post(wire.message("tools/call", self.calling(WIPE, variant)))
        outer = wire.message("tools/list")
        changes: Changes = {"connection": None}
        if variant.payload == TWO:
            seen = json.dumps(outer).encode()
            changes["content-length"] = (str(len(seen + inner)), str(len(seen)))
        else:
            seen = NOTHING
            changes |= variant.payload
        await wire.say(wire.post(outer, body=seen + inner, changes=changes))


class LengthAndChunks(Smuggled):
    """Two lengths of one body.

    Goal:
        A request that the guard never sees.
    Attacker:
        Whoever can open a connection to the guard.
    Steps:
        1. A request says both ``Content-Length`` and ``Transfer-Encoding: chunked``, or two lengths.
        2. The guard believes the one, and takes all that follows for the body.
        3. The server believes the other; what is left over is the next request, which nobody judged.
    Impact:
        Any request at all, on a connection that others share, with the guard's own rights.
    Remedy:
        Refuse a request whose end is not said exactly once, and never send on what was received.
    """

    id = "smuggling-cl-te"
    title = "a request with two lengths"
    examples = on_ledger(
        "a guard and a server that cut requests in two ways",
        Variant("cl-te", "a length and chunks", {"transfer-encoding": "chunked"}, topologies=HTTP),
        Variant("te-list", "a length and a list of codings", {"transfer-encoding": "x, chunked"}, topologies=HTTP),
        Variant("two-lengths", "two lengths", TWO, topologies=HTTP),
    )


class BareLineFeed(Smuggled):
    """A line that ends where only one of two readers sees its end.

    Goal:
        A header that the guard never sees.
    Attacker:
        Whoever can open a connection to the guard.
    Steps:
        1. In the value of a header stands a line feed without a carriage return, and after it another header.
        2. The guard sees one header, the server two: ``Transfer-Encoding: chunked`` is the second.
        3. What the guard takes for the body is the next request.
    Impact:
        As with two lengths: a request that nobody judged.
    Remedy:
        A line ends with both, or the request is refused.
    """

    id = "bare-lf"
    title = "a line feed that only the server takes for the end of a line"
    examples = on_ledger(
        "a guard and a server that cut lines in two ways",
        Variant("header", "another header behind it", {"x-note": "a\ntransfer-encoding: chunked"}, topologies=HTTP),
    )


class TwoHosts(OnLedger):
    """Two hosts in one request.

    Goal:
        Reach a host that is not for outsiders.
    Attacker:
        Whoever can open a connection to the guard.
    Steps:
        1. ``Host`` stands twice: first the public name, then that of the accountants.
        2. The guard reads the first and lets it pass, the server reads the last and takes it for an accountant's.
    Impact:
        What a name protects, everybody reaches.
    Remedy:
        Exactly one ``Host``, and one that the gateway is really called by.
    """

    id = "two-hosts"
    title = "two hosts in one request"
    stride = "spoofing, elevation of privilege"
    cwe = ("CWE-444", "CWE-290")
    owasp = "MCP07:2025"
    controls = ("http-syntax", "http-host")
    examples = on_ledger(
        "a guard that reads the first Host",
        Variant("second", "the second is that of the accountants", "accountants.internal", topologies=HTTP),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        wire = await self.wire(stage)
        asked = wire.message("tools/call", self.calling(CLOSE, variant))
        await wire.say(wire.post(asked, changes={"host": (wire.host, variant.payload)}))


LINES = (LengthAndChunks(), BareLineFeed(), TwoHosts())
