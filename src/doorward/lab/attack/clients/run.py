"""The attack on a client, from the first visit to the last row: each lure, bare and behind, beside an honest server."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from doorward.lab import terminal, trail
from doorward.lab.attack.clients.lures import AUTHORIZING, HONEST, Lure, harm
from doorward.lab.attack.clients.visit import Client, Visit, visit
from doorward.lab.attack.plant import Values
from doorward.lab.attack.verdicts import Outcome, Shown, Verdict, worst
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.lab.report.model import Run
from doorward.lab.trail import TrailUnreadableError
from doorward.lab.transcript import records

if TYPE_CHECKING:
    from doorward.lab.attack.clients.lures import Family
    from doorward.lab.attack.run import Listener

VISIT_SECONDS = 20.0
"""How long a client may take for one visit by default. A command line client needs two or three."""

LAST_WORDS = 200
AT_ONCE = 2
"""Visits at a time: each is two or three processes."""

PLAIN = Lure(HONEST, "an honest server", HONEST, {}, "")
TRUSTED = msgspec.structs.replace(PLAIN, id="trusted", tls="right")
WITH_A_TOKEN = msgspec.structs.replace(PLAIN, id=AUTHORIZING, manner=AUTHORIZING)


class Orders(msgspec.Struct, frozen=True):
    """What the owner of the client wants."""

    client: Client
    families: tuple[Family, ...]
    seed: int
    through: bool = False
    policy: Path | None = None


async def attack(orders: Orders, listener: Listener) -> list[Run]:
    """Play ``orders``; whatever was started or written is gone when this returns or is cancelled."""
    root = Path(tempfile.mkdtemp(prefix="dw-"))
    try:
        return await _Attack(orders, root, listener).play()
    finally:
        shutil.rmtree(root, ignore_errors=True)


class _Attack:
    """One attack: all visits first, ``AT_ONCE`` at a time, then what they say of each family."""

    def __init__(self, orders: Orders, root: Path, listener: Listener) -> None:
        self.orders, self.root, self.listener = orders, root, listener
        self.secret = Values.drawn(orders.seed).secrets[0]
        self.visits: dict[tuple[str, bool], Visit] = {}

    async def play(self) -> list[Run]:
        await self._visit_all()
        rows: list[Run] = []
        for family in self.orders.families:
            lures = self._lures(family)
            if not lures:
                why = "it needs a URL, and this client is given a command"
                rows.append(self._row(family, Verdict(Outcome.NOT_APPLICABLE, why), relayed=False))
                continue
            alone = [_alone(lure, self.visits[lure.id, False], self.visits[_twin(lure).id, False]) for lure in lures]
            rows.append(self._row(family, _verdict(alone), relayed=False))
            if self.orders.through:
                controls = next((one.controls for one in (*CATALOGUE, *NEIGHBOURS) if one.id == family.id), ())
                behind = [
                    _behind(bare, lure, self.visits[lure.id, True], self.visits[_twin(lure).id, True], controls)
                    for bare, lure in zip(alone, lures, strict=True)
                ]
                rows.append(self._row(family, _verdict(behind), relayed=True))
        return rows

    def _lures(self, family: Family) -> tuple[Lure, ...]:
        """Those that this client can be told of."""
        return tuple(one for one in family.lures if self.orders.client.by_url or not one.by_url_only)

    async def _visit_all(self) -> None:
        lures = [lure for family in self.orders.families for lure in self._lures(family)]
        twins = {twin.id: twin for twin in map(_twin, lures)}
        places = anyio.CapacityLimiter(AT_ONCE)

        async def once(lure: Lure, *, relayed: bool, number: int) -> None:
            async with places:
                self.listener.says(f"{lure.id}: {lure.title}{', behind Doorward' if relayed else ''}")
                self.visits[lure.id, relayed] = await self._visit(lure, relayed=relayed, number=number)

        async with anyio.create_task_group() as tasks:
            protections = (False, True) if self.orders.through else (False,)
            for number, (relayed, lure) in enumerate(product(protections, (*twins.values(), *lures))):
                tasks.start_soon(partial(once, lure, relayed=relayed, number=number))

    async def _visit(self, lure: Lure, *, relayed: bool, number: int) -> Visit:
        folder, secret = self.root / str(number), f"{self.secret}{number:03}"
        try:
            return await visit(self.orders.client, lure, folder, secret, gateway=relayed, policy=self.orders.policy)
        except TrailUnreadableError as problem:
            return Visit(unreached=f"the log of the gateway cannot be read: {problem}")

    def _row(self, family: Family, verdict: Verdict, *, relayed: bool) -> Run:
        by_url = self.orders.client.by_url
        seen = next((one for one in self.visits.values() if one.version), Visit())
        return Run(
            id=family.id,
            example="client",
            era=seen.version,
            topology=("serve→URL" if by_url else "wrap") if relayed else ("url" if by_url else "stdio"),
            target="relayed" if relayed else "naive",
            configured=self.orders.policy is not None if relayed else None,
            outcome=verdict.outcome,
            reason=verdict.note or None,
            control=", ".join(verdict.controls) or None,
            evidence={"variants": msgspec.to_builtins(verdict.probes)},
        )


def _twin(lure: Lure) -> Lure:
    """The honest server of the same kind, which shows whether this client comes at all."""
    return WITH_A_TOKEN if lure.authorizes else TRUSTED if lure.tls else PLAIN


def _alone(lure: Lure, seen: Visit, twin: Visit) -> Shown:
    """What one lure did to the client alone."""
    if seen_harm := harm(lure, seen):
        return _shown(lure, Outcome.SUCCEEDED, seen_harm)
    outcome, why = _service(lure, seen, twin)
    return _shown(lure, outcome, why or "no harm")


def _behind(bare: Shown, lure: Lure, seen: Visit, twin: Visit, controls: tuple[str, ...]) -> Shown:
    """What the same lure did behind Doorward, where ``bare`` is what it did without."""
    alone = bare.saw if bare.outcome is Outcome.SUCCEEDED else ""
    noted = records(seen.fired)
    if seen_harm := harm(lure, seen):
        return _shown(lure, Outcome.SUCCEEDED, seen_harm, alone=alone, noted=noted)
    outcome, why = _service(lure, seen, twin, relayed=True)
    named = trail.decisive(seen.fired, controls)
    if not alone or outcome is Outcome.OBSTRUCTED:
        return _shown(lure, outcome, why or "no harm", alone=alone, noted=noted)
    if named is None:
        return _shown(
            lure,
            Outcome.INCONCLUSIVE,
            why or "no harm, but no control that is made for it fired",
            alone=alone,
            noted=noted,
        )
    return _shown(lure, Outcome.PREVENTED, str(named), named.control, alone=alone, noted=noted)


def _service(lure: Lure, seen: Visit, twin: Visit, *, relayed: bool = False) -> tuple[Outcome, str]:
    """What a lure that did no harm may be called, and why where that is not ``RESISTED``."""
    if lure.authorizes and twin.methods and not _authorizes(twin):
        return Outcome.NOT_APPLICABLE, "it does not authorize itself, where all metadata is as it should be"
    for one, who in ((twin, "an honest server"), (seen, "the lab's server")):
        if one.unreached:
            return Outcome.INCONCLUSIVE, f"{who} could not be put there: {one.unreached}"
    if not twin.methods:
        outcome = Outcome.OBSTRUCTED if relayed else Outcome.INCONCLUSIVE
        return outcome, "it did not come to an honest server" + _last_words(twin)
    if not lure.taken(seen):
        return Outcome.INCONCLUSIVE, f"it {lure.needs}"
    return Outcome.RESISTED, ""


def _last_words(visit: Visit) -> str:
    """What stood last on the client's terminal, which says why it did not come."""
    said = terminal.plain(visit.screen.decode("utf-8", "replace")).strip().rpartition("\n")[2]
    return f"; it said: {said[-LAST_WORDS:]}" if said else ""


def _authorizes(twin: Visit) -> bool:
    return bool(twin.opened) or twin.heard("registered") or twin.heard("authorized")


def _verdict(shown: list[Shown]) -> Verdict:
    said = next((one.saw for one in shown if one.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_APPLICABLE)), "")
    found = worst(shown)
    return found if found.outcome is Outcome.SUCCEEDED else msgspec.structs.replace(found, note=said)


def _shown(
    lure: Lure,
    outcome: Outcome,
    saw: str,
    control: str = "",
    *,
    alone: str = "",
    noted: tuple[dict[str, Any], ...] = (),
) -> Shown:
    request = {"method": lure.sent["method"], "params": lure.sent.get("params", {})}
    return Shown(lure.id, lure.title, outcome, saw, control, request, alone=alone, records=noted)
