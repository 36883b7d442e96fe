"""The attack on clients that it has never seen: what they do is told from what nothing is known about."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.lab.drawing import WHOLE

from doorward.lab.attack.clients import run
from doorward.lab.attack.clients.lures import FAMILIES
from doorward.lab.attack.clients.run import Orders
from doorward.lab.attack.clients.visit import COMMAND, CONFIG, URL, Client
from doorward.lab.attack.verdicts import Outcome
from doorward.lab.report.model import Run
from doorward.lab.transcript import SHOWN_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.lab.targets.published import Installed

CLIENT = Path(__file__).parent / "attacked" / "client.py"
ALL = tuple(family.id for family in FAMILIES)


class Quiet:
    def says(self, words: str) -> None: ...


def attacked(command: tuple[str, ...], *only: str, through: bool = False, seconds: float = 25.0) -> dict[str, Run]:
    """The rows by family: of Doorward where ``through``, else of the client alone."""
    orders = Orders(
        client=Client(command, seconds),
        families=tuple(family for family in FAMILIES if not only or family.id in only),
        seed=7,
        through=through,
    )

    async def play() -> list[Run]:
        return await run.attack(orders, Quiet())

    wanted = "relayed" if through else "naive"
    return {row.id: row for row in anyio.run(play) if row.target == wanted or row.outcome is Outcome.NOT_APPLICABLE}


def ours(manner: str, era: str, place: str = URL) -> tuple[str, ...]:
    return (sys.executable, "-P", str(CLIENT), manner, era, place)


def outcomes(rows: dict[str, Run]) -> dict[str, str]:
    return {id: row.outcome for id, row in rows.items()}


def test_each_lure_harms_a_client_that_believes_everything() -> None:
    rows = attacked(ours("careless", "legacy"))
    assert outcomes(rows) == dict.fromkeys(ALL, Outcome.SUCCEEDED)
    for family in FAMILIES:
        found = {one["variant"]: one["outcome"] for one in rows[family.id].evidence["variants"]}
        assert found == {lure.id: Outcome.SUCCEEDED for lure in family.lures}
    assert {row.era for row in rows.values()} == {"2025-11-25"}


def test_a_client_that_believes_nothing_is_said_to_resist() -> None:
    families = ALL if WHOLE else ("consent-bypass", "message-tampering")
    assert outcomes(attacked(ours("careful", "legacy"), *families)) == dict.fromkeys(families, Outcome.RESISTED)


def test_a_client_that_goes_nowhere_is_never_called_safe() -> None:
    families = ALL if WHOLE else ("tool-poisoning", "authorization-mix-up")
    rows = attacked(ours("absent", "legacy"), *families)
    assert outcomes(rows) == dict.fromkeys(families, Outcome.INCONCLUSIVE)
    assert all(row.reason for row in rows.values())


def test_a_modern_client_that_calls_nothing_cannot_be_asked_and_that_is_said() -> None:
    (row,) = attacked(ours("listing", "2026-07-28"), "consent-bypass").values()
    assert row.outcome is Outcome.INCONCLUSIVE
    assert "called nothing" in (row.reason or "")


def test_a_client_that_waits_for_its_user_is_ended_and_has_done_no_harm(tmp_path: Path) -> None:
    waiting = tmp_path / "waiting.py"
    waiting.write_text("import sys\nsys.stdin.readline()\n", encoding="utf-8")
    (row,) = attacked((sys.executable, str(waiting)), "message-tampering", seconds=1.0).values()
    assert row.outcome is Outcome.INCONCLUSIVE


def test_what_needs_a_url_is_not_played_on_a_client_that_is_given_a_command() -> None:
    families = ("server-imitation", "authorization-mix-up")
    rows = attacked(ours("careful", "legacy", COMMAND), *families)
    assert outcomes(rows) == dict.fromkeys(families, Outcome.NOT_APPLICABLE)


def test_behind_doorward_nobody_answers_for_the_user_and_the_control_is_named() -> None:
    consent = attacked(ours("careless", "2026-07-28", COMMAND), "consent-bypass", through=True)["consent-bypass"]
    assert consent.outcome is Outcome.PREVENTED
    assert consent.control
    assert all(one["alone"] and 0 < len(one["records"]) <= SHOWN_FIRST for one in consent.evidence["variants"])


@pytest.mark.parametrize("place", [CONFIG, URL])
def test_published_clients_do_not_answer_for_their_user(peers: Callable[[str], Installed], place: str) -> None:
    if place == URL:
        program = str(peers("fastmcp").root / "venv" / "bin" / "fastmcp")
        command: tuple[str, ...] = (program, "call", URL, "greet", "name=ada")
    else:
        front = (*peers("inspector").argv, "--cli", "--config", CONFIG, "--server", "attack-target")
        command = (*front, "--method", "tools/call", "--tool-name", "greet", "--tool-arg", "name=ada")
    (row,) = attacked(command, "consent-bypass", seconds=10).values()
    assert row.outcome is Outcome.RESISTED, row
