"""That the likeness of a name is what stops an imitation: under a name that mimics nobody the same one does harm."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from doorward.lab import runner
from doorward.lab.scenario import Era, Protection, Topology
from doorward.lab.scenarios.server_imitation import SCENARIO
from doorward.lab.stage import Staging


@pytest.mark.parametrize("topology", [Topology.WRAP, Topology.SERVE_URL])
def test_under_a_name_that_mimics_nobody_the_same_imitation_does_harm(topology: Topology) -> None:
    example = SCENARIO.examples[0]
    typo = example.variants[0]
    unlike = msgspec.structs.replace(typo, id="unlike", payload="payroll.example")
    both = msgspec.structs.replace(example, variants=(typo, unlike))
    staging = Staging(Era.LEGACY, Protection.SHIPPED, seed=11, topology=topology)
    played = anyio.run(runner.play, SCENARIO, both, staging)
    assert not played.unreached
    assert {id: seen.harm is not None for id, seen in played.seen.items()} == {"typo": False, "unlike": True}
