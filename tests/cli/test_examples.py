"""What stands in ``examples/`` works as it stands: policies load, clients find the servers, commands are commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from doorward.cli.main import main
from doorward.policy.addresses import url_problem
from doorward.policy.load import load
from doorward.policy.model import Policy
from doorward.policy.profiles import weakened

EXAMPLES = Path(__file__).parents[2] / "examples"
POLICIES = sorted(EXAMPLES.rglob("*.toml"))
CLIENTS = sorted(EXAMPLES.rglob("mcp.json"))
SERVED = [path for path in CLIENTS if path.with_name("doorward.toml").exists()]


def folder_of(path: Path) -> str:
    return path.relative_to(EXAMPLES).as_posix()


def loaded(path: Path, folder: Path) -> Policy:
    copy = folder / path.name  # a checkout may be writable by a group
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o600)
    return load(copy)


def servers_of(path: Path) -> dict[str, dict[str, Any]]:
    servers: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["mcpServers"]
    assert servers
    return servers


def test_there_is_an_example_for_each_way_to_run() -> None:
    assert {folder_of(path) for path in (*POLICIES, *CLIENTS)} == {
        "doorward.toml",
        "wrap/mcp.json",
        "wrap-url/mcp.json",
        "serve-command/doorward.toml",
        "serve-command/mcp.json",
        "serve-url/doorward.toml",
        "serve-url/mcp.json",
        "reverse-proxy/doorward.toml",
    }
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"]({folder_of(path).partition('/')[0]})" in readme for path in (*POLICIES, *CLIENTS))


@pytest.mark.parametrize("path", POLICIES, ids=folder_of)
def test_every_policy_loads_and_weakens_nothing(path: Path, tmp_path: Path) -> None:
    assert weakened(loaded(path, tmp_path)) == ()


@pytest.mark.parametrize("path", SERVED, ids=folder_of)
def test_clients_find_every_server_of_the_policy_beside_them(path: Path, tmp_path: Path) -> None:
    policy = loaded(path.with_name("doorward.toml"), tmp_path)
    wanted = {name: f"http://{policy.serve.listen}{server.served_path}" for name, server in policy.servers.items()}
    assert {name: server["url"] for name, server in servers_of(path).items()} == wanted
    assert {server["type"] for server in servers_of(path).values()} == {"http"}


def test_behind_a_proxy_clients_use_an_address_with_tls(tmp_path: Path) -> None:
    policy = loaded(EXAMPLES / "reverse-proxy" / "doorward.toml", tmp_path)
    assert urlsplit(policy.serve.public_url).scheme == "https"
    assert policy.serve.trusted_proxies


def test_a_command_of_wrap_is_one_that_doorward_understands(capsys: pytest.CaptureFixture[str]) -> None:
    [server] = servers_of(EXAMPLES / "wrap" / "mcp.json").values()
    front = server["args"][: server["args"].index("--")]
    assert (server["command"], front[0]) == ("doorward", "wrap")
    # Without its command nothing is started; every word before that was understood.
    assert main(front) == 2
    assert "no command to wrap" in capsys.readouterr().err


def test_the_address_that_is_wrapped_is_one_that_may_be_reached() -> None:
    [server] = servers_of(EXAMPLES / "wrap-url" / "mcp.json").values()
    args = server["args"]
    assert url_problem(args[args.index("--url") + 1]) is None
