"""A credential that is an argument: does it come back in ``notifications/message``?

Places are the string arguments whose name is that of a credential, as Doorward's own masking judges names. That none
came back proves something only where the target sends log messages at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.content.credentials import sensitive_kind
from doorward.lab.attack import slots
from doorward.lab.attack.probes import Honest, Plan, Probe, Unplayed
from doorward.lab.attack.scene import served

if TYPE_CHECKING:
    from doorward.lab.attack.scene import Scene
    from doorward.lab.attack.slots import Slot
    from doorward.lab.attack.surface import Tool

ID = "log-leakage"
_DRESSES = (("plain", "{}"), ("escaped", 'secret/"{}"+&'))
"""A value, and one that JSON, URLs and shells write in another way."""


async def scout(scene: Scene) -> list[Plan | Unplayed]:
    """A plan for each argument that is named like a credential."""
    found: list[Plan | Unplayed] = []
    barred: list[str] = []
    places = 0
    for tool in scene.surface.tools:
        for slot in slots.slots(tool.schema):
            if sensitive_kind(slot.name) is None:
                continue
            if not scene.may_call(tool):
                barred.append(tool.name)
            else:
                found.append(await _plan(scene, tool, slot, places))
                places += 1
    if barred:
        why = "not marked read-only, so not called without --allow-side-effects: "
        found.append(Unplayed(ID, why + ", ".join(sorted(set(barred))), excluded=True))
    if found:
        return found
    if scene.surface.unanswered:
        return [Unplayed(ID, f"no answer to {', '.join(scene.surface.unanswered)}", unreached=True)]
    return [Unplayed(ID, "no argument of it is named like a credential")]


async def _plan(scene: Scene, tool: Tool, slot: Slot, number: int) -> Plan:
    place = f"tool {tool.name} {slot.title}"
    around = scene.around(tool)
    honest = Honest("tools/call", {"name": tool.name, "arguments": slots.placed(around, slot, slots.WORD)}, "", True)
    logs = await served(scene.session, honest)
    probes = []
    for index, (name, dress) in enumerate(_DRESSES):
        secret = f"{scene.values.credential}{number:04}{index}"  # its own, so that a late log message tells its probe
        arguments = slots.placed(around, slot, dress.format(secret))
        probes.append(Probe(f"{place} {name}", name, "tools/call", {"name": tool.name, "arguments": arguments}, secret))
    doubt = "" if logs else "no log message came with an honest call"
    return Plan(ID, place, tuple(probes), (honest,) if logs else (), doubt)
