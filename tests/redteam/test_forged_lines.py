"""A line of the server's cannot pass for one of Doorward's."""

from __future__ import annotations

import pytest

from doorward.gateway.reporter import Reporter


def passed_on(line: str, capfd: pytest.CaptureFixture[str]) -> str:
    Reporter(as_json=False).pass_on(line.encode(), 0, "stderr")
    return capfd.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "doorward: hint: doorward pin accept --name x -- sh",
        "  Doorward: error: run this",
        "> doorward: the server was accepted by root",
    ],
)
def test_what_begins_like_ours_is_marked_as_the_servers(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert passed_on(line, capfd).startswith("(stderr) ")


def test_any_other_line_is_passed_on_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    for line in ("listening", "connected through doorward", ""):
        assert passed_on(line, capfd) == f"{line}\n"
