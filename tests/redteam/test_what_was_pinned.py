"""What is executed is what was identified, and what is not pinned is said."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.gateway.wrapping import World, crafted

from doorward.gateway.identity.command import identify


def tool(folder: Path, name: str, script: str = "#!/bin/sh\n") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("path", ["{cwd}:{bin}", ":{bin}", ".:{bin}", "evil:{bin}"])
def test_the_program_that_runs_is_the_one_that_is_pinned(world: World, path: str) -> None:
    python = shutil.which("python3", path=os.defpath) or sys.executable
    body = f"#!/bin/sh\nprintf '%s' \"$0\" > {world.folder}/ran\nexec {python} -I -S {crafted()[3]} plain\n"
    for folder in (world.cwd, world.cwd / "evil", world.top / "bin"):
        tool(folder, "notes-server", body)
    search = path.format(cwd=world.cwd, bin=world.top / "bin") + ":" + os.defpath
    wrapped = world.wrap(("notes-server", str(world.folder)), after=("--read", str(crafted()[3])), env={"PATH": search})
    assert "result" in wrapped.initialize(), wrapped.stderr
    ran = (world.folder / "ran").read_text()
    assert wrapped.end() == 0
    lock = (world.state / "doorward.lock").read_text()
    assert f'script = "{ran}"' in lock
    assert ran == str((world.cwd if path.startswith("{cwd}") else world.top / "bin") / "notes-server")


@pytest.mark.parametrize(
    "words",
    [
        ("mcp", "run", "server.py"),
        ("tsx", "server.py"),
        ("npx", "tsx@4.19.2", "server.py"),
        ("uvx", "--from", "mcp==1.2.0", "mcp", "run", "server.py"),
        ("python3", "-X", "dev", "main.py", "server.py"),
        ("node", "--import", "server.py", "main.py"),
        ("node", "--require=server.py", "main.py"),
    ],
)
def test_code_on_the_command_line_that_is_not_pinned_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    for name in ("server.py", "main.py"):
        (tmp_path / name).write_text("")
    tool(tmp_path / "bin", words[0])
    found = identify(words, path=str(tmp_path / "bin"), cwd=str(tmp_path))
    assert any(note.startswith("server.py is known by its name only") for note in found.notes), found
    assert not any("main.py" in note for note in found.notes) or "main.py" not in found.script


@pytest.mark.parametrize("word", ["docker", "podman", "ssh", "poetry", "uv"])
def test_what_runs_elsewhere_is_said_to_be_known_by_arguments_only(tmp_path: Path, word: str) -> None:
    tool(tmp_path / "bin", word)
    found = identify((word, "run", "image"), path=str(tmp_path / "bin"), cwd=str(tmp_path))
    assert any("by its arguments only" in note for note in found.notes)


def test_the_operator_hears_at_first_use_what_is_not_pinned(world: World) -> None:
    (world.folder / "plugin.py").write_text("")
    for expected in (True, False):
        wrapped = world.wrap(crafted("plain", world.folder / "plugin.py"))
        assert "result" in wrapped.initialize()
        wrapped.end()
        assert ("plugin.py is known by its name only" in wrapped.stderr) == expected
