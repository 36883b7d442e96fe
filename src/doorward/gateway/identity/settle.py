"""The one way to a server that has a URL: judged, asked about where that must be, and kept, before it is reached."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from doorward.gateway.archive import Archive
from doorward.gateway.clock import written as time_written
from doorward.gateway.consent import first_use
from doorward.gateway.identity.judgment import Changed, First, Known, NearMiss, keep_accepted, refused
from doorward.gateway.identity.judgment_url import (
    accept_hint,
    differences,
    judge_url,
    record_first_use,
    why_asked,
)
from doorward.gateway.identity.url import UrlIdentity, written
from doorward.gateway.reporter import Reporter
from doorward.policy import lock
from doorward.policy.identity import Principal
from doorward.policy.model import Policy


class Places(Protocol):
    """What is needed of `doorward.gateway.app.Places`."""

    @property
    def state(self) -> Path: ...
    @property
    def runtime(self) -> Path: ...
    @property
    def lock(self) -> Path: ...


async def settle_url(
    identity: UrlIdentity,
    *,
    principal: Principal,
    policy: Policy,
    places: Places,
    archive: Archive,
    clock: Callable[[], int],
    reporter: Reporter,
) -> UrlIdentity:
    """``identity`` as it may be used from now on: known, recorded at its first use, or agreed to by a person.

    What comes back carries the owner that is pinned, so that its ``verify_connected`` demands that one at every
    connect; its ``verified()`` is the server's identity on links. Nothing is connected to. ``archive`` was started.

    Raises:
        IdentityError: it is not what it was pinned as, or at its first use nobody can tell whose socket listens.
        ConsentError: it must be agreed to, and nobody can be asked, nobody answered, or somebody refused.
        PolicyError: the lock file cannot be believed.
    """
    user = os.geteuid()
    verdict = judge_url(identity, lock.read(places.lock), policy.profile, user=user)
    if verdict == First(asks=False):
        at = time_written(clock())
        verdict = record_first_use(places.lock, identity, policy.profile, at=at, user=user)
        if verdict == First(asks=False):
            proof = identity.verified().fingerprint[:16]
            reporter.say(f"first use of {identity.name} ({proof}), recorded", hint="doorward pin list")
            return identity
    if isinstance(verdict, Changed):
        raise refused(identity.name, verdict, accept_hint(identity))
    if isinstance(verdict, Known):
        return identity.expecting(verdict.pin)
    identity.pin(first_seen="", accepted_by="")  # what cannot be kept is not asked about
    await asyncio.to_thread(archive.wait_open)
    asked = _asked(identity, verdict, principal, policy, user)
    answer = await first_use.ask(asked, runtime=places.runtime, state=places.state, archive=archive, clock=clock)
    pin = identity.pin(first_seen=time_written(clock()), accepted_by=answer.by)
    keep_accepted(places.lock, pin, lambda known: differences(known, identity))
    reporter.say(f"{identity.name} was accepted by {answer.by}")
    return identity


def _asked(
    identity: UrlIdentity, verdict: First | NearMiss, principal: Principal, policy: Policy, user: int
) -> first_use.Asked:
    return first_use.Asked(
        server=identity.verified(),
        principal=principal,
        policy=policy,
        why=why_asked(identity, verdict, user=user),
        hint=accept_hint(identity),
        url=written(identity.url)[0],
        known_by=identity.how(),
        looks_like=verdict.of if isinstance(verdict, NearMiss) else "",
    )
