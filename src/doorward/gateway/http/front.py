"""What is refused before there is a link: recorded, counted where there are many, and said to the operator.

Such a refusal has no message that was understood, and often no principal. Each kind is recorded once a second with a
count, whoever causes it: a flood of refused requests must not become a flood of records (threat ``request-flooding``).
"""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import Callable
from typing import Final

from doorward.audit.entry import Entry, FindingRecord
from doorward.gateway.archive import Archive
from doorward.policy.model import Policy
from doorward.relay.commands import Record
from doorward.relay.runs import WINDOW_US, Refusals

_S: Final = 1e6


class Front:
    """``notice`` gets each entry of its own once it was recorded, or could not be."""

    def __init__(
        self, archive: Archive, *, clock: Callable[[], int], policy: Callable[[], str], notice: Callable[[Entry], None]
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._policy = policy
        self._notice = notice
        self._refusals = Refusals()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def observes(self, policy: Policy) -> bool:
        """Whether today controls that may soften only report."""
        if not policy.observe_until:
            return False
        now = datetime.datetime.fromtimestamp(self._clock() // 1_000_000, datetime.UTC)
        return policy.observes(now.date().isoformat())

    def refuse(
        self,
        control: str,
        reason: str,
        *,
        peer: str,
        principal: str = "",
        method: str = "",
        observed: bool = False,
    ) -> str:
        """Record a refusal; returns the reference that the client may be told. ``observed``: it passed all the same."""
        if observed:
            reason = f"observed, not enforced: {reason}"
        return self._record(control, reason, peer=peer, principal=principal, method=method, passed=observed)

    def note(self, control: str, reason: str, *, peer: str, principal: str, method: str) -> None:
        """Record that something passed, and not as it came: as refusals are, once a second with a count."""
        self._record(control, reason, peer=peer, principal=principal, method=method, passed=True)

    def _record(self, control: str, reason: str, *, peer: str, principal: str, method: str, passed: bool) -> str:
        kind = ("client", control, reason)
        reference = self._refusals.again(kind, b"")
        if not reference:
            now = self._clock()
            _, reference = self._refusals.first(kind, b"", now, os.urandom(6).hex())
            entry = Entry(
                kind="notice" if passed else "refusal",
                at=now,
                link="",
                principal=principal,
                sender="client",
                decision="ALLOW" if passed else "DENY",
                method=method,
                findings=(FindingRecord(control, "NOTE" if passed else "DENY", reason),),
                reference=reference,
                policy=self._policy(),
                detail={"peer": peer},
            )
            self._write(entry)
            if not passed:
                self._notice(entry)
        if self._timer is None:
            self._timer = self._loop.call_later(WINDOW_US / _S, self._close_windows)
        return reference

    def _close_windows(self) -> None:
        """Each ends in its own time, so that the next refusal of its kind has an entry of its own."""
        self._timer = None
        self._close(everything=False)
        if (deadline := self._refusals.deadline) is not None:
            self._timer = self._loop.call_later(max(0, deadline - self._clock()) / _S, self._close_windows)

    def close(self) -> None:
        """Write the counts that are open."""
        if self._timer is not None:
            self._timer.cancel()
        self._close(everything=True)

    def _close(self, *, everything: bool) -> None:
        now = self._clock()
        for (sender, control, reason), run in self._refusals.closed(now, all_of_them=everything):
            self._write(
                Entry(
                    kind="run",
                    at=now,
                    link="",
                    sender=sender,
                    reference=run.reference,
                    count=run.count,
                    running=run.running,
                    policy=self._policy(),
                    detail={"control": control, "reason": reason[:200]},
                )
            )

    def _write(self, entry: Entry) -> None:
        """Nothing depends on these: one that cannot be written was said to the operator, and the request is refused."""
        self._archive.append([Record(entry, "written")], lambda _: None)
