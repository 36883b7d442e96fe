"""What is proposed fits everything that was seen, whatever was seen."""

from __future__ import annotations

import datetime
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content import uris
from doorward.content.arguments import select, violates
from doorward.content.rates import Rate, take
from doorward.policy.learning import MAX_DISTINCT, Lessons
from doorward.policy.pace import HEAD_ROOM, Pace
from doorward.policy.positions import Positions
from doorward.policy.reached import Beginnings, Folder
from doorward.policy.reader import Reader
from doorward.protocol.shown import allowed, beginning_problem


def of(*values: Any, name: str = "x") -> tuple[dict[str, Any], str]:
    """The rules for one argument that had these values, and the whole text."""
    lessons = Lessons("notes", lambda path: path.rpartition("/")[0] or "/")
    for value in values:
        lessons.request("tools/call", {"name": "t", "arguments": {name: value}}, 100)
    text = lessons.proposal()
    arguments = tomllib.loads(text)["servers"]["notes"].get("tools", {}).get("t", {}).get("arguments", {})
    return arguments.get(name, {}), text


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        (["a"] * 3, {"enum": ["a"]}),
        (["a", "b"], {"identifier": True, "max_length": 1}),
        ([1, 2.5], {"minimum": 1, "maximum": 2.5}),
        ([True, True, True], {"enum": [True]}),
        ([True], {"enum": [False, True]}),
        ([None], {"identifier": True, "max_length": 4}),
        (["-x"], {"no_shell_metacharacters": True, "single_line": True, "max_length": 2}),
        (["a\nb"], {"no_leading_dash": True, "max_length": 3}),
        (
            ["https://a.test/x", "https://b.test/y"],
            {"url_allow": ["https://a.test", "https://b.test"], "max_length": 16},
        ),
        ([], {}),
        ([[]], {}),
        ([["a", "bb"]], {"identifier": True, "max_length": 2}),
    ],
)
def test_an_argument_gets_the_tightest_of_what_all_its_values_fit(values: list[Any], rules: dict[str, Any]) -> None:
    assert of(*values)[0] == rules


def test_a_path_gets_the_deepest_folder_that_all_have_in_common() -> None:
    assert of("/srv/a/x", "/srv/a/b/y", name="path")[0]["path_below"] == "/srv/a"
    assert "path_below" not in of("/srv/a/x", "/etc/y", name="path")[0]
    assert "path_below" not in of("/srv/a/x", "b", name="path")[0]


def test_more_values_than_a_few_are_no_choice() -> None:
    few = [f"v{n}" for n in range(MAX_DISTINCT)]
    assert "enum" in of(*few * 3)[0]
    assert "enum" not in of(*[*few, "one more"] * 3)[0]


def test_what_is_masked_is_not_learnt() -> None:
    rules, text = of("plain", "\u2039masked:token:ab12\u203a", name="note")
    assert rules == {}
    assert "# note: not learnt, the log masks 1 value of it" in text


def test_grants_and_the_oldest_revision_come_from_what_was_declared() -> None:
    lessons = Lessons("notes", lambda path: path)
    params = {"protocolVersion": "2025-06-18", "capabilities": {"experimental": {"fast": {}}}}
    lessons.request("initialize", params, 10)
    text = lessons.proposal()
    assert tomllib.loads(text)["servers"]["notes"]["grants"] == ["experimental/fast"]
    assert '#oldest = "2025-06-18"' in text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(VALUES, min_size=1, max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    st.sampled_from(["t", "a.b", 'q"uote', "\u65e5"]),
)
def test_whatever_was_seen_the_proposal_loads_and_lets_it_pass(values: list[Any], name: str, tool: str) -> None:
    lessons = Lessons("notes", lambda path: path.rpartition("/")[0] or "/")
    for value in values:
        lessons.request("tools/call", {"name": tool, "arguments": {name: value}}, 100)
    text = lessons.proposal()
    positions = Positions(text)
    policy = Reader("proposal", positions, datetime.date(2026, 11, 26)).policy(tomllib.loads(text))
    demanded = policy.for_server("notes").tool(tool).arguments
    for value in values:
        for key, constraints in demanded.items():
            for _, leaf in select({name: value}, key):
                assert [one for one in constraints if violates(one, leaf)] == []


# -- rates -------------------------------------------------------------------------------------------------------------


def passes(came: list[int], rate: Rate, times: int = 1) -> bool:
    """Whether each of ``came`` (microseconds), so many times, finds something in the bucket."""
    due = 0.0
    for at in came:
        for _ in range(times):
            allowed, due, _ = take(due, at / 1e6, rate)
            if not allowed:
                return False
    return True


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=60))
def test_the_rate_that_is_proposed_lets_pass_twice_what_came(gaps: list[int]) -> None:
    pace, at, came = Pace(), 1_000_000_000, []
    for gap in gaps:
        came.append(at := at + gap)
        pace.add("user:ada", at)
    rate = pace.rate()
    assert rate is not None
    assert passes(came, rate, HEAD_ROOM)
    assert not passes([at] * (int(rate.burst) + 1), rate), "it bounds something"


def test_each_principal_is_counted_by_itself_and_a_clock_that_steps_back_begins_anew() -> None:
    pace = Pace()
    for principal in ("user:ada", "user:bob"):
        for _ in range(3):
            pace.add(principal, 5_000_000)
    assert pace.rate() == Rate(2, 6)
    for _ in range(3):
        pace.add("user:ada", 1)
    assert pace.rate() == Rate(2, 6)


def test_a_long_stream_gets_a_rate_and_no_burst_of_minutes() -> None:
    pace = Pace()
    for number in range(4_000):
        pace.add("user:ada", number * 10_000)
    assert pace.rate() == Rate(200, 2)


def test_of_too_many_sources_nothing_is_proposed() -> None:
    pace = Pace()
    for number in range(2_000):
        pace.add(f"user:{number}", number)
    assert pace.rate() is None
    assert Pace().rate() is None


def test_rates_stand_in_the_tables_of_the_server_and_of_each_tool() -> None:
    lessons = Lessons("notes", lambda path: path)
    for at in range(3):
        lessons.request("tools/call", {"name": "t", "arguments": {}}, 10)
        lessons.came("user:ada", at, "t")
        lessons.came("user:bob", at, "")
    server = tomllib.loads(lessons.proposal())["servers"]["notes"]
    assert server["rate"] == {"per_second": 2, "burst": 12}
    assert server["tools"]["t"]["rate"] == {"per_second": 2, "burst": 6}
    assert "# 2 times what the 3 calls of one principal needed" in lessons.proposal()


# -- places ------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "note 1", "%41", "..", "", "d\u00e9j\u00e0", "x?y=z", "q#f"])
URIS = st.builds(
    lambda origin, steps: origin + "/".join(steps),
    st.sampled_from(["db://", "db://host/", "notes:", "http://a.test", "http://a.test/", "db://host"]),
    st.lists(NAMES, max_size=4),
)


@given(st.lists(URIS, max_size=8))
def test_every_uri_that_was_learnt_lies_below_a_beginning_that_may_be_written(asked: list[str]) -> None:
    learnt = Beginnings()
    passed = []
    for uri in asked:
        before = learnt.unlearnt
        learnt.add(uri)
        if learnt.unlearnt == before:
            passed.append(uri)
    assert [one for one in learnt.found() if beginning_problem(one)] == []
    assert [uri for uri in passed if not allowed(uri, learnt.found())] == []


def test_a_beginning_is_as_deep_as_all_have_in_common() -> None:
    learnt = Beginnings()
    for uri in ("db://h/t/1", "db://h/t/2", "db://other/x", "notes:7"):
        learnt.add(uri)
    assert learnt.found() == ("db://h/t/", "db://other/x", "notes:7")
    for uri in ("db://h/../x", "no uri", ""):
        learnt.add(uri)
    assert learnt.unlearnt == 3


PATHS = st.builds(
    lambda start, steps: start + "/".join(steps),
    st.sampled_from(["/", "/srv/a/", "file:///srv/a/", "", "~/", "file:"]),
    st.lists(st.sampled_from(["a", "b.txt", "..", ".", "%2e%2e", "x y", "%2F"]), max_size=4),
)


@given(st.lists(PATHS, max_size=6))
def test_the_folder_that_is_learnt_holds_every_reading(named: list[str]) -> None:
    learnt = Folder()
    learnt.add(iter(named))
    below = learnt.found()
    if below is not None:
        for text in named:
            found = uris.readings(text, below)
            assert not found.problem
            assert [path for path in found.paths if not uris.is_below(path, below)] == []


def test_below_is_proposed_for_a_server_elsewhere_only() -> None:
    lessons = Lessons("notes", lambda path: path)
    lessons.named(iter(["/srv/a/x.txt", "file:///srv/a/b/y.txt"]))
    assert "below" not in tomllib.loads(lessons.proposal())["servers"]["notes"]
    lessons.elsewhere = True
    assert tomllib.loads(lessons.proposal())["servers"]["notes"]["below"] == ["/srv/a"]
    lessons.named(iter(["/etc/passwd"]))
    assert "below" not in tomllib.loads(lessons.proposal())["servers"]["notes"]


def test_resources_that_only_a_policy_lets_pass_stay_allowed_and_refused_ones_are_a_comment() -> None:
    lessons = Lessons("notes", lambda path: path)
    for uri, by_policy in (("db://h/1", True), ("db://h/2", True), ("notes://shown", False)):
        lessons.request("resources/read", {"uri": uri}, 10, by_policy=by_policy)
    lessons.refused_resource("other://x")
    text = lessons.proposal()
    assert tomllib.loads(text)["servers"]["notes"]["uris"] == ["db://h/"]
    assert '#uris = ["db://h/", "other://x"]' in text
