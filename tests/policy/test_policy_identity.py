"""`doorward.policy.identity`: a fingerprint is of the evidence and of nothing else."""

from __future__ import annotations

import pytest

from doorward.policy.identity import name_problem, verified


def test_the_fingerprint_is_of_kind_and_evidence_and_not_of_the_operators_name_or_the_order() -> None:
    one = verified("command", "a", {"x": "1", "y": "2"})
    assert one.fingerprint == verified("command", "b", {"y": "2", "x": "1"}).fingerprint
    assert one.evidence == (("x", "1"), ("y", "2"))
    assert len(one.fingerprint) == 64


@pytest.mark.parametrize(
    ("kind", "evidence"),
    [("url", {"x": "1", "y": "2"}), ("command", {"x": "1"}), ("command", {"x": "1y", "": "2"}), ("command", {})],
)
def test_other_evidence_has_another_fingerprint(kind: str, evidence: dict[str, str]) -> None:
    assert verified(kind, "a", evidence).fingerprint != verified("command", "a", {"x": "1", "y": "2"}).fingerprint


@pytest.mark.parametrize("name", ["a", "server-filesystem-1a2b3c4d", "A.b_c-9", "x" * 64])
def test_plain_names_are_names(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize("name", ["", "-x", ".hidden", "..", "a/b", "a b", "x" * 65, "n\u0430me", "a\n", "*", "@scope"])
def test_what_could_be_mistaken_or_could_leave_a_folder_is_no_name(name: str) -> None:
    assert "cannot be the name of a server" in name_problem(name)
