"""Strings that a shell, an interpreter or another program's command line would take for more than data.

Harm is a marker: an empty file with a name of its own for each probe, in a folder of ours, made by nobody but an
injected command. Places are all string arguments, except those whose purpose it is to be run. A place counts as reached
once an honest value came back in an answer: then the value got somewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.lab.attack import slots, words
from doorward.lab.attack.probes import Honest, Plan, Probe, Unplayed
from doorward.lab.attack.scene import carries

if TYPE_CHECKING:
    from doorward.lab.attack.scene import Scene
    from doorward.lab.attack.slots import Slot
    from doorward.lab.attack.surface import Tool

ID = "argument-injection"

FORMS: tuple[tuple[str, str], ...] = (
    ("semicolon", "{honest};touch {mark}"),
    ("and", "{honest} && touch {mark}"),
    ("or", "{honest} || touch {mark}"),
    ("pipe", "{honest} | touch {mark}"),
    ("background", "{honest} & touch {mark}"),
    ("newline", "{honest}\ntouch {mark}\n"),
    ("substitution", "$(touch {mark})"),
    ("substitution-after", "{honest}$(touch {mark})"),
    ("backticks", "{honest}`touch {mark}`"),
    ("out-of-quotes", "{honest}'; touch {mark}; '"),
    ("out-of-double-quotes", '{honest}"; touch {mark}; "'),
    ("without-spaces", "{honest};touch${{IFS}}{mark}"),
    ("leading-pipe", "|touch {mark}"),
    ("option-output", "--output={mark}"),
    ("option-o", "-o{mark}"),
    ("option-upload-pack", "--upload-pack=touch {mark};"),
    ("option-pager", "--open-files-in-pager=touch {mark};"),
    ("option-checkpoint", "--checkpoint-action=exec=touch {mark}"),
    ("option-proxy", "-oProxyCommand=touch {mark}"),
    ("transport-ext", "ext::sh -c touch% {mark}"),
    ("python", "__import__('os').system('touch {mark}')"),
    ("python-out-of-quotes", "{honest}' + str(__import__('os').system('touch {mark}')) + '"),
    ("node", "require('child_process').execSync('touch {mark}')"),
    ("node-out-of-quotes", "{honest}'; require('child_process').execSync('touch {mark}'); //"),
    ("template", "{{{{ cycler.__init__.__globals__.os.popen('touch {mark}').read() }}}}"),
)
"""Name and form; ``honest`` is what an honest user would write there, ``mark`` the file that must not be made."""


async def scout(scene: Scene) -> list[Plan | Unplayed]:
    """A plan for each string argument that is data."""
    found: list[Plan | Unplayed] = []
    meant: list[str] = []
    for tool in scene.surface.tools:
        for slot in slots.slots(tool.schema):
            if words.carries_code(slot.name) and not words.names_a_path(slot.name, slot.schema):
                meant.append(f"{tool.name} {slot.title}")
            elif scene.late:
                found.append(Unplayed(ID, f"no time was left to look at {tool.name} {slot.title}", unreached=True))
            else:
                found.append(await _plan(scene, tool, slot, len(found)))
    if meant:
        found.append(Unplayed(ID, f"what these say is there to be run: {', '.join(meant)}"))
    if found:
        return found
    if scene.surface.unanswered:
        return [Unplayed(ID, f"no answer to {', '.join(scene.surface.unanswered)}", unreached=True)]
    return [Unplayed(ID, "no tool of it takes a string")]


async def _plan(scene: Scene, tool: Tool, slot: Slot, number: int) -> Plan:
    place = f"tool {tool.name} {slot.title}"
    around = scene.around(tool)

    def params(text: str) -> dict[str, Any]:
        return {"name": tool.name, "arguments": slots.placed(around, slot, text)}

    word, proven = scene.filler(slot), tuple[Honest, ...]()
    for text, proof in _candidates(scene, slot):
        known = Honest("tools/call", params(text), proof)
        if not await scene.proves(known):
            continue
        without = await scene.session.ask("tools/call", params("x"))
        if not carries(without, proof) and await scene.proves(known):
            word, proven = text, (known,)
            scene.proven += proven
            break
    probes = []
    for index, (name, form) in enumerate(FORMS):
        mark = str(scene.marks / f"m{number}-{index}")
        text = form.format(honest=word, mark=mark)
        probes.append(Probe(f"{place} {name}", name, "tools/call", params(text), marker=mark))
    doubt = "" if proven else "no honest value came back in an answer"
    return Plan(ID, place, tuple(probes), proven, doubt)


def _candidates(scene: Scene, slot: Slot) -> list[tuple[str, str]]:
    """Honest values, each with what an answer to it carries if it got somewhere."""
    echo = f"{scene.values.word}-echo"
    found = [(echo, echo)]
    if sample := slots.sample(slot):
        found.append((sample, sample))
    if scene.plant is not None and words.names_a_path(slot.name, slot.schema):
        values = scene.values
        found += [
            (str(scene.plant.note), values.greeting),
            (scene.plant.note.name, values.greeting),
            (str(scene.plant.folder), values.listed_greeting),
        ]
    return found
