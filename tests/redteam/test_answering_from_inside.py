"""A confined server cannot answer in its user's place; without the walls the same program can.

A confined server has no socket by which it could reach the channel. That the channel defends itself is shown with that
wall taken out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.gateway.wrapping import BOUND_SECONDS, World, Wrapped, crafted, wait_until

from doorward.gateway.consent import sockets
from doorward.gateway.consent.attendance import Attendance, Connected, Event
from doorward.gateway.consent.key import load_key

ANSWERER = Path(__file__).with_name("hostile_answerer.py")
FLOODER = Path(__file__).with_name("hostile_flooder.py")
REFUSED = {
    "key": "PermissionError",
    "listing": "PermissionError",
    "imitation": "PermissionError",
    "challenge": "turned away",
}


def runtime(world: World) -> Path:
    return Path(world.env["XDG_RUNTIME_DIR"], "doorward")


def answerer(world: World, beginning: str) -> tuple[str, ...]:
    program = (sys.executable, "-I", "-S", str(ANSWERER), str(world.folder))
    return (*program, f"state:{world.state}", f"at:{beginning}")


def report(world: World) -> dict[str, str]:
    written = world.folder / "report.json"
    wait_until(written.exists, "the report of the hostile server")
    told: dict[str, str] = json.loads(written.read_text())
    return told


def hostile(world: World, *command: str) -> Wrapped:
    """A server that has the machine's sockets, within all other walls."""
    product = (sys.executable, "-P", "-m", "doorward.lab.ablated", "confine-calls")
    return world.run((*product, "--state", str(world.state), "wrap", "--", *command))


def victim(world: World) -> tuple[Wrapped, str]:
    """A gateway with an honest server, and how the path of its socket was when it was bound."""
    wrapped = world.wrap(crafted("plain"))
    wrapped.initialize()
    [path] = runtime(world).glob("w-*.sock")
    return wrapped, str(path).replace("/w-", "/n-")


def test_a_confined_server_neither_reads_the_key_nor_is_heard_by_its_own_gateway(world: World) -> None:
    wrapped = hostile(world, *answerer(world, str(runtime(world))))
    assert report(world) == REFUSED
    wrapped.end()
    assert "the server tried to reach the consent channel" in wrapped.stderr
    assert os.listdir(runtime(world)) == [], "the gateway took its socket away, and nothing else is left"


def test_the_confined_server_of_another_gateway_does_not_pass_the_challenge(world: World) -> None:
    wrapped, beginning = victim(world)
    hostile(world, *answerer(world, beginning))
    assert report(world) == REFUSED
    wrapped.end()
    assert "could not prove that it can read consent.key" in wrapped.stderr


def test_an_unconfined_process_of_the_same_user_passes_it_as_the_docs_say(world: World) -> None:
    wrapped, beginning = victim(world)
    with subprocess.Popen(answerer(world, beginning), stdin=subprocess.DEVNULL) as process:
        told = report(world)
        assert process.wait(BOUND_SECONDS) == 0
    assert told["key"] == (world.state / "consent.key").read_bytes().hex()
    assert told["imitation"] == "planted"
    assert "crafted_server" in told["challenge"]
    wrapped.end()
    assert "could not prove" not in wrapped.stderr


def test_a_server_that_floods_the_channel_does_not_keep_people_out(world: World) -> None:
    hostile(world, sys.executable, "-I", "-S", str(FLOODER), f"at:{runtime(world)}", str(world.folder))
    wait_until((world.folder / "flooding").exists, "the flood")
    came: list[Event] = []

    async def attend() -> None:
        attendance = Attendance(directories=lambda: [runtime(world)], key=load_key(world.state), on_event=came.append)
        task = asyncio.create_task(attendance.attend())
        async with asyncio.timeout(BOUND_SECONDS):
            while not any(isinstance(event, Connected) for event in came):  # noqa: ASYNC110 (others run elsewhere)
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(attend())
    assert isinstance(came[0], Connected), "no impostor, no loss before"


def test_whoever_waits_for_a_full_queue_is_let_in_when_a_place_gets_free(tmp_path: Path) -> None:
    path = tmp_path / "w-x.sock"
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as taken, ThreadPoolExecutor(1) as other:
        listener.bind(str(path))
        listener.listen(0)
        while (place := sockets.connect(path)) is not None:
            taken.enter_context(place)
        waiting = other.submit(sockets.connect, path, patience_s=int(BOUND_SECONDS))
        accepted, _ = listener.accept()
        taken.enter_context(accepted)
        found = waiting.result(BOUND_SECONDS)
        assert found is not None
        taken.enter_context(found)
