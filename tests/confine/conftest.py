"""A small world for a server: a home, Doorward's folders, a folder of its own, and a canary outside of all."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from doorward.confine.process import Child, start
from doorward.confine.profile import Mechanism, SandboxProfile, derive

BOUND_SECONDS = 20.0


class World:
    """Paths, and the two things every test does with them."""

    def __init__(self, top: Path, mechanism: Mechanism = "auto") -> None:
        self.mechanism = mechanism
        self.top = top.resolve()
        self.home, self.state, self.config, self.folder, self.outside, self.server = (
            self.top / name for name in ("home", "state", "config", "folder", "outside", "server")
        )
        for place in (self.home, self.state, self.config, self.folder, self.outside, self.server):
            place.mkdir(mode=0o755)
        self.canary = self.outside / "canary.txt"
        self.canary.write_text("the canary sings")
        self.canary.chmod(0o644)
        self.key = self.state / "consent.key"
        self.key.write_text("the key")
        self.key.chmod(0o600)

    def profile(self, argv: Sequence[str], **options: Any) -> SandboxProfile:
        profile = derive(
            argv,
            environ=options.pop("environ", {"PATH": os.environ["PATH"]}),
            cwd=str(self.top),
            home=str(self.home),
            state=str(self.state),
            config=str(self.config),
            server="test",
            **options,
        )
        return msgspec.structs.replace(profile, mechanism=self.mechanism)

    def run(self, argv: Sequence[str], *, unsafe_no_sandbox: bool = False, **options: Any) -> tuple[int, str, str]:
        """Start, give no input, wait for the end; returns the status, stdout and stderr."""
        child = start(argv, self.profile(argv, **options), unsafe_no_sandbox=unsafe_no_sandbox)
        return finish(child)


def finish(child: Child) -> tuple[int, str, str]:
    os.close(child.stdin)
    with child:
        texts = read_to_end((child.stdout, child.stderr))
        child.started(BOUND_SECONDS)
        status = child.wait(BOUND_SECONDS)
    assert status is not None
    return status, *texts


def read_to_end(descriptors: Iterable[int]) -> tuple[str, str]:
    received = dict.fromkeys(descriptors, b"")
    waiting = set(received)
    while waiting:
        readable, _, _ = select.select(list(waiting), [], [], BOUND_SECONDS)
        assert readable, "nothing came and nothing ended within the bound"
        for descriptor in readable:
            piece = os.read(descriptor, 65536)
            received[descriptor] += piece
            if not piece:
                waiting.discard(descriptor)
                os.close(descriptor)
    out, err = received.values()
    return out.decode(), err.decode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(params=["namespaces", "landlock"])
def each_world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """A world for each of the mechanisms."""
    return World(tmp_path, request.param)
