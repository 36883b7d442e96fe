"""The JSON of a report keeps the schema that is shipped with it, and names each finding for good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from doorward.lab.attack.verdicts import Outcome
from doorward.lab.report import document as form
from doorward.lab.report.baseline import Baseline, Target
from doorward.lab.report.model import Report, Run, Standing, State, Verb
from doorward.lab.scenario import Exclusion, Kind

SCHEMA: dict[str, Any] = json.loads(Path(form.__file__).with_name("schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA, validate_formats=True)


def seen(outcome: str, variant: str = "dot-dot", saw: str = "the secret") -> dict[str, Any]:
    return {"variant": variant, "outcome": outcome, "control": "", "saw": saw}


def run(outcome: Kind | Outcome, *, configured: bool | None = None, target: str = "", **evidence: Any) -> Run:
    evidence = {"variants": [seen(outcome.value)], **evidence}
    target = target or ("naive" if configured is None else "relayed")
    where = ("path-traversal", "notes", "2025-11-25", "wrap", target)
    return Run(*where, configured, outcome, None, None, evidence)


def report(*runs: Run, verb: Verb = "demo", **more: Any) -> Report:
    target = Target(("server",)) if verb == "attack" else Target()
    return Report(verb, "1", 7, "2026-11-26T00:00:00Z", 1.0, runs, target, **more)


def written(told: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(form.document(told)))
    VALIDATOR.validate(found)
    return found


def test_the_schema_is_a_schema_and_names_the_version_that_is_written() -> None:
    assert jsonschema_rs.meta.is_valid(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == form.SCHEMA


@pytest.mark.parametrize("outcome", [*Kind, Outcome.RESISTED, Outcome.NOT_APPLICABLE])
def test_every_outcome_can_be_written(outcome: Kind | Outcome) -> None:
    bare = msgspec.structs.replace(run(outcome), reason=Exclusion.ERA_NOT_SPOKEN)
    verbs: tuple[Verb, ...] = ("demo", "attack")
    for verb in verbs:
        assert written(report(bare, verb=verb))["runs"][0]["outcome"] == outcome.value


@pytest.mark.parametrize("member", SCHEMA["required"])
def test_a_document_without_a_member_is_not_valid(member: str) -> None:
    found = written(report(run(Kind.SUCCEEDED)))
    del found[member]
    assert not VALIDATOR.is_valid(found)


def test_an_attack_names_its_target_and_a_demo_has_none() -> None:
    assert written(report(verb="attack"))["target"] == {"command": ["server"]}
    url = Report("attack", "1", 7, "2026-11-26T00:00:00Z", 1.0, (), Target(url="https://a.example/mcp"))
    assert written(url)["target"] == {"url": "https://a.example/mcp"}
    client = msgspec.structs.replace(url, target=Target(client=("a-client",)))
    assert written(client)["target"] == {"client": ["a-client"]}
    assert "target" not in written(report())


@pytest.mark.parametrize(
    ("verb", "one", "standing"),
    [
        ("demo", run(Kind.SUCCEEDED), Standing.GOOD),
        ("demo", run(Kind.INCONCLUSIVE), Standing.FINDING),
        ("demo", run(Kind.OBSTRUCTED), Standing.FINDING),
        ("demo", run(Kind.SUCCEEDED, configured=False), Standing.FINDING),
        ("demo", run(Kind.OBSTRUCTED, configured=True), Standing.FINDING),
        ("demo", run(Kind.INCONCLUSIVE, configured=True), Standing.UNKNOWN),
        ("demo", run(Kind.PREVENTED, configured=True), Standing.GOOD),
        ("demo", run(Kind.EXCLUDED, configured=True), Standing.NOT_PLAYED),
        ("attack", run(Outcome.SUCCEEDED), Standing.FINDING),
        ("attack", run(Outcome.OBSTRUCTED), Standing.FINDING),
        ("attack", run(Outcome.INCONCLUSIVE), Standing.UNKNOWN),
        ("attack", run(Outcome.RESISTED), Standing.GOOD),
        ("attack", run(Outcome.NOT_APPLICABLE), Standing.NOT_PLAYED),
        ("attack", run(Outcome.EXCLUDED), Standing.NOT_PLAYED),
        ("attack", run(Outcome.PREVENTED, configured=False), Standing.GOOD),
    ],
)
def test_what_a_run_means_depends_on_who_asks(verb: Verb, one: Run, standing: Standing) -> None:
    told = report(one, verb=verb)
    assert told.standing(one) is standing
    assert bool(told.findings()) is (standing is Standing.FINDING)


def test_a_finding_is_one_variant_and_those_that_did_no_harm_are_none() -> None:
    mixed = run(Kind.SUCCEEDED, configured=True, variants=[seen("SUCCEEDED"), seen("PREVENTED", "percent")])
    (finding,) = report(mixed).findings()
    assert (finding.variant, finding.outcome, finding.saw) == ("dot-dot", "SUCCEEDED", "the secret")
    bare = run(Kind.INCONCLUSIVE, variants=[seen("SUCCEEDED"), seen("INCONCLUSIVE", "percent")])
    assert [one.variant for one in report(bare).findings()] == ["percent"]


def test_a_run_that_never_began_is_a_finding_of_its_own() -> None:
    unreached = run(Kind.OBSTRUCTED, configured=True, variants=[], note="not reached: it ended")
    (finding,) = report(unreached).findings()
    assert (finding.variant, finding.saw) == ("", "not reached: it ended")


def test_what_the_lab_lists_is_open_even_where_only_nothing_is_known() -> None:
    listed = run(Kind.INCONCLUSIVE, configured=True, open="nobody caps it", variants=[seen("INCONCLUSIVE")])
    (finding,) = report(msgspec.structs.replace(listed, issue="D")).findings()
    assert (finding.state, finding.why) == (State.OPEN, "nobody caps it")


def test_a_fingerprint_tells_places_apart_and_outlives_seed_time_and_words() -> None:
    harm = run(Kind.SUCCEEDED, configured=True)

    def fingerprint(one: Run, **more: Any) -> str:
        (finding,) = msgspec.structs.replace(report(one), **more).findings()
        return finding.fingerprint

    first = fingerprint(harm)
    reworded = run(Kind.SUCCEEDED, configured=True, variants=[seen("SUCCEEDED", saw="another temporary folder")])
    assert first == fingerprint(reworded, seed=8, started="2027-01-01T00:00:00Z", doorward="2") == fingerprint(harm)
    others = [
        *(msgspec.structs.replace(harm, **{field: "x"}) for field in ("id", "example", "era", "topology")),
        msgspec.structs.replace(harm, configured=False),
        run(Kind.OBSTRUCTED, configured=True, variants=[seen("OBSTRUCTED")]),
        run(Kind.SUCCEEDED, configured=True, variants=[seen("SUCCEEDED", "percent")]),
    ]
    assert len({first, *map(fingerprint, others)}) == 1 + len(others)


def known_from(told: Report, *, name: str = "last.json") -> dict[str, Any]:
    return {"baseline": name, "known": msgspec.convert(written(told), Baseline).known}


def test_what_stands_in_the_baseline_is_known_and_stays_in_the_report() -> None:
    harm, other = run(Kind.SUCCEEDED, configured=True), run(Kind.SUCCEEDED, configured=False)
    told = report(harm, other, **known_from(report(harm)))
    assert [finding["state"] for finding in written(told)["findings"]] == ["known", "new"]


def test_what_is_not_seen_any_more_is_named() -> None:
    harm = run(Kind.SUCCEEDED, configured=True)
    told = written(report(run(Kind.PREVENTED, configured=True), **known_from(report(harm))))
    assert told["findings"] == []
    (unseen,) = told["unseen"]
    assert (unseen["variant"], unseen["outcome"]) == ("dot-dot", "SUCCEEDED")


def test_harm_is_new_where_the_baseline_knew_an_obstruction() -> None:
    before = run(Kind.OBSTRUCTED, configured=True)
    told = report(run(Kind.SUCCEEDED, configured=True), **known_from(report(before)))
    assert [finding.state for finding in told.findings()] == [State.NEW]


def test_what_was_open_before_is_new_once_the_lab_does_not_list_it_any_more() -> None:
    harm = run(Kind.SUCCEEDED, configured=True)
    before = msgspec.structs.replace(harm, issue="D", evidence={**harm.evidence, "open": "why"})
    told = report(harm, **known_from(report(before)))
    assert [finding.state for finding in told.findings()] == [State.NEW]


def test_a_later_version_may_have_added_members_to_a_baseline() -> None:
    added = {**written(report(run(Kind.SUCCEEDED, configured=True))), "weather": "rain"}
    assert len(msgspec.convert(added, Baseline).known) == 1
