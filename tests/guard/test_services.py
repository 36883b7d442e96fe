"""A few words about a few units reach systemd's interface over a real bus, and nothing else does."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doorward.guard import RefusedError, ServiceControl

SYSTEMD = Path(__file__).with_name("systemd.py")
EVERYTHING = ("status", "start", "stop", "restart")
CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={place}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
    <deny send_interface="org.freedesktop.systemd1.Manager" send_member="StopUnit"/>
  </policy>
</busconfig>
"""


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """The address of a bus of our own. It lets nobody stop a unit: that refusal is the daemon's own."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("no dbus-daemon: tools/bus.sh says how to install it")
    configuration = tmp_path / "bus.conf"
    configuration.write_text(CONFIGURATION.format(place=tmp_path / "bus"))
    command = [daemon, f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().strip()
        finally:
            running.kill()


@pytest.fixture
def asked(bus: str) -> Iterator[Callable[[], list[str]]]:
    """Ends what stands for systemd, and tells what it was asked to change."""
    with subprocess.Popen([sys.executable, str(SYSTEMD), bus], stdout=subprocess.PIPE, text=True) as systemd:
        try:
            assert systemd.stdout is not None
            output = systemd.stdout
            assert output.readline() == "ready\n"

            def told() -> list[str]:
                systemd.kill()
                return output.read().splitlines()

            yield told
        finally:
            systemd.kill()


def test_a_unit_is_started_and_restarted_and_its_status_told(bus: str, asked: Callable[[], list[str]]) -> None:
    control = ServiceControl({"web.service": EVERYTHING}, bus=bus)
    assert control.status("web.service") == ("loaded", "active", "running", "The unit web.service")
    control.start("web.service")
    control.restart("web.service")
    assert asked() == ["StartUnit web.service replace", "RestartUnit web.service replace"]


@pytest.mark.parametrize(
    "unit",
    [
        "other.service",
        "web",
        "web.service; /bin/bash",
        "WEB.service",
        "web.service ",
        "",
        "../web.service",
        "web.service\0",
    ],
)
def test_a_unit_that_was_not_listed_is_never_spoken_of(bus: str, asked: Callable[[], list[str]], unit: str) -> None:
    control = ServiceControl({"web.service": EVERYTHING}, bus=bus)
    for action in (control.status, control.start, control.stop, control.restart):
        with pytest.raises(RefusedError, match="not allowed for a unit"):
            action(unit)
    assert asked() == []


def test_a_word_that_was_not_listed_is_never_said(bus: str, asked: Callable[[], list[str]]) -> None:
    control = ServiceControl({"web.service": ["status", "restart"]}, bus=bus)
    control.restart("web.service")
    for action in (control.start, control.stop):
        with pytest.raises(RefusedError, match="is not allowed"):
            action("web.service")
    assert asked() == ["RestartUnit web.service replace"]


@pytest.mark.usefixtures("asked")
def test_what_systemd_cannot_do_is_said(bus: str) -> None:
    control = ServiceControl({"bad.service": EVERYTHING, "gone.service": EVERYTHING}, bus=bus)
    with pytest.raises(RefusedError, match="did not start: failed"):
        control.start("bad.service")
    for action in (control.start, control.status):
        with pytest.raises(RefusedError, match="no such unit"):
            action("gone.service")


@pytest.mark.usefixtures("asked")
def test_what_this_user_may_not_is_said(bus: str) -> None:
    with pytest.raises(RefusedError, match="this server may not do that") as refusal:
        ServiceControl({"web.service": EVERYTHING}, bus=bus).stop("web.service")
    assert refusal.value.hint == "org.freedesktop.DBus.Error.AccessDenied"


@pytest.mark.usefixtures("asked")
def test_a_job_that_is_not_done_in_time_is_not_waited_for_and_nobody_else_can_say_it_is(bus: str) -> None:
    with pytest.raises(RefusedError, match="in time"):
        ServiceControl({"slow.service": EVERYTHING}, bus=bus, timeout_seconds=0.5).start("slow.service")


def test_without_a_bus_or_a_manager_nothing_is_claimed(bus: str, tmp_path: Path) -> None:
    nowhere = ServiceControl({"web.service": EVERYTHING}, bus=f"unix:path={tmp_path}/none")
    with pytest.raises(RefusedError, match="cannot be reached"):
        nowhere.status("web.service")
    with pytest.raises(RefusedError, match="the service manager refused"):
        ServiceControl({"web.service": EVERYTHING}, bus=bus).status("web.service")


@pytest.mark.parametrize("unit", ["web", "web.service;id", "we b.service", "app@.service", "", "a/b.service", "-x"])
def test_a_unit_that_cannot_be_is_found_at_once(unit: str) -> None:
    with pytest.raises(ValueError, match="not the full name"):
        ServiceControl({unit: ["status"]})


@pytest.mark.parametrize("words", ["status", ["reload"], ["Start"]])
def test_a_word_that_cannot_be_is_found_at_once(words: list[str]) -> None:
    with pytest.raises(ValueError, match="can be allowed"):
        ServiceControl({"web.service": words})


@pytest.mark.usefixtures("asked")
def test_a_unit_may_be_called_by_another_of_its_names(bus: str) -> None:
    ServiceControl({"www.service": EVERYTHING}, bus=bus, timeout_seconds=5).restart("www.service")


@pytest.mark.usefixtures("asked")
def test_an_answer_that_nobody_can_read_is_a_refusal(bus: str) -> None:
    with pytest.raises(RefusedError, match="answered what"):
        ServiceControl({"odd.service": EVERYTHING}, bus=bus).status("odd.service")


@pytest.mark.parametrize("greeting", [b"", b"OK 0123456789abcdef0123456789abcdef\r\n"])
def test_a_bus_that_falls_silent_is_not_waited_for_longer_than_was_said(tmp_path: Path, greeting: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        control = ServiceControl({"web.service": EVERYTHING}, bus=f"unix:path={tmp_path}/silent", timeout_seconds=0.5)
        failed: list[RefusedError] = []

        def ask() -> None:
            with pytest.raises(RefusedError, match="in time") as refusal:
                control.status("web.service")
            failed.append(refusal.value)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        connection, _ = silent.accept()
        with connection:
            connection.sendall(greeting)
            asking.join(20)
        assert failed
