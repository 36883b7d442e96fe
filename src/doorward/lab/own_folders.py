"""Whether what a server was entrusted with lies in the folders that are its own, as shipped, behind a command.

Damage there is not prevented as shipped (docs/threats.md, "How a scenario is judged"). Nobody is believed who says that
some harm is of that kind: the secret lies in certain files, and the profile that the product would enforce says which
folders it gives the server.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.lab.oracles import carries
from doorward.lab.scenario import Protection, Topology

if TYPE_CHECKING:
    from doorward.lab.stage import Stage


def holding(root: Path, secret: str) -> tuple[Path, ...]:
    """The files below ``root`` that hold ``secret``, in whatever dress an oracle knows, links resolved."""
    files = (place for place in root.rglob("*") if place.is_file())
    found = (file for file in files if carries(file.read_text("utf-8", "replace"), secret))
    return tuple(dict.fromkeys(file.resolve() for file in found))


async def hold_it(stage: Stage) -> bool:
    """Whether all that holds the stage's entrusted secret lies in folders that the server's profile gives it."""
    if stage.staging.protection is not Protection.SHIPPED or stage.staging.topology is Topology.SERVE_URL:
        return False
    own = await folders(stage)
    places = stage.entrusted_to
    return bool(places) and all(any(place.is_relative_to(folder) for folder in own) for place in places)


async def folders(stage: Stage) -> tuple[Path, ...]:
    """What ``doorward sandbox show`` says that the target's command gives the server, asked as it is wrapped."""
    import anyio

    from doorward.lab.stage import doorward, environment, target_command

    argv = (*doorward("sandbox", stage, "show"), "--name", stage.example.target.id, "--json")
    said = await anyio.run_process(
        (*argv, "--", *target_command(stage)), env=environment(stage), cwd=stage.layout.work, check=False
    )
    if said.returncode:
        return ()
    return tuple(Path(folder["path"]) for folder in json.loads(said.stdout)["folders"])
