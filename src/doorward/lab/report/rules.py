"""What each scenario of the catalogue says of itself, for formats that explain a finding: the story and its remedy."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import msgspec

from doorward.lab.scenario import HEADINGS

if TYPE_CHECKING:
    from doorward.lab.scenario import Scenario

_LIST_ITEM = re.compile(r"\d+\. ")


class Rule(msgspec.Struct, frozen=True):
    """One scenario. ``story`` has the headings of every scenario, each with its paragraphs."""

    id: str
    title: str
    attacker: str
    stride: str
    cwe: tuple[str, ...]
    owasp: str
    controls: tuple[str, ...]
    story: dict[str, tuple[str, ...]]


def rules() -> tuple[Rule, ...]:
    """All of the catalogue and its neighbours, and what is played on clients only, whatever was played."""
    from doorward.lab.attack.clients.lures import FAMILIES
    from doorward.lab.catalogue import CATALOGUE
    from doorward.lab.neighbours.catalogue import NEIGHBOURS

    scenarios = tuple(
        Rule(one.id, one.title, one.attacker, one.stride, one.cwe, one.owasp, one.controls, _story(type(one)))
        for one in (*CATALOGUE, *NEIGHBOURS)
    )
    none: dict[str, tuple[str, ...]] = dict.fromkeys(HEADINGS, ())
    return scenarios + tuple(
        Rule(one.id, one.title, "server", "spoofing", one.cwe, "MCP07:2025", (), {**none, "Remedy": (one.remedy,)})
        for one in FAMILIES
        if one.remedy
    )


def _story(scenario: type[Scenario]) -> dict[str, tuple[str, ...]]:
    """The docstring's headings; each has no paragraph where the interpreter was told to drop docstrings."""
    parts: dict[str, list[str]] = {heading: [] for heading in HEADINGS}
    heading, fresh = "", True
    for line in inspect.cleandoc(scenario.__doc__ or "").splitlines():
        said = line.strip()
        if line.endswith(":") and line[:-1] in parts:
            heading, fresh = line[:-1], True
        elif not said:
            fresh = True
        elif heading and (fresh or _LIST_ITEM.match(said)):
            parts[heading].append(said)
            fresh = False
        elif heading:
            parts[heading][-1] += f" {said}"
    return {name: tuple(paragraphs) for name, paragraphs in parts.items()}
