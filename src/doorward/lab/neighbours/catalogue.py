"""All neighbours, by what they have in common. To add one, write it and name it in the ``LINES`` of its file."""

from __future__ import annotations

from doorward.lab.neighbours import (
    asked,
    bodies,
    definitions,
    elsewhere,
    headers,
    passing,
    rebinding,
    rooms,
    smuggling,
    unasked,
)
from doorward.lab.scenario import Scenario

NEIGHBOURS: tuple[Scenario, ...] = (
    *headers.LINES,
    *bodies.LINES,
    *smuggling.LINES,
    *rebinding.LINES,
    *rooms.LINES,
    *unasked.LINES,
    *definitions.LINES,
    *asked.LINES,
    *elsewhere.LINES,
    *passing.LINES,
)
