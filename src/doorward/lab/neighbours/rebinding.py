"""Pages in a browser that reach a server on this machine, by a name of their own or from an origin of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.lab.neighbours.ledger import BOOK, HTTP, OnLedger, on_ledger
from doorward.lab.neighbours.wire import Wire
from doorward.lab.scenario import Variant

if TYPE_CHECKING:
    from doorward.lab.stage import Stage


class FromAPage(OnLedger):
    """A call that a page makes, with the headers that a browser puts on it."""

    attacker = "page in a browser"
    stride = "spoofing, elevation of privilege"
    owasp = "MCP07:2025"
    controls = ("http-host",)

    async def attack(self, stage: Stage, variant: Variant) -> None:
        port = Wire(stage, stage.staging.era).host.rpartition(":")[2]
        wire = Wire(stage, stage.staging.era, {name: text.format(port=port) for name, text in variant.payload.items()})
        await wire.begin()
        await wire.say(wire.post(wire.message("tools/call", self.calling(BOOK, variant))))


class Rebinding(FromAPage):
    """A name of the attacker's that leads to this machine (DNS rebinding).

    Goal:
        Use a server that listens on this machine only.
    Attacker:
        A page that the user has open.
    Steps:
        1. The page comes from ``rebound.example``, whose address becomes 127.0.0.1 once the page is there.
        2. To the browser, the local server is now the page's own, so the page may call and read it.
        3. The server does not ask by which name it was called.
    Impact:
        Any page calls any tool of a local server.
    Remedy:
        A request that names another host than those that the gateway is called by is refused.
    """

    id = "dns-rebinding"
    title = "a page whose name leads to this machine"
    cwe = ("CWE-350", "CWE-346")
    examples = on_ledger(
        "a local server that is called by any name",
        Variant(
            "same-origin",
            "as the browser sends it",
            {"host": "rebound.example:{port}", "origin": "http://rebound.example:{port}"},
            topologies=HTTP,
        ),
        Variant("no-origin", "a request without Origin", {"host": "rebound.example:{port}"}, topologies=HTTP),
        Variant("like-ours", "a name that begins like ours", {"host": "127.0.0.1.rebound.example"}, topologies=HTTP),
    )


class ForeignOrigin(FromAPage):
    """A page of another origin that calls this machine.

    Goal:
        Use a server that listens on this machine only, without reading its answers.
    Attacker:
        A page that the user has open.
    Steps:
        1. The page sends a request to ``127.0.0.1``, as any page may.
        2. The browser says which origin it comes from; the server does not look at that.
    Impact:
        The page cannot read the answer, and the tool has run.
    Remedy:
        A request with an origin is refused unless the origin is the gateway's own, or one that the operator wrote.
    """

    id = "foreign-origin"
    title = "a page of another origin"
    cwe = ("CWE-346", "CWE-352")
    examples = on_ledger(
        "a local server that does not look at Origin",
        Variant("other", "another site", {"origin": "https://attacker.example"}, topologies=HTTP),
        Variant("null", "a page without an origin", {"origin": "null"}, topologies=HTTP),
        Variant("other-port", "another port of this machine", {"origin": "http://127.0.0.1:1"}, topologies=HTTP),
    )


LINES = (Rebinding(), ForeignOrigin())
