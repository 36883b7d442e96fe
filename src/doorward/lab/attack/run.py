"""One attack from the first word to the last row: plant, reach, look, play, and the same again behind Doorward.

One session serves all families until a probe ends it; then there is a new one. Behind Doorward each family has its own,
since the log of a gateway is whole only once that has ended.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from doorward.lab import trail
from doorward.lab.ablated import candidates
from doorward.lab.attack import verdicts
from doorward.lab.attack.aim import Gateway, environment
from doorward.lab.attack.families import oversized_payload
from doorward.lab.attack.plant import Values, marks, planted
from doorward.lab.attack.play import Played, play, settled
from doorward.lab.attack.probes import Plan, Unplayed
from doorward.lab.attack.scene import Scene
from doorward.lab.attack.session import UnreachedError, connected
from doorward.lab.attack.surface import Surface, survey
from doorward.lab.attack.verdicts import Outcome, Verdict
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.report.model import Run

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from doorward.lab.attack.aim import Aim
    from doorward.lab.attack.families import Family
    from doorward.lab.attack.session import Session
    from doorward.lab.trail import Fired

STDERR = "stderr"
WINDOW_SECONDS = 1.2
"""Doorward counts what its limits refuse within a second, and records the count then."""

EVERYTHING = "everything"
"""The place of a row about a whole family."""


class Orders(msgspec.Struct, frozen=True):
    """What the owner wants. ``plant`` is the folder to plant beside; ``policy`` the policy of the gateway, if any."""

    aim: Aim
    families: tuple[Family, ...]
    seed: int
    plant: Path | None = None
    side_effects: bool = False
    through: bool = False
    policy: Path | None = None


class Listener(Protocol):
    """Whoever wants to know how far the attack is."""

    def says(self, words: str) -> None: ...


class _Attack:
    """One attack. ``root`` is a temporary folder for what processes say and for the gateway's state."""

    scene: Scene

    def __init__(self, orders: Orders, root: Path, listener: Listener) -> None:
        self.orders, self.root, self.listener = orders, root, listener
        self.rows: list[Run] = []
        self.era = ""
        self._life = AsyncExitStack()
        self._session: Session | None = None
        self.topology = "url" if orders.aim.url else "stdio"
        # What a call makes under a relative path is made there, and never where the user stands.
        self._cwd = orders.plant.absolute() if orders.plant is not None else root / "work"
        self._cwd.mkdir(mode=0o700, exist_ok=True)

    async def look(self) -> Surface | None:
        """Ask what the target offers; None, and rows that say so, if it is not reached."""
        try:
            session = await self._bare()
        except UnreachedError as problem:
            for family in self.orders.families:
                self.rows.append(self._unplayed(Unplayed(family.id, f"not reached: {problem}", unreached=True)))
            return None
        self.era = session.era.value
        surface = await survey(session)
        self.listener.says(_summary(surface, self.era))
        return surface

    async def family(self, family: Family) -> None:
        """Play one family bare, and what it planned behind Doorward."""
        if family.side_effects and not self.orders.side_effects:
            why = "it may change what it touches: --allow-side-effects plays it"
            self.rows.append(self._unplayed(Unplayed(family.id, why, excluded=True)))
            return
        self.listener.says(f"{family.id}: looking for places")
        try:
            session = await self._bare()
        except UnreachedError as problem:
            self.rows.append(self._unplayed(Unplayed(family.id, f"not reached: {problem}", unreached=True)))
            return
        self.scene.begin(session, self._revived)
        alone: list[Played] = []
        for found in await family.scout(self.scene):
            if isinstance(found, Unplayed):
                self.rows.append(self._unplayed(found))
                continue
            self.listener.says(f"{family.id}: {len(found.probes)} probes at {found.place}")
            if session.ended:  # what one plan broke is not held against the next
                session = await self._revived(session)
            alone.append(await play(session, found, self.scene))
        alone = await settled(session, alone, self.scene)
        self.rows += [self._row(played.plan, verdicts.bare(played), relayed=False) for played in alone]
        if self.orders.through and alone:
            await self._again(family, alone)

    async def close(self) -> None:
        await self._life.aclose()

    async def _bare(self) -> Session:
        """The session with the bare target: the one that there is, or a new one if that has ended."""
        if self._session is None or self._session.ended:
            await self._life.aclose()
            self._session = await self._life.enter_async_context(self._connected(self.orders.aim.command))
        return self._session

    async def _revived(self, ended: Session) -> Session:
        """A new session, or the ended one where the target does not come back: nothing is sent there any more."""
        try:
            return await self._bare()
        except UnreachedError:
            return ended

    async def _again(self, family: Family, alone: list[Played]) -> None:
        self.listener.says(f"{family.id}: the same probes behind Doorward")
        plans = [played.plan for played in alone]
        relayed, fired = await self._behind(plans, family.id)
        pairs = list(zip(alone, relayed, strict=True))
        ablated: dict[int, dict[str, Played]] = {}
        controls = next((scenario.controls for scenario in CATALOGUE if scenario.id == family.id), ())
        doubtful = [
            index
            for index, (bare, there) in enumerate(pairs)
            if verdicts.harmless_without_a_name(bare, there, fired, controls)
        ]
        for wall in candidates(family.id) if doubtful else ():
            self.listener.says(f"{family.id}: behind Doorward without {wall}, to see whether that is what held")
            without, _ = await self._behind([plans[index] for index in doubtful], family.id, wall)
            for index, played in zip(doubtful, without, strict=True):
                ablated.setdefault(index, {})[wall] = played
        for index, (bare, there) in enumerate(pairs):
            verdict = verdicts.behind(bare, there, fired, controls, ablated.get(index, {}))
            self.rows.append(self._row(there.plan, verdict, relayed=True))

    async def _behind(self, plans: list[Plan], name: str, without: str = "") -> tuple[list[Played], tuple[Fired, ...]]:
        orders = self.orders
        gateway = Gateway(self.root / f"{name}{'-ablated' if without else ''}", orders.policy, without=without)
        argv = gateway.before(orders.aim)
        found: list[Played] = []
        try:
            async with self._connected(argv) as session:
                for plan in plans:
                    window = WINDOW_SECONDS if plan.family == oversized_payload.ID else 0
                    found.append(await play(session, plan, self.scene, window_seconds=window))
                found = await settled(session, found, self.scene)
            return found, trail.read(gateway.state)
        except (UnreachedError, trail.TrailUnreadableError) as problem:
            return [Played(plan, unreached=str(problem)) for plan in plans], ()

    def _connected(self, argv: tuple[str, ...]) -> AbstractAsyncContextManager[Session]:
        words = self.root / STDERR
        return connected(self.orders.aim, argv=argv, env=environment(), cwd=self._cwd, words=words)

    def _unplayed(self, one: Unplayed) -> Run:
        outcome = Outcome.NOT_APPLICABLE
        if one.excluded or one.unreached:
            outcome = Outcome.EXCLUDED if one.excluded else Outcome.INCONCLUSIVE
        return self._made(one.family, EVERYTHING, Verdict(outcome, one.why), relayed=False)

    def _row(self, plan: Plan, verdict: Verdict, *, relayed: bool) -> Run:
        return self._made(plan.family, plan.place, verdict, relayed=relayed)

    def _made(self, family: str, place: str, verdict: Verdict, *, relayed: bool) -> Run:
        return Run(
            id=family,
            example=place,
            era=self.era,
            topology="wrap" if relayed else self.topology,
            target="relayed" if relayed else "naive",
            configured=self.orders.policy is not None if relayed else None,
            outcome=verdict.outcome,
            reason=verdict.note or None,
            control=", ".join(verdict.controls) or None,
            evidence={"variants": msgspec.to_builtins(verdict.probes)},
        )


async def attack(orders: Orders, listener: Listener) -> list[Run]:
    """Play ``orders``. Whatever was planted or started is gone when this returns or is cancelled.

    Raises:
        UsageError: nothing can be planted where the owner says.
    """
    values = Values.drawn(orders.seed)
    with ExitStack() as things:
        root = Path(tempfile.mkdtemp(prefix="dw-"))
        things.callback(shutil.rmtree, root, ignore_errors=True)
        plant = things.enter_context(planted(orders.plant, values)) if orders.plant is not None else None
        place = things.enter_context(marks(values, plant))
        played = _Attack(orders, root, listener)
        try:
            if surface := await played.look():
                played.scene = Scene(surface, values, plant=plant, marks=place, side_effects=orders.side_effects)
                for family in orders.families:
                    await played.family(family)
        finally:
            await played.close()
        if plant is not None and (left := plant.made()):
            listener.says(f"calls made {len(left)} things in {plant.folder}, which stay: {', '.join(left[:3])} …")
        return played.rows


def _summary(surface: Surface, era: str) -> str:
    counts = (
        (len(surface.tools), "tools"),
        (len(surface.resources), "resources"),
        (len(surface.templates), "templates"),
        (len(surface.prompts), "prompts"),
    )
    listed = ", ".join(f"{count} {what}" for count, what in counts)
    return f"the target speaks {era} and lists {listed}"
