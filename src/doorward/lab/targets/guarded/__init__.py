"""Twins of our own targets, as they look when their authors write them with ``doorward.guard``.

A twin has the tools, the resources and the honest use of the server whose name it bears, and not its mistake. It is
played bare, with nothing in front: what is not Doorward's to prevent behind a URL is the author's, and here is shown
that an author can. Every script of this folder is such a twin.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from doorward.lab.scenario import Target
from doorward.lab.targets import python

FOLDER = Path(__file__).parent


def twin(target: Target) -> Target | None:
    """The twin of ``target``, to be played in its place; None where nobody has written one."""
    script = FOLDER / f"{target.id.replace('-', '_')}.py"
    if not script.exists():
        return None
    return msgspec.structs.replace(
        target,
        title=f"{target.title}, written with doorward.guard",
        command=lambda stage: (*python(), str(script), str(stage.layout.work)),
    )
