"""The policy under which the official suite is played is the standard one, but for what its file says it is."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from typing import Any

from tests.conformance.reference import POLICY

# What says where a policy came from, and the digest that follows from what differs.
BOOKKEEPING = {"source", "digest", "settings"}
ALL_ASKS = {"sampling", "elicitation", "roots"}


def show(*words: str) -> dict[str, Any]:
    command = (sys.executable, "-m", "doorward", *words, "--json")
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    effective: dict[str, Any] = json.loads(done.stdout)
    return effective


def settings(policy: dict[str, Any]) -> set[tuple[tuple[str, ...], str]]:
    return {(tuple(setting["key"]), json.dumps(setting["value"])) for setting in policy["settings"]}


def test_nothing_but_the_standing_approvals_differs_from_the_standard_profile() -> None:
    played, standard = show("-c", str(POLICY), "policy", "show"), show("policy", "show", "--profile", "standard")
    assert played.keys() == standard.keys()
    assert {key for key in played if played[key] != standard[key]} - BOOKKEEPING == {"standing"}
    assert settings(standard) <= settings(played)
    assert {key[0] for key, _ in settings(played) - settings(standard)} == {"unsafe_standing_approvals"}


def test_the_standing_approvals_are_those_of_the_file_and_end_after_twelve_hours() -> None:
    assert tomllib.loads(POLICY.read_text()) == {
        "unsafe_standing_approvals": dict.fromkeys(ALL_ASKS, True) | {"for": "12h"}
    }
    (standing,) = show("-c", str(POLICY), "policy", "show")["standing"]
    assert set(standing["asks"]) == ALL_ASKS
    assert standing["lasts"] == "12h"
