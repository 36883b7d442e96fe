"""That the missing grant stops a forged capability: a rewrite has no stand-in, so the operator's own key shows it."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from doorward.lab import runner
from doorward.lab.scenario import Era, Protection, Topology
from doorward.lab.scenarios.capability_forgery import SCENARIO
from doorward.lab.stage import Staging

GRANTED = """\
[servers.price-feed]
grants = ["experimental/fast_updates"]
"""


@pytest.mark.parametrize("era", Era, ids=lambda era: era.name.lower())
def test_what_the_operator_grants_passes_and_the_same_declaration_does_harm(era: Era) -> None:
    example = SCENARIO.examples[0]
    target = msgspec.structs.replace(example.target, configuration=GRANTED)
    staging = Staging(era, Protection.CONFIGURED, seed=11, topology=Topology.SERVE_COMMAND)
    granted = msgspec.structs.replace(example, target=target)
    played = anyio.run(lambda: runner.play(SCENARIO, granted, staging, only=("experimental", "extension")))
    assert not played.unreached
    assert {id: seen.harm is not None for id, seen in played.seen.items()} == {"experimental": True, "extension": False}
