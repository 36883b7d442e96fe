"""Paths and URIs that lead beside the folder that the server may see.

Places are every string argument of a tool or prompt, every variable of a resource template, and resources themselves.
A place counts as reached in a dialect once the honest planted note came back through it and a name that is not there
brought nothing. Where a name or description says *path* and no note came back, it is attacked all the same, but that
nothing was seen there proves nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from doorward.lab.attack import slots, words
from doorward.lab.attack.probes import Honest, Plan, Probe, Unplayed
from doorward.lab.attack.scene import carries
from doorward.lab.attack.spellings import Dialect, Sort, honest, nothing, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doorward.lab.attack.plant import Plant
    from doorward.lab.attack.scene import Scene
    from doorward.lab.attack.slots import Slot
    from doorward.lab.attack.surface import Surface, Tool

ID = "path-traversal"
MOST_BASES = 10
SILENCES = 2
"""So many calls without any answer, and a place is left."""

_VARIABLE = re.compile(r"\{([+#./;?&]?)([A-Za-z0-9_.,%*:-]+)\}")
_PLAIN = (Dialect.ABSOLUTE, Dialect.RELATIVE, Dialect.FROM_PARENT)
_BOTH = (Sort.FILE, Sort.FOLDER)


class Place(NamedTuple):
    """Where a path may go: ``request`` makes the request for a text. ``named`` says that the target calls it a path."""

    id: str
    named: bool
    dialects: tuple[Dialect, ...]
    sorts: tuple[Sort, ...]
    request: Callable[[str], tuple[str, dict[str, Any]]]


async def scout(scene: Scene) -> list[Plan | Unplayed]:
    """A plan for each place that takes paths, and why there is none where there is none."""
    barred = sorted({tool.name for tool in scene.surface.tools if not scene.may_call(tool) and _slots(tool)})
    found: list[Plan | Unplayed] = []
    if barred:
        why = f"not marked read-only, so not called without --allow-side-effects: {', '.join(barred)}"
        found.append(Unplayed(ID, why, excluded=True))
    places = list(_places(scene))
    named = [place for place in places if place.named]
    if scene.plant is None:
        if named:
            why = f"nothing is planted, so nothing can be seen; {len(named)} places take paths, try --plant DIR"
            return [*found, Unplayed(ID, why, unreached=True)]
        return [
            *found,
            _inapplicable(scene.surface, "says that it takes a path; with --plant DIR every string is tried as a path"),
        ]
    for place in sorted(places, key=lambda place: not place.named):
        if scene.late:
            found.append(Unplayed(ID, f"no time was left to look at {place.id}", unreached=place.named))
            continue
        await scene.awake()
        if one := await _plan(scene, scene.plant, place):
            found.append(one)
    known = any(isinstance(one, Plan) or one.unreached for one in found)
    return found if known else [*found, _inapplicable(scene.surface, "brought what was planted")]


async def _plan(scene: Scene, plant: Plant, place: Place) -> Plan | Unplayed | None:
    reached: list[tuple[Dialect, Sort]] = []
    proven: list[Honest] = []
    silences = 0
    for dialect in place.dialects:
        for sort in place.sorts:
            if silences >= SILENCES:
                break
            scene.restore()
            method, params = place.request(honest(plant, dialect, sort))
            answer = await scene.session.ask(method, params)
            silences += answer.result is None and answer.error is None
            proofs = (plant.values.greeting, plant.values.listed_greeting)
            proof = next((value for value in proofs if carries(answer, value)), "")
            if not proof:
                continue
            elsewhere = await scene.session.ask(*place.request(nothing(plant, dialect)))
            known = Honest(method, params, proof)
            if not carries(elsewhere, proof) and await scene.proves(known):
                reached.append((dialect, sort))
                proven.append(known)
    if not reached and not place.named:
        if silences < SILENCES and not scene.session.ended:
            return None
        why = "the server ended" if scene.session.ended else "no answer came"
        return Unplayed(ID, f"{why}, so it is not known whether {place.id} takes a path", unreached=True)
    scene.proven += proven
    guesses = [(dialect, sort) for dialect in place.dialects[:2] for sort in place.sorts]
    doubt = "" if reached else "the planted note did not come back through it"
    return Plan(ID, place.id, tuple(_probes(plant, place, reached or guesses)), tuple(proven), doubt)


def _probes(plant: Plant, place: Place, reached: list[tuple[Dialect, Sort]]) -> Iterator[Probe]:
    known = set[str]()
    for dialect, sort in reached:
        for name, text in spellings(plant, dialect, sort):
            if text in known:
                continue
            known.add(text)
            yield Probe(f"{place.id} {name} {dialect} {sort}", f"{name}, {dialect} {sort}", *place.request(text))


def _places(scene: Scene) -> Iterator[Place]:
    for tool in scene.surface.tools:
        if scene.may_call(tool):
            yield from (_argument(scene, tool, slot) for slot in _slots(tool))
    yield from _resources(scene.surface)
    for template in scene.surface.templates:
        yield from _variables(template)
    for prompt in scene.surface.prompts:
        for name, description in prompt.arguments:
            others = {other: slots.WORD for other, _ in prompt.arguments if other != name}
            named = words.names_a_path(name, {"description": description})
            yield Place(f"prompt {prompt.name} {name}", named, _PLAIN, _BOTH, _prompt(prompt.name, others, name))


def _argument(scene: Scene, tool: Tool, slot: Slot) -> Place:
    around = scene.around(tool)

    def request(text: str) -> tuple[str, dict[str, Any]]:
        return "tools/call", {"name": tool.name, "arguments": slots.placed(around, slot, text)}

    named = words.names_a_path(slot.name, slot.schema)
    is_uri = bool({"uri", "uris", "url"} & set(words.parts(slot.name))) or slot.schema.get("format") == "uri"
    dialects = (Dialect.FILE_URI, *_PLAIN) if is_uri else _PLAIN
    return Place(f"tool {tool.name} {slot.title}", named, dialects, _BOTH, request)


def _resources(surface: Surface) -> Iterator[Place]:
    """``resources/read``: as ``file:`` URIs where the target has any, and below what it lists otherwise."""
    known = (*surface.resources, *surface.templates)
    if any(uri.startswith("file:") for uri in known):
        yield Place("resources/read file:", True, (Dialect.FILE_URI,), (Sort.FILE,), _uri(""))
    bases = {uri[: uri.rindex("/") + 1] for uri in surface.resources if "/" in uri and not uri.startswith("file:")}
    for base in sorted(bases)[:MOST_BASES]:
        yield Place(f"resources/read {base}", False, _PLAIN, (Sort.FILE,), _uri(base))


def _variables(template: str) -> Iterator[Place]:
    for expression in _VARIABLE.finditer(template):
        for variable in expression[2].split(","):
            name = re.split(r"[*:]", variable)[0]
            named = words.names_a_path(name, {}) or template.startswith("file:")
            yield Place(f"template {template} {name}", named, _PLAIN, (Sort.FILE,), _expanded(template, name))


def _uri(base: str) -> Callable[[str], tuple[str, dict[str, Any]]]:
    return lambda text: ("resources/read", {"uri": base + text})


def _prompt(prompt: str, others: dict[str, str], name: str) -> Callable[[str], tuple[str, dict[str, Any]]]:
    return lambda text: ("prompts/get", {"name": prompt, "arguments": {**others, name: text}})


def _expanded(template: str, name: str) -> Callable[[str], tuple[str, dict[str, Any]]]:
    """RFC 6570, with the text as it is: to encode it is one of the spellings."""

    def expression(match: re.Match[str], text: str) -> str:
        values = {one: text if one == name else slots.WORD for one in re.sub(r"[*]|:\d+", "", match[2]).split(",")}
        operator = match[1]
        if operator in ("?", "&", ";"):
            separator = ";" if operator == ";" else "&"
            return operator + separator.join(f"{one}={value}" for one, value in values.items())
        return operator.replace("+", "") + (operator if operator in ("/", ".") else ",").join(values.values())

    def request(text: str) -> tuple[str, dict[str, Any]]:
        return "resources/read", {"uri": _VARIABLE.sub(lambda match: expression(match, text), template)}

    return request


def _slots(tool: Tool) -> tuple[Slot, ...]:
    return slots.slots(tool.schema)


def _inapplicable(surface: Surface, what: str) -> Unplayed:
    if surface.unanswered:
        return Unplayed(ID, f"no answer to {', '.join(surface.unanswered)}", unreached=True)
    return Unplayed(ID, f"no argument, template or resource of it {what}")
