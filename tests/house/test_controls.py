"""The table of controls, the order of the pipeline, the profiles, the scenarios and the documentation agree."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

from doorward.content.redaction import Masker
from doorward.controls import CONTROLS
from doorward.lab import ablated
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.policy.profiles import ROWS
from doorward.relay import pipeline

ROOT = Path(__file__).parents[2]


def _module_of(control: object) -> str:
    return getattr(control, "__module__", "") or type(control).__module__


def test_every_control_of_the_pipeline_stands_in_the_table_under_its_mechanism() -> None:
    armed = pipeline.build(Masker(b"k" * 32))
    kinds = {"gate": armed.gates, "rewrite": armed.rewrites, "filter": armed.filters, "check": armed.checks}
    for mechanism, controls in kinds.items():
        listed = {control.module for control in CONTROLS.values() if control.mechanism == mechanism}
        assert {_module_of(control) for control in controls} == listed


def test_every_module_that_a_control_names_exists_and_says_what_it_is() -> None:
    for control in CONTROLS.values():
        found = importlib.util.find_spec(control.module)
        assert found is not None
        assert found.origin is not None
        assert Path(found.origin).read_text(encoding="utf-8").startswith('"""'), control.id


def test_every_control_that_a_profile_or_a_scenario_names_exists() -> None:
    everything = (*CATALOGUE, *NEIGHBOURS)
    named = {name for row in ROWS for name in row.controls} | {name for s in everything for name in s.controls}
    assert named <= CONTROLS.keys()


def test_only_controls_that_may_be_observed_are_marked_soft() -> None:
    never = {"gate", "limit", "pin", "sandbox", "channel", "archive", "relay"}
    assert not [control.id for control in CONTROLS.values() if control.softens and control.mechanism in never]


EVIDENCE: dict[str, list[str]] = tomllib.loads((ROOT / "tests" / "evidence.toml").read_text(encoding="utf-8"))


def test_every_control_is_shown_by_tests_that_are_there() -> None:
    assert list(EVIDENCE) == list(CONTROLS), "the order of the table"
    for control, tests in EVIDENCE.items():
        assert tests, control
        for test in tests:
            file, _, name = test.partition("::")
            place = ROOT / "tests" / f"{file}.py"
            assert place.is_file(), test
            assert not name or f"def {name}(" in place.read_text(encoding="utf-8"), test


def test_every_wall_around_a_server_but_that_around_its_environment_is_taken_out_in_the_lab() -> None:
    walls = {control.id for control in CONTROLS.values() if control.mechanism == "sandbox"}
    assert walls - ablated.STAND_INS.keys() == {"confine-environment"}


def test_the_generated_pages_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
