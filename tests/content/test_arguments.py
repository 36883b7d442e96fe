"""The constraints, and where in the arguments they hold."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content.arguments import (
    KINDS,
    Constraint,
    outside,
    path_readings,
    select,
    select_empty,
    text_of,
    violates,
)

SHELL = Constraint("no_shell_metacharacters")
DASH = Constraint("no_leading_dash")
IDENTIFIER = Constraint("identifier")


@pytest.mark.parametrize(
    "text",
    [
        "legit_script.py; rm -rf /tmp/*",
        "a\nb",
        "a\rb",
        "a\0b",
        "$(id)",
        "`id`",
        "a && b",
        "a || b",
        "a > b",
        "a < b",
        "${IFS}",
        "a*",
        "a?",
        "a'b",
        'a"b',
        "a\\b",
        "a #b",
        "{a,b}",
        "\x1b[2J",
        "a\u2028b",
        "a\x85b",
        "a\uff1bb",
        "a\uff5cb",
        "a\uff06b",
        "\uff04(id)",
        "a\u037eb",
        "a\ufe54b",
        "\uff40id\uff40",
        "\u2474",
        "a\u2223b",
    ],
)
def test_what_a_shell_or_a_normalising_server_would_act_on_is_refused(text: str) -> None:
    assert violates(SHELL, text)


@pytest.mark.parametrize(
    "text", ["", "script.py", "a b c", "src/main.py", "caf\u00e9", "日本語", "a=b", "x@y.z", "50%", "1,2:3+4", "…"]
)
def test_plain_text_holds_no_shell_metacharacter(text: str) -> None:
    assert violates(SHELL, text) is None


@given(st.text())
def test_what_passes_cannot_end_its_word_except_by_a_space(text: str) -> None:
    if violates(SHELL, text) is None:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace, lexer.whitespace_split = " ", True
        assert list(lexer) == [word for word in text.split(" ") if word]


@pytest.mark.parametrize(
    "text",
    [
        "-x",
        "--upload-pack=x",
        " -x",
        "\t--x",
        '"-x"',
        "\u2013x",
        "\u2212x",
        "\uff0dx",
        "\u200b-x",
        "\ufeff--x",
        "\u00a0-x",
        "\\-x",  # shlex and a shell take the escape away
        "`-x",
    ],
)
def test_what_may_be_taken_for_an_option_is_refused(text: str) -> None:
    assert violates(DASH, text)


@pytest.mark.parametrize("text", ["", "x", "a-b", "x --y", "_-"])
def test_a_dash_elsewhere_is_not_leading(text: str) -> None:
    assert violates(DASH, text) is None


@pytest.mark.parametrize("text", ["a", "A_1", "_x", "v1.2.3", "a-b", "0", "a" * 128])
def test_an_identifier_passes(text: str) -> None:
    assert violates(IDENTIFIER, text) is None


@pytest.mark.parametrize("text", ["", "-a", ".a", "a..b", "a b", "a/b", "a\n", "\u00e9", "\uff41", "a" * 129, "a;b"])
def test_anything_else_is_no_identifier(text: str) -> None:
    assert violates(IDENTIFIER, text)


def test_an_unknown_constraint_is_always_broken() -> None:
    assert violates(Constraint("no_such_thing"), "x")


VALUES: dict[str, Any] = {
    "enum": ("a", 1),
    "minimum": 0,
    "maximum": 1.5,
    "max_length": 3,
    "pattern": "[a-z]+",
    "url_allow": ("https://a.example",),
    "path_below": "/safe",
    "read_only_sql": "sqlite",
}


@given(st.sampled_from(KINDS), st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none())
def test_a_judgment_is_total(kind: str, leaf: object) -> None:
    assert violates(Constraint(kind, VALUES.get(kind, "")), leaf) != ""


@pytest.mark.parametrize(
    ("kind", "value", "fits", "breaks"),
    [
        ("enum", ("start", 2, True), ["start", 2, True], ["Start", "2", 2.0, 1, None]),
        ("minimum", 2, [2, 3.5, "2", "1e3"], [1.9, "1", "two", True, None]),
        ("maximum", 2.5, [2.5, -7, "-1"], [2.6, "3", "", [1]]),
        ("integer", "", [3, "3"], [3.5, "3.5", "x", True]),
        ("max_length", 3, ["", "abc", "日本語", 123], ["abcd", 1234, "👍👍👍👍"]),
        ("single_line", "", ["a b", 1], ["a\nb", "a\u2028b"]),
        ("pattern", "[a-z]+", ["abc"], ["", "abc1", "abc\n", 5]),
        ("url_allow", ("https://a.example/v1/",), ["https://a.example/v1/x"], ["https://b.example/v1/", "/v1/x", 1]),
        ("read_only_sql", "", ["SELECT 1"], ["DELETE FROM t", "", 1]),
    ],
)
def test_what_each_kind_is_measured_by(kind: str, value: Any, fits: list[object], breaks: list[object]) -> None:
    constraint = Constraint(kind, value)
    assert [leaf for leaf in fits if violates(constraint, leaf)] == []
    assert [leaf for leaf in breaks if not violates(constraint, leaf)] == []


def test_a_path_is_joined_to_the_folder_of_the_constraint_or_the_first_of_the_server() -> None:
    assert path_readings(Constraint("path_below", "/safe/scripts"), "x.py", ("/ws",)).paths == ("/safe/scripts/x.py",)
    assert path_readings(Constraint("path_below"), "x.py", ("/ws", "/other")).paths == ("/ws/x.py",)
    assert path_readings(Constraint("path_below"), "x.py", ()).problem


def test_a_path_below_is_judged_by_what_the_kernel_answered() -> None:
    own, any_folder = Constraint("path_below", "/safe"), Constraint("path_below")
    assert outside(own, ("/safe/x", "/safe/y"), ("/ws",)) is None
    assert outside(own, ("/safe/x", "/ws/y"), ("/ws",))
    assert outside(any_folder, ("/ws/y", "/other/x"), ("/ws", "/other")) is None
    assert outside(any_folder, ("/safe-not/x",), ("/safe",))
    assert outside(own, (None,), ())
    assert outside(own, (), ())
    assert outside(any_folder, ("/x",), ())


def test_the_pure_part_of_a_path_constraint_is_already_a_violation() -> None:
    assert violates(Constraint("path_below", "/safe"), "x\0y")
    assert violates(Constraint("path_below", "/safe"), "~/x")
    assert violates(Constraint("path_below", "/safe"), "x") is None


def test_a_top_level_property_is_selected_by_its_name_with_everything_in_it() -> None:
    arguments = {"cmd": {"argv": ["a", {"b;c": 1}], "n": None}, "other": "x"}
    assert list(select(arguments, "cmd")) == [
        ("/cmd/argv", "argv"),
        ("/cmd/argv/0", "a"),
        ("/cmd/argv/1/b;c", "b;c"),
        ("/cmd/argv/1/b;c", 1),
        ("/cmd/n", "n"),
        ("/cmd/n", None),
    ]


def test_scalars_are_taken_as_their_json_text() -> None:
    leaves = [leaf for _, leaf in select({"x": [True, -1, 1.5, None, "a"]}, "x")]
    assert [text_of(leaf) for leaf in leaves] == ["true", "-1", "1.5", "null", "a"]


def test_a_pointer_with_a_star_reaches_every_item() -> None:
    arguments = {"files": [{"path": "a", "body": "z"}, {"path": ["b"]}]}
    assert list(select(arguments, "/files/*/path")) == [("/files/0/path", "a"), ("/files/1/path/0", "b")]
    assert list(select(arguments, "/files/1/path")) == [("/files/1/path/0", "b")]
    assert list(select({"m": {"x": {"p": "1"}, "*": {"p": "2"}}}, "/m/*/p")) == [("/m/x/p", "1"), ("/m/*/p", "2")]


def test_wrapping_a_value_in_an_array_or_changing_the_case_of_its_name_hides_nothing() -> None:
    assert list(select({"repo": [[{"Branch": "--x"}]]}, "/repo/branch")) == [("/repo/0/0/Branch", "--x")]
    assert list(select({"PATH": "x"}, "path")) == [("/PATH", "x")]


def test_a_pointer_leads_into_json_that_a_string_holds() -> None:
    assert list(select({"a": '{"b": ["-x"]}'}, "/a/b")) == [("/a/b/0", "-x")]
    assert list(select({"a": '[{"b": 1}, {"b": "y"}]'}, "/a/*/b")) == [("/a/0/b", 1), ("/a/1/b", "y")]
    ((_, huge),) = select({"a": '{"b": ' + "9" * 5_000 + "}"}, "/a/b")
    assert violates(Constraint("maximum", 10), huge)
    assert list(select({"a": "{b}"}, "/a/b")) == []


def test_escaped_tokens_are_unescaped_and_an_absent_property_yields_nothing() -> None:
    assert list(select({"a/b": {"c~d": "x"}}, "/a~1b/c~0d")) == [("/a~1b/c~0d", "x")]
    assert list(select({"a": "x"}, "b")) == []
    assert list(select("text", "b")) == []


@pytest.mark.parametrize(
    ("arguments", "key", "found"),
    [
        ({"a": {}}, "a", ["/a"]),
        ({"A": [1, {}, [{}]]}, "a", ["/A/1", "/A/2/0"]),
        ({"a": {"b": {}}}, "a", ["/a/b"]),
        ({"a": {"b": {}}}, "/a/c", []),
        ({"a": 1, "b": {}}, "a", []),
    ],
)
def test_objects_without_members_are_found(arguments: object, key: str, found: list[str]) -> None:
    assert list(select_empty(arguments, key)) == found
