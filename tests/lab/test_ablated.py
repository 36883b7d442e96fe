"""Stand-ins live in the lab, replace exactly one thing, and no door of the product leads to them."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import doorward
from doorward.confine import process
from doorward.confine.profile import SandboxProfile, derive
from doorward.controls import CONTROLS
from doorward.lab import ablated
from doorward.lab.ablated import BOTH, CHILD_CAPS, CONFINE_FILES, CONFINE_NETWORK, CONFINE_PRIVILEGES

SOURCE = Path(doorward.__file__).parent
CAP_SYS_ADMIN = 1 << 21


@pytest.mark.parametrize("name", ablated.STAND_INS)
def test_a_stand_in_replaces_something_that_is_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, owner, attribute, _ = ablated.STAND_INS[name]
    where = importlib.import_module(module)
    place = getattr(where, owner) if owner else where
    before = getattr(place, attribute)
    monkeypatch.setattr(place, attribute, before)  # fails where there is none, and puts it back
    ablated.replace(name)
    after = getattr(place, attribute)
    assert after != before
    file = after[2] if isinstance(after, tuple) else after.__code__.co_filename
    assert SOURCE / "lab" in Path(file).parents


def test_every_wall_leaves_no_finding_when_it_holds_and_has_a_stand_in() -> None:
    for wall in ablated.WALLS:
        assert wall in ablated.STAND_INS
        assert CONTROLS[wall].mechanism in ("sandbox", "archive")


def test_a_group_has_at_most_three_walls_and_a_reason() -> None:
    for group, reason in ablated.GROUPS.items():
        members = group.split("+")
        assert group in ablated.STAND_INS
        assert 1 < len(members) <= 3
        assert set(members) <= set(ablated.WALLS)
        assert len(reason.split()) > 10


def test_what_has_nothing_to_refuse_has_a_stand_in_too() -> None:
    for quiet in ablated.QUIET:
        assert quiet in ablated.STAND_INS
        assert CONTROLS[quiet].mechanism in ("channel", "sandbox", "gate")


def test_a_wall_is_tried_only_where_it_is_made_for_the_threat_and_groups_come_last() -> None:
    assert ablated.candidates("argument-injection") == (CONFINE_FILES,)
    assert ablated.candidates("privileged-tool") == (CONFINE_FILES, CONFINE_PRIVILEGES, BOTH)
    assert ablated.candidates("disputed-execution") == ("archive",)
    assert ablated.candidates("ssrf-inside") == (CONFINE_NETWORK,)
    assert ablated.candidates("runaway-server") == (CHILD_CAPS,)


LOOK = """
import resource, socket, sys
about = dict(line.split(":", 1) for line in open("/proc/self/status"))
try:
    opened = open(sys.argv[1]).read()
except OSError:
    opened = ""
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=10):
        network = "reached"
except OSError:
    network = "apart"
files = "capped" if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == int(sys.argv[3]) else "free"
print(about["NoNewPrivs"].strip(), about["Seccomp"].strip(), opened or "closed", network, files)
"""
WHOLE, GONE = "1 2 closed apart capped", "0 0 open reached capped"
FILE_BYTES = 1 << 20


@pytest.mark.parametrize(
    ("name", "as_administrator", "as_anybody"),
    [
        ("", WHOLE, WHOLE),
        (CONFINE_FILES, "1 2 open apart capped", "1 2 open apart capped"),
        (CONFINE_NETWORK, "1 2 closed reached capped", "1 2 closed reached capped"),
        (CHILD_CAPS, "1 2 closed apart free", "1 2 closed apart free"),
        # Whoever may not administer the machine arms nothing without no_new_privs.
        (CONFINE_PRIVILEGES, "0 2 closed apart capped", GONE),
        (BOTH, "0 2 open apart capped", GONE),
    ],
)
def test_another_launcher_leaves_out_the_wall_that_it_is_told_and_no_other(
    name: str, as_administrator: str, as_anybody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_LAUNCHER", process._LAUNCHER)  # noqa: SLF001 - puts it back
    if name:
        ablated.replace(name)
    assert seen_inside(tmp_path) == (as_administrator if is_administrator() else as_anybody)


def seen_inside(place: Path) -> str:
    """What a server sees of its walls."""
    secret = place / "outside" / "secret"
    secret.parent.mkdir()
    secret.write_text("open", encoding="ascii")
    home, state, config = (str(place / name) for name in ("home", "state", "config"))
    with socket.create_server(("127.0.0.1", 0)) as inside:
        argv = (sys.executable, "-I", "-S", "-c", LOOK, str(secret), str(inside.getsockname()[1]), str(FILE_BYTES))
        profile = derive(
            argv, environ={}, cwd="/", home=home, state=state, config=config, server="look", profile="strict"
        )
        return said_by(argv, msgspec.structs.replace(profile, file_bytes=FILE_BYTES))


def said_by(argv: tuple[str, ...], profile: SandboxProfile) -> str:
    with process.start(argv, profile) as child:
        child.started()
        os.close(child.stdin)
        with open(child.stdout, encoding="ascii") as said, open(child.stderr, encoding="ascii") as complaint:
            assert child.wait(timeout_seconds=20) == 0, complaint.read()
            return said.read().strip()


def is_administrator() -> bool:
    about = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(about["CapEff"], 16) & CAP_SYS_ADMIN)


def test_an_unknown_name_replaces_nothing() -> None:
    with pytest.raises(KeyError):
        ablated.replace("everything")


def test_no_module_outside_the_lab_names_the_ablation() -> None:
    outside = (p for p in SOURCE.rglob("*.py") if "lab" not in p.relative_to(SOURCE).parts)
    assert [str(p) for p in outside if "ablated" in p.read_text(encoding="utf-8")] == []


def test_nothing_is_replaced_in_a_process_that_did_not_ask_for_it() -> None:
    program = "from doorward.confine import process; print(process._LAUNCHER[-1])"
    said = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout.strip() == str(SOURCE / "confine" / "launch.py")
