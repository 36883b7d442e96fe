"""What is demanded of well-known servers refuses what does harm there, and lets pass what they are for."""

from __future__ import annotations

import pytest

from doorward.content.arguments import violates
from doorward.policy import known_servers
from doorward.policy.model import ToolPolicy


def tool(package: str, name: str) -> ToolPolicy:
    known = known_servers.of_package(package)
    assert known is not None
    return known.said.tools[name]


def refused(package: str, name: str, argument: str, value: object) -> bool:
    return any(violates(one, value) for one in tool(package, name).arguments[argument])


@pytest.mark.parametrize("name", ["browser_navigate", "browser_tabs"])
@pytest.mark.parametrize(
    ("url", "passes"),
    [
        ("https://example.com/a?b=c#d", True),
        ("HTTP://127.0.0.1:8080/x", True),
        ("example.com", True),
        ("example.com:8080/x", True),
        ("localhost:3000", True),
        ("localhost", True),
        ("127.0.0.1:3000/x", True),
        ("intranet/page", True),
        ("sub-domain.example.com/a:b", True),
        ("about:blank", True),
        ("file:///etc/passwd", False),
        # `new URL` has schemes without slashes, and a number for the beginning of a path.
        ("file:0/../etc/passwd", False),
        ("FILE:0/../etc/passwd", False),
        ("javascript:1/alert(1)", False),
        ("view-source:1/x", False),
        ("data:1/x", False),
        ("chrome:1/x", False),
        ("blob:0", False),
    ],
)
def test_a_browser_opens_pages_of_the_web_only(name: str, url: str, *, passes: bool) -> None:
    assert refused("npm:@playwright/mcp", name, "url", url) is not passes


@pytest.mark.parametrize(
    ("query", "passes"),
    [
        ("INSERT INTO t VALUES (1)", True),
        ("  update t set a = 1", True),
        ("-- first\nDELETE FROM t", True),
        ("/* a */ WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", True),
        ("REPLACE INTO t VALUES (1)", True),
        ("CREATE INDEX i ON t (a)", True),
        ("ALTER TABLE t ADD COLUMN b", True),
        ("DROP TABLE t", True),
        ("VACUUM", True),
        ("ATTACH DATABASE '/tmp/x.db' AS y", False),
        ("/* INSERT */ attach '/tmp/x.db' as y", False),
        ("-- INSERT\nATTACH '/tmp/x.db' AS y", False),
        ("VACUUM INTO '/tmp/copy.db'", False),
        ("VACUUM main INTO '/tmp/copy.db'", False),
        ("VACUUM/**/INTO '/tmp/copy.db'", False),
        ("PRAGMA writable_schema = 1", False),
        ("DETACH y", False),
    ],
)
def test_sqlite_writes_into_its_own_database_only(query: str, *, passes: bool) -> None:
    assert refused("pypi:mcp-server-sqlite", "write_query", "query", query) is not passes


@pytest.mark.parametrize(
    ("name", "passes"),
    [("orders", True), ("größen_2", True), ("注文", True), ("t); --", False), ("t'", False), ("a\nb", False)],
)
def test_sqlite_describes_a_table_of_any_script(name: str, *, passes: bool) -> None:
    assert refused("pypi:mcp-server-sqlite", "describe_table", "table_name", name) is not passes


@pytest.mark.parametrize("name", ["get_schema_info", "get_table_sample"])
@pytest.mark.parametrize(
    ("table", "passes"),
    [("orders", True), ("shop.orders", True), ("größen$2", True), ("x' UNION SELECT 1 -- ", False), ("x`; y", False)],
)
def test_mysql_takes_a_name_for_a_table(name: str, table: str, *, passes: bool) -> None:
    assert refused("pypi:mysql-mcp-server", name, "table_name", table) is not passes


@pytest.mark.parametrize(
    ("package", "names"),
    [
        ("npm:mcp-server-commands", ["run_command", "run_process"]),
        ("npm:@wonderwhy-er/desktop-commander", ["start_process", "execute_command", "set_config_value"]),
        ("npm:@wonderwhy-er/desktop-commander", ["interact_with_process", "kill_process"]),
        ("pypi:mcp-shell-server", ["shell_execute"]),
        ("npm:@playwright/mcp", ["browser_run_code", "browser_run_code_unsafe", "browser_evaluate"]),
        ("npm:@playwright/mcp", ["browser_file_upload", "browser_drop"]),
        ("npm:mcp-server-kubernetes", ["exec_in_pod", "kubectl_generic"]),
    ],
)
def test_what_runs_programs_or_gives_files_away_asks(package: str, names: list[str]) -> None:
    assert [name for name in names if tool(package, name).ask is not True] == []


def test_the_name_of_a_context_is_no_option() -> None:
    assert refused("npm:mcp-server-kubernetes", "kubectl_context", "name", "--kubeconfig=/x")
    assert not refused("npm:mcp-server-kubernetes", "kubectl_context", "name", "arn:aws:eks:eu-west-1:1:cluster/x")
