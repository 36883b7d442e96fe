"""What was recorded is signed while the wrap lives, so that whoever kills it cannot take the end of its log unseen."""

from __future__ import annotations

import signal
from typing import Any

from tests.gateway.wrapping import World, Wrapped, crafted, wait_gone, wait_until

SIGNED_WITHIN_S = 8.0  # a second, by the plan; the rest is for a busy machine


def signed_again(world: World, wrapped: Wrapped, before: int) -> dict[str, Any]:
    """What ``audit verify`` says of the one log, once all of it is signed and more was signed than ``before``."""
    seen: list[dict[str, Any]] = []

    def is_signed() -> bool:
        assert wrapped.process.poll() is None, wrapped.stderr
        (log,) = world.logs()
        seen.append(log)
        return bool(log["checkpoints"] > before and log["unsigned_tail"] == 0)

    wait_until(is_signed, "a new checkpoint over everything", SIGNED_WITHIN_S)
    return seen[-1]


def test_what_is_recorded_is_signed_while_the_wrap_lives_and_stays_so_when_it_is_killed(world: World) -> None:
    wrapped = world.wrap(crafted("plain", world.folder), after=("--name", "notes"))
    wrapped.initialize()
    key = wrapped.start_asking("tools/call", {"name": "hold", "arguments": {"text": "go"}})
    wait_until((world.folder / "journal").exists, "the call is under way")
    first = signed_again(world, wrapped, 0)
    (world.folder / "go").touch()  # the outcome is written without a sync, by a log that had nothing left to sign
    assert "result" in wrapped.answer_to(key)
    second = signed_again(world, wrapped, first["checkpoints"])
    assert second["size"] == first["size"] + 1
    assert not second["closed"]

    below = wrapped.descendants()
    wrapped.process.send_signal(signal.SIGKILL)
    assert wrapped.wait() == -signal.SIGKILL
    wait_gone(*below)
    (left,) = world.logs()
    assert left == second, "nothing more was written, and all that was is signed"
    kept = world.top / "kept"
    kept.write_text(first["checkpoint"])
    assert world.doorward("audit", "verify", "--witnessed", str(kept)).returncode == 0
