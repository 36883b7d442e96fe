"""What one server was refused on its way out: recorded, and said to the operator, once for each host.

A server that asks for thousands of hosts must not fill the log, nor the terminal: so many hosts are recorded, fewer are
said, and what comes after that is refused in silence. Hosts are a server's own words, so what looks like a credential
in them is masked as everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from doorward.audit.entry import Entry, FindingRecord
from doorward.confine.network import Target, spelt
from doorward.content.redaction import Masker
from doorward.gateway.archive import Archive
from doorward.judge.vocabulary import VerifiedIdentity
from doorward.relay.commands import Record

if TYPE_CHECKING:
    from doorward.gateway.reporter import Say

CONTROL: Final = "confine-network"
MOST_SAID: Final = 32
MOST_RECORDED: Final = 1000


class Refusals:
    """Those of one server. ``hint`` is how a target is allowed, with ``{}`` in the place of HOST:PORT."""

    def __init__(
        self,
        server: VerifiedIdentity,
        principal: str,
        *,
        policy: str,
        masker: Masker,
        archive: Archive,
        clock: Callable[[], int],
        say: Say,
        hint: str,
    ) -> None:
        self._server = server
        self._principal = principal
        self._policy = policy
        self._masker = masker
        self._archive = archive
        self._clock = clock
        self._say = say
        self._hint = hint
        self._references: dict[str, str] = {}

    def refuse(self, target: Target, why: str) -> str:
        """Keep that ``target`` was refused; the reference under which that is recorded, empty where it is not."""
        host = target[0]
        if host in self._references:
            return self._references[host]
        if len(self._references) >= MOST_RECORDED:
            return ""
        self._references[host] = reference = os.urandom(6).hex()
        named, why = self._masker.mask_text(spelt(target))[0], self._masker.mask_text(why)[0]
        entry = Entry(
            kind="refusal",
            at=self._clock(),
            link="",
            principal=self._principal,
            server=self._server.line,
            sender="server",
            method="connect",
            subject=named,
            decision="DENY",
            findings=(FindingRecord(CONTROL, "DENY", why),),
            reference=reference,
            policy=self._policy,
        )
        # Nothing depends on it: what cannot be written was said to the operator, and is refused all the same.
        self._archive.append([Record(entry, "written")], lambda _: None)
        self._tell(named, why)
        return reference

    def _tell(self, named: str, why: str) -> None:
        if len(self._references) <= MOST_SAID:
            allowed = f"{self._hint.format(named)} lets it"
            self._say(f"{self._server.name} may not connect to {named}: {why}", hint=allowed)
        elif len(self._references) == MOST_SAID + 1:
            self._say(f"{self._server.name} was refused more hosts than are said here", hint="the log has more of them")
