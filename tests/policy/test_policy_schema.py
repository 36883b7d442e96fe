"""The shipped JSON Schema and the reader know the same keys and refuse the same kinds of mistakes."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from doorward.content.arguments import KINDS
from doorward.errors import PolicyError
from doorward.policy import keys
from doorward.policy.load import load

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "src" / "doorward" / "policy"
TODAY = datetime.date(2026, 11, 22)

SCHEMA: dict[str, Any] = json.loads((POLICY / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.Draft4Validator(SCHEMA, validate_formats=True)


def is_valid(text: str) -> bool:
    """As an editor sees it: dates are texts to JSON."""
    return VALIDATOR.is_valid(json.loads(json.dumps(tomllib.loads(text), default=str)))


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "doorward.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    try:
        load(path, today=TODAY)
    except PolicyError as refused:
        return [problem.what for problem in refused.problems]
    return []


def test_the_shipped_schema_is_up_to_date() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "policy_schema.py"), "--check"]
    checked = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_schema_is_one_of_the_draft_that_editors_know() -> None:
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-04/schema#"
    assert jsonschema_rs.meta.is_valid(SCHEMA)


# Keys, in both directions. A table is named by the lines that open it; what is in it is wrong on purpose.

TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "top": ("", SCHEMA),
    "consent": ("[consent]", SCHEMA["properties"]["consent"]),
    "log": ("[log]", SCHEMA["properties"]["log"]),
    "sizes": ("[sizes]", SCHEMA["properties"]["sizes"]),
    "unsafe_sizes": ("[unsafe_sizes]", SCHEMA["properties"]["unsafe_sizes"]),
    "limits": ("[limits]", SCHEMA["properties"]["limits"]),
    "unsafe_limits": ("[unsafe_limits]", SCHEMA["properties"]["unsafe_limits"]),
    "serve": ("[serve]", SCHEMA["properties"]["serve"]),
    "server": ("[servers.a]", SCHEMA["definitions"]["server"]),
    "every server": ('[servers."*"]', SCHEMA["definitions"]["every_server"]),
    "tool": ("[servers.a.tools.t]", SCHEMA["definitions"]["tool"]),
    "template": ("[servers.a.templates.'n:{x}']", SCHEMA["definitions"]["template"]),
    "sizes of a tool": ("[servers.a.tools.t.sizes]", SCHEMA["definitions"]["part_sizes"]),
    "unsafe sizes of a server": ("[servers.a.unsafe_sizes]", SCHEMA["definitions"]["part_sizes"]),
    "constraints": ("[servers.a.tools.t.arguments.x]", SCHEMA["definitions"]["constraints"]),
    "standing": ("[unsafe_standing_approvals]", SCHEMA["definitions"]["standing"]),
    "standing of a server": ("[servers.a.unsafe_standing_approvals]", SCHEMA["definitions"]["standing"]),
}


def unknown_here(folder: Path, table: str, names: set[str]) -> set[str]:
    """Which of ``names`` the reader does not know in this table."""
    told = problems(folder, f"{table}\n" + "".join(f"{name} = 1\n" for name in sorted(names)))
    said = (re.fullmatch(r"(?:.*\.)?(\w+): (?:is not a known key|is of one server .*)", what) for what in told)
    return {match[1] for match in said if match}


def all_names() -> set[str]:
    """Every word that is a key in some table of the schema or of the reader."""
    words = (
        keys.TOP,
        keys.CONSENT,
        keys.LOG,
        keys.SIZES,
        keys.PART_SIZES,
        keys.LIMITS,
        keys.SERVE,
        keys.SERVER,
        keys.TOOL,
    )
    names = {name for table in (*words, keys.STANDING) for name in table} | set(KINDS) | {"no_such_key"}
    return names | {name for _, schema in TABLES.values() for name in schema["properties"]}


@pytest.mark.parametrize("table", TABLES)
def test_a_key_is_in_the_schema_exactly_where_the_reader_knows_it(tmp_path: Path, table: str) -> None:
    opened, schema = TABLES[table]
    assert schema["additionalProperties"] is False
    known = all_names() - unknown_here(tmp_path, opened, all_names())
    assert schema["properties"].keys() == known


@pytest.mark.parametrize("table", TABLES)
def test_every_key_is_described(table: str) -> None:
    if table != "constraints":
        assert all(one["description"] for one in TABLES[table][1]["properties"].values())


# What both take.

EXAMPLES = sorted((ROOT / "examples").rglob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_are_valid(path: Path) -> None:
    assert is_valid(path.read_text(encoding="utf-8"))


def test_the_commented_file_is_valid_as_it_is_and_with_every_setting_in_use() -> None:
    text = (POLICY / "commented.toml").read_text(encoding="utf-8")
    assert is_valid(text)
    assert is_valid(re.sub(r"(?m)^#(?=[^ \n])", "", text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        'profile = "strict"',
        "unsafe_observe_until = 2026-12-06",
        '[log]\nunsafe_floor = "debug"',
        "[unsafe_sizes]\ndepth = 1000000",
        "[unsafe_limits]\nsessions = 1000000",
        '[serve]\nlisten = "[::1]:0"\nallow_users = ["alice", 1001]\ndrain_seconds = 0',
        '[serve]\nallowed_hosts = ["[::1]:8080", "a"]\nallowed_origins = ["vscode-webview://1a"]',
        '[serve]\ntrusted_proxies = ["::1", "10.0.0.0/8"]\npublic_url = "https://a.example/x"',
        '[unsafe_standing_approvals]\nsampling = true\nroots = false\nfor = "336h"',
        "[unsafe_standing_approvals]\nelicitation = true\nexpires = 2026-12-01",
        '[servers.a]\nurl = "http://LOCALHOST:9000/mcp?x=1"\ntransport = "sse"\npath = "/a/b.c"',
        '[servers.a]\ncommand = ["x", ""]\ngrants = ["experimental/x", "extensions/a.b/c", "y"]',
        "[servers.a.tools.t.arguments]\nx = { enum = ['a', 1, true, 1.5], minimum = -1, maximum = 2.5 }",
        "[servers.a.tools.t.arguments]\nx = { max_length = 0, single_line = true, pattern = '[a-z]+' }",
        "[servers.a.tools.t.arguments]\nx = { url_allow = ['http://127.0.0.1:80/v1'], read_only_sql = true }",
        '[servers.a.tools."x.y"]\nask = false\n[servers.a.tools.t.arguments]\n"/a/*" = { path_below = true }',
    ],
)
def test_what_the_reader_takes_is_valid(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []
    assert is_valid(text)


# What both refuse, one of each kind.

BY_URL = 'url = "https://a.example/mcp"'


@pytest.mark.parametrize(
    "text",
    [
        'profile = "lax"',
        "consent = 1",
        "colour = 1",
        "[consent]\nhold_seconds = 0",
        "[consent]\nhold_seconds = 601",
        "[consent]\nhold_seconds = 4.5",
        "unsafe_observe_until = true",
        'unsafe_observe_until = "tomorrow"',
        '[log]\nfloor = "loud"',
        '[log]\nfloor = "error"\nunsafe_floor = "debug"',
        "[sizes]\ndepth = 65",
        "[sizes]\ndepth = 0",
        "[unsafe_sizes]\ndepth = 0",
        "[limits]\nsessions = 33",
        "[unsafe_limits]\nsessions = true",
        '[serve]\nlisten = "0.0.0.0:1"',
        '[serve]\nlisten = "127.0.0.1"',
        '[serve]\nallow_users = ["*"]',
        "[serve]\nallow_users = [-1]",
        '[serve]\npublic_url = "http://a.example"',
        '[serve]\nallowed_hosts = ["*.example.com"]',
        '[serve]\nallowed_hosts = ["https://a"]',
        '[serve]\nallowed_origins = ["null"]',
        '[serve]\nallowed_origins = ["https://a/"]',
        '[serve]\ntrusted_proxies = ["0.0.0.0/0"]',
        '[serve]\ntrusted_proxies = ["proxy"]',
        "[serve]\nidle_seconds = 0",
        "[serve]\nmax_seconds = 604801",
        "[serve]\ndrain_seconds = 601",
        '[servers."a/b"]',
        '[servers."*"]\ncommand = ["x"]',
        '[servers.a]\nurl = "ws://a.example"',
        '[servers.a]\nurl = "http://a.example"',
        '[servers.a]\nurl = "https://u:p@a.example"',
        '[servers.a]\nurl = "https://a.example/#x"',
        '[servers.a]\nurl = ""',
        f'[servers.a]\n{BY_URL}\ncommand = ["x"]',
        f'[servers.a]\n{BY_URL}\ntransport = "websocket"',
        f'[servers.a]\n{BY_URL}\npath = "/healthz"',
        f'[servers.a]\n{BY_URL}\npath = "/a/"',
        f'[servers.a]\n{BY_URL}\npath = "/a/../b"',
        '[servers.a]\npath = "/a"',
        '[servers.a]\ncommand = ["x"]\ntransport = "sse"',
        "[servers.a]\ncommand = []",
        '[servers.a]\ncommand = "x"',
        '[servers.a]\nread = ["x"]',
        '[servers.a]\nwrite = "/x"',
        '[servers.a]\nenv = ["X=1"]',
        '[servers.a]\ngrants = ["experimental"]',
        '[servers.a]\ngrants = ["extensions/"]',
        '[servers.a.tools."read_*"]',
        "[servers.a.tools.t]\nask = 1",
        "[servers.a.tools.t.arguments]\nx = {}",
        "[servers.a.tools.t.arguments]\nx = { identifier = false }",
        "[servers.a.tools.t.arguments]\nx = { enum = [] }",
        "[servers.a.tools.t.arguments]\nx = { enum = [[1]] }",
        "[servers.a.tools.t.arguments]\nx = { minimum = '1' }",
        "[servers.a.tools.t.arguments]\nx = { max_length = -1 }",
        "[servers.a.tools.t.arguments]\nx = { max_length = 1.5 }",
        "[servers.a.tools.t.arguments]\nx = { pattern = '' }",
        "[servers.a.tools.t.arguments]\nx = { url_allow = ['a.example'] }",
        "[servers.a.tools.t.arguments]\nx = { url_allow = ['https://u@a.example'] }",
        "[servers.a.tools.t.arguments]\nx = { read_only_sql = 'tsql' }",
        '[servers.a.tools.t.arguments]\nx = { path_below = "x" }',
        "[unsafe_standing_approvals]\nsampling = true",
        '[unsafe_standing_approvals]\nsampling = true\nfor = "1h"\nexpires = 2026-11-23',
        '[unsafe_standing_approvals]\nsampling = true\nfor = "1d"',
        '[unsafe_standing_approvals]\nsampling = false\nfor = "1h"',
        '[unsafe_standing_approvals]\nfor = "1h"',
        '[unsafe_standing_approvals]\nsampling = "yes"\nfor = "1h"',
    ],
)
def test_what_the_reader_refuses_is_not_valid(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) != []
    assert not is_valid(text)
