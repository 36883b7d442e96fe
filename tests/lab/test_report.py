"""Rows as people see them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from doorward.lab.report import matrix
from doorward.lab.report.model import Run
from doorward.lab.scenario import Exclusion, Kind


def row(outcome: Kind, *, configured: bool | None = None, **more: Any) -> Run:
    variants = [{"variant": "dot-dot", "outcome": outcome.value, "control": "", "saw": more.pop("saw", "the secret")}]
    evidence = {"benign": "read a note", "variants": variants, **more.pop("evidence", {})}
    fields: dict[str, Any] = {"id": "path-traversal", "example": "notes", "era": "2025-11-25", "topology": "wrap"}
    fields |= {"reason": None, "control": None} | more
    target = "naive" if configured is None else "relayed"
    return Run(outcome=outcome, target=target, configured=configured, evidence=evidence, **fields)


FULL = [
    row(Kind.SUCCEEDED),
    row(Kind.PREVENTED, configured=False, control="confine-files"),
    row(Kind.PREVENTED, configured=True, control="path-confinement", evidence={"configuration": "[servers.notes]\n"}),
]


def test_the_matrix_has_one_line_per_example_and_era_and_names_what_stopped_the_attack() -> None:
    head, _, line = matrix.text(FULL).splitlines()
    assert head.split()[:4] == ["topology", "scenario", "target", "era"]
    assert line.startswith("wrap ")
    assert "ATTACK SUCCEEDED 1/1" in line
    assert "prevented by confine-files" in line
    assert "prevented by path-confinement" in line


def test_where_the_table_does_not_fit_each_example_is_a_paragraph_that_does() -> None:
    table = matrix.text(FULL)
    width = max(map(len, table.splitlines()))
    assert matrix.text(FULL, columns=width) == table
    assert matrix.text(FULL, columns=width - 1).splitlines() == [
        "wrap: path-traversal on notes, 2025-11-25",
        "    naive       ATTACK SUCCEEDED 1/1",
        "    as shipped  prevented by confine-files",
        "    configured  prevented by path-confinement",
    ]


def test_a_twin_stands_beside_its_bare_target_with_its_honest_use_and_no_gateway() -> None:
    twin = msgspec.structs.replace(row(Kind.PREVENTED, control="root"), target="guarded")
    head, _, line = matrix.text([row(Kind.SUCCEEDED), twin]).splitlines()
    assert head.split()[4:] == ["naive", "guarded", "honest", "use"]
    assert line.split("  ")[-3:] == ["ATTACK SUCCEEDED 1/1", "prevented by root", "read a note"]
    assert matrix.text([row(Kind.SUCCEEDED), twin], columns=40).splitlines()[1:] == [
        "    naive       ATTACK SUCCEEDED 1/1",
        "    guarded     prevented by root",
        "    honest use  read a note",
    ]
    broken = msgspec.structs.replace(twin, outcome=Kind.OBSTRUCTED, evidence={})
    assert matrix.words(broken) == "OBSTRUCTED"
    assert matrix.troubles([broken])


def test_harm_behind_protection_is_a_trouble_with_its_evidence_and_harm_without_is_not() -> None:
    assert matrix.troubles(FULL) == ()
    (trouble,) = matrix.troubles([*FULL, row(Kind.SUCCEEDED, configured=True, saw="the key arrived")])
    assert "configured: SUCCEEDED" in trouble
    assert "dot-dot: the key arrived" in trouble


def test_the_same_target_in_another_topology_has_a_line_of_its_own() -> None:
    behind_a_url = [msgspec.structs.replace(run, topology="serve→URL") for run in FULL]
    assert [line.topology for line in matrix.lines([*FULL, *behind_a_url])] == ["wrap", "serve→URL"]


def test_what_is_known_to_be_open_is_shown_as_open_with_its_reason_and_is_no_trouble() -> None:
    run = row(Kind.SUCCEEDED, configured=False, evidence={"open": "nobody caps it"})
    opened = msgspec.structs.replace(run, issue="D")
    assert matrix.words(opened) == "OPEN, issue D: ATTACK SUCCEEDED 1/1"
    assert matrix.troubles([opened]) == ()
    assert matrix.openings([opened, opened]) == ("open, issue D: path-traversal on notes (wrap): nobody caps it",)


def test_variants_that_only_a_remote_server_could_stop_are_counted_beside_what_was_prevented() -> None:
    remote = {"variant": "symlink", "outcome": "EXCLUDED", "control": "", "saw": "", "reason": "REMOTE_INTERNALS"}
    run = row(Kind.PREVENTED, configured=False, control="path-confinement")
    both = {**run.evidence, "variants": [*run.evidence["variants"], remote]}
    words = matrix.words(msgspec.structs.replace(run, evidence=both))
    assert words == "prevented by path-confinement (1/2 inside a remote server)"


def test_harm_in_the_servers_own_folders_is_counted_beside_what_was_prevented_and_told() -> None:
    own = {"variant": "sql", "outcome": "EXCLUDED", "control": "", "saw": "a draft", "reason": "INSIDE_ITS_FOLDERS"}
    run = row(Kind.PREVENTED, configured=False, control="confine-files")
    both = {**run.evidence, "variants": [*run.evidence["variants"], own]}
    shown = msgspec.structs.replace(run, evidence=both)
    assert matrix.words(shown) == "prevented by confine-files (1/2 harm inside the server's own folders)"
    there = msgspec.structs.replace(shown, topology="serve→command")
    told = ("excluded: path-traversal on notes, sql (wrap, serve→command): a draft",)
    assert matrix.insides([shown, shown, there]) == told
    assert matrix.insides(FULL) == ()


@pytest.mark.parametrize("reason", Exclusion)
def test_every_exclusion_is_said_in_words(reason: Exclusion) -> None:
    run = row(Kind.EXCLUDED, configured=False, reason=reason)
    assert matrix.words(run) == f"excluded: {matrix.REASONS[reason]}"
    assert matrix.troubles([run]) == ()
