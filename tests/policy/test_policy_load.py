"""`doorward.policy.load`: what a policy file may say, and that everything else is refused, all of it at once."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content.arguments import Constraint
from doorward.errors import PolicyError, Problem
from doorward.policy.amounts import PartSizes
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, ToolPolicy
from doorward.policy.profiles import values

TODAY = datetime.date(2026, 11, 22)
EXAMPLE = Path(__file__).parents[2] / "examples" / "doorward.toml"


def loaded(folder: Path, text: str) -> Policy:
    path = folder / "doorward.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load(path, today=TODAY)


def problems(folder: Path, text: str) -> list[Problem]:
    with pytest.raises(PolicyError) as refused:
        loaded(folder, text)
    return list(refused.value.problems)


def only(folder: Path, text: str) -> Problem:
    [problem] = problems(folder, text)
    return problem


def line(problem: Problem) -> int:
    return int(problem.where.rpartition(":")[2])


def test_without_a_file_the_standard_profile_holds() -> None:
    policy = load(None)
    assert (policy.profile, policy.values, policy.servers) == ("standard", values("standard"), {})
    assert (policy.hold_seconds, policy.claim_seconds, policy.source) == (45, 300, "")


def test_an_empty_file_says_what_no_file_says(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").digest == load(None).digest


def test_the_example_says_what_its_comments_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    policy = loaded(tmp_path, EXAMPLE.read_text(encoding="utf-8"))
    assert policy.log_floor == "notice"
    assert policy.sizes.to_server_bytes == 1024 * 1024
    assert policy.for_server("scripts") == ServerPolicy(
        "scripts",
        read=("/home/ann/notes",),
        write=("/srv/project",),
        env=("GITHUB_TOKEN",),
        tools={
            "execute_script": ToolPolicy(
                ask=True,
                arguments={
                    "script_path": (Constraint("no_shell_metacharacters"), Constraint("path_below", "/safe/scripts")),
                    "branch": (Constraint("no_leading_dash"),),
                    "/options/*/name": (Constraint("identifier"),),
                },
            )
        },
    )


def test_the_table_for_every_server_reaches_every_server_and_the_exact_table_adds_to_it(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        """
        [servers."*"]
        env = ["LANG"]
        [servers."*".tools.run]
        ask = true
        arguments.command = { no_shell_metacharacters = true }
        [servers.git]
        env = ["GIT_DIR", "LANG"]
        [servers.git.tools.run]
        ask = false
        arguments.command = { identifier = true }
        """,
    )
    assert policy.for_server("other").env == ("LANG",)
    assert policy.for_server("other").tool("run").ask is True
    git = policy.for_server("git")
    assert git.env == ("LANG", "GIT_DIR")
    assert git.tool("run").ask is False
    assert {one.kind for one in git.tool("run").arguments["command"]} == {"no_shell_metacharacters", "identifier"}


def test_a_server_whose_name_only_begins_alike_gets_nothing(tmp_path: Path) -> None:
    policy = loaded(tmp_path, '[servers.git]\nenv = ["TOKEN"]\n')
    assert policy.for_server("git-admin") == ServerPolicy("git-admin")
    assert policy.for_server("git").tool("never mentioned") == ToolPolicy()


def test_a_misspelt_key_is_refused_with_its_line_and_the_key_that_was_meant(tmp_path: Path) -> None:
    problem = only(tmp_path, '# a comment\nprofile = "standard"\n\n[consent]\nhold_secnds = 45\n')
    assert line(problem) == 5
    assert problem.what == "consent.hold_secnds: is not a known key"
    assert problem.hint == "did you mean 'hold_seconds'"


def test_all_problems_are_reported_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """profile = "strickt"
colour = "red"
[consent]
hold_seconds = 0
[log]
floor = "debug"
[sizes]
depth = 65
nodes = true
[servers."git*"]
read = ["notes"]
[servers.fs.tools.run.arguments]
path = { identifier = false, path_under = "/x" }
"" = {}
""",
    )
    assert [line(one) for one in found] == [1, 2, 4, 6, 8, 9, 10, 11, 13, 13, 14, 14]
    text = "\n".join(one.what for one in found)
    for key in ("profile:", "colour:", "consent.hold_seconds:", "log.floor:", "sizes.depth:", "sizes.nodes:", "read:"):
        assert key in text
    assert found[0].hint == "did you mean 'strict'"
    assert "did you mean 'path_below'" in [one.hint for one in found]


def demands(rules: str) -> str:
    """A file that demands ``rules`` of one argument."""
    return f"[servers.a.tools.t.arguments]\nx = {{ {rules} }}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("profile = 3", "is not one of"),
        ("consent = 1", "is not a table"),
        ("[consent]\nhold_seconds = true", "whole number from 1 to 600"),
        ("[consent]\nhold_seconds = 45.0", "whole number from 1 to 600"),
        ("[servers]\nfs = []", "is not a table"),
        ('[servers."a/../b"]', "cannot be the name of a server"),
        ('[servers.fs]\nread = "/x"', "is not a list of texts"),
        ('[servers.fs]\nread = ["../x"]', "is not an absolute path"),
        ('[servers.fs]\nread = ["~root/x"]', "is not an absolute path"),
        ('[servers.fs]\nread = ["/x\\u0000"]', "NUL"),
        ('[servers.fs]\nenv = ["TOKEN=x"]', "'TOKEN=…' is not the name of a variable"),
        ('[servers.fs.tools."read_*"]', "is not the name of a tool"),
        ("[servers.fs.tools.t]\nask = 1", "neither true nor false"),
        ("[servers.fs.tools.t.arguments]\na = {}", "constrains nothing"),
        ('[servers.fs.tools.t.arguments]\n"/a~2" = { identifier = true }', "nor a JSON pointer"),
        ("[servers.fs.tools.t.arguments]\na = { path_below = 1 }", "neither the path of a folder nor true"),
        ('[servers.fs.tools.t.arguments]\na = { path_below = "x" }', "is not an absolute path"),
        ('[servers.fs.tools.t.arguments]\na = { identifier = "yes" }', "can only be true"),
        (demands("enum = []"), "not a list of 1 to 1000 values"),
        (demands("enum = [[1]]"), "neither text, number nor truth value"),
        (demands("minimum = true"), "is not a number"),
        (demands("maximum = nan"), "is not a number"),
        (demands("minimum = 2, maximum = 1"), "above the maximum"),
        (demands("max_length = -1"), "is not a whole number from 0"),
        (demands("max_length = 1.0"), "is not a whole number from 0"),
        (demands("single_line = false"), "can only be true"),
        (demands("pattern = '('"), "not an expression that can be searched in linear time"),
        (demands("pattern = '(?=a)b'"), "not an expression that can be searched in linear time"),
        (demands("pattern = ''"), "is not an expression"),
        (demands("url_allow = ['api.example.com']"), "not an address to allow: api.example.com"),
        (demands("url_allow = ['https://*.example.com']"), "not an address to allow"),
        (demands("url_allow = 'https://a.example'"), "not a list of 1 to 1000 addresses"),
        (demands("read_only_sql = 'oracle'"), "neither true nor a dialect of SQL"),
        (demands("read_only_sql = false"), "neither true nor a dialect of SQL"),
        ("unsafe_observe_until = 2026-12-07", "more than 14 days ahead"),
        ("unsafe_observe_until = 2026-11-25T00:00:00", "is not a date"),
        ('unsafe_observe_until = "2026-11-25"', "is not a date"),
        ("[log]\nfloor = 'error'\nunsafe_floor = 'debug'", "stands beside"),
        ("[sizes]\ndepth = 9\n[unsafe_sizes]\ndepth = 90", "keep one"),
        ("[unsafe_sizes]\ndepth = 0", "positive whole number"),
        ("[servers.a.templates.'notes:'.arguments]\nx = { integer = true }", "is no URI template"),
        ("[servers.a.templates.'n:{x'.arguments]\nx = { integer = true }", "is no URI template"),
        ("[servers.a.templates.'n:{x}'.arguments]\ny = { integer = true }", "is no variable of the template"),
        ("[servers.a.templates.'n:{x}']\nrate = 1", "not a known key"),
        ("[servers.a.sizes]\nresult_bytes = 0", "positive whole number"),
        ("[servers.a.tools.t.sizes]\ncontent_bytes = true", "positive whole number"),
        ("[servers.a.tools.t.sizes]\ndepth = 3", "not a known key"),
        ("[servers.a.tools.t.sizes]\nresult_bytes = 9\n[servers.a.tools.t.unsafe_sizes]\nresult_bytes = 9", "keep one"),
        ("[servers.a.tools.t.sizes]\nstring_argument_bytes = 1_048_577", "write it under unsafe_sizes"),
        (
            "[servers.a.tools.t.unsafe_sizes]\ncontent_bytes = 16_777_217",
            "raise from_server_bytes under [unsafe_sizes]",
        ),
        ("[servers.a.tools.t.sizes]\narguments_bytes = 4_194_305", "raise to_server_bytes under [unsafe_sizes]"),
        ("[servers.a.unsafe_sizes]\nstring_argument_bytes = 4_194_305", "raise to_server_bytes under [unsafe_sizes]"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, what: str) -> None:
    problem = only(tmp_path, text)
    assert what in f"{problem.what} {problem.hint}"


def test_a_file_that_is_not_toml_is_refused_at_its_line(tmp_path: Path) -> None:
    problem = only(tmp_path, 'profile = "standard"\n[consent\n')
    assert line(problem) == 2
    assert problem.what.startswith("is not TOML")


def test_a_file_that_is_not_utf8_is_refused_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "doorward.toml"
    path.write_bytes(b'profile = "standard"\n# caf\xe9\n')
    with pytest.raises(PolicyError, match=":2: is not UTF-8"):
        load(path)


def test_limits_are_lowered_freely_and_raised_only_under_an_unsafe_name(tmp_path: Path) -> None:
    policy = loaded(tmp_path, "[sizes]\ndepth = 8\n[unsafe_sizes]\nnodes = 1_000_000\n")
    assert (policy.sizes.depth, policy.sizes.nodes) == (8, 1_000_000)
    assert policy.sizes.uri_bytes == values("standard").sizes.uri_bytes


def test_demands_on_a_template_of_both_tables_hold(tmp_path: Path) -> None:
    text = """
[servers."*".templates."n://{x}/{+y}".arguments]
x = { integer = true }
[servers.a.templates."n://{x}/{+y}".arguments]
x = { maximum = 3 }
y = { path_below = true }
"""
    said = loaded(tmp_path, text).for_server("a").template("n://{x}/{+y}").arguments
    assert {name: [one.kind for one in demands] for name, demands in said.items()} == {
        "x": ["integer", "maximum"],
        "y": ["path_below"],
    }


def test_sizes_of_a_tool_are_lowered_freely_and_raised_as_far_as_a_message_goes(tmp_path: Path) -> None:
    text = """
[sizes]
to_server_bytes = 2_000_000
[servers."*".sizes]
result_bytes = 9_000
content_bytes = 8_000
[servers.a.sizes]
content_bytes = 7_000
[servers.a.tools.t.sizes]
arguments_bytes = 100
[servers.a.tools.t.unsafe_sizes]
string_argument_bytes = 2_000_000
content_bytes = 16_777_216
"""
    policy = loaded(tmp_path, text)
    server = policy.for_server("a")
    assert server.sizes_of("t", policy.sizes) == PartSizes(100, 2_000_000, 9_000, 16_777_216)
    assert server.sizes_of("other", policy.sizes) == PartSizes(2_000_000, 1 << 20, 9_000, 7_000)
    assert policy.for_server("b").sizes_of("t", policy.sizes).content_bytes == 8_000
    assert load(None).for_server("a").sizes_of("t", policy.sizes) == PartSizes(2_000_000, 1 << 20, 16 << 20, 16 << 20)
    problem = only(tmp_path, text.replace("2_000_000\ncontent", "2_000_001\ncontent"))
    assert problem.what.endswith("2000001 is more than a whole message may have, 2000000")


def test_limits_of_strict_are_the_ceiling_under_strict(tmp_path: Path) -> None:
    problem = only(tmp_path, 'profile = "strict"\n[sizes]\ndepth = 17\n')
    assert problem.what == "sizes.depth: 17 is above the profile's 16"
    assert problem.hint == "write it under [unsafe_sizes]"


def test_the_log_floor_is_raised_freely_and_lowered_only_under_an_unsafe_name(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[log]\nfloor = "error"\n').log_floor == "error"
    assert loaded(tmp_path, '[log]\nunsafe_floor = "debug"\n').log_floor == "debug"


def test_observe_mode_ends_after_the_date_that_the_file_names(tmp_path: Path) -> None:
    policy = loaded(tmp_path, "unsafe_observe_until = 2026-12-06\n")
    assert policy.observes("2026-11-22")
    assert policy.observes("2026-12-06")
    assert not policy.observes("2026-12-07")
    assert not load(None).observes("2026-11-22")


def test_a_date_that_has_passed_softens_nothing(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "unsafe_observe_until = 2020-01-01\n").observes(TODAY.isoformat())


def test_the_calendar_is_asked_when_nobody_says_what_day_it_is(tmp_path: Path) -> None:
    path = tmp_path / "doorward.toml"
    path.write_text("unsafe_observe_until = 9999-12-31\n")
    with pytest.raises(PolicyError, match="more than 14 days ahead"):
        load(path)


def test_an_empty_home_does_not_turn_a_tilde_into_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    [folder] = loaded(tmp_path, '[servers.fs]\nread = ["~/notes"]\n').for_server("fs").read
    assert folder.endswith("/notes")
    assert folder != "/notes"


def test_a_missing_file_is_refused_when_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="there is no such file"):
        load(tmp_path / "doorward.toml")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_policy_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "doorward.toml"
    path.write_text("")
    path.chmod(mode)
    with pytest.raises(PolicyError, match="can be written by others") as refused:
        load(path)
    assert refused.value.problems[0].hint == f"chmod go-w '{path}'"


def test_a_policy_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "doorward.toml"
    path.write_text("")
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:  # only root can give a file away; anybody can be somebody else
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(PolicyError, match="belongs to user"):
        load(path)


def test_a_policy_in_a_folder_where_others_can_replace_it_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    path = shared / "doorward.toml"
    path.write_text("")
    path.chmod(0o600)
    shared.chmod(0o777)
    with pytest.raises(PolicyError, match="where others can replace it"):
        load(path)
    shared.chmod(0o1777)
    assert load(path).digest == load(None).digest


def test_a_link_to_a_policy_is_followed_and_the_folder_behind_it_examined(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "real.toml").write_text("[consent]\nhold_seconds = 7\n")
    link = tmp_path / "doorward.toml"
    link.symlink_to(shared / "real.toml")
    assert load(link).hold_seconds == 7
    shared.chmod(0o777)
    with pytest.raises(PolicyError, match="where others can replace it"):
        load(link)


def test_a_pipe_is_no_policy_and_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "doorward.toml"
    os.mkfifo(path)
    with pytest.raises(PolicyError, match="is not a regular file"):
        load(path)


def test_a_folder_is_no_policy_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.where, problem.what, problem.hint) == (str(tmp_path), "is a folder", "name the file itself")


def test_a_policy_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="bytes long"):
        loaded(tmp_path, "#" * (1024 * 1024 + 1))


def test_the_digest_is_of_what_is_said_and_not_of_how_or_where(tmp_path: Path) -> None:
    one = loaded(tmp_path, '[servers.b]\nenv = ["X"]\n[servers.a]\nenv = ["Y"]\n[consent]\nhold_seconds = 45\n')
    (tmp_path / "elsewhere").mkdir()
    other = loaded(tmp_path / "elsewhere", 'servers.a.env = ["Y"]  # the same\nservers.b = { env = ["X"] }\n')
    assert one.digest == other.digest
    assert one.source != other.source


@pytest.mark.parametrize(
    "text",
    [
        'profile = "strict"',
        "[consent]\nhold_seconds = 44",
        '[log]\nfloor = "error"',
        "[sizes]\ndepth = 63",
        "unsafe_observe_until = 2026-11-22",
        '[servers."*"]\nenv = ["X"]',
        "[servers.a.tools.t]\nask = true",
        "[servers.a.tools.t]\nask = false",
        "[servers.a.tools.t.arguments]\nx = { identifier = true }",
        "[servers.a.tools.t.arguments]\nx = { no_leading_dash = true }",
        demands("minimum = 0"),
        demands("enum = ['']"),
        demands("read_only_sql = true"),
    ],
)
def test_everything_that_changes_a_decision_changes_the_digest(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).digest != load(None).digest


def test_every_kind_of_demand_is_read_with_what_it_is_measured_by(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        demands(
            "enum = ['a', 1, true], minimum = 0, maximum = 2.5, integer = true, max_length = 9, single_line = true, "
            "pattern = '[a-z]+', url_allow = ['https://a.example/v1/'], read_only_sql = 'mysql', path_below = '/x'"
        ),
    )
    found = {one.kind: one.value for one in policy.for_server("a").tool("t").arguments["x"]}
    assert found == {
        "enum": ("a", 1, True),
        "minimum": 0,
        "maximum": 2.5,
        "integer": "",
        "max_length": 9,
        "single_line": "",
        "pattern": "[a-z]+",
        "url_allow": ("https://a.example/v1/",),
        "path_below": "/x",
        "read_only_sql": "mysql",
    }
    assert policy.for_server("a").reads_sql
    assert not policy.for_server("b").reads_sql


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_gives_a_policy_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        outcome = [loaded(folder, text).digest]
    except PolicyError as refused:
        outcome = [f"{problem.where}{problem.what}" for problem in refused.problems]
    assert outcome
    assert all(outcome)


@pytest.mark.parametrize("uri", ["notes", "*://x", "notes://*", "file:///srv", "FILE:x", "notes:// a", "{x}:"])
def test_a_beginning_of_resources_has_a_scheme_that_is_not_file_and_no_pattern(tmp_path: Path, uri: str) -> None:
    problem = only(tmp_path, f'[servers.notes]\nuris = ["{uri}"]\n')
    assert line(problem) == 2
    assert problem.hint


@pytest.mark.parametrize("folder", ["/", "srv", "~/notes", "/srv/../etc", "/srv/", "/srv//x"])
def test_a_folder_elsewhere_is_absolute_and_written_plainly(tmp_path: Path, folder: str) -> None:
    assert line(only(tmp_path, f'[servers.notes]\nbelow = ["{folder}"]\n')) == 2


def test_resources_and_folders_elsewhere_add_up_with_those_of_every_server(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        '[servers."*"]\nuris = ["a:"]\nbelow = ["/a"]\n[servers.notes]\nuris = ["notes://"]\nbelow = ["/srv/notes"]\n',
    )
    server = policy.for_server("notes")
    assert (server.uris, server.below) == (("a:", "notes://"), ("/a", "/srv/notes"))
