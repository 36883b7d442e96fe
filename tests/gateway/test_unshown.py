"""What a server says that it could not open is told to the operator, once, with what would allow it; and no more."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path

import pytest
from tests.bounded import until
from tests.confine.conftest import World as Walls
from tests.gateway.crafted_server import SECRET
from tests.gateway.serving import Place, by_command
from tests.gateway.wrapping import World, Wrapped, crafted

from doorward.content.redaction import Masker
from doorward.gateway.unshown import MOST_LOOKED_AT, MOST_TOLD, Unshown


def started(world: World, *after: str) -> Wrapped:
    wrapped = world.wrap(crafted("plain", world.folder), after=("--name", "notes", *after))
    wrapped.initialize()
    return wrapped


def told(wrapped: Wrapped) -> list[str]:
    return [line for line in wrapped.stderr.splitlines() if "says that it cannot" in line]


@pytest.mark.parametrize("mechanism", ["namespaces", "landlock"])
def test_a_file_that_the_walls_hide_is_told_once_however_it_is_said(world: World, mechanism: str) -> None:
    paths = [world.top / f"some file {number}" for number in range(3)]
    for path in paths:
        path.write_text("content")
    wrapped = started(world, "--sandbox", mechanism)
    for how, path in enumerate(paths):
        for _ in range(2):
            wrapped.call("show", text=str(path), count=how)
    wrapped.call("show", text=str(world.top / "not there"), count=0)
    assert wrapped.end() == 0
    assert told(wrapped) == [
        f"doorward: notes says that it cannot read {path}: its walls do not allow that" for path in paths
    ]
    for path in paths:
        assert wrapped.stderr.count(f"doorward: hint: --read {shlex.quote(str(path))} lets it\n") == 1
    assert not [line for line in wrapped.lines if b"--read" in line or b"its walls" in line]

    given = started(world, "--sandbox", mechanism, *(word for path in paths for word in ("--read", str(path))))
    assert given.text("show", text=str(paths[0]), count=0) == "content"
    given.end()
    assert told(given) == []


def test_what_no_server_should_be_given_comes_without_a_way_to_give_it(world: World) -> None:
    key, settings = world.home / ".ssh" / "id", world.home / "project" / ".env"
    for path in (key, settings):
        path.parent.mkdir()
        path.write_text("secret")
    wrapped = started(world)
    own = next(path for path in sorted(world.state.rglob("*")) if path.is_file())
    for path in (key, settings, world.home, own, Path("/")):
        wrapped.call("show", text=str(path), count=0)
    wrapped.end()
    assert [line.partition(" read ")[2].partition(":")[0] for line in told(wrapped)] == list(
        map(str, (key, settings, world.home, own))
    )
    assert all("rather should not" in line for line in told(wrapped))
    assert "lets it" not in wrapped.stderr


def test_a_server_without_walls_has_none_to_complain_of(world: World) -> None:
    wrapped = started(world, "--unsafe-no-sandbox")
    wrapped.call("show", text=str(world.top), count=0)
    wrapped.end()
    assert told(wrapped) == []


def test_served_commands_are_told_of_once_for_all_who_use_them(house: Place) -> None:
    hidden = house.folder.parent / "hidden"
    hidden.write_text("content")
    serve = house.serve(by_command(crafted("plain", house.folder), "notes"))
    for number in range(2):
        session = serve.session("/notes/mcp")
        session.call(1, "show", text=str(hidden), count=number)
        session.end()
    serve.wait_said(f"notes says that it cannot read {hidden}: its walls do not allow that")
    serve.wait_said(json.dumps(f'read = ["{hidden}"] in its table lets it')[1:-1])
    serve.stop()
    assert serve.stderr.count("says that it cannot") == 1


class Heard:
    """One that hears what a test says, and what it told then."""

    def __init__(self, walls: Walls) -> None:
        self.said: list[tuple[str, str]] = []
        profile = walls.profile(["/bin/true"], write=[str(walls.folder)], read=[str(walls.server)])
        self.unshown = Unshown(
            "notes",
            profile,
            own=(str(walls.state),),
            masker=Masker(b"k" * 32),
            say=lambda text, hint="": self.said.append((text, hint)),
            hint=lambda access, path: f"--{access} {path}",
        )

    def hear(self, *lines: str) -> list[tuple[str, str]]:
        async def whole() -> None:
            for line in lines:
                self.unshown.hear_line(line.encode())
            await self.unshown.close()

        asyncio.run(asyncio.wait_for(whole(), 60))
        return self.said


@pytest.fixture
def walls(tmp_path: Path) -> Walls:
    return Walls(tmp_path)


@pytest.fixture
def heard(walls: Walls) -> Heard:
    return Heard(walls)


def test_a_flood_of_paths_is_bounded(walls: Walls, heard: Heard) -> None:
    for number in range(MOST_TOLD + 5):
        (walls.outside / str(number)).touch()
    lines = [f"{walls.outside}/{number}: No such file or directory" for number in range(MOST_TOLD + 5)]
    said = heard.hear(*lines)
    assert len(said) == MOST_TOLD + 1
    assert "more files" in said[-1][0]
    other = Heard(walls)
    assert other.hear(*(f"/none/{number}: No such file" for number in range(MOST_LOOKED_AT)), *lines) == []


def test_a_path_that_the_server_could_lead_elsewhere_is_not_followed(walls: Walls) -> None:
    (walls.folder / "link").symlink_to(walls.outside)
    (walls.top / "operators").symlink_to(walls.outside)
    (walls.top / "alias").symlink_to(walls.folder)
    for way in ("folder", "alias"):
        assert Heard(walls).hear(f"{walls.top}/{way}/link/canary.txt: Permission denied") == []
    said = Heard(walls).hear(f"{walls.top}/operators/../server/../operators/canary.txt: Permission denied")
    assert [hint for _, hint in said] == [f"--read {walls.canary} lets it"]


def test_what_may_be_read_and_not_changed_is_told_as_such(walls: Walls, heard: Heard) -> None:
    file = walls.server / "file"
    file.touch()
    said = heard.hear(
        f"[Errno 30] Read-only file system: '{file}'",
        f"EACCES: permission denied, mkdir '{walls.outside}/new'",
        f"ENOENT: no such file or directory, open '{walls.server}/none'",
        f"{walls.folder}/x: Permission denied",
        "/proc/1/environ: Permission denied",
    )
    assert [hint for _, hint in said] == [f"--write {file} lets it", f"--write {walls.outside} lets it"]


def test_a_credential_in_a_path_is_masked(walls: Walls, heard: Heard) -> None:
    (walls.outside / SECRET).touch()
    said = heard.hear(f"{walls.outside}/{SECRET}: No such file or directory")
    assert len(said) == 1
    assert SECRET not in str(said)


def test_a_message_counts_only_where_it_says_that_something_failed(walls: Walls, heard: Heard) -> None:
    words = f"{walls.canary}: No such file or directory"
    fine = {"result": {"content": [{"type": "text", "text": words}], "isError": False}}
    odd = [{"error": words}, {"error": None, "isError": True}, {"result": [{"isError": True}], "text": words}, [words]]

    async def whole() -> None:
        for message in (fine, *odd):
            heard.unshown.hear_message(json.dumps(message).encode())
        await heard.unshown.close()
        assert heard.said == []
        heard.unshown.hear_message(json.dumps({"id": 1, "error": {"code": 1, "message": words, "data": [1]}}).encode())
        await heard.unshown.close()
        await until(lambda: len(heard.said) == 1)

    asyncio.run(asyncio.wait_for(whole(), 60))
