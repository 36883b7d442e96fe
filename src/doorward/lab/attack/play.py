"""Plays one plan in one session: honest calls, the probes, what each brought, honest calls again.

An oracle looks for what was planted, in what arrived and on the disk, and has no opinion on the words of an answer.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from doorward.lab import oracles
from doorward.lab.attack.families import argument_injection, log_leakage, oversized_payload, path_traversal
from doorward.lab.attack.probes import BULK, Bulk, Probe
from doorward.lab.attack.scene import served
from doorward.lab.attack.session import LOG
from doorward.lab.peer import Flood, Pipe
from doorward.lab.transcript import Told, told

if TYPE_CHECKING:
    from doorward.lab.attack.probes import Plan
    from doorward.lab.attack.scene import Scene
    from doorward.lab.attack.session import Answer, Session

PLAN_LIMIT_SECONDS = 60.0
"""For the probes of one place; what was not sent by then is counted and said."""

LATE_SECONDS = 0.3
"""After the last probe of a family: a command may run in the background, a log message may be late."""

_PIECE = 64 * 1024
_NOTHING = "nothing"


class Saw(msgspec.Struct, frozen=True):
    """What one probe brought: ``harm`` in words or empty, and what was answered (result, error, nothing).

    Times are microseconds since the epoch, UTC, to find what the gateway's log says about it. ``asked`` is the id of
    its request; ``changed`` says that it changed what lies outside; ``exchange`` is for reports.
    """

    probe: Probe
    harm: str
    answer: str
    started: int
    ended: int
    exchange: tuple[Told, ...] = ()
    asked: str = ""
    changed: bool = False


class Played(msgspec.Struct, frozen=True):
    """One plan, played. ``before`` and ``after`` say whether each honest call was served; ``unsent`` how many probes
    were not sent; ``unreached`` why the session was not there at all.
    """

    plan: Plan
    saw: tuple[Saw, ...] = ()
    before: tuple[bool, ...] = ()
    after: tuple[bool, ...] = ()
    unsent: int = 0
    ended: bool = False
    unreached: str = ""


async def play(session: Session, plan: Plan, scene: Scene, *, window_seconds: float = 0) -> Played:
    """Play ``plan``. What it changed of what is planted is put back before honest calls.

    A gateway may record like refusals of one window as one, at its end: each probe then lasts ``window_seconds``.
    """
    before = await _honest(session, plan, scene)
    saw: list[Saw] = []
    begun = time.monotonic()
    for probe in plan.probes:
        if session.ended or time.monotonic() - begun > PLAN_LIMIT_SECONDS:
            break
        seen = await _probe(session, plan, probe, scene)
        await anyio.sleep(window_seconds)
        saw.append(msgspec.structs.replace(seen, ended=_now()))
        if saw[-1].harm and plan.family == oversized_payload.ID:
            break
    after = await _honest(session, plan, scene)
    return Played(plan, tuple(saw), before, after, len(plan.probes) - len(saw), session.ended)


async def settled(session: Session, all_played: list[Played], scene: Scene) -> list[Played]:
    """The same, with what came late: a command that runs in the background, a log message after its answer, an answer
    that nobody waited for any more.
    """
    late = (argument_injection.ID, log_leakage.ID)
    if not any(
        played.plan.family in late or any(saw.answer == _NOTHING for saw in played.saw) for played in all_played
    ):
        return all_played
    await anyio.sleep(LATE_SECONDS)
    return [
        msgspec.structs.replace(played, saw=tuple(_late(saw, played.plan, session.lines, scene) for saw in played.saw))
        for played in all_played
    ]


async def _honest(session: Session, plan: Plan, scene: Scene) -> tuple[bool, ...]:
    found = []
    for one in plan.honest:
        scene.restore()
        found.append(await served(session, one))
    return tuple(found)


async def _probe(session: Session, plan: Plan, probe: Probe, scene: Scene) -> Saw:
    mark, noted, started = len(session.lines), len(session.wire.transcript.messages), _now()
    _clear(probe)
    if probe.bulk is Bulk.NESTED and isinstance(session.wire, Pipe):
        await session.wire.pour(nested(probe), lambda: False)
        answer = "poured"
    else:
        answer = _kind(await session.ask(probe.method, filled(probe)))
    asked = session.wire.asked
    # What answers an earlier request of ours is not this probe's doing.
    lines = [line for line in session.lines[mark:] if _answered(line) in ("", asked)]
    harm = changed = ""
    if plan.family == path_traversal.ID:
        changed = _disturbed(scene)
        harm = changed or _escaped(lines, scene)
    elif plan.family == oversized_payload.ID:
        harm = await _broken(session)
    else:
        harm = _late(Saw(probe, "", answer, started, started), plan, lines, scene).harm
    exchange = told(session.wire.transcript.messages[noted:], scene.masker)
    return Saw(probe, harm, answer, started, _now(), exchange, asked, bool(changed))


def _clear(probe: Probe) -> None:
    """The same probe may have been played on the bare target before."""
    if probe.marker:
        Path(probe.marker).unlink(missing_ok=True)


def _escaped(lines: list[bytes], scene: Scene) -> str:
    """The escape: which planted secret arrived."""
    plant = scene.plant
    if plant is None:
        return ""
    places = [f"the {what} of {place}/" for place in (plant.outside, plant.sibling) for what in ("content", "listing")]
    for secret, place in zip(plant.values.secrets, places, strict=True):
        if how := oracles.arrived(lines, secret):
            return f"{place} arrived: {how}"
    return ""


def _disturbed(scene: Scene) -> str:
    """What was changed where the server has no business; put back, so that the next probe is not credited with it."""
    if scene.plant is None or not scene.side_effects:
        return ""
    if changed := scene.plant.disturbed():
        scene.plant.restore()
    return changed


async def _broken(session: Session) -> str:
    """Whether the server still lists its tools; asked twice, since it may be busy with what it was sent."""
    for _ in range(2):
        if (await session.ask("tools/list", {})).result is not None:
            return ""
        if session.ended:
            return "the server ended"
    return "the server answers nobody any more"


def _late(saw: Saw, plan: Plan, lines: list[bytes], scene: Scene) -> Saw:
    """What can be seen now of a probe with a marker or a secret of its own, or with an answer that came too late."""
    if saw.harm:
        return saw
    harm = ""
    if plan.family == argument_injection.ID and Path(saw.probe.marker).exists():
        harm = f"the injected command ran and made {saw.probe.marker}"
    if plan.family == path_traversal.ID and saw.answer == _NOTHING:
        harm = _escaped([line for line in lines if _answered(line) == saw.asked], scene)
    if plan.family == log_leakage.ID:
        how = oracles.arrived(lines, saw.probe.secret, method=LOG)
        harm = f"the credential came back in a log: {how}" if how else ""
    return msgspec.structs.replace(saw, harm=harm)


def filled(probe: Probe) -> dict[str, Any]:
    """The parameters with the bulk in its place. Lists in each other are 500 deep here: more is poured, not encoded."""
    if probe.bulk is Bulk.NONE:
        return probe.params
    made: Any = "x" * probe.amount
    if probe.bulk is Bulk.KEYS:
        made = {f"k{number}": 0 for number in range(probe.amount)}
    if probe.bulk is Bulk.NESTED:
        made = []
        for _ in range(500):
            made = [made]
    return dict(_replaced(probe.params, made))


def nested(probe: Probe) -> Flood:
    """The same as a line that is made while it is sent."""
    message = {"jsonrpc": "2.0", "id": "lab-bulk", "method": probe.method, "params": probe.params}
    head, tail = (part.encode() for part in json.dumps(message).split(json.dumps(BULK)))
    pieces, rest = divmod(probe.amount, _PIECE)
    return Flood(head + b"[" * rest, b"[" * _PIECE, pieces, b"]" * probe.amount + tail)


def _replaced(value: Any, made: Any) -> Any:
    if value == BULK:
        return made
    if isinstance(value, dict):
        return {key: _replaced(item, made) for key, item in value.items()}
    return [_replaced(item, made) for item in value] if isinstance(value, list) else value


def _answered(line: bytes) -> str:
    """The id of the request of ours that ``line`` answers; empty where it answers none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    key = message.get("id") if isinstance(message, dict) and "method" not in message else None
    return key if isinstance(key, str) else ""


def _kind(answer: Answer) -> str:
    if answer.error is not None:
        return "error"
    if answer.result is None:
        return _NOTHING
    return "result" if answer.served else "result with isError"


def _now() -> int:
    return time.time_ns() // 1000
