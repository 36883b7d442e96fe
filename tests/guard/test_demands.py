"""What a tool demands is judged before it runs, whatever way the argument came."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward import guard
from doorward.content.pointers import strings
from doorward.guard import RefusedError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@guard.arguments(name=guard.identifier, text=(guard.single_line, guard.max_length(5)), mode=guard.one_of("r", "w"))
def tool(name: str, text: str = "a text that I may choose", mode: str | None = None) -> str:
    """Say it."""
    return f"{name} {text} {mode}"


@guard.arguments(name=guard.identifier)
async def waiting_tool(name: str) -> str:
    return name


def test_what_is_allowed_reaches_the_tool_unchanged() -> None:
    assert tool("a", "b", mode="r") == "a b r"


def test_only_a_default_of_the_author_is_not_judged() -> None:
    assert tool("a") == "a a text that I may choose None"
    # SDKs pass defaults as if they had been sent
    assert tool(name="a", text="a text that I may choose", mode=None) == "a a text that I may choose None"
    with pytest.raises(RefusedError):
        tool("a", "a text that I may not")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"name": "../x"}, "name: "),
        ({"name": "a", "text": "b\nc"}, "text: "),
        ({"name": "a", "text": "longer"}, "text: longer than 5"),
        ({"name": "a", "mode": "x"}, "mode: "),
        ({"name": None}, "name: "),
        ({"name": ["a", "b c"]}, "name: /1 "),
        ({"name": {"b c": "a"}}, "name: "),
        ({"name": b"bytes"}, "name: is of a kind"),
        ({"name": object()}, "name: is of a kind"),
    ],
)
def test_what_breaks_a_demand_is_refused_and_the_value_is_not_repeated(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        tool(**arguments)
    assert refusal.value.rule == "arguments"
    assert str(refusal.value).startswith(named)
    assert "\n" not in str(refusal.value)


def test_a_positional_argument_is_judged_as_well() -> None:
    with pytest.raises(RefusedError):
        tool("a", "b", "x")


async def call(name: str) -> str:
    return await waiting_tool(name)


def test_an_async_tool_is_still_one() -> None:
    assert inspect.iscoroutinefunction(waiting_tool)
    with pytest.raises(StopIteration, match="a"):
        call("a").send(None)
    with pytest.raises(RefusedError):
        call("a b").send(None)


def test_an_sdk_still_reads_signature_and_documentation() -> None:
    assert list(inspect.signature(tool).parameters) == ["name", "text", "mode"]
    assert (tool.__name__, tool.__doc__) == ("tool", "Say it.")


def test_a_demand_on_what_the_tool_does_not_take_is_an_authors_mistake() -> None:
    with pytest.raises(ValueError, match="no parameter nam"):
        guard.arguments(nam=guard.identifier)(lambda name: name)
    with pytest.raises(ValueError, match="collects"):
        guard.arguments(rest=guard.identifier)(lambda **rest: rest)


def test_arguments_without_a_demand_can_be_found_by_a_test() -> None:
    assert guard.undemanded(tool) == ()
    assert guard.undemanded(lambda a, b: a + b) == ("a", "b")
    assert guard.undemanded(guard.arguments(b=guard.identifier)(lambda a, b: a + b)) == ("a",)


@given(JSON)
def test_nesting_hides_no_text_from_a_demand(value: Any) -> None:
    # true, false and null are judged as they would be printed; none of them holds a b
    demand = guard.Demand(lambda text: "holds a b" if "b" in text else None)
    bad = value is None or any("b" in text for text in strings(value))
    assert (guard.violation(value, demand) is not None) == bad


def test_an_object_is_no_number_and_no_choice() -> None:
    assert guard.violation({"a": 1}, guard.number_range(0, 2))
    assert guard.violation({"a": "a"}, guard.one_of("a"))
    assert guard.violation([1, 2], guard.number_range(0, 2)) is None
    assert guard.violation([1, 3], guard.number_range(0, 2)) == "/1 more than 2"


def test_a_path_is_judged_as_its_text() -> None:
    assert guard.violation(Path("/srv/notes/a"), guard.path_below("/srv/notes")) is None
    assert guard.violation(Path("/srv/other"), guard.path_below("/srv/notes"))


def test_numbers_are_judged_as_a_program_would_print_them() -> None:
    assert guard.violation(-1, guard.no_leading_dash) == "begins with a dash"
    assert guard.violation(True, guard.pattern("true")) is None
    assert guard.violation([None], guard.pattern("null")) is None
    assert guard.violation(None, guard.pattern("null"))


def test_a_place_in_a_refusal_hides_nothing() -> None:
    assert guard.violation({"\u202ex": "a b"}, guard.identifier) == (
        "/⟨U+202E⟩x not an identifier: letters, digits, '_', '.', '-', at most 128, first no dot or dash"
    )


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: guard.pattern("("),
        lambda: guard.path_below("relative"),
        lambda: guard.url_allow("example.com"),
    ],
)
def test_a_demand_that_cannot_be_is_found_where_it_is_written(mistake: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says what is wrong with it in its own words
        mistake()


def test_every_kind_of_demand_is_offered() -> None:
    assert guard.violation("https://a.example/x", guard.url_allow("https://a.example")) is None
    assert guard.violation("a;b", guard.no_shell_metacharacters)
    assert guard.violation("-a", guard.no_leading_dash)


@pytest.mark.parametrize("value", [{}, [{}], [1, {}], [[{}]]])
@pytest.mark.parametrize("demand", [guard.number_range(0, 9), guard.one_of(1, 2)])
def test_an_object_without_members_is_no_value(value: object, demand: guard.Demand) -> None:
    assert guard.violation(value, demand) is not None
    assert guard.violation(value, guard.max_length(5)) is None  # which is about the texts in it, and there are none


def test_demands_in_two_lines_are_both_known() -> None:
    @guard.arguments(one=guard.identifier)
    @guard.arguments(two=guard.identifier)
    def tool(one: str, two: str, three: str) -> str:
        return one + two + three

    assert guard.undemanded(tool) == ("three",)
    for wrong in (("-x", "y", "z"), ("x", "-y", "z")):
        with pytest.raises(RefusedError):
            tool(*wrong)
