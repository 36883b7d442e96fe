"""What a server or a cloned repository writes does not widen the walls of the next start."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.confine.conftest import World as Walls
from tests.gateway.wrapping import World, crafted

from doorward.confine.profile import SandboxProfile
from doorward.errors import ConfinementError


@pytest.fixture
def secrets(walls: Walls) -> Path:
    """A folder that no command line here names."""
    folder = walls.home / ".ssh"
    folder.mkdir()
    (folder / "id").write_text("a private key")
    return folder


def covers(profile: SandboxProfile, path: Path) -> bool:
    return any(path.is_relative_to(place) for place in (*profile.readable(), *profile.writable()))


@pytest.mark.parametrize(
    ("link", "leads_to", "words"),
    [
        ("settings.json", "id", ("--config", "{link}", "{folder}")),
        ("settings.json", "id", ("{folder}", "--config={link}")),
        ("data", "", ("{folder}", "{link}")),
        ("data", "", ("{link}", "{folder}")),
    ],
)
def test_a_link_that_the_server_left_in_its_folder_is_not_followed_out_of_it(
    walls: Walls, secrets: Path, link: str, leads_to: str, words: tuple[str, ...]
) -> None:
    planted = walls.folder / link
    planted.symlink_to(secrets / leads_to)
    argv = ["/bin/true", *(word.format(link=planted, folder=walls.folder) for word in words)]
    with pytest.raises(ConfinementError, match="leads through the link"):
        walls.profile(argv)
    planted.unlink()
    planted.mkdir()  # the same words without a link are what they were
    assert covers(walls.profile(argv), planted)


def test_an_option_is_not_followed_through_such_a_link_either(walls: Walls, secrets: Path) -> None:
    (walls.folder / "data").symlink_to(secrets)
    with pytest.raises(ConfinementError, match="leads through the link"):
        walls.profile(["/bin/true", str(walls.folder)], read=[str(walls.folder / "data")])


def test_a_link_that_stays_within_its_folder_is_followed(walls: Walls) -> None:
    (walls.folder / "v1").mkdir()
    (walls.folder / "current").symlink_to("v1")
    assert covers(walls.profile(["/bin/true", str(walls.folder), str(walls.folder / "current")]), walls.folder / "v1")


def test_a_repository_cannot_redirect_a_word_by_a_link_of_that_name(walls: Walls, secrets: Path) -> None:
    repository = walls.outside
    (repository / "stdio").symlink_to(secrets)
    with pytest.raises(ConfinementError, match="leads through the link"):
        derive_in(walls, repository, "/bin/true", "stdio")
    # Named as a path by the operator, the same link is the operator's.
    assert covers(derive_in(walls, walls.top, "/bin/true", str(repository / "stdio")), secrets)


def derive_in(walls: Walls, cwd: Path, *argv: str) -> SandboxProfile:
    top, walls.top = walls.top, cwd
    try:
        return walls.profile(argv)
    finally:
        walls.top = top


def test_node_modules_is_no_name_for_any_folder(walls: Walls, secrets: Path) -> None:
    script = walls.server / "main.js"
    script.write_text("")
    (walls.server / "node_modules").symlink_to(secrets)
    assert not covers(walls.profile([sys.executable, str(script)]), secrets)
    hoisted = walls.outside / "node_modules"
    hoisted.mkdir()
    (walls.server / "node_modules").unlink()
    (walls.server / "node_modules").symlink_to(hoisted)
    assert covers(walls.profile([sys.executable, str(script)]), hoisted)
    # Even a real one counts only if the server could not have led us there.
    assert not covers(walls.profile([sys.executable, str(script), str(walls.server)]), hoisted)


def test_a_module_is_not_looked_for_through_a_link_in_the_working_directory(walls: Walls, secrets: Path) -> None:
    (walls.outside / "package").symlink_to(secrets)
    assert not covers(derive_in(walls, walls.outside, sys.executable, "-m", "package"), secrets)


def test_a_module_name_is_not_the_folder_of_that_name_to_write_in(walls: Walls) -> None:
    (walls.outside / "package").mkdir()
    profile = derive_in(walls, walls.outside, sys.executable, "-m", "package")
    assert covers(profile, walls.outside / "package")
    assert profile.folders == ()


def test_a_path_file_names_projects_only_and_none_where_the_server_may_write_it(walls: Walls, secrets: Path) -> None:
    project = walls.outside
    (project / "pyproject.toml").write_text("")
    site = walls.server / "venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (walls.server / "venv" / "bin").mkdir()
    (walls.server / "venv" / "pyvenv.cfg").write_text("")
    python = walls.server / "venv" / "bin" / "python"
    shutil.copy("/bin/true", python)
    (site / "planted.pth").write_text(f"{secrets}\n/etc\n{project}\n")
    argv = [str(python), "-c", "pass"]
    profile = walls.profile(argv)
    assert [covers(profile, place) for place in (project, secrets, Path("/etc/shadow"))] == [True, False, False]
    assert not covers(walls.profile([*argv, str(walls.server)]), project)


@pytest.mark.parametrize("word", ["--config={}", "{}"])
def test_a_file_after_an_option_does_not_bring_a_folder_that_many_programs_share(
    walls: Walls, secrets: Path, word: str
) -> None:
    for file in (Path("/etc/hostname"), secrets / "id"):
        profile = walls.profile(["/bin/true", "--config", word.format(file)])
        assert covers(profile, file)
        assert not covers(profile, file.parent / "another")


@pytest.mark.parametrize("place", ["home/.config", "home/.config/doorward"])
def test_no_server_gets_the_folder_in_which_a_policy_would_be_looked_for(world: World, place: str) -> None:
    folder = world.top / place
    folder.mkdir(parents=True)
    wrapped = world.wrap(crafted("plain", folder))
    assert wrapped.wait() == 2
    assert "doorward's own files" in wrapped.stderr
    assert os.listdir(world.home / ".config") in ([], ["doorward"])


def test_no_server_gets_the_folder_of_the_sockets(world: World) -> None:
    wrapped = world.wrap(crafted("plain", world.env["XDG_RUNTIME_DIR"]))
    assert wrapped.wait() == 2
    assert "doorward's own files" in wrapped.stderr
