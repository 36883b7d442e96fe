"""A confined server cannot answer in its user's place; without the walls the same program can."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.gateway.wrapping import World, wait_until

ANSWERER = Path(__file__).with_name("hostile_answerer.py")


def attack(world: World, *options: str) -> dict[str, str]:
    """Run the server behind Doorward until it has reported."""
    runtime = Path(world.env["XDG_RUNTIME_DIR"], "doorward")
    command = (sys.executable, "-I", "-S", str(ANSWERER), str(world.folder))
    wrapped = world.wrap((*command, f"state:{world.state}", f"runtime:{runtime}"), after=options)
    report = world.folder / "report.json"
    wait_until(report.exists, "the report of the hostile server")
    told: dict[str, str] = json.loads(report.read_text())
    wrapped.end()
    assert os.listdir(runtime) == [], "the gateway took its socket away, and nothing else is left"
    assert ("could not prove" in wrapped.stderr) == (told["challenge"] == "EOFError"), wrapped.stderr
    return told


def test_a_confined_server_reads_no_key_and_does_not_pass_the_challenge(world: World) -> None:
    told = attack(world)
    assert told == {
        "key": "PermissionError",
        "listing": "PermissionError",
        "imitation": "PermissionError",
        "challenge": "EOFError",
    }


def test_an_unconfined_process_of_the_same_user_passes_it_as_the_docs_say(world: World) -> None:
    told = attack(world, "--unsafe-no-sandbox")
    assert told["key"] == (world.state / "consent.key").read_bytes().hex()
    assert "hostile_answerer" in told["challenge"]
