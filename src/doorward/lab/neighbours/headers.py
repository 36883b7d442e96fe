"""Headers that say something else than the body: the newest revision repeats part of a body for whoever only routes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, ClassVar

from doorward.lab.neighbours.ledger import HTTP, PAY, READ, WIPE, OnLedger, on_ledger
from doorward.lab.scenario import Era, Variant

if TYPE_CHECKING:
    from doorward.lab.neighbours.wire import Changes
    from doorward.lab.stage import Stage

MODERN = (Era.MODERN,)
_BASE64 = base64.b64encode(READ.encode()).decode()
_PADDED = base64.b64encode(f"{READ}s".encode()).decode()
_TWICE = base64.b64encode(f"=?base64?{_BASE64}?=".encode()).decode()
_REVISION = ("mcp-protocol-version", "mcp-method", "mcp-name")
_OLD = ("2025-11-25", "2025-03-26")


class OtherHeaders(OnLedger):
    """A call of a forbidden tool, with the headers that a variant puts in the place of the right ones."""

    stride = "tampering, elevation of privilege"
    cwe = ("CWE-436", "CWE-807")
    owasp = "MCP07:2025"
    controls: ClassVar[tuple[str, ...]] = ("header-agreement",)

    async def attack(self, stage: Stage, variant: Variant) -> None:
        wire = await self.wire(stage)
        changes: Changes = variant.payload
        await wire.say(wire.post(wire.message("tools/call", self.calling(WIPE, variant)), changes=changes))


class HeaderBodySplit(OtherHeaders):
    """Headers that name another call than the body.

    Goal:
        Have a call executed that whoever judges by headers would refuse.
    Attacker:
        A client that writes its own headers.
    Steps:
        1. A guard in front of the server allows or refuses by ``Mcp-Method`` and ``Mcp-Name``, as they invite to.
        2. The headers name a list, or a harmless tool; the body names the forbidden one.
        3. The server executes the body.
    Impact:
        Every limit, route, quota and log entry that was made by headers is about a call that never happened.
    Remedy:
        Who reads the body compares the headers with it, refuses where they differ, and sends on headers of its own.
    """

    id = "header-body-split"
    title = "headers that name another call than the body"
    examples = on_ledger(
        "a guard that believes headers",
        Variant("method", "the header names a list", {"mcp-method": "tools/list", "mcp-name": None}, topologies=HTTP),
        Variant("name", "the header names a harmless tool", {"mcp-name": READ}, topologies=HTTP),
        eras=MODERN,
    )


class DuplicateHeader(OtherHeaders):
    """One header twice, with two values.

    Goal:
        Have a call executed that the guard forbids.
    Attacker:
        A client that writes its own headers.
    Steps:
        1. ``Mcp-Name`` stands twice: first a harmless tool, then the forbidden one, which is that of the body.
        2. The guard reads the first, whoever compares with the body reads the last.
    Impact:
        Both believe that they have compared, and the forbidden tool runs.
    Remedy:
        A header of which there may be one is refused where there are two.
    """

    id = "duplicate-header"
    title = "one header twice"
    examples = on_ledger(
        "a guard that reads the first header of a name",
        Variant("name", "Mcp-Name twice", {"mcp-name": (READ, WIPE)}, topologies=HTTP),
        Variant("method", "Mcp-Method twice", {"mcp-method": ("tools/list", "tools/call")}, topologies=HTTP),
        eras=MODERN,
    )


class EncodedHeader(OtherHeaders):
    """A header in an encoding that is not the one form there is.

    Goal:
        Have a call executed that the guard forbids.
    Attacker:
        A client that writes its own headers.
    Steps:
        1. A value may stand in base64, marked by ``=?base64?`` and ``?=``, and by nothing else.
        2. The attacker writes the mark in capitals, or base64 that does not end as it should, or encodes twice.
        3. The guard compares letters, finds no forbidden name, and lets it pass; a tolerant server decodes it.
    Impact:
        A list of forbidden names is as long as there are ways to write one.
    Remedy:
        Decode the one form there is before anything is compared; any other is only a name that differs from the body.
    """

    id = "encoded-header"
    title = "a header in another encoding"
    examples = on_ledger(
        "a guard that compares letters",
        Variant("capitals", "the mark in capitals", {"mcp-name": f"=?BASE64?{_BASE64}?="}, topologies=HTTP),
        Variant(
            "padding", "base64 without its end", {"mcp-name": f"=?base64?{_PADDED.rstrip('=')}?="}, topologies=HTTP
        ),
        Variant("twice", "encoded twice", {"mcp-name": f"=?base64?{_TWICE}?="}, topologies=HTTP),
        eras=MODERN,
    )


class ParameterHeader(OnLedger):
    """A header that repeats an argument, and does not.

    Goal:
        An argument that a guard would refuse.
    Attacker:
        A client that writes its own headers.
    Steps:
        1. The tool's schema repeats the argument ``amount`` in ``Mcp-Param-Amount``, and a guard bounds it there.
        2. The header says a small amount, or there is none; the body says a large one.
    Impact:
        What was bounded is not what is executed.
    Remedy:
        Compare each such header with the argument that the schema names, and refuse one that is missing.
    """

    id = "parameter-header"
    title = "a header that repeats another argument"
    stride = "tampering"
    cwe = ("CWE-436", "CWE-807")
    owasp = "MCP07:2025"
    controls = ("header-agreement",)
    examples = on_ledger(
        "a guard that bounds an argument by its header",
        Variant("other-value", "the header says less", {"mcp-param-amount": "5"}, topologies=HTTP),
        Variant("missing", "there is no header", {"mcp-param-amount": None}, topologies=HTTP),
        eras=MODERN,
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        wire = await self.wire(stage)
        asked = wire.message("tools/call", self.calling(PAY, variant, amount="100000"))
        await wire.say(wire.post(asked, changes=variant.payload))


class VersionDowngrade(OtherHeaders):
    """A request without the header that says which revision it speaks.

    Goal:
        Reach a server by a way that nobody guards.
    Attacker:
        A client that writes its own headers.
    Steps:
        1. The guard judges requests that say they are of the newest revision, and sessions of older ones.
        2. A request of the newest revision leaves its headers out, so that it belongs to neither.
        3. The server looks into the body, and executes it.
    Impact:
        Every rule for the newest revision is skipped by leaving a line out.
    Remedy:
        A request belongs to the revision that its body says, and is refused where its header does not say the same.
    """

    id = "version-downgrade"
    title = "a request that does not say its revision"
    examples = on_ledger(
        "a guard that judges by the revision that is named",
        Variant("no-version", "no version", {"mcp-protocol-version": None}, topologies=HTTP),
        Variant("no-headers", "none of its headers", dict.fromkeys(_REVISION), topologies=HTTP),
        eras=MODERN,
    )


class ModernBodyOldHeader(OtherHeaders):
    """The body of the newest revision under the header of an older one.

    Goal:
        Be judged by the rules of one revision and executed by those of another.
    Attacker:
        A client that writes its own headers.
    Steps:
        1. The header names an old revision, in which there is nothing to compare with the body.
        2. The body carries the envelope of the newest one.
        3. The guard takes it for an old client's, the server executes it as a new one's.
    Impact:
        As if there were no guard for either.
    Remedy:
        One era for each link, and the whole envelope of it on each request.
    """

    id = "modern-meta-legacy-header"
    title = "a new body under an old header"
    controls = ("header-agreement", "envelope")
    examples = on_ledger(
        "a guard that judges by the revision that is named",
        *(Variant(version, version, {"mcp-protocol-version": version}, topologies=HTTP) for version in _OLD),
        eras=MODERN,
    )


LINES = (
    HeaderBodySplit(),
    DuplicateHeader(),
    EncodedHeader(),
    ParameterHeader(),
    VersionDowngrade(),
    ModernBodyOldHeader(),
)
