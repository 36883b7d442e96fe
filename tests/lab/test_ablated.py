"""Stand-ins live in the lab, replace exactly one field, and no door of the product leads to them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import doorward
from doorward.controls import CONTROLS
from doorward.gateway import defences
from doorward.lab import ablated
from doorward.policy.load import load

SOURCE = Path(doorward.__file__).parent


@pytest.fixture(autouse=True)
def armed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defences, "arm", defences.arm)  # whatever a test replaces is put back


@pytest.mark.parametrize("name", ablated.STAND_INS)
def test_a_stand_in_is_named_after_a_control_and_replaces_one_field_only(name: str) -> None:
    policy = load(None)
    before = msgspec.structs.asdict(defences.arm(policy))
    ablated.replace(name)
    after = msgspec.structs.asdict(defences.arm(policy))
    field, stand_in = ablated.STAND_INS[name]
    assert name in CONTROLS
    assert {key for key in before if before[key] is not after[key]} == {field}
    assert type(after[field]) is stand_in


def test_every_wall_leaves_no_finding_when_it_holds_and_has_a_stand_in() -> None:
    for wall in ablated.WALLS:
        assert (wall in ablated.STAND_INS) != (wall in ablated.REPLACED)
        assert CONTROLS[wall].mechanism in ("sandbox", "archive")


def test_what_has_nothing_to_refuse_has_a_stand_in_too() -> None:
    for quiet in ablated.QUIET:
        assert quiet in ablated.REPLACED
        assert CONTROLS[quiet].mechanism in ("channel", "sandbox")


@pytest.mark.parametrize("name", ablated.REPLACED)
def test_what_is_replaced_is_there_and_is_the_labs_own_afterwards(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, owner, what, _ = ablated.REPLACED[name]
    where = importlib.import_module(module)
    where = getattr(where, owner) if owner else where
    before = getattr(where, what)
    monkeypatch.setattr(where, what, before)  # fails where there is none, and puts it back
    ablated.replace(name)
    after = getattr(where, what)
    assert after != before
    assert SOURCE / "lab" in Path(after if isinstance(after, str) else after.__code__.co_filename).parents


def test_unconfined_starts_the_very_same_child_without_its_walls() -> None:
    calls: list[tuple[tuple[object, ...], dict[str, object]]] = []

    def start(*args: object, **options: object) -> str:
        calls.append((args, options))
        return "child"

    assert ablated.Unconfined(start)(("server",), "profile", umask=0o77) == "child"
    assert calls == [((("server",), "profile"), {"umask": 0o77, "unsafe_no_sandbox": True})]


def test_an_unknown_name_replaces_nothing() -> None:
    with pytest.raises(KeyError):
        ablated.replace("everything")


def test_no_module_outside_the_lab_names_the_ablation() -> None:
    outside = (p for p in SOURCE.rglob("*.py") if "lab" not in p.relative_to(SOURCE).parts)
    assert [str(p) for p in outside if "ablated" in p.read_text(encoding="utf-8")] == []


def test_nothing_is_replaced_in_a_process_that_did_not_ask_for_it() -> None:
    program = "from doorward.gateway import defences; print(defences.arm.__module__)"
    said = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout.strip() == "doorward.gateway.defences"
