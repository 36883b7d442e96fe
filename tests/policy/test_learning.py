"""What is proposed fits everything that was seen, whatever was seen."""

from __future__ import annotations

import datetime
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content.arguments import select, violates
from doorward.policy.learning import MAX_DISTINCT, Lessons
from doorward.policy.positions import Positions
from doorward.policy.reader import Reader


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
