"""One big request: does the server end, or stop answering honest users, afterwards?

Bounded, so that it is no attack on the machine: 4 MiB of text, 50,000 lists in each other, 200,000 keys. Whether the
server answers the big request itself does not matter. It lives if it lists its tools within ten seconds, and it is
known to serve honest users if a call that it served before is served after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.lab.attack import slots, words
from doorward.lab.attack.families import argument_injection, path_traversal
from doorward.lab.attack.probes import BULK, Bulk, Plan, Probe, Unplayed

if TYPE_CHECKING:
    from doorward.lab.attack.scene import Scene

ID = "oversized-payload"
MOST_PLACES = 3
AMOUNTS = ((Bulk.TEXT, 4 * 1024 * 1024), (Bulk.NESTED, 50_000), (Bulk.KEYS, 200_000))


async def scout(scene: Scene) -> list[Plan | Unplayed]:
    """Plans for up to three string arguments, those of tools that only read first."""
    if scene.surface.unanswered:
        return [Unplayed(ID, f"no answer to {', '.join(scene.surface.unanswered)}", unreached=True)]
    places = [(tool, slot) for tool in scene.surface.tools for slot in slots.slots(tool.schema)]
    places.sort(key=lambda place: (not words.only_reads(place[0]), "maxLength" in place[1].schema))
    if not places:
        return [Unplayed(ID, "no tool of it takes a string")]
    for other in (path_traversal, argument_injection):
        if not scene.proven:  # whoever plays this family alone
            await other.scout(scene)
    doubt = "" if scene.proven else "no honest call is known that it serves"
    found: list[Plan | Unplayed] = []
    for tool, slot in places[:MOST_PLACES]:
        arguments = slots.placed(scene.around(tool), slot, BULK)
        params = {"name": tool.name, "arguments": arguments}
        place = f"tool {tool.name} {slot.title}"
        probes = tuple(
            Probe(f"{place} {bulk}", f"{amount:,} {bulk}", "tools/call", params, bulk=bulk, amount=amount)
            for bulk, amount in AMOUNTS
        )
        found.append(Plan(ID, place, probes, tuple(scene.proven[:1]), doubt))
    return found
