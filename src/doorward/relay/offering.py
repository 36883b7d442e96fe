"""Step 4, for a list: what a server offers is told to the client less what filters remove.

What is judged and learnt is the whole list; only what leaves is shorter. Of everything removed the archive and the
operator are told once for each link. A shortened list is no longer what the server would tell everybody, so its
``cacheScope`` becomes ``private`` (MCP 2026-07-28 "Caching").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.protocol import actions, versions
from doorward.relay.pipeline import Filter
from doorward.relay.state import State
from doorward.wire.jsonrpc import Message, Response

_MAX_TOLD: Final = 20  # of one page, one by one
_MAX_REMEMBERED: Final = 1024

Crashed = Callable[[object, Exception], Finding]


def narrow(
    state: State, message: Message, acts: tuple[actions.Action, ...], context: Context, crashed: Crashed
) -> tuple[Message, list[Finding]]:
    """``message`` as the client may have it, and what is to be told of that. ``crashed`` says what a filter that failed
    has found: it refuses the whole list.
    """
    if not isinstance(message, Response) or message.result is None:
        return message, []
    for act in acts:
        if isinstance(act, actions.Advertise):
            removed, failed = _removed(state.settings.pipeline.filters, act, context, crashed)
            if removed:
                message = _without(message, act, removed, context.era)
            return message, failed + _news(state, list(removed.values()))
    return message, []


def _removed(
    filters: tuple[Filter, ...], listed: actions.Advertise, context: Context, crashed: Crashed
) -> tuple[dict[int, Finding], list[Finding]]:
    removed: dict[int, Finding] = {}
    failed: list[Finding] = []
    for one in filters:
        try:
            removed = one(listed, context) | removed
        except Exception as crash:  # noqa: BLE001 - a crash refuses
            failed.append(crashed(one, crash))
    return removed, failed


def _without(message: Response, listed: actions.Advertise, removed: dict[int, Finding], era: str) -> Response:
    member = versions.LISTS[listed.what]
    kept = [item for place, item in enumerate(listed.items) if place not in removed]
    scope = {"cacheScope": "private"} if era == "modern" else {}
    return Response(message.id, result={**(message.result or {}), member: kept, **scope})


def _news(state: State, findings: list[Finding]) -> list[Finding]:
    """Those of which nothing was said on this link yet; many are counted."""
    fresh = [finding for finding in findings if finding.evidence not in state.removed]
    for finding in fresh[: _MAX_REMEMBERED - len(state.removed)]:
        state.removed[finding.evidence] = None
    told, rest = fresh[:_MAX_TOLD], fresh[_MAX_TOLD:]
    if rest:
        told.append(Finding(rest[0].control, Effect.NOTE, f"{rest[0].reason}, and {len(rest)} more of this list"))
    return told
