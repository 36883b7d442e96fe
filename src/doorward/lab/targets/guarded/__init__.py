"""Twins of our own targets, as they look when their authors write them with ``doorward.guard``.

A twin has the tools, the resources and the honest use of the server whose name it bears, in the same words, and not its
mistake, as far as the guard has a part against it (``lab.guarded`` says where not). It is played bare, with nothing in
front: what is not Doorward's to prevent behind a URL is the author's, and here is shown that an author can. Every
script of this folder is such a twin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from doorward.lab.targets import python

if TYPE_CHECKING:
    from doorward.lab.scenario import Target
    from doorward.lab.stage import Stage

FOLDER = Path(__file__).parent
WITNESS = FOLDER.parent.parent / "witness.py"

PARTS: dict[str, tuple[str, ...]] = {
    "api-caller": ("masker",),
    "bulk-data": ("Root",),
    "document-index": ("Concurrency", "RateLimit"),
    "job-logger": ("masker",),
    "order-book": ("arguments", "parameters of SQL"),
    "price-feed": ("FeatureGate", "open_state"),
    "script-runner": ("check", "Root", "run_async"),
    "service-manager": ("arguments", "run_async"),
    "workspace-notes": ("Root",),
}
"""What of the guard each twin is written with instead of its target's mistake. Parameters of SQL are no part of the
guard: the library of the database has them, and an author needs nothing else."""


def record(stage: Stage) -> Path:
    """Where the witness of a twin writes what its guards refused."""
    return stage.layout.root / "refusals.jsonl"


def twin(target: Target) -> Target | None:
    """The twin of ``target``, to be played in its place; None where nobody has written one."""
    twins = FOLDER / f"{target.id.replace('-', '_')}.py"
    if not twins.exists():
        return None

    def command(stage: Stage) -> tuple[str, ...]:
        _, *arguments = (target.command(stage) or ())[len(python()) :]
        return (*python(), str(WITNESS), str(record(stage)), str(twins), *arguments)

    return msgspec.structs.replace(target, title=f"{target.title}, written with doorward.guard", command=command)
