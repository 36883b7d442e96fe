"""Well-known servers: known by the package that their identity's evidence names, held to what is demanded of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from tests.relay.dialogue import Dialogue, Era, Tree, eras, ready

from doorward.content.arguments import Constraint
from doorward.errors import PolicyError
from doorward.policy import known_servers
from doorward.policy.identity import VerifiedIdentity, verified
from doorward.policy.known_servers import FOLDER, KnownServer
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, ToolPolicy, sealed

EVERY = known_servers.every()
QUERY: Tree = {"name": "read_query", "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}}}


def told(package: str, kind: str = "command") -> VerifiedIdentity:
    return verified(kind, "mine", {"executable": "/usr/bin/x", "package": package})


def sqlite() -> KnownServer:
    found = known_servers.of_identity(told("pypi:mcp-server-sqlite 2025.4.25"))
    assert found is not None
    return found


def test_the_files_are_those_that_were_promised_and_demand_something_each() -> None:
    names = {known.name for known in EVERY}
    assert names == set("filesystem git fetch sqlite postgres mysql kubernetes browser shell".split())
    for known in EVERY:
        assert any(tool.ask or tool.arguments for tool in known.said.tools.values()), known.name


def test_no_package_is_of_two_files() -> None:
    assert [one for one, times in Counter(p for known in EVERY for p in known.packages).items() if times > 1] == []
    assert all(package.startswith(("npm:", "pypi:")) and " " not in package for k in EVERY for package in k.packages)


def test_a_file_only_asks_for_more() -> None:
    for known in EVERY:
        said = known.said
        assert msgspec.structs.replace(said, tools={}, prompts={}) == ServerPolicy(known.name)
        assert all(tool.ask is not False for tool in said.tools.values())


@pytest.mark.parametrize("known", EVERY, ids=lambda known: known.name)
def test_a_server_is_known_by_its_package_at_any_version_or_none(known: KnownServer) -> None:
    for package in known.packages:
        for label in (package, f"{package} 1.2.3"):
            assert known_servers.of_identity(told(label)) == known


@pytest.mark.parametrize(
    "identity",
    [
        told("npm:mcp-server-sqlite 1.0.0"),
        told("pypi:mcp-server-sqlite-extra 1.0.0"),
        told("mcp-server-sqlite"),
        told(""),
        told("pypi:mcp-server-sqlite", kind="url"),
        verified("command", "mcp-server-sqlite", {"executable": "/opt/pypi:mcp-server-sqlite"}),
        verified("command", "pypi:mcp-server-sqlite", {"executable": "/usr/bin/x"}),
    ],
    ids=lambda identity: f"{identity.kind} {identity.evidence}",
)
def test_nothing_else_makes_a_server_known(identity: VerifiedIdentity) -> None:
    assert known_servers.of_identity(identity) is None


@pytest.mark.parametrize(
    "text",
    [
        "[tools.t]\nask = true",
        "packages = []\n[tools.t]\nask = true",
        'packages = ["npm:x"]\ngrants = ["y"]',
        'packages = ["npm:x"]\n[unsafe_standing_approvals]\nsampling = true\nfor = "1h"',
        'packages = ["npm:x"]\n[tools.t.arguments]\nx = { pattern = "(" }',
    ],
)
def test_a_file_that_says_more_or_nothing_that_can_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(PolicyError):
        known_servers.read(path)


# -- in force ----------------------------------------------------------------------------------------------------------


def policy(server: ServerPolicy) -> Policy:
    return sealed(msgspec.structs.replace(load(None), servers={server.name: server}))


def refused(talk: Dialogue, query: str) -> set[str]:
    turn = talk.client(talk.call(query, "read_query", {"query": query}))
    return turn.controls if not turn.told("server") else set()


@eras()
def test_what_is_demanded_of_a_known_server_holds_without_a_policy(era: Era) -> None:
    talk = ready(era, tools=[QUERY], known=sqlite().said)
    assert refused(talk, "SELECT name FROM users") == set()
    assert refused(talk, "SELECT load_extension('x')") == {"argument-constraints"}
    assert refused(ready(era, tools=[QUERY]), "SELECT load_extension('x')") == set()


@eras()
def test_the_servers_own_table_adds_to_it(era: Era) -> None:
    short = ToolPolicy(arguments={"query": (Constraint("max_length", 20),)})
    own = policy(ServerPolicy("notes", tools={"read_query": short}))
    talk = ready(era, tools=[QUERY], known=sqlite().said, policy=own)
    assert refused(talk, "SELECT 1") == set()
    assert refused(talk, "SELECT 1, 2, 3, 4, 5, 6") == {"argument-constraints"}
    assert refused(talk, "DELETE FROM t") == {"argument-constraints"}
    talk.relay.state.adopt(load(None))
    assert refused(talk, "DELETE FROM u") == {"argument-constraints"}
    assert refused(talk, "SELECT 1, 2, 3, 4, 5, 6, 7") == set()


@eras()
def test_only_an_unsafe_word_of_the_operators_does_without(era: Era) -> None:
    own = policy(ServerPolicy("notes", unsafe_no_profile=True))
    assert refused(ready(era, tools=[QUERY], known=sqlite().said, policy=own), "DELETE FROM t") == set()
    other = policy(ServerPolicy("others", unsafe_no_profile=True))
    assert refused(ready(era, tools=[QUERY], known=sqlite().said, policy=other), "DELETE FROM t")


def test_what_asks_there_asks_and_the_operator_may_not_unsay_it_by_the_way() -> None:
    known = known_servers.of_package("npm:mcp-server-commands")
    assert known is not None
    (tool,) = known.said.tools.keys() & {"run_command"}
    assert load(None).for_server("x", known.said).tool(tool).ask is True
    assert policy(ServerPolicy("x", read=("/y",))).for_server("x", known.said).tool(tool).ask is True


def test_the_folder_holds_nothing_else() -> None:
    assert {path.suffix for path in FOLDER.iterdir()} == {".toml"}
