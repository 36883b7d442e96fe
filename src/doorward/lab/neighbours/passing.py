"""What a client says to a gateway and to nobody else: bare, a gateway that passes it on; then Doorward in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from doorward.lab.neighbours.guest import ALONE, GUEST, HTTP, MODERN, PLAN, WithGuest, write
from doorward.lab.neighbours.wire import Wire
from doorward.lab.scenario import Example, Harm, Trace, Variant
from doorward.lab.targets import python, script
from doorward.protocol.headers import encode_value

if TYPE_CHECKING:
    from doorward.lab.stage import Stage


def _command(stage: Stage) -> tuple[str, ...]:
    server = (script("scripted_guest"), str(stage.layout.work))
    return (*python(), *server) if stage.relayed else (*python(), script("open_proxy"), *server)


BEHIND_PROXY = msgspec.structs.replace(
    GUEST,
    id="open-proxy",
    title="a naive gateway of ours that passes on all that it gets",
    command=_command,
    configuration=ALONE,
)


class PassThrough(WithGuest):
    """Credentials for a gateway, passed on to a server.

    Goal:
        Get a token that was meant for somebody else, and use it there.
    Attacker:
        The author, or the operator, of a server behind a gateway.
    Steps:
        1. The client shows the gateway a token, or a cookie, that is meant for the gateway.
        2. The gateway sends the client's headers on with each request.
        3. The server keeps them.
    Impact:
        The server can do at the gateway, and at all that is behind it, what the user can.
    Remedy:
        What goes on to a server is a request of the gateway's own; it carries the server's credentials, or none.
    """

    id = "token-pass-through"
    title = "credentials for a gateway, passed on to a server"
    stride = "information disclosure, spoofing"
    cwe = ("CWE-522", "CWE-441", "CWE-200")
    owasp = "MCP01:2025"
    controls = ("own-requests",)
    examples = (
        Example(
            id="open-proxy",
            title="a gateway that passes on the headers of its clients",
            target=BEHIND_PROXY,
            variants=(
                Variant("bearer", "a token", ("authorization", "Bearer "), topologies=HTTP),
                Variant("cookie", "a cookie", ("cookie", "session="), topologies=HTTP),
            ),
        ),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        header, before = variant.payload
        wire = Wire(stage, stage.staging.era, {header: before + self.secret(stage, variant)})
        await wire.begin()
        await wire.say(wire.post(wire.message("tools/call", {"name": PLAN, "arguments": {}})))

    def secret(self, stage: Stage, variant: Variant) -> str:
        """What must not be passed on in ``variant``."""
        return f"{stage.canary}-{variant.id}"

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        log = stage.layout.work / "headers.log"
        kept = log.exists() and self.secret(stage, variant) in log.read_text(encoding="utf-8")
        return Harm(f"the server keeps the {variant.id} that was for the gateway") if kept else None


class HeaderInjection(WithGuest):
    """An argument that ends its header.

    Goal:
        Write headers in the gateway's name.
    Attacker:
        Whoever chooses an argument.
    Steps:
        1. The tool's schema repeats the argument ``note`` in a header, for whoever routes by it.
        2. In the argument stand the end of a line, and another header.
        3. The gateway repeats the argument in the header as it is.
    Impact:
        The server is told who asks, or who may, by the attacker.
    Remedy:
        What a header cannot carry as it is goes encoded, in the one form that the revision has for it.
    """

    id = "header-injection"
    title = "an argument that ends its header"
    attacker = "client"
    stride = "spoofing, elevation of privilege"
    cwe = ("CWE-113", "CWE-93")
    owasp = "MCP07:2025"
    controls = ("header-agreement",)
    examples = (
        Example(
            id="open-proxy",
            title="a gateway that repeats an argument in a header",
            target=BEHIND_PROXY,
            variants=(Variant("new-line", "the end of a line, and another header", "X-Role", topologies=HTTP),),
            eras=MODERN,
        ),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        note = {"type": "string", "x-mcp-header": "Note"}
        write(stage, {"tool": {"inputSchema": {"type": "object", "properties": {"note": note}}}})
        try:
            await stage.client.list_tools()
            text = f"urgent\r\n{variant.payload}: {stage.canary}"
            wire = Wire(stage, stage.staging.era)
            asked = wire.message("tools/call", {"name": PLAN, "arguments": {"note": text}})
            await wire.say(wire.post(asked, changes={"mcp-param-note": encode_value(text)}))
        finally:
            write(stage, {})

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        log = stage.layout.work / "headers.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        written = f"{variant.payload}: {stage.canary}" in lines
        return Harm(f"the server was told {variant.payload} by the attacker") if written else None


LINES = (PassThrough(), HeaderInjection())
