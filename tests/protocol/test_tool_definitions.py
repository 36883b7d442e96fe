"""What is kept of a server's list of tools, and how a definition gets its fingerprint."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from doorward.protocol.definitions import MAX_TOOLS, NOTHING, Definitions, fingerprint, record

ITEM: dict[str, Any] = {"name": "t", "description": "d", "inputSchema": {"type": "object"}}
DOMAIN = b"doorward definition v1\n"

names = st.text(st.characters(codec="utf-8"), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def of(*items: dict[str, Any], first: bool = True, last: bool = True, known: Definitions = NOTHING) -> Definitions:
    return record(known, items, first=first, last=last)


def test_a_list_is_complete_after_its_last_page() -> None:
    page = of(ITEM, last=False)
    assert not page.complete
    whole = of({**ITEM, "name": "u"}, first=False, known=page)
    assert whole.complete
    assert whole.tools.keys() == {"t", "u"}


def test_a_page_of_a_list_whose_start_was_not_seen_completes_nothing() -> None:
    assert not of(ITEM, first=False).complete
    assert of(ITEM, first=False).tools == {}


def test_a_new_list_replaces_the_old_one() -> None:
    assert of({**ITEM, "name": "u"}, known=of(ITEM)).tools.keys() == {"u"}


def test_a_list_that_is_too_long_is_never_complete_and_not_kept() -> None:
    many = [{"name": f"t{n}", "inputSchema": {}} for n in range(MAX_TOOLS + 1)]
    found = of(*many)
    assert not found.complete
    assert found.tools == {}
    assert of(*many[:-1]).complete


@pytest.mark.parametrize("change", [{"name": 5}, {"name": None}, {"inputSchema": []}, {"inputSchema": None}])
def test_a_tool_that_cannot_be_judged_is_not_recorded(change: dict[str, Any]) -> None:
    assert of({**ITEM, **change}).tools == {}


def test_a_tool_that_is_listed_twice_is_named() -> None:
    found = of(ITEM, {**ITEM, "description": "another"})
    assert found.repeated == ("t",)
    assert found.fingerprint_of("t") == fingerprint({**ITEM, "description": "another"})


@pytest.mark.parametrize("hints", [(True, False), (False, True), (True, None)])
def test_a_tool_that_is_listed_twice_destroys_if_either_says_so(hints: tuple[bool, bool]) -> None:
    assert of(*({**ITEM, "annotations": {"destructiveHint": hint}} for hint in hints)).tools["t"].destructive


@pytest.mark.parametrize(
    ("hint", "destructive"), [(True, True), (False, False), ("true", False), (1, False), (None, False)]
)
def test_only_a_plain_yes_is_a_destructive_hint(hint: object, destructive: bool) -> None:
    assert of({**ITEM, "annotations": {"destructiveHint": hint}}).tools["t"].destructive is destructive


def test_annotations_that_are_no_object_say_nothing() -> None:
    assert of({**ITEM, "annotations": [True]}).tools["t"].destructive is False


def test_an_unlisted_tool_has_no_fingerprint() -> None:
    assert of(ITEM).fingerprint_of("u") == ""


def test_a_fingerprint_is_that_of_the_rfc_8785_form() -> None:
    assert fingerprint(ITEM) == hashlib.sha256(DOMAIN + rfc8785.dumps(ITEM)).hexdigest()
    assert fingerprint(dict(reversed(ITEM.items()))) == fingerprint(ITEM)


@pytest.mark.parametrize("big", [2**53, -(2**53), 10**30])
def test_an_integer_that_rfc_8785_refuses_has_a_fingerprint_of_its_own(big: int) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        rfc8785.dumps({"n": big})
    tagged = hashlib.sha256(DOMAIN + rfc8785.dumps({"n": f"doorward:integer:{big}"})).hexdigest()
    assert fingerprint({"n": big}) == tagged != fingerprint({"n": big + 1})


@given(st.dictionaries(names, values, max_size=4), st.dictionaries(names, values, max_size=4))
def test_definitions_have_one_fingerprint_exactly_if_they_say_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (repr(_plain(one)) == repr(_plain(other)))


def _plain(value: Any) -> Any:
    """``value`` with its members in order, so that two spellings of one definition are one."""
    if isinstance(value, dict):
        return [(name, _plain(value[name])) for name in sorted(value)]
    return [_plain(item) for item in value] if isinstance(value, list) else value


def test_a_text_that_looks_like_our_mark_for_an_integer_has_another_fingerprint() -> None:
    assert fingerprint({"n": 2**60}) != fingerprint({"n": f"doorward:integer:{2**60}"})
    assert fingerprint({"n": "doorward:x"}) != fingerprint({"n": "doorward:string:doorward:x"})
