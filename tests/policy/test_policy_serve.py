"""`doorward.policy.load`, the keys of `doorward serve`: where servers are, how the gateway is reached, its limits."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from doorward.content.rates import Rate
from doorward.errors import PolicyError, Problem
from doorward.policy.addresses import split_listen
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, ServeSettings
from doorward.policy.profiles import PROFILES, values, weakened

HERE = 'url = "http://127.0.0.1:9000/mcp"'


def loaded(folder: Path, text: str) -> Policy:
    path = folder / "doorward.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load(path)


def problems(folder: Path, text: str) -> list[Problem]:
    with pytest.raises(PolicyError) as refused:
        loaded(folder, text)
    return list(refused.value.problems)


def only(folder: Path, text: str) -> Problem:
    [problem] = problems(folder, text)
    return problem


def test_without_a_word_the_gateway_listens_on_loopback_and_trusts_nobody() -> None:
    serve = load(None).serve
    assert serve == ServeSettings("127.0.0.1:8484", (), "", (), (), (), 1800, 86_400, 10)
    assert split_listen(serve.listen) == ("127.0.0.1", 8484)


def test_every_key_of_the_gateway_is_read(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        """
        [serve]
        listen = "[::1]:0"
        allow_users = ["alice", "1001", 1002]
        public_url = "https://mcp.example.com/gateway"
        allowed_hosts = ["MCP.internal:8443", "[::1]:8080", "mcp"]
        allowed_origins = ["https://app.example.com", "vscode-webview://1a2b", "http://localhost:6274"]
        trusted_proxies = ["127.0.0.0/8", "::1", "10.1.2.3"]
        idle_seconds = 60
        max_seconds = 604800
        drain_seconds = 0
        """,
    )
    assert policy.serve == ServeSettings(
        listen="[::1]:0",
        allow_users=("alice", "1001", "1002"),
        public_url="https://mcp.example.com/gateway",
        allowed_hosts=("mcp.internal:8443", "[::1]:8080", "mcp"),
        allowed_origins=("https://app.example.com", "vscode-webview://1a2b", "http://localhost:6274"),
        trusted_proxies=("127.0.0.0/8", "::1", "10.1.2.3"),
        idle_seconds=60,
        max_seconds=604_800,
        drain_seconds=0,
    )
    assert split_listen(policy.serve.listen) == ("::1", 0)


def test_servers_are_read_by_url_and_by_command(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        """
        [servers.notes]
        url = "http://127.0.0.1:9000/mcp"
        path = "/notes"
        grants = ["experimental/fast_updates", "extensions/com.example/x", "someCapability"]
        [servers.old]
        url = "https://old.example.com/sse"
        transport = "sse"
        [servers.files]
        command = ["npx", "-y", "server-files", ""]
        [servers.rules]
        env = ["LANG"]
        """,
    )
    notes, old, files, rules = (policy.for_server(name) for name in ("notes", "old", "files", "rules"))
    assert (notes.url, notes.served_path, notes.transport) == ("http://127.0.0.1:9000/mcp", "/notes", "streamable")
    assert notes.grants == ("experimental/fast_updates", "extensions/com.example/x", "someCapability")
    assert (old.served_path, old.transport) == ("/old/mcp", "sse")
    assert (files.command, files.served_path) == (("npx", "-y", "server-files", ""), "/files/mcp")
    assert [server.served for server in (notes, old, files, rules)] == [True, True, True, False]


def test_grants_of_every_server_and_of_one_are_joined_and_where_one_is_stays_its_own(tmp_path: Path) -> None:
    text = f'[servers."*"]\ngrants = ["a", "b"]\n[servers.notes]\n{HERE}\ngrants = ["b", "experimental/c"]\n'
    policy = loaded(tmp_path, text)
    assert policy.for_server("notes").grants == ("a", "b", "experimental/c")
    assert policy.for_server("other") == ServerPolicy("other", grants=("a", "b"))


@pytest.mark.parametrize(
    "url", ["http://127.9.8.7/mcp", "http://[::1]:9000", "http://LOCALHOST:1/", "https://a_b.c./x?y=1"]
)
def test_addresses_that_mean_one_place_are_taken(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f'[servers.a]\nurl = "{url}"\n').servers["a"].url == url


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("ws://127.0.0.1/mcp", "ws:// is refused"),
        ("wss://mcp.example.com", "wss:// is refused"),
        ("WSS://mcp.example.com", "wss:// is refused"),
        ("mcp://mcp.example.com", "mcp:// is refused"),
        ("ftp://mcp.example.com", "ftp:// is refused"),
        ("http://mcp.example.com/mcp", "in plain text"),
        ("http://localhost.example.com/mcp", "in plain text"),
        ("http://10.0.0.1/mcp", "in plain text"),
        ("http://[::ffff:127.0.0.1]/mcp", "in plain text"),
        ("http://127.1/mcp", "not everybody reads alike"),
        ("https://0x7f.1/mcp", "not everybody reads alike"),
        ("https://2130706433/mcp", "not everybody reads alike"),
        ("https://user:word@example.com/mcp", "user or a password"),
        ("https://example.com/mcp#x", "fragment"),
        ("https:///mcp", "names no host"),
        ("https://example.com:0/mcp", "port 0"),
        ("https://example.com:/mcp", "is not HOST or HOST:PORT"),
        ("https://example.com:65536/mcp", "is not a URL"),
        ("https://[::1]evil.example/mcp", "is not"),
        ("http://evil.example[::1]/mcp", "is not"),
        ("https://[fe80::1%eth0]/mcp", "is not"),
        ("https://*.example.com/mcp", "no patterns"),
        ("https://-a.example.com/mcp", "no patterns"),
        ("https://ex\u00e4mple.com/mcp", "punycode"),
        ("https://example.com/a b", "no URL"),
        ("http://127.0.0.1\\\\@example.com/", "no URL"),
        ("example.com/mcp", "is not a URL"),
        ("localhost:9000", "is not a URL"),
        ("mailto:a@b", "is not a URL"),
        ("", "is not a text"),
    ],
)
def test_an_address_that_is_not_safe_or_not_clear_is_refused(tmp_path: Path, url: str, what: str) -> None:
    problem = only(tmp_path, f'[servers.a]\n\nurl = "{url}"\n')
    assert problem.where.endswith(":3")
    assert problem.what.startswith("servers.a.url: ")
    assert what in f"{problem.what} {problem.hint}"


@pytest.mark.parametrize("scheme", ["ws", "wss", "mcp"])
def test_schemes_that_people_try_are_answered_with_what_to_write(tmp_path: Path, scheme: str) -> None:
    assert "https://HOST/mcp" in only(tmp_path, f'[servers.a]\nurl = "{scheme}://127.0.0.1/"\n').hint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f'{HERE}\ncommand = ["x"]', "stands beside 'url'"),
        ("command = []", "is not a program and its arguments"),
        ('command = ["", "x"]', "is not a program and its arguments"),
        ('command = "npx -y x"', "no shell reads it"),
        ('command = ["x", "\\u0000"]', "is not a program and its arguments"),
        ('path = "/notes"', "neither 'url' nor 'command'"),
        ('transport = "sse"', "has no 'url'"),
        ('command = ["x"]\ntransport = "streamable"', "has no 'url'"),
        (f'{HERE}\ntransport = "websocket"', "is not one of: streamable, sse"),
        (f'{HERE}\npath = "/healthz"', "is Doorward's own"),
        (f'{HERE}\npath = "/readyz"', "is Doorward's own"),
        (f'{HERE}\npath = "/metrics"', "is Doorward's own"),
        (f'{HERE}\npath = "notes"', "is not a path"),
        (f'{HERE}\npath = "/"', "is not a path"),
        (f'{HERE}\npath = "/notes/"', "is not a path"),
        (f'{HERE}\npath = "/a/../b"', "is not a path"),
        (f'{HERE}\npath = "/.well-known/x"', "is not a path"),
        (f'{HERE}\npath = "/a//b"', "is not a path"),
        (f'{HERE}\npath = "/a%2fb"', "is not a path"),
        (f'{HERE}\npath = "/a?b"', "is not a path"),
        ('grants = ["experimental"]', "names no capability"),
        ('grants = ["extensions/"]', "names no capability"),
        ('grants = ["experimental/*"]', "names no capability"),
        ('grants = "x"', "is not a list of texts"),
    ],
)
def test_what_cannot_be_meant_of_a_server_is_refused(tmp_path: Path, text: str, what: str) -> None:
    problem = only(tmp_path, f"[servers.a]\n{text}\n")
    assert what in f"{problem.what} {problem.hint}"


@pytest.mark.parametrize("text", [HERE, 'command = ["x"]', 'path = "/x"', 'transport = "sse"'])
def test_the_table_of_every_server_says_not_where_one_is(tmp_path: Path, text: str) -> None:
    assert "is of one server" in only(tmp_path, f'[servers."*"]\n{text}\n').what


def test_two_servers_have_two_paths(tmp_path: Path) -> None:
    text = '[servers.a]\ncommand = ["x"]\n[servers.b]\ncommand = ["x"]\npath = "/a/mcp"\n'
    problem = only(tmp_path, text)
    assert problem.what == "servers.b.path: '/a/mcp' is the path of server a too"
    assert problem.where.endswith(":5")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('listen = "0.0.0.0:8484"', "plaintext listener that is not loopback"),
        ('listen = "mcp.example.com:8484"', "plaintext listener that is not loopback"),
        ('listen = "[::]:8484"', "plaintext listener that is not loopback"),
        ('listen = ":8484"', "names no host"),
        ('listen = "127.0.0.1"', "is not HOST:PORT"),
        ('listen = "::1:8484"', "is not"),
        ('listen = "127.0.0.1:65536"', "is not HOST:PORT"),
        ('listen = "127.1:8484"', "not everybody reads alike"),
        ('listen = "http://127.0.0.1:8484"', "is not HOST:PORT"),
        ("listen = 8484", "is not a text"),
        ('allow_users = ["*"]', "no patterns"),
        ('allow_users = ["a b"]', "is not the name or the number of a user"),
        ("allow_users = [-1]", "is not the name or the number of a user"),
        ("allow_users = [true]", "is not a list of texts"),
        ("allow_users = 1000", "is not a list of texts"),
        ('public_url = "http://mcp.example.com"', "in plain text"),
        ('public_url = "https://mcp.example.com?x"', "holds a query"),
        ('public_url = "mcp.example.com"', "is not a URL"),
        ('allowed_hosts = ["*.example.com"]', "no patterns"),
        ('allowed_hosts = ["https://example.com"]', "is not HOST"),
        ('allowed_hosts = ["example.com:"]', "is not HOST"),
        ('allowed_hosts = ["a@example.com"]', "is not HOST"),
        ('allowed_origins = ["null"]', "any sandboxed page"),
        ('allowed_origins = ["*"]', "is not an origin"),
        ('allowed_origins = ["https://*.example.com"]', "is not an origin"),
        ('allowed_origins = ["https://app.example.com/"]', "is not an origin"),
        ('allowed_origins = ["app.example.com"]', "is not an origin"),
        ('trusted_proxies = ["0.0.0.0/0"]', "is everybody"),
        ('trusted_proxies = ["::/0"]', "is everybody"),
        ('trusted_proxies = ["127.0.0.1/8"]', "did you mean '127.0.0.0/8'"),
        ('trusted_proxies = ["proxy"]', "is not a network"),
        ("idle_seconds = 0", "whole number from 1 to 86400"),
        ("max_seconds = 604801", "whole number from 1 to 604800"),
        ("drain_seconds = 601", "whole number from 0 to 600"),
        ("drain_seconds = true", "whole number from 0 to 600"),
        ("port = 8484", "is not a known key"),
    ],
)
def test_what_cannot_be_meant_of_the_gateway_is_refused(tmp_path: Path, text: str, what: str) -> None:
    problem = only(tmp_path, f"[serve]\n{text}\n")
    assert what in f"{problem.what} {problem.hint}"


def test_all_problems_of_all_tables_are_reported_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """[serve]
listen = "0.0.0.0:1"
idle = 3
[limits]
sessions = 33
[unsafe_standing_approvals]
sampling = true
[servers.a]
url = "ws://x"
path = "/healthz"
[servers.b]
command = []
[servers.b.unsafe_standing_approvals]
roots = "yes"
for = "1d"
""",
    )
    assert [int(one.where.rpartition(":")[2]) for one in found] == [2, 3, 5, 6, 9, 10, 12, 14, 15]


def test_limits_of_a_principal_are_a_tenth_under_strict_and_those_of_the_process_the_same() -> None:
    standard, strict = (msgspec.structs.asdict(values(profile).limits) for profile in PROFILES)
    assert standard == {
        "sessions": 32,
        "concurrent": 64,
        "children": 16,
        "subscriptions": 128,
        "in_flight_bytes": 256 * 1024 * 1024,
    }
    assert strict == {
        "sessions": 3,
        "concurrent": 6,
        "children": 1,
        "subscriptions": 12,
        "in_flight_bytes": 256 * 1024 * 1024,
    }


def test_rates_are_a_tenth_under_strict() -> None:
    standard, strict = (msgspec.structs.asdict(values(profile).rates) for profile in PROFILES)
    assert {name: 10 * number for name, number in strict.items()} == standard


def test_rates_are_raised_only_under_an_unsafe_name_and_then_named(tmp_path: Path) -> None:
    policy = loaded(tmp_path, "[rates]\ntool_burst = 2\n[unsafe_rates]\nask_burst = 101\n")
    assert (policy.rates.tool_burst, policy.rates.ask_burst) == (2, 101)
    assert weakened(policy) == ("rates are raised (unsafe_rates): ask burst",)
    problem = only(tmp_path, "[rates]\nask_burst = 101\n")
    assert (problem.what, problem.hint) == (
        "rates.ask_burst: 101 is above the profile's 100",
        "write it under [unsafe_rates]",
    )


def test_a_server_and_a_tool_have_a_rate_of_their_own_and_the_exact_table_decides(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        """[servers."*"]
rate = { per_second = 20, burst = 40 }
[servers."*".tools.send]
rate = { per_second = 5, burst = 10 }
[servers.mail]
rate = { per_second = 2, burst = 4 }
[servers.mail.tools.send]
ask = true
""",
    )
    mail, other = policy.for_server("mail"), policy.for_server("other")
    assert (mail.rate, other.rate) == (Rate(2, 4), Rate(20, 40))
    assert (mail.tool("send").rate, mail.tool("read").rate) == (Rate(5, 10), None)


@pytest.mark.parametrize(
    ("rate", "what"),
    [
        ("{ per_second = 0, burst = 1 }", "servers.a.rate.per_second: is not a whole number from 1 to 1000000"),
        ("{ per_second = 1 }", "servers.a.rate.burst: is missing"),
        ("{ burst = 1 }", "servers.a.rate.per_second: is missing"),
        ("5", "servers.a.rate: is not a table"),
        ("{ per_second = 1, burst = 1, per_hour = 1 }", "servers.a.rate.per_hour: is not a known key"),
    ],
)
def test_a_rate_that_cannot_be_is_a_problem(tmp_path: Path, rate: str, what: str) -> None:
    assert only(tmp_path, f"[servers.a]\nrate = {rate}\n").what == what


def test_a_rate_of_nothing_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as refused:
        loaded(tmp_path, "[servers.a]\nrate = {}\n")
    assert [problem.what for problem in refused.value.problems] == [
        "servers.a.rate.per_second: is missing",
        "servers.a.rate.burst: is missing",
    ]


def test_limits_of_a_principal_are_raised_only_under_an_unsafe_name_and_then_named(tmp_path: Path) -> None:
    policy = loaded(tmp_path, "[limits]\nchildren = 2\n[unsafe_limits]\nsessions = 100\nconcurrent = 65\n")
    assert (policy.limits.children, policy.limits.sessions) == (2, 100)
    assert weakened(policy) == ("limits are raised (unsafe_limits): sessions, concurrent",)
    problem = only(tmp_path, 'profile = "strict"\n[limits]\nchildren = 2\n')
    assert (problem.what, problem.hint) == (
        "limits.children: 2 is above the profile's 1",
        "write it under [unsafe_limits]",
    )
    assert "keep one" in only(tmp_path, "[limits]\nsessions = 1\n[unsafe_limits]\nsessions = 99\n").hint


@pytest.mark.parametrize(
    "text",
    [
        '[serve]\nlisten = "127.0.0.1:1"',
        "[limits]\nsessions = 1",
        '[servers.a]\ngrants = ["x"]',
        f"[servers.a]\n{HERE}",
        '[servers.a]\ncommand = ["x"]',
        '[servers.a]\ncommand = ["x"]\npath = "/x"',
    ],
)
def test_everything_that_is_said_of_the_gateway_changes_the_digest(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).digest != load(None).digest


def test_a_table_of_rules_takes_no_path_from_a_server(tmp_path: Path) -> None:
    policy = loaded(tmp_path, '[servers.a]\nenv = ["X"]\n[servers.b]\ncommand = ["x"]\npath = "/a/mcp"\n')
    assert policy.servers["b"].served_path == "/a/mcp"
