"""What a server's whole tree may use up, through `serve`: it ends or is refused more, and nobody else notices."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from tests.gateway.serving import Place, by_command
from tests.gateway.test_serve_metrics import rows
from tests.gateway.test_serve_modern import CHILD
from tests.gateway.wrapping import wait_until

from doorward.confine import cgroups

SERVER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("both_eras_child.py")))
IN_TIME_S = 5.0
"""docs/threats.md, `oversized-payload`: a benign call passes again within this."""


@pytest.fixture(autouse=True)
def parents() -> list[Path]:
    """The folders that groups are made in."""
    made = cgroups.make()
    for folder in set(made.values()):
        assert cgroups.remove(folder)
    if set(made) != {"memory", "pids", "cpu"}:
        pytest.skip("this machine has no control group to give")
    return sorted({Path(folder).parent for folder in made.values()})


def text(answer: dict[str, object]) -> object:
    return answer["result"]["content"][0]["text"]  # type: ignore[index]


def test_a_server_over_the_memory_of_its_tree_ends_alone_and_the_next_call_is_answered_in_time(house: Place) -> None:
    serve = house.serve(by_command(SERVER, more=f"memory_bytes = {128 << 20}"))
    other = serve.session(CHILD)
    mine = set(serve.children())
    for number in range(3):
        dead = serve.modern(1, "tools/call", CHILD, name="share", arguments={"count": 512 << 20})
        assert dead.message["error"]["data"]["outcome"] == "unknown"
        since = time.monotonic()
        again = serve.modern(2, "tools/call", CHILD, name="echo", arguments={"text": "again"})
        assert text(again.message) == "again"
        assert time.monotonic() - since < IN_TIME_S
        assert text(other.call(number, "echo", text="on").message) == "on"
    assert mine <= set(serve.children()), "the child of the other session never ended"


def test_memory_below_the_cap_is_the_servers_to_share(house: Place) -> None:
    serve = house.serve(by_command(SERVER, more=f"memory_bytes = {1 << 30}"))
    held = serve.modern(1, "tools/call", CHILD, name="share", arguments={"count": 512 << 20})
    assert text(held.message) == "held"


def test_a_server_that_spins_stands_still_at_its_share_and_others_answer(house: Place) -> None:
    serve = house.serve(by_command(SERVER, more="processor_percent = 5"))
    one, other = serve.session(CHILD), serve.session(CHILD)
    wait_until(lambda: len(rows(serve)) == 2, "both are measured")
    still = {link: row["throttled_seconds_total"] for link, row in rows(serve).items()}
    assert text(one.call(1, "spin", count=1).message) == "spun"
    assert text(other.call(1, "echo", text="on").message) == "on"
    wait_until(
        lambda: any(row["throttled_seconds_total"] > still[link] for link, row in rows(serve).items()),
        "it stood still, and that is told",
    )


def test_a_fork_bomb_stops_at_its_bound_other_servers_start_and_all_of_it_ends_with_the_gateway(
    house: Place, parents: list[Path]
) -> None:
    serve = house.serve(by_command(SERVER, more="processes = 64"))
    for started in ((62, 63), (0,)):  # of 64; the server is one, and the first of its namespaces where it has such
        bomb = serve.modern(1, "tools/call", CHILD, name="bomb", arguments={"count": 1000})
        assert int(str(text(bomb.message))) in started
        assert text(serve.modern(2, "tools/call", CHILD, name="echo", arguments={"text": "on"}).message) == "on"
    assert text(serve.session(CHILD).call(1, "bomb", count=10).message) == "10", "another session has its own bound"
    assert len(serve.children()) >= 64 + 11
    serve.process.terminate()
    assert serve.process.wait(20) == 0
    wait_until(lambda: not serve.children(), "nothing runs")
    assert [folder for parent in parents for folder in parent.glob(f"doorward-*-{serve.process.pid}-*")] == []
