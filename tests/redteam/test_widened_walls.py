"""What a server or a cloned repository writes does not widen the walls of the next start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.confine.conftest import World as Walls
from tests.confine.conftest import finish
from tests.gateway.wrapping import CRAFTED, World, crafted

from doorward.confine import process
from doorward.confine.profile import Mechanism, SandboxProfile
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
    for more in ((), (str(walls.server),)):  # a real one, but nobody named it
        assert not covers(walls.profile([sys.executable, str(script), *more]), hoisted)


@pytest.fixture
def other(walls: Walls) -> Path:
    """A project of the user's that no command line here names, with an environment of its own."""
    site = walls.outside / "lib" / "python3.11" / "site-packages"
    for place in (site, walls.outside / "bin", walls.outside / "node_modules"):
        place.mkdir(parents=True)
    for file in ("pyvenv.cfg", "pyproject.toml", "node_modules/private.js"):
        (walls.outside / file).write_text("")
    for name in ("python", "server"):
        shutil.copy("/bin/true", walls.outside / "bin" / name)
    (walls.outside / "bin" / "tool").mkdir()
    tool = walls.outside / "tools" / "deploy"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    return walls.outside


INTERPRETER = ("bin/python", "lib/python3.11", "pyvenv.cfg")


@pytest.mark.parametrize(
    ("marks", "link", "leads_to", "words", "opened"),
    [
        ((), "node_modules", "node_modules", ("node", "{}/server.js"), ()),
        ((), ".venv", "", ("{}/.venv/bin/server",), ("bin/server",)),
        ((".git", "packages/x/package.json"), ".venv", "", ("{}/.venv/bin/server",), ("bin/server",)),
        (("pyproject.toml",), "python", "bin/python", ("{}/python", "-c", ""), INTERPRETER),
        ((".git",), "bin/python", "bin/python", ("{}/bin/python", "{}/server.js"), INTERPRETER),
        ((".git",), "deploy", "tools/deploy", ("{}/deploy",), ("tools/deploy",)),
        (("package.json",), "node_modules", "node_modules", ("{}/bin/start",), ()),
    ],
)
def test_what_a_repository_links_to_outside_of_itself_is_left_out(
    walls: Walls,
    other: Path,
    marks: tuple[str, ...],
    link: str,
    leads_to: str,
    words: tuple[str, ...],
    opened: tuple[str, ...],
) -> None:
    repository = walls.top / "repository"
    for file in (*marks, "server.js", "bin/start"):
        (repository / file).parent.mkdir(parents=True, exist_ok=True)
        (repository / file).write_text("#!/bin/sh\n")
        (repository / file).chmod(0o755)
    planted = repository / link
    planted.symlink_to(other / leads_to)
    profile = walls.profile([word.format(repository) for word in words])
    shown = [place for place in profile.read if Path(place).is_relative_to(other)]
    assert shown == [str(other / place) for place in opened]
    # What the operator names is shown.
    named = walls.profile([word.format(repository) for word in words], read=[str(other)])
    assert covers(named, other / "node_modules" / "private.js")
    assert named.left_out == ()


@pytest.mark.parametrize("mechanism", ["namespaces", "landlock"])
def test_a_script_of_a_repository_still_starts_by_an_environment_elsewhere(walls: Walls, mechanism: Mechanism) -> None:
    walls.mechanism = mechanism
    environment = walls.outside / "venv"
    site = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    for place in (environment / "bin", site):
        place.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
    (environment / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (environment / "beside").write_text("")
    (site / "installed.py").write_text("")
    repository = walls.top / "repository"
    (repository / ".git").mkdir(parents=True)
    script = repository / "server"
    script.write_text(
        f"#!{environment}/bin/python\nimport installed, os, ssl\nprint(os.listdir({str(repository)!r}))\n"
    )
    script.chmod(0o755)
    assert walls.run([str(script)]) in ((0, "['.git', 'server']\n", ""), (0, "['server', '.git']\n", ""))
    assert not covers(walls.profile([str(script)]), environment / "beside")


def test_what_an_environment_of_a_repository_names_outside_of_it_is_left_out(walls: Walls, other: Path) -> None:
    repository = walls.top / "repository"
    site = repository / ".venv" / "lib" / "python3.11" / "site-packages"
    for place in (site, repository / ".venv" / "bin", repository / "source"):
        place.mkdir(parents=True)
    (repository / "source" / "pyproject.toml").write_text("")
    (repository / ".venv" / "pyvenv.cfg").write_text(f"home = {other}/bin\n")
    (site / "editable.pth").write_text(f"{other}\n{repository}/source\n")
    shutil.copy("/bin/true", repository / ".venv" / "bin" / "python")
    argv = [str(repository / ".venv" / "bin" / "python"), "-c", "pass"]
    assert covers(walls.profile(argv), other / "private")  # without a mark nobody knows it for a repository
    (repository / ".git").mkdir()
    profile = walls.profile(argv)
    shown = [place for place in profile.read if Path(place).is_relative_to(other)]
    assert shown == [str(other / place) for place in ("lib/python3.11", "pyvenv.cfg")]  # its interpreter's, no more
    assert covers(profile, repository / "source" / "module.py")


def test_a_link_of_a_repository_is_not_taken_out_of_it_by_a_mark_where_it_leads(walls: Walls, other: Path) -> None:
    (other / ".git").mkdir()
    repository = walls.top / "repository"
    (repository / ".git").mkdir(parents=True)
    (repository / ".venv").symlink_to(other)
    profile = walls.profile([str(repository / ".venv" / "bin" / "server")])
    assert not covers(profile, other / "node_modules" / "private.js")
    assert profile.left_out


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


def test_code_is_not_followed_through_a_link_that_the_server_left(walls: Walls, secrets: Path) -> None:
    script = walls.server / "main.js"
    script.write_text("")
    settings = walls.folder / ".env"
    settings.symlink_to(secrets / "id")
    argv = ["node", "--env-file", str(settings), str(script), str(walls.folder)]
    for profile in ("standard", "strict"):
        with pytest.raises(ConfinementError, match="leads through the link"):
            walls.profile(argv, profile=profile, write=[str(walls.folder)])
    settings.unlink()
    settings.write_text("A=b")
    assert covers(walls.profile(argv), settings)


@pytest.mark.parametrize("words", [("node", "--env-file", ".env", "-e", "0"), ("python3", ".env"), ("npx", ".env.py")])
def test_a_repository_cannot_redirect_its_code_either(walls: Walls, secrets: Path, words: tuple[str, ...]) -> None:
    link = next(word for word in words if word.startswith(".env"))
    (walls.outside / link).symlink_to(secrets / "id")
    with pytest.raises(ConfinementError, match="leads through the link"):
        derive_in(walls, walls.outside, *words)


@pytest.mark.parametrize("line", ["#!{}", "#!/usr/bin/env -S -u {} python3 main.py"])
def test_the_first_line_of_a_program_that_the_server_may_write_names_nothing(walls: Walls, line: str) -> None:
    tools = walls.outside / "tools"
    tools.mkdir()
    (walls.outside / "package.json").write_text("{}")
    interpreter = tools / "build"
    interpreter.write_text("#!/bin/sh\n")
    interpreter.chmod(0o755)
    program = walls.folder / "server"
    program.write_text(line.format(interpreter) + "\n")
    program.chmod(0o755)
    assert covers(walls.profile([str(program)]), walls.canary)  # of a program that only the operator writes
    profile = walls.profile([str(program), str(walls.folder)])
    assert not covers(profile, walls.canary)
    assert not covers(profile, interpreter)


@pytest.mark.parametrize("mechanism", ["namespaces", "landlock"])
def test_a_virtual_environment_in_a_written_folder_still_starts(walls: Walls, mechanism: Mechanism) -> None:
    walls.mechanism = mechanism
    programs = walls.folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (walls.folder / ".venv" / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
    (programs / "python").symlink_to(os.path.realpath(sys.executable))
    (programs / "server").write_text(
        f"#!{programs / 'python'}\nimport json, sqlite3, ssl\nprint(ssl.OPENSSL_VERSION)\n"
    )
    (programs / "server").chmod(0o755)
    status, out, err = walls.run([str(programs / "server"), str(walls.folder)])
    assert (status, err) == (0, "")
    assert "SSL" in out


def test_the_settings_of_an_environment_in_a_written_folder_lead_to_no_other(walls: Walls) -> None:
    project = walls.outside
    (project / "pyproject.toml").write_text("")
    for place, home in ((walls.folder, walls.server / "bin"), (walls.server, Path("/nowhere"))):
        (place / "lib/python3.11/site-packages").mkdir(parents=True)
        (place / "bin").mkdir()
        (place / "pyvenv.cfg").write_text(f"home = {home}\n")
    (walls.server / "lib/python3.11/site-packages/own.pth").write_text(f"{project}\n")
    shutil.copy("/bin/true", walls.folder / "bin" / "python")
    argv = [str(walls.folder / "bin" / "python"), "-c", "pass"]
    assert covers(walls.profile(argv), project)
    assert not covers(walls.profile([*argv, str(walls.folder)]), project)


def test_a_link_to_another_interpreter_shows_nothing_that_lies_beside_it(walls: Walls) -> None:
    for folder in ("bin", "lib/python3.11/site-packages"):
        (walls.outside / folder).mkdir(parents=True)
    project = walls.server
    (project / "pyproject.toml").write_text("")
    (walls.outside / "pyvenv.cfg").write_text("")
    (walls.outside / "lib/python3.11/site-packages/own.pth").write_text(f"{project}\n")
    shutil.copy("/bin/true", walls.outside / "bin" / "python")
    programs = walls.folder / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(walls.outside / "bin" / "python")
    argv = [str(programs / "python"), "-c", "pass"]
    assert [covers(walls.profile(argv), place) for place in (walls.canary, project)] == [True, True]
    profile = walls.profile([*argv, str(walls.folder)])
    assert [covers(profile, place) for place in (walls.canary, project)] == [False, False]
    assert covers(profile, walls.outside / "lib" / "python3.11" / "os.py")


def test_a_path_file_that_came_with_a_fetched_package_names_nothing(walls: Walls) -> None:
    project = walls.outside
    (project / "pyproject.toml").write_text("")
    environment = walls.state / "fetched" / "pypi-0" / "0" / "environment"
    site = environment / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "pyvenv.cfg").write_text("")
    (environment / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (site / "shipped.pth").write_text(f"{project}\n")
    profile = walls.profile([str(environment / "bin" / "python"), "-c", "pass"])
    assert not covers(profile, project)
    assert covers(profile, Path(sys.base_prefix) / "lib")


def test_a_pipe_in_the_place_of_a_path_file_holds_nothing_up(walls: Walls) -> None:
    environment = walls.folder / ".venv"
    site = environment / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    os.mkfifo(site / "planted.pth")
    os.mkfifo(environment / "pyvenv.cfg")
    code = "import sys; from doorward.confine import installation as i; "
    code += "print(i.find_installation(sys.argv[1:], environ={}, cwd='/', home='/', too_wide=lambda _: False).program)"
    argv = [sys.executable, "-c", code, str(environment / "bin" / "python")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == f"{environment / 'bin' / 'python'}\n"


@pytest.mark.parametrize("is_held", [False, True])
def test_a_pipe_in_the_place_of_a_description_holds_nothing_up(walls: Walls, is_held: bool) -> None:
    """A server that may write its own package would keep whoever asks next time who it is waiting for ever."""
    package = walls.folder / "node_modules" / "notes"
    package.mkdir(parents=True)
    (package / "index.js").write_text("")
    os.mkfifo(package / "package.json")
    held = os.open(package / "package.json", os.O_RDWR) if is_held else -1
    code = "import sys; from doorward.gateway.identity.packages import node_package; print(node_package(sys.argv[1]))"
    argv = [sys.executable, "-c", code, str(package / "index.js")]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    finally:
        if is_held:
            os.close(held)
    assert done.stdout == "Package(label='', sha256='', integrity='')\n"


SHOWS = """
import os, sys
for path in sys.argv[1:]:
    try: print(os.listdir(path))
    except OSError: print("closed")
"""


@pytest.mark.parametrize("mechanism", ["namespaces", "landlock"])
def test_a_folder_that_became_a_link_since_the_walls_were_derived_leads_nowhere(
    walls: Walls, secrets: Path, mechanism: Mechanism
) -> None:
    walls.mechanism = mechanism
    inner = walls.folder / "inner"
    (inner / "data").mkdir(parents=True)
    (inner / "settings").write_text("")
    (inner / "link").symlink_to("settings")
    (secrets / "data").mkdir()
    (secrets / "data" / "id").write_text("another key")
    argv = [sys.executable, "-c", SHOWS, str(inner / "data"), str(walls.folder), "--config", str(inner / "link")]
    profile = walls.profile(argv)
    inner.rename(walls.folder / "before")
    inner.symlink_to(secrets)  # by another process of the same server, which still runs
    status, out, _ = finish(process.start(argv, profile))
    assert (status, out.splitlines()[0]) == (0, "closed")
    # Nor was anything made there on the way.
    assert sorted(os.listdir(secrets)) == ["data", "id"]


EXCHANGING = """
import os, sys
sys.path.append({folder!r})
import launch, namespaces
clone = namespaces._clone
def clone_and_exchange(path, **options):
    tree = clone(path, **options)
    if path == {path!r}:
        os.unlink(path)
        os.mkdir(path)
    return tree
namespaces._clone = clone_and_exchange
launch.main()
"""


def test_a_file_that_becomes_a_folder_does_not_bring_the_lesser_walls(
    walls: Walls, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = walls.folder / "settings"
    settings.write_text("")
    launcher = walls.top / "launcher.py"
    there = os.path.dirname(process.__file__)
    launcher.write_text(EXCHANGING.format(folder=there, path=os.fsencode(settings)))
    monkeypatch.setattr(process, "_LAUNCHER", ("-I", "-S", str(launcher)))
    argv = ["/bin/cat", "--", str(settings), str(walls.folder)]
    child = process.start(argv, walls.profile(argv))
    finish(child)
    assert settings.is_dir()
    assert child.mechanism == "namespaces"


REMOVING = """
import os, sys
sys.path.append({folder!r})
import launch, namespaces
open_without_links = namespaces.landlock.open_without_links
def open_and_remove(path):
    place = open_without_links(path)
    if path == {path!r}:
        os.rmdir(path)
    return place
namespaces.landlock.open_without_links = open_and_remove
launch.main()
"""


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_a_folder_that_is_removed_while_it_is_mounted_does_not_bring_them_either(
    walls: Walls, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """By another process of the same server, which still runs: the folder lies in one that it may write."""
    inner = walls.folder / "inner"
    inner.mkdir()
    launcher = walls.top / "launcher.py"
    path = os.fsencode(inner) if where == "outside" else str(inner)[1:]
    launcher.write_text(REMOVING.format(folder=os.path.dirname(process.__file__), path=path))
    monkeypatch.setattr(process, "_LAUNCHER", ("-I", "-S", str(launcher)))
    argv = ["/bin/ls", "--", str(walls.folder), str(inner)]
    child = process.start(argv, walls.profile(argv))
    finish(child)
    assert not inner.exists()
    assert child.mechanism == "namespaces"


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


@pytest.mark.parametrize(
    "folder", [Path(process.__file__).parents[1], Path(sys.prefix), Path(sys.executable).resolve().parent]
)
def test_no_server_writes_where_doorward_itself_lies(walls: Walls, folder: Path) -> None:
    """What it leaves there is what stands outside of its walls next time."""
    said = "would let the server write doorward's own program"
    for place in (folder, folder.parent):
        with pytest.raises(ConfinementError, match=said):
            walls.profile(["/bin/true", str(place)])
        with pytest.raises(ConfinementError, match=said):
            walls.profile(["/bin/true"], write=[str(place)])
        assert covers(walls.profile(["/bin/true"], read=[str(place)]), place)
    inside = Path(process.__file__).parent
    with pytest.raises(ConfinementError, match=said):
        walls.profile(["/bin/true"], write=[str(inside)])


def test_what_was_left_out_of_a_repository_is_said_with_the_option_that_shows_it(world: World) -> None:
    (world.top / "modules" / "node_modules").mkdir(parents=True)
    (world.folder / "package.json").write_text("{}")
    (world.folder / "node_modules").symlink_to(world.top / "modules" / "node_modules")
    (world.folder / "crafted.py").write_bytes(CRAFTED.read_bytes())
    wrapped = world.wrap((sys.executable, "-I", "-S", str(world.folder / "crafted.py"), "plain"))
    wrapped.initialize()
    assert wrapped.end() == 0
    path = world.top / "modules" / "node_modules"
    assert f"doorward: {world.folder}/node_modules leads out of its project, to {path}, which the" in wrapped.stderr
    assert f"hint: --read {path} shows it, if you made that yourself\n" in wrapped.stderr
