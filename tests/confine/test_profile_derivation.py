"""What a command line gives its server: folders, its own installation, and nothing that would show too much."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.confine.conftest import World

from doorward.confine.installation import resolve_executable
from doorward.confine.profile import Folder, SandboxProfile
from doorward.errors import ConfinementError


def folders(profile: SandboxProfile) -> dict[str, bool]:
    return {folder.path: folder.write for folder in profile.folders}


def covers(profile: SandboxProfile, path: Path) -> bool:
    readable = (*profile.readable(), *profile.writable())
    return any(str(path) == place or str(path).startswith(f"{place}/") for place in readable)


def program(world: World, name: str = "tool") -> str:
    """A native program outside of the system's folders, alone."""
    target = world.top / "programs" / name
    target.parent.mkdir(exist_ok=True)
    shutil.copy("/bin/true", target)
    return str(target)


def test_a_directory_argument_is_read_and_written_and_a_file_argument_only_read(world: World) -> None:
    profile = world.profile([program(world), str(world.folder), str(world.canary)])
    assert folders(profile) == {str(world.folder): True, str(world.canary): False}


def test_relative_arguments_and_links_mean_what_they_lead_to(world: World) -> None:
    (world.top / "link").symlink_to("folder")
    assert folders(world.profile([program(world), "folder"])) == {str(world.folder): True}
    assert folders(world.profile([program(world), "link/"])) == {str(world.folder): True}


@pytest.mark.parametrize("form", [["--db", "{}"], ["--db={}"], ["-f", "{}"]])
def test_the_folder_of_a_file_after_an_option_is_read_too(world: World, form: list[str]) -> None:
    argv = [program(world), *(part.format(world.canary) for part in form)]
    assert folders(world.profile(argv)) == {str(world.canary): False, str(world.outside): False}


def test_the_part_after_an_equals_sign_counts_with_or_without_an_option(world: World) -> None:
    assert folders(world.profile([program(world), f"--root={world.folder}"])) == {str(world.folder): True}
    assert folders(world.profile([program(world), f"root={world.folder}"])) == {str(world.folder): True}
    assert folders(world.profile([program(world), f"file={world.canary}"])) == {str(world.canary): False}


def test_directories_come_first_so_that_a_relative_path_has_somewhere_to_start(world: World) -> None:
    profile = world.profile([program(world), str(world.canary), str(world.folder)])
    assert profile.folders[0] == Folder(str(world.folder), True, "argument")
    assert profile.folders[1] == Folder(str(world.canary), False, "argument", is_file=True)


def test_an_argument_that_names_nothing_gives_nothing(world: World) -> None:
    argv = [program(world), "serve", "--port", "80", "https://example.org/", "", "--x=", "/dev/null", "no/such"]
    assert world.profile(argv).folders == ()


def test_options_name_folders_and_writing_wins(world: World) -> None:
    argv = [program(world)]
    profile = world.profile(argv, read=[str(world.outside), str(world.folder)], write=[str(world.folder)])
    assert profile.folders == (
        Folder(str(world.outside), False, "--read"),
        Folder(str(world.folder), True, "--write"),
    )


def test_strict_takes_folders_from_the_options_only(world: World) -> None:
    argv = [program(world), str(world.folder), "--f", str(world.canary), "/"]
    assert world.profile(argv, profile="strict").folders == ()
    named = world.profile(argv, profile="strict", read=[str(world.folder)])
    assert folders(named) == {str(world.folder): False}


REFUSED = ["/", "home", ".", "state", "state/below", "state/consent.key", "config", "/home", "/root"]


@pytest.mark.parametrize("how", ["argument", "after an equals sign", "--read", "--write", "through a link"])
@pytest.mark.parametrize("path", REFUSED)
def test_what_would_give_away_too_much_is_refused_with_a_way_out(world: World, path: str, how: str) -> None:
    (world.state / "below").mkdir()
    wide = world.top / path
    assert wide.exists()
    (world.outside / "link").symlink_to(wide)
    argv: list[str] = [program(world)]
    options: dict[str, list[str]] = {}
    if how.startswith("--"):
        options[how.removeprefix("--")] = [str(wide)]
    else:
        forms = {"argument": str(wide), "after an equals sign": f"--d={wide}", "through a link": "outside/link"}
        argv.append(forms[how])
    with pytest.raises(ConfinementError) as refused:
        world.profile(argv, **options)
    assert "--read" in refused.value.hint
    assert "--write" in refused.value.hint


def test_a_file_right_in_the_home_is_given_alone(world: World) -> None:
    settings = world.home / "settings.json"
    settings.write_text("{}")
    assert folders(world.profile([program(world), "--config", str(settings)])) == {str(settings): False}


def test_a_file_in_shared_temporary_space_is_given_alone(world: World) -> None:
    world.outside.chmod(0o1777)
    assert folders(world.profile([program(world), "--db", str(world.canary)])) == {str(world.canary): False}


@pytest.mark.parametrize("option", ["read", "write"])
def test_an_option_that_names_nothing_is_an_error(world: World, option: str) -> None:
    with pytest.raises(ConfinementError, match="does not exist"):
        world.profile([program(world)], **{option: [str(world.top / "missing")]})


def test_a_state_directory_that_every_server_could_read_is_refused(world: World) -> None:
    world.state = Path("/usr/share/doorward-state")
    with pytest.raises(ConfinementError, match="state directory lies in /usr"):
        world.profile([program(world)])


def test_of_etc_only_what_every_program_needs_is_readable(world: World) -> None:
    profile = world.profile([program(world)])
    for hidden in (
        "/etc/passwd",
        "/etc/shadow",
        "/etc/ssl/private",
        "/etc/ssl/private/key.pem",
        "/etc",
        "/proc/1",
        "/opt",
    ):
        assert not covers(profile, Path(hidden)), hidden
    for needed in ("/etc/ssl/certs", "/etc/ld.so.cache", "/etc/hosts", "/usr/bin/env", "/dev/urandom"):
        assert covers(profile, Path(needed)), needed
    at_start = [Path("/etc/locale.alias"), *Path("/etc").glob("python3.*/sitecustomize.py")]
    for read in filter(Path.exists, at_start):
        assert covers(profile, read.resolve()), read


def test_a_virtual_environment_brings_its_base_installation_and_what_is_installed_editably(world: World) -> None:
    base = world.home / "pythons" / "3.11"
    (base / "bin").mkdir(parents=True)
    (base / "lib" / "python3.11").mkdir(parents=True)
    shutil.copy("/bin/true", base / "bin" / "python3.11")
    venv = world.home / "venv"
    site = venv / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "pyvenv.cfg").write_text(f"home = {base}/bin\n")
    shutil.copy("/bin/true", venv / "bin" / "python")  # as `venv --copies` does: no link to follow
    (world.server / "pyproject.toml").write_text("")
    (site / "editable.pth").write_text(f"import sys\n{world.server}\n{world.home}\n{world.state}\n")
    profile = world.profile([str(venv / "bin" / "python"), "-m", "server"])
    assert profile.program == str(venv / "bin" / "python")
    for place in (venv, base, world.server):
        assert covers(profile, place / "x"), place
    for place in (world.home, world.state, world.home / ".ssh"):
        assert not covers(profile, place), place


def test_a_console_script_brings_the_interpreter_of_its_first_line(world: World) -> None:
    script = world.home / ".local" / "bin" / "server"
    script.parent.mkdir(parents=True)
    script.write_text(f"#!{sys.executable}\n")
    script.chmod(0o755)
    (world.home / ".local" / "lib" / "python3.11").mkdir(parents=True)
    profile = world.profile([str(script)])
    assert covers(profile, script)
    assert covers(profile, Path(os.__file__))
    assert covers(profile, world.home / ".local" / "lib" / "python3.11")
    assert not covers(profile, world.home / ".local" / "share" / "keyrings")
    assert not covers(profile, script.parent / "another")


def test_the_folder_of_a_script_is_its_own_unless_it_is_too_wide(world: World) -> None:
    for place, is_own in ((world.server, True), (world.home, False), (world.top, False)):
        script = place / "server.py"
        script.write_text("")
        profile = world.profile([sys.executable, "-u", str(script)])
        assert covers(profile, script)
        assert covers(profile, place / "beside.py") == is_own
        assert profile.folders == ()  # code, not the operator's folders


def test_an_option_of_the_interpreter_is_not_mistaken_for_the_script(world: World) -> None:
    hook = world.folder / "hook.js"
    script = world.server / "main.js"
    for file in (hook, script):
        file.write_text("")
    profile = world.profile(["node", "--require", str(hook), str(script), str(world.outside)])
    assert covers(profile, hook)
    assert covers(profile, world.server / "part.js")
    assert folders(profile) == {str(world.outside): True}


def test_arguments_behind_inline_code_and_modules_are_the_operators(world: World) -> None:
    module = world.top / "module"
    module.mkdir()
    profile = world.profile([sys.executable, "-m", "module.main", str(world.folder)])
    assert folders(profile) == {str(world.folder): True}
    assert covers(profile, module / "main.py")
    assert folders(world.profile(["node", "-e", "1", str(world.folder)])) == {str(world.folder): True}


def test_env_in_front_is_looked_through(world: World) -> None:
    script = world.server / "server.py"
    script.write_text("")
    profile = world.profile(["/usr/bin/env", "-u", "X", "A=b", sys.executable, str(script), str(world.folder)])
    assert covers(profile, Path(os.__file__))
    assert folders(profile) == {str(world.folder): True}


def test_a_pyenv_shim_brings_the_versions_that_it_chooses_from(world: World) -> None:
    root = world.home / ".pyenv"
    for name in ("shims", "libexec", "versions"):
        (root / name).mkdir(parents=True)
    shim = root / "shims" / "python3"
    shim.write_text("#!/bin/sh\n")
    shim.chmod(0o755)
    profile = world.profile(["python3"], environ={"PATH": f"{shim.parent}:/usr/bin"})
    assert profile.program == str(shim)
    assert covers(profile, root / "versions" / "3.13" / "bin" / "python3")


def test_a_command_is_found_on_path_and_never_in_the_working_directory(world: World) -> None:
    tool = program(world)
    assert resolve_executable("tool", f"::relative:{os.path.dirname(tool)}", cwd=str(world.top)) == tool
    assert resolve_executable("programs/tool", "", cwd=str(world.top)) == tool
    for name, path in (("tool", ""), ("tool", ".:"), ("", "/usr/bin"), ("./missing", "/usr/bin"), ("folder/", "")):
        with pytest.raises(ConfinementError) as refused:
            resolve_executable(name, path, cwd=str(world.top / "programs"))
        assert refused.value.hint


def test_the_names_of_servers_become_different_folders_and_never_leave_the_cache(world: World) -> None:
    from doorward.confine.profile import derive

    caches = set()
    names = ["a", "a/b", "a%2Fb", "..", ".", "../..", "@scope/server", "A", "ä"]
    for name in names:
        profile = derive(
            [program(world)], environ={}, cwd="/", home=str(world.home), state=str(world.state),
            config=str(world.config), server=name,
        )  # fmt: skip
        assert Path(profile.cache).parent == world.state / "cache"
        assert Path(profile.cache).resolve().parent == world.state / "cache"
        caches.add(profile.cache)
    assert len(caches) == len(names)
