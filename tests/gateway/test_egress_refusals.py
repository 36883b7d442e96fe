"""What a server was refused on its way out: in the log, and on the operator's terminal, and no more than a bound."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from doorward.audit.reader import Found, each, show
from doorward.content.redaction import Masker
from doorward.gateway.archive import Archive
from doorward.gateway.egress.refusals import MOST_RECORDED, MOST_SAID, Refusals
from doorward.policy.identity import verified


def now() -> int:
    return time.time_ns() // 1000


def refused(state: Path, *hosts: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The references that the server was told for these hosts, and what the operator was told."""
    said: list[tuple[str, str]] = []

    async def whole() -> list[str]:
        archive = Archive(state, label="test", clock=now, report=print)
        archive.start()
        await asyncio.to_thread(archive.wait_open)
        refusals = Refusals(
            verified("command", "notes", {"program": "/usr/bin/notes"}),
            "user:me",
            policy="the policy",
            masker=Masker(b"k" * 32),
            archive=archive,
            clock=now,
            say=lambda text, hint="": said.append((text, hint)),
            hint="--network {}",
        )
        try:
            return [refusals.refuse((host, 80), "it is not a public address") for host in hosts]
        finally:
            await asyncio.sleep(0)
            await asyncio.to_thread(archive.close)

    return asyncio.run(asyncio.wait_for(whole(), 60)), said


def test_a_host_is_said_once_and_recorded_under_the_reference_that_the_server_got(tmp_path: Path) -> None:
    references, said = refused(tmp_path, "10.0.0.1", "10.0.0.2", "10.0.0.1")
    assert references[0] == references[2] != references[1]
    assert said == [
        (f"notes may not connect to {host}:80: it is not a public address", f"--network {host}:80 lets it")
        for host in ("10.0.0.1", "10.0.0.2")
    ]
    (found,) = show(tmp_path, references[0]).found
    entry = found.entry
    assert (entry.kind, entry.sender, entry.method, entry.subject) == ("refusal", "server", "connect", "10.0.0.1:80")
    assert (entry.principal, entry.decision, entry.policy) == ("user:me", "DENY", "the policy")
    assert entry.server.startswith("notes (command, ")
    assert [(one.control, one.reason) for one in entry.findings] == [("confine-network", "it is not a public address")]


def test_a_flood_of_hosts_is_bounded(tmp_path: Path) -> None:
    hosts = [f"h{number}.example" for number in range(MOST_RECORDED + 50)]
    references, said = refused(tmp_path, *hosts)
    assert len(said) == MOST_SAID + 1
    assert "more hosts" in said[-1][0]
    assert len(set(references)) == MOST_RECORDED + 1
    assert references[-50:] == [""] * 50
    kept = [found for found in each(tmp_path) if isinstance(found, Found) and found.entry.kind == "refusal"]
    assert len(kept) == MOST_RECORDED


def test_a_credential_in_the_name_of_a_host_is_masked(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    _, said = refused(tmp_path, f"{token}.example")
    assert token not in str(said)
    assert not [found for found in each(tmp_path) if token in str(found)]
