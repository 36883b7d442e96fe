"""That a server wants more than its share of the processors is said once; of one that does not, nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.gateway.serving import Place, Serve, by_command
from tests.gateway.test_serve_modern import CHILD
from tests.gateway.wrapping import World, wait_until

from doorward.confine import cgroups

SERVER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("both_eras_child.py")))
SAID = "child wants more than its share of the processors"
SPINS = 4
"""So often thirty milliseconds of each processor, of which it has a twentieth: longer than between two looks."""


@pytest.fixture(autouse=True)
def _group() -> None:
    made = cgroups.make()
    for folder in set(made.values()):
        assert cgroups.remove(folder)
    if "cpu" not in made:
        pytest.skip("this machine has no control group to give")


def spin(serve: Serve) -> None:
    answer = serve.session(CHILD).call(1, "spin", count=SPINS).message
    assert answer["result"]["content"][0]["text"] == "spun"


def told(serve: Serve) -> list[str]:
    return [line["text"] for line in serve.told if line.get("text", "").startswith(SAID)]


def test_it_is_said_once_for_all_sessions(house: Place) -> None:
    serve = house.serve(by_command(SERVER, more="processor_percent = 5"))
    spin(serve)
    wait_until(lambda: told(serve) != [], "it is said")
    spin(serve)
    assert told(serve) == [f"{SAID} (5 %), and stands still"]


def test_of_a_server_that_has_all_processors_nothing_is_said(house: Place) -> None:
    serve = house.serve(by_command(SERVER, more="unsafe_processor_percent = 100"))
    spin(serve)
    assert told(serve) == []


def test_wrap_says_it_too(world: World) -> None:
    policy = world.top / "config" / "policy.toml"
    policy.parent.mkdir()
    policy.write_text("[servers.child]\nprocessor_percent = 5\n")
    wrapped = world.wrap(SERVER, before=("--config", str(policy)), after=("--name", "child"))
    wrapped.initialize()
    wrapped.ask("tools/list")
    assert wrapped.text("spin", count=SPINS) == "spun"
    wait_until(lambda: f"{SAID} (5 %)" in wrapped.stderr, "it is said")
    assert wrapped.end() == 0
