"""What `make test` plays of the lab: a sample, drawn by ``DOORWARD_SAMPLE``, since all of it takes half an hour.

With ``DOORWARD_WHOLE=1``, as in `make soak`, all is played, by the same code.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Literal

from doorward.lab.runner import Cell
from doorward.lab.scenario import Protection

WHOLE = bool(os.environ.get("DOORWARD_WHOLE"))
DRAW = int(os.environ.get("DOORWARD_SAMPLE", "20261126"))


class Silence:
    """A listener of the runner that wants to know nothing."""

    def started(self, cell: Cell, protection: Protection) -> None: ...

    def finished(self, cell: Cell, run: object) -> None: ...


def name(cell: Cell) -> str:
    return f"{cell.topology.name.lower()}-{cell.scenario.id}-{cell.example.id}-{cell.era.name.lower()}"


def sample(cells: Sequence[Cell], *, each: Literal["example", "scenario"] = "example") -> Sequence[Cell]:
    """Every example, or every scenario, once: behind ``wrap`` or behind ``serve``, in one era."""
    if WHOLE:
        return cells
    draw = random.Random(DRAW)  # noqa: S311 - a choice, not a secret
    drawn = dict[tuple[str, str], Cell]()
    for cell in draw.sample(cells, len(cells)):
        drawn.setdefault((cell.scenario.id, cell.example.id if each == "example" else ""), cell)
    return [cell for cell in cells if cell in drawn.values()]
