"""Who has which links open: legacy sessions by their id, and the one modern link of each principal with each server.

A session id is 256 random bits, made here, and means something only together with the principal that it was given to:
it is no credential. Whoever brings another's is answered as if there were none, and the operator hears of it. Sessions
end when they were idle, when they are old, when their client says so, or with their server. Nothing is pooled.

Source: MCP 2025-11-25, "Session Management" and "Security Best Practices" (session hijacking).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from doorward.gateway.http.downstream import HttpLink
from doorward.judge.vocabulary import Principal

BOUND: Final = "session-bound"

_ROOM_AFTER_S: Final = 5.0
"""How long a session must have been idle before it may give way: a client that thinks between two calls keeps it."""

Open = Callable[[], Awaitable[HttpLink]]


class Session:
    """One legacy session."""

    __slots__ = ("id", "initialized", "link", "on_end", "opened_at", "server", "subscribed", "used_at")

    def __init__(self, link: HttpLink, server: str, now: float) -> None:
        self.id = secrets.token_hex(32)
        self.link = link
        self.server = server
        self.opened_at = self.used_at = now
        self.initialized = False
        self.subscribed: Counter[str] = Counter()
        self.on_end: Callable[[], None] = lambda: None


class Sessions:
    """All links of one gateway. ``now`` gives seconds that only go forward; ``idle_s`` and ``max_s`` are policy's."""

    def __init__(self, now: Callable[[], float], *, idle_s: float, max_s: float) -> None:
        self.idle_s = idle_s
        self.max_s = max_s
        self._now = now
        self._sessions: dict[str, Session] = {}
        self._modern: dict[tuple[str, str], asyncio.Future[HttpLink]] = {}
        self._ready: dict[tuple[str, str], HttpLink] = {}  # what came of these
        self._used: dict[tuple[str, str], float] = {}
        self._count: Counter[str] = Counter()
        self._ending: set[asyncio.Future[Any]] = set()
        self.closed = False

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def links(self) -> list[HttpLink]:
        """Every link that is open."""
        modern = [opening.result() for opening in self._modern.values() if _is_open(opening)]
        return [*(session.link for session in self._sessions.values()), *modern]

    def held_by(self, principal: Principal) -> int:
        """How many sessions a principal has."""
        return self._count[principal.id]

    # -- legacy -------------------------------------------------------------------------------------------------------

    def reserve(self, principal: Principal, most: int) -> bool:
        """Take a place for a session of ``principal`` before it is opened, if there is one; give it back with
        :meth:`release` if nothing came of it.
        """
        if self._count[principal.id] >= most:
            return False
        self._count[principal.id] += 1
        return True

    async def make_room(self, principal: Principal, servers: Collection[str]) -> bool:
        """End the session of ``principal`` with one of ``servers`` that was idle longest, unless all are in use, and
        wait until it is over. Many clients never end their sessions; they must not lock their own user out.
        """
        now = self._now()
        idle = [
            session
            for session in self._sessions.values()
            if session.link.principal.id == principal.id
            and session.server in servers
            and not (session.link.downstream.busy or session.link.busy)
            and now - session.used_at > _ROOM_AFTER_S
        ]
        if not idle:
            return False
        oldest = min(idle, key=lambda session: session.used_at)
        why = "another session of its principal needed the place"
        self.end(oldest, why)
        await oldest.link.close(why)
        return True

    def release(self, principal: Principal) -> None:
        self._count[principal.id] -= 1
        if self._count[principal.id] <= 0:
            del self._count[principal.id]

    def add(self, link: HttpLink, server: str) -> Session:
        """A session whose place was reserved."""
        session = Session(link, server, self._now())
        self._sessions[session.id] = session
        link.on_over = lambda why: self.end(session, why)
        return session

    def find(self, session_id: str, server: str, principal: Principal) -> Session | str:
        """The session, or why there is none for this principal at this server."""
        session = self._sessions.get(session_id)
        if session is None or session.server != server or session.link.over:
            return "unknown"
        if session.link.principal.id != principal.id:
            return "another principal's"
        session.used_at = self._now()
        return session

    def end(self, session: Session, why: str) -> None:
        """It is over: unknown from now on, and closed in its own time."""
        if self._sessions.pop(session.id, None) is not None:
            self.release(session.link.principal)
            session.on_end()
            self._close(session.link, why)

    # -- modern -------------------------------------------------------------------------------------------------------

    def modern(self, server: str, principal: Principal, open_link: Open) -> asyncio.Future[HttpLink]:
        """The one link of ``principal`` with ``server``, opened by whoever comes first."""
        key = (server, principal.id)
        self._used[key] = self._now()
        opening = self._modern.get(key)
        if opening is None or (opening.done() and not _is_open(opening)):
            opening = self._modern[key] = asyncio.ensure_future(open_link())
            opening.add_done_callback(lambda done: self._watch(key, done))
        return opening

    def ready(self, server: str, principal: Principal) -> HttpLink | None:
        """The same, where it is open already."""
        key = (server, principal.id)
        link = self._ready.get(key)
        if link is None or link.over:
            return None
        self._used[key] = self._now()
        return link

    def _watch(self, key: tuple[str, str], opening: asyncio.Future[HttpLink]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            self._forget(key, opening)
            return
        link = opening.result()

        def over(why: str) -> None:
            self._forget(key, opening)
            self._close(link, why)

        link.on_over = over
        if link.over:  # already: its child died while it was opened
            over(link.over)
        elif self._modern.get(key) is opening:
            self._ready[key] = link

    def _forget(self, key: tuple[str, str], opening: asyncio.Future[HttpLink]) -> None:
        if self._modern.get(key) is opening:
            del self._modern[key]
            self._ready.pop(key, None)
            self._used.pop(key, None)

    # -- time, and the end --------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """End what was idle or is old."""
        now = self._now()
        for session in list(self._sessions.values()):
            if session.link.downstream.busy or session.link.busy:
                session.used_at = now
            if now - session.opened_at > self.max_s:
                self.end(session, f"the session is older than {self.max_s:g} s")
            elif now - session.used_at > self.idle_s:
                self.end(session, f"the session was idle for {self.idle_s:g} s")
        for key, opening in list(self._modern.items()):
            if not _is_open(opening):
                continue
            link = opening.result()
            if link.downstream.busy or link.busy:
                self._used[key] = now
            elif now - self._used[key] > self.idle_s:
                self._forget(key, opening)
                self._close(link, f"nothing was asked for {self.idle_s:g} s")

    async def close(self, why: str) -> None:
        """End all of them, and begin no more."""
        self.closed = True
        for session in list(self._sessions.values()):
            self.end(session, why)
        for key, opening in list(self._modern.items()):
            self._forget(key, opening)
            if _is_open(opening):
                self._close(opening.result(), why)
            else:
                opening.cancel()
                self._ending.add(opening)
                opening.add_done_callback(self._ending.discard)
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    def _close(self, link: HttpLink, why: str) -> None:
        task = asyncio.ensure_future(link.close(why))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _is_open(opening: asyncio.Future[HttpLink]) -> bool:
    return opening.done() and not opening.cancelled() and opening.exception() is None and not opening.result().over
