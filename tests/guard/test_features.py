"""A feature is what was declared, granted and supported, in both eras alike."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.guard import FeatureGate, Features, RefusedError

META = "io.modelcontextprotocol/clientCapabilities"
FAST = "experimental/fast_updates"
NAMES = ("sampling", "sampling/tools", "elicitation", "elicitation/url", "roots", FAST, "extensions/com.example/x")


def read(gate: FeatureGate, era: str, capabilities: Any, principal: Hashable = "") -> Features:
    if era == "legacy":
        return gate.initialize({"capabilities": capabilities, "protocolVersion": "2025-11-25"}, principal)
    return gate.request({"_meta": {META: capabilities}, "name": "a"}, principal)


ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


@ERAS
def test_a_declaration_alone_is_worth_nothing(era: str) -> None:
    declared: dict[str, Any] = {"sampling": {}, "experimental": {"fast_updates": {}}, "roots": {}}
    assert read(FeatureGate(["sampling", FAST]), era, declared).names == {"sampling"}
    assert read(FeatureGate(["sampling", FAST], granted=[FAST]), era, declared).names == {FAST}
    assert read(FeatureGate([]), era, declared).names == frozenset()


@ERAS
def test_what_was_not_declared_is_no_feature_however_much_it_is_granted(era: str) -> None:
    gate = FeatureGate(NAMES, granted=NAMES)
    nothing: list[Any] = [{}, None, True, [], "sampling", {"sampling": True}, {"sampling": None}, {"experimental": {}}]
    for declared in nothing:
        assert read(gate, era, declared).names == frozenset()
    assert gate.initialize(None).names == gate.request({"_meta": None}).names == frozenset()


@ERAS
def test_a_grant_may_differ_by_principal(era: str) -> None:
    gate = FeatureGate([FAST], granted=lambda principal: [FAST] if principal == "ann" else [])
    declared: dict[str, Any] = {"experimental": {"fast_updates": {}}}
    assert FAST in read(gate, era, declared, "ann")
    assert FAST not in read(gate, era, declared, "eve")


@ERAS
def test_who_does_not_honour_what_it_declared_no_longer_has_it(era: str) -> None:
    gate = FeatureGate(["sampling", "sampling/tools", "roots"])
    declared: dict[str, Any] = {"sampling": {"tools": {}}, "roots": {}}
    gate.failed("sampling", "eve")
    assert read(gate, era, declared, "eve").names == {"roots"}
    assert read(gate, era, declared, "ann").names == {"sampling", "sampling/tools", "roots"}


@ERAS
def test_an_empty_elicitation_has_always_meant_forms(era: str) -> None:
    gate = FeatureGate(["elicitation/form", "elicitation/url"])
    assert read(gate, era, {"elicitation": {}}).names == {"elicitation/form"}
    assert read(gate, era, {"elicitation": {"url": {}}}).names == {"elicitation/url"}


def test_one_eras_declaration_counts_only_in_its_own_place() -> None:
    gate = FeatureGate(["sampling"])
    assert gate.initialize({"_meta": {META: {"sampling": {}}}}).names == frozenset()
    assert gate.request({"capabilities": {"sampling": {}}}).names == frozenset()


def test_asking_for_what_may_not_be_asked_is_refused() -> None:
    features = FeatureGate(["sampling"]).initialize({"capabilities": {"sampling": {}}})
    features.require("sampling")
    with pytest.raises(RefusedError) as refusal:
        features.require("roots")
    assert refusal.value.rule == "feature"


EMPTY: dict[str, Any] = {}
DECLARED = st.dictionaries(
    st.sampled_from(["sampling", "elicitation", "roots", "experimental", "extensions", "other"]),
    st.none() | st.booleans() | st.dictionaries(st.sampled_from(["tools", "url", "fast_updates"]), st.just(EMPTY)),
)


@given(DECLARED, st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_eras_agree_and_nothing_is_a_feature_that_one_of_the_three_lacks(
    declared: dict[str, Any], granted: set[str], supported: set[str]
) -> None:
    gate = FeatureGate(supported, granted)
    features = read(gate, "legacy", declared)
    assert features.names == read(gate, "modern", declared).names
    assert features.names <= granted & supported
    assert {name.partition("/")[0] for name in features.names} <= declared.keys()
