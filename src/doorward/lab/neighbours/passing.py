"""What a client says to a gateway and to nobody else: bare, a gateway that passes it on; then Doorward in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from doorward.lab.neighbours.guest import GUEST, HTTP, PLAN, WithGuest
from doorward.lab.neighbours.wire import Wire
from doorward.lab.scenario import Example, Harm, Trace, Variant
from doorward.lab.targets import python, script

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


LINES = (PassThrough(),)
