"""Ordinary tool calls: `standard` refuses none that the tool's schema allows, and asks about few.

More than half are judged against the tools that real published servers list when the test starts them, under what
Doorward itself demands of each, the rest against tools such as people write.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from tests.e2e import ordinary
from tests.e2e.ordinary import FOLDER, by_schema, path, query, statement, text, words
from tests.e2e.peering import EVERYTHING, FETCH, FILESYSTEM, GIT, MEMORY, TIME, Place, bounded
from tests.relay.dialogue import Dialogue, Tree, ready

from doorward.policy import known_servers
from doorward.policy.model import ServerPolicy

SEED = 20261126
OF_EACH = 140
OF_OWN = 900
MOST_ASKED = 0.05
OF_ONE_THAT_ASKS = 35  # of a server all of whose tools ask
OF_ASKING = 0.03  # how often a tool is called that asks by its own word, or by what is demanded of its kind

PACKAGES = {
    FILESYSTEM: "npm:@modelcontextprotocol/server-filesystem",
    GIT: "pypi:mcp-server-git",
    FETCH: "pypi:mcp-server-fetch",
    TIME: "pypi:mcp-server-time",
    EVERYTHING: "npm:@modelcontextprotocol/server-everything",
    MEMORY: "npm:@modelcontextprotocol/server-memory",
    "server-sequential-thinking": "npm:@modelcontextprotocol/server-sequential-thinking",
    "mcp-server-sqlite": "pypi:mcp-server-sqlite",
    "server-postgres": "npm:@modelcontextprotocol/server-postgres",
    "mcp-server-commands": "npm:mcp-server-commands",
    "playwright-mcp": "npm:@playwright/mcp",
}
STARTED_WITH = {"server-postgres": ("postgres://127.0.0.1:1/none",), "mcp-server-sqlite": ("--db-path", "x.db")}

OWN: tuple[Tree, ...] = (
    {"name": "run_sql", "inputSchema": {"type": "object", "properties": {"sql": {"type": "string"}}}},
    {"name": "run_python", "inputSchema": {"type": "object", "properties": {"code": {"type": "string"}}}},
    {"name": "shell", "inputSchema": {"type": "object", "properties": {"command": {"type": "string"}}}},
    {
        "name": "send_mail",
        "inputSchema": {
            "type": "object",
            "properties": {
                "to": {"type": "array", "items": {"type": "string", "format": "email"}},
                "subject": {"type": "string", "maxLength": 500},
                "body": {"type": "string"},
            },
            "required": ["to", "body"],
        },
    },
    {
        "name": "create_issue",
        "inputSchema": {
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "body": {"type": "string"},
                "labels": {"type": "array", "items": {"type": "string"}},
                "assignee": {"type": ["string", "null"]},
            },
            "required": ["title"],
            "additionalProperties": False,
        },
    },
    {
        "name": "translate",
        "inputSchema": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "to": {"type": "string", "pattern": "^[a-z]{2}(-[A-Z]{2})?$"}},
        },
    },
    {
        "name": "edit",
        "inputSchema": {"type": "object", "properties": {"old": {"type": "string"}, "new": {"type": "string"}}},
    },
    {"name": "remember", "inputSchema": {"type": "object", "additionalProperties": True}},
)


class Call(NamedTuple):
    """One call, and the tool that it is for."""

    tool: Tree
    arguments: Tree


def value(draw: random.Random, peer: str, tool: str, name: str, schema: Tree) -> Any:
    """What a model would put into the argument ``name``."""
    url, revision = draw.choice(ordinary.URLS), draw.choice(ordinary.REVISIONS)
    made: dict[str, Any] = {
        "path": path(draw),
        "source": path(draw),
        "destination": path(draw),
        "paths": [path(draw) for _ in range(draw.randint(1, 3))],
        "repo_path": FOLDER,
        "files": draw.sample(ordinary.FILES, draw.randint(1, 3)),
        "target": f"e{draw.randint(1, 200)}" if peer == "playwright-mcp" else revision,
        "filename": draw.choice(("page.png", "shots/2026-11-26.png", "snapshot 1.md")),
        "revision": revision,
        "branch_name": revision,
        "base_branch": revision,
        "branch_type": draw.choice(("local", "remote", "all")),
        "contains": "a1b2c3d",
        "not_contains": "a1b2c3d",
        "start_timestamp": draw.choice(("2 weeks ago", "2026-01-01", "yesterday")),
        "end_timestamp": draw.choice(("now", "2026-11-26T12:00:00")),
        "url": url,
        "timezone": draw.choice(ordinary.ZONES),
        "source_timezone": draw.choice(ordinary.ZONES),
        "target_timezone": draw.choice(ordinary.ZONES),
        "time": f"{draw.randint(0, 23):02}:30",
        "command": draw.choice(ordinary.SHELL),
        "workdir": FOLDER,
        "table_name": draw.choice(ordinary.TABLES),
        "pattern": draw.choice(("**/*.py", "*.test.ts", "README*", "src/**/[a-z]*.{js,ts}")),
        "excludePatterns": ["node_modules", ".git", "**/*.min.js"],
        "sql": query(draw, "postgres"),
        "content": text(draw),
        "edits": [{"oldText": text(draw), "newText": text(draw)}],
        "to": draw.choice(("de", "pt-BR", "ja")),
    }
    if peer == "mcp-server-sqlite" and name == "query":
        return query(draw, "sqlite") if tool == "read_query" else statement(draw)
    if name in made and not (peer == EVERYTHING and name == "time"):
        return made[name]
    plain = schema.get("type") == "string" and schema.keys().isdisjoint(("enum", "format"))
    return text(draw) if plain else by_schema(draw, schema)


def call(draw: random.Random, peer: str, tool: Tree) -> Call:
    schema = tool["inputSchema"]
    needed = schema.get("required", [])
    arguments = {
        name: value(draw, peer, tool["name"], name, below)
        for name, below in schema.get("properties", {}).items()
        if name in needed or draw.random() < 0.5
    }
    if tool["name"] == "remember":
        arguments = {words(draw): [text(draw), draw.randint(0, 9), {"a b": text(draw)}]}
    if tool["name"] == "send_mail":
        arguments["to"] = ["ada@example.org", "o'brien+list@example.co.uk"]
    if tool["name"] == "run_sql" and "sql" in arguments:
        arguments["sql"] = draw.choice(
            (arguments["sql"], statement(draw), "DROP TABLE IF EXISTS old; CREATE TABLE x (a)")
        )
    return Call(tool, arguments)


def allowed(made: Call) -> bool:
    """Whether the tool's schema allows the call, closed as DESIGN §7 closes it, by another validator than ours."""
    schema = dict(made.tool["inputSchema"])
    if "properties" in schema and "additionalProperties" not in schema:
        schema["additionalProperties"] = False
    return bool(Draft202012Validator(schema).is_valid(made.arguments))


def calls(draw: random.Random, peer: str, tools: list[Tree], count: int, asking: set[str]) -> Iterator[Call]:
    quiet = [tool for tool in tools if tool["name"] not in asking]
    loud = [tool for tool in tools if tool["name"] in asking]
    made = 0
    while made < count:
        among = loud if loud and (not quiet or draw.random() < OF_ASKING) else quiet
        one = call(draw, peer, draw.choice(among))
        if allowed(one):
            made += 1
            yield one


def asks_by_itself(tools: list[Tree], said: ServerPolicy | None) -> set[str]:
    loud = {tool["name"] for tool in tools if (tool.get("annotations") or {}).get("destructiveHint") is True}
    return loud | ({name for name, tool in said.tools.items() if tool.ask} if said is not None else set())


async def listed(place: Place, peer: str) -> list[Tree]:
    async with place.connect((*place.command(peer), *STARTED_WITH.get(peer, ())), "legacy") as client:
        tools = (await client.list_tools()).tools
        return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


class Judged:
    """What became of the calls of all servers."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.refused: list[tuple[str, str, Any]] = []

    def play(self, peer: str, tools: list[Tree], said: ServerPolicy | None, count: int) -> None:
        draw = random.Random(f"{SEED} {peer}")  # noqa: S311 - the same calls in each run
        talk = ready("legacy", tools=tools, known=said, folders=(FOLDER,), attached=True)
        shown = talk.relay.state.removed
        assert not shown, f"{peer}: its tools cannot be used: {shown}"
        asking = asks_by_itself(tools, said)
        count = count if any(tool["name"] not in asking for tool in tools) else OF_ONE_THAT_ASKS
        for number, one in enumerate(calls(draw, peer, tools, count, asking)):
            self._judge(talk, peer, number, one)

    def _judge(self, talk: Dialogue, peer: str, number: int, one: Call) -> None:
        turn = talk.client(talk.call(number, one.tool["name"], one.arguments))
        findings = [finding for record in turn.written for finding in record.entry.findings]
        self.count[peer] += 1
        if turn.tickets:
            self.asked.update({finding.control for finding in findings if finding.effect == "ASK"})
            talk.person(turn.ticket)
        elif not turn.told("server"):
            reasons = [(finding.control, finding.reason, finding.evidence) for finding in findings]
            self.refused.append((peer, one.tool["name"], reasons))
        talk.server(talk.result(number, isError=True, content=[]))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, peers: Any) -> Judged:
    place, found = Place(tmp_path_factory.mktemp("ordinary"), peers), Judged()
    for peer, package in PACKAGES.items():
        known = known_servers.of_package(package)
        found.play(peer, bounded(listed(place, peer)), known.said if known is not None else None, OF_EACH)
    found.play("our own", list(OWN), None, OF_OWN)
    return found


def test_more_than_two_thousand_are_judged_and_half_against_ten_published_servers(judged: Judged) -> None:
    published = {peer: count for peer, count in judged.count.items() if peer in PACKAGES}
    assert judged.count.total() >= 2_000
    assert len(published) >= 10
    assert sum(published.values()) * 2 >= judged.count.total()


def test_none_is_refused_that_the_schema_allows(judged: Judged) -> None:
    assert judged.refused == []


def test_few_are_asked_about_and_hardly_any_but_by_the_tools_own_word(judged: Judged) -> None:
    total = judged.count.total()
    print(f"{total} calls, asked: {dict(judged.asked)}")  # noqa: T201 - the figure that is reported, with -rP
    assert judged.asked.total() <= MOST_ASKED * total, judged.asked
    assert judged.asked.total() - judged.asked["destructive-consent"] <= MOST_ASKED / 5 * total, judged.asked


def test_the_same_way_sees_what_is_refused(place: Place) -> None:
    known = known_servers.of_package(PACKAGES[GIT])
    assert known is not None
    found, tools = Judged(), bounded(listed(place, GIT))
    (show,) = (tool for tool in tools if tool["name"] == "git_show")
    talk = ready("legacy", tools=tools, known=known.said, folders=(FOLDER,), attached=True)
    found._judge(talk, GIT, 1, Call(show, {"repo_path": FOLDER, "revision": "--output=x"}))  # noqa: SLF001 - its own
    found._judge(talk, GIT, 2, Call(show, {"repo_path": "/etc", "revision": "HEAD"}))  # noqa: SLF001 - as above
    assert [reasons[0][0] for _, _, reasons in found.refused] == ["argument-constraints", "path-confinement"]
