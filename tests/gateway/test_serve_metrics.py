"""`GET /metrics`: what each server uses, told to the operator alone."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from tests.gateway.foreign import OTHER
from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import Place, Serve, as_other_user, by_command, by_url
from tests.gateway.test_serve_modern import CHILD
from tests.gateway.wrapping import wait_until

SERVER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("both_eras_child.py")))
FOREIGN = os.geteuid() != OTHER
ROW = re.compile(r'([a-z_]+)\{server="child",link="([0-9a-f]{16})"\} ([0-9.]+)')
ROWS = {"memory_bytes", "processor_seconds_total", "throttled_seconds_total", "descriptors", "processes"}


def rows(serve: Serve) -> dict[str, dict[str, float]]:
    """By link, what it uses."""
    answer = serve.ask("GET", path="/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    *lines, end, nothing = answer.body.decode().split("\n")
    assert (end, nothing) == ("# EOF", "")
    found: dict[str, dict[str, float]] = {}
    for line in lines:
        if not line.startswith("# "):
            row = ROW.fullmatch(line)
            assert row, line
            found.setdefault(row[2], {})[row[1].removeprefix("doorward_server_")] = float(row[3])
    return found


def test_each_session_has_its_rows_while_its_server_runs(house: Place) -> None:
    serve = house.serve(by_command(SERVER))
    assert rows(serve) == {}
    one, two = serve.session(CHILD), serve.session(CHILD)
    wait_until(lambda: len(rows(serve)) == 2, "both are measured")
    for row in rows(serve).values():
        assert row.keys() == ROWS
        assert 1 << 20 < row["memory_bytes"] < 1 << 30
        assert 3 <= row["descriptors"] < 100
        assert row["processes"] == 1
    assert one.call(1, "bomb", count=10).message["result"]["content"][0]["text"] == "10"
    wait_until(lambda: sorted(row["processes"] for row in rows(serve).values()) == [1, 11], "those of the first count")
    wait_until(lambda: all(row["processor_seconds_total"] > 0 for row in rows(serve).values()), "both have worked")
    one.end()
    wait_until(lambda: [row["processes"] for row in rows(serve).values()] == [1], "the first is gone")
    two.end()
    wait_until(lambda: rows(serve) == {}, "both are gone")


def test_a_server_that_is_reached_by_its_url_has_no_rows(house: Place, upstream: Upstream) -> None:
    serve = house.serve(by_url(upstream.url))
    serve.session()
    assert rows(serve) == {}
    assert serve.ask("POST", {}, {}, "/metrics").status == 405


@pytest.mark.skipif(not FOREIGN, reason="one user alone is the operator")
def test_no_other_user_is_told(house: Place) -> None:
    serve = house.serve(f'[serve]\nallow_users = ["{OTHER}"]\n' + by_command(SERVER))
    assert as_other_user(serve, "GET", {}, None, "/healthz").status == 200
    refused = as_other_user(serve, "GET", {}, None, "/metrics")
    assert (refused.status, refused.body) == (403, b"")
    serve.wait_for_finding("caller", "is not the operator")


def test_whoever_brings_the_start_up_token_is_told(house: Place) -> None:
    serve = house.serve('[serve]\ntrusted_proxies = ["127.0.0.0/8"]\n' + by_command(SERVER))
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert serve.ask("GET", forwarded, path="/metrics").status == 401
    (said,) = {line["hint"] for line in serve.told if "start-up token" in line.get("text", "")}
    token = Path(said.partition("(in ")[2].rstrip(")")).read_text(encoding="ascii").strip()
    answer = serve.ask("GET", forwarded | {"Authorization": f"Bearer {token}"}, path="/metrics")
    assert (answer.status, answer.body.endswith(b"# EOF\n")) == (200, True)
