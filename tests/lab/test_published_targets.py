"""Published servers: found exactly as locked, installed only when asked, and told apart from a silent registry."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from doorward.lab.targets.published import (
    LOCKS,
    InstallationError,
    Installed,
    NotInstalled,
    UnreachableError,
    find,
    home,
    install,
    names,
)
from doorward.lab.targets.published.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEERS = Path(__file__).parents[1] / "peers"
VULNERABLE = "server-filesystem-2025.3.28"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "published-test", "version": "1"},
    },
}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where nothing is installed yet."""
    monkeypatch.setenv("DOORWARD_TARGETS", str(tmp_path / "targets"))
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.delenv("CI", raising=False)
    return tmp_path / "targets"


@pytest.fixture
def no_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry address where nobody listens: a port that is bound for as long as the test runs, and never opened."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
        monkeypatch.setenv("npm_config_registry", address)
        monkeypatch.setenv("npm_config_fetch_retries", "0")
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("PIP_RETRIES", "1")  # the warning about the first try is what tells
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        yield


def first_answer(argv: tuple[str, ...], *arguments: str, cwd: Path) -> dict[str, Any]:
    with subprocess.Popen(
        [*argv, *arguments], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        server.stdin.flush()
        answer: dict[str, Any] = json.loads(server.stdout.readline())
        server.kill()
    return answer


@pytest.mark.parametrize(
    ("peer", "title"),
    [
        (VULNERABLE, "secure-filesystem-server"),
        ("server-filesystem", "secure-filesystem-server"),
        ("server-everything", "mcp-servers/everything"),
        ("mcp-server-git", "mcp-git"),
    ],
)
def test_each_installed_server_starts_and_says_who_it_is(
    peers: Callable[[str], Installed], tmp_path: Path, peer: str, title: str
) -> None:
    folder = (str(tmp_path),) if "filesystem" in peer else ()
    answer = first_answer(peers(peer).argv, *folder, cwd=tmp_path)
    assert answer["result"]["serverInfo"]["name"] == title


def test_the_vulnerable_version_is_the_one_that_runs(peers: Callable[[str], Installed]) -> None:
    package = peers(VULNERABLE).root / "node_modules/@modelcontextprotocol/server-filesystem/package.json"
    assert json.loads(package.read_bytes())["version"] == "2025.3.28"


def test_every_lock_folder_is_a_name_that_can_be_asked_for() -> None:
    assert names() == ("mcp-server-git-2025.7.1", VULNERABLE)
    servers = {"everything", "filesystem", "memory", "postgres", "sequential-thinking"}
    mended = "server-filesystem-2025.7.1"
    found = {name for name in names(PEERS) if name.startswith("server-")}
    assert found == {mended, *(f"server-{name}" for name in servers)}
    others = tuple(name for name in names(PEERS) if name.startswith("mcp-"))
    assert set(others) == {
        *("mcp-server-commands", "mcp-server-fetch", "mcp-server-git", "mcp-server-git-2026.1.14", "mcp-server-sqlite"),
        "mcp-server-time",
    }


def test_a_library_for_node_has_no_program_but_the_node_that_runs_a_script_with_it(
    peers: Callable[[str], Installed], node: Path
) -> None:
    assert peers("typescript-sdk-v1").argv == (str(node),)


def test_what_was_never_installed_is_not_found_and_says_how_to_get_it(elsewhere: Path) -> None:
    found = find(VULNERABLE)
    assert isinstance(found, NotInstalled)
    assert "python -m doorward.lab.targets.published" in found.hint
    assert not elsewhere.exists()  # looking installs nothing


def test_an_installation_from_another_lock_does_not_count(peers: Callable[[str], Installed], tmp_path: Path) -> None:
    assert peers(VULNERABLE).root == home() / VULNERABLE
    shutil.copytree(LOCKS / VULNERABLE, tmp_path / VULNERABLE)
    with (tmp_path / VULNERABLE / "package-lock.json").open("a") as lock:
        lock.write("\n")
    found = find(VULNERABLE, locks=tmp_path)
    assert isinstance(found, NotInstalled)
    assert found.reason == "installed from another lock"


@pytest.mark.parametrize("name", ["nobody", "../published", ".", ""])
def test_only_names_of_locks_are_looked_for(name: str) -> None:
    with pytest.raises(InstallationError, match="there is no lock for"):
        find(name)


@pytest.mark.usefixtures("no_registry", "elsewhere")
@pytest.mark.parametrize(("locks", "name"), [(LOCKS, VULNERABLE), (PEERS, "mcp-server-git")])
def test_a_registry_that_does_not_answer_is_told_apart_and_leaves_nothing_behind(locks: Path, name: str) -> None:
    with pytest.raises(UnreachableError, match="no registry answered"):
        install(name, locks=locks)
    assert isinstance(find(name, locks=locks), NotInstalled)


@pytest.mark.usefixtures("no_registry", "elsewhere")
@pytest.mark.parametrize(
    ("arguments", "ci", "status"),
    [
        ([], "", 2),
        (["--unreachable-is-no-failure"], "", 0),
        (["--unreachable-is-no-failure"], "true", 2),
    ],
)
def test_the_demo_goes_on_without_a_registry_except_in_ci(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], ci: str, status: int
) -> None:
    monkeypatch.setenv("CI", ci)
    assert main(arguments) == status
    assert f"doorward: warning: {VULNERABLE}: no registry answered" in capsys.readouterr().err


class Registry:
    """A registry on loopback with one package, whose install script would leave a marker."""

    def __init__(self, address: str, marker: Path) -> None:
        script = f"require('fs').writeFileSync({json.dumps(str(marker))}, '')"
        self.manifest: dict[str, Any] = {
            "name": "tiny-server",
            "version": "1.0.0",
            "bin": {"tiny-server": "server.js"},
            "scripts": {"postinstall": f'node -e "{script}"'},
        }
        self.tarball = self._pack()
        self.integrity = "sha512-" + base64.b64encode(hashlib.sha512(self.tarball).digest()).decode()
        dist = {"tarball": f"{address}/tiny.tgz", "integrity": self.integrity}
        versions = {"1.0.0": self.manifest | {"dist": dist}}
        self.packument = {"name": "tiny-server", "dist-tags": {"latest": "1.0.0"}, "versions": versions}

    def _pack(self) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for file, body in (("package.json", json.dumps(self.manifest)), ("server.js", "")):
                entry = tarfile.TarInfo(f"package/{file}")
                entry.size = len(body)
                archive.addfile(entry, io.BytesIO(body.encode()))
        return packed.getvalue()

    def lock(self, locks: Path, *, integrity: str) -> None:
        """Write a lock for the package, in the form that `names` and `install` know."""
        folder = locks / "tiny"
        folder.mkdir(parents=True)
        asked = {"name": "lock-of-tiny", "dependencies": {"tiny-server": "1.0.0"}}
        got = {"version": "1.0.0", "integrity": integrity, "hasInstallScript": True, "bin": self.manifest["bin"]}
        packages = {"": asked, "node_modules/tiny-server": got}
        (folder / "package.json").write_text(json.dumps(asked))
        (folder / "package-lock.json").write_text(json.dumps({"lockfileVersion": 3, "packages": packages}))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(shop.tarball if self.path == "/tiny.tgz" else json.dumps(shop.packument).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest shows what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        shop = Registry(address, tmp_path / "marker")
        monkeypatch.setenv("npm_config_registry", address)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield shop
        server.shutdown()
        serving.join()


def test_installing_runs_nothing_of_the_package(elsewhere: Path, registry: Registry, tmp_path: Path) -> None:
    registry.lock(tmp_path / "locks", integrity=registry.integrity)
    installed = install("tiny", locks=tmp_path / "locks")
    assert installed == find("tiny", locks=tmp_path / "locks")
    assert Path(installed.argv[-1]) == elsewhere / "tiny" / "node_modules" / "tiny-server" / "server.js"
    assert not (tmp_path / "marker").exists()


def test_an_installation_is_done_once(elsewhere: Path, registry: Registry, tmp_path: Path) -> None:
    registry.lock(tmp_path / "locks", integrity=registry.integrity)
    install("tiny", locks=tmp_path / "locks")
    stamp = elsewhere / "tiny" / "installed.json"
    made = stamp.stat().st_mtime_ns
    install("tiny", locks=tmp_path / "locks")
    assert stamp.stat().st_mtime_ns == made


def test_an_interrupted_installation_is_made_anew(elsewhere: Path, registry: Registry, tmp_path: Path) -> None:
    registry.lock(tmp_path / "locks", integrity=registry.integrity)
    (elsewhere / "tiny").mkdir(parents=True)
    (elsewhere / "tiny" / "half").write_text("left behind by a killed installer")
    assert isinstance(find("tiny", locks=tmp_path / "locks"), NotInstalled)
    install("tiny", locks=tmp_path / "locks")
    assert not (elsewhere / "tiny" / "half").exists()


@pytest.mark.usefixtures("elsewhere")
def test_a_package_that_differs_from_its_hash_is_refused_and_is_no_silent_registry(
    registry: Registry, tmp_path: Path
) -> None:
    registry.lock(tmp_path / "locks", integrity="sha512-" + "A" * 86 + "==")
    with pytest.raises(InstallationError, match="EINTEGRITY") as refused:
        install("tiny", locks=tmp_path / "locks")
    assert not isinstance(refused.value, UnreachableError)
    assert isinstance(find("tiny", locks=tmp_path / "locks"), NotInstalled)


def test_the_home_of_targets_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOORWARD_TARGETS", str(tmp_path / "chosen"))
    assert home() == tmp_path / "chosen"
    monkeypatch.delenv("DOORWARD_TARGETS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert home() == tmp_path / "cache" / "doorward" / "targets"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache" / "doorward" / "targets"
