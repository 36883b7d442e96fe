"""What Doorward asks a server on its own account, while a client's request waits for it.

Two things must be known before some requests can be judged: whether the server speaks the modern era at all
(``server/discover``, before the first modern request), and its definitions (``tools/list``, before the first call or
the first fetching of what a task returned, ``prompts/list`` before the first prompt).
For a resource that the server has not named, its resources and then its templates are listed, again after a minute.
Lists are followed to their last page, within bounds. If an errand fails, what waited for it is refused.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from doorward.judge.checks.known_resources import CONTROL as KNOWN_RESOURCES
from doorward.judge.checks.known_resources import may_be_listed
from doorward.judge.checks.paths import confine_paths
from doorward.judge.vocabulary import Context, Decision, Effect, Finding, Open
from doorward.protocol import actions, definitions, stateless, versions
from doorward.relay import context as contexts
from doorward.relay import records, refusing, routes
from doorward.relay.commands import Command, Send
from doorward.relay.state import Errand, State
from doorward.wire.jsonrpc import Decoded, Request, decode_value, encode, key_of

CONTROL: Final = "definition-arguments"
TIMEOUT_US: Final = 10_000_000
MAX_PAGES: Final = 100
RELIST_US: Final = 60_000_000
"""How old the lists of resources may be when one is asked for that is not in them."""


def needed(request: Request, context: Context) -> str | None:
    """The method of ours that must be answered before ``request`` can be judged, or None."""
    if context.sender != "client":
        return None
    if context.era == "modern" and request.method != "server/discover" and context.link.upstream == "":
        return "server/discover"
    if request.method in _NEED_TOOLS and not context.definitions.complete:
        return "tools/list" if request.method == "tools/call" or _is_of_a_tool(request, context) else None
    if request.method == "prompts/get" and not context.definitions.prompts_complete:
        return "prompts/list"
    return _of_resources(request, context) if request.method in _RESOURCES else None


def _is_of_a_tool(request: Request, context: Context) -> bool:
    """Whether it fetches what a task returned that a tool began: judged by that tool's definition."""
    task = (request.params or {}).get("taskId")
    return isinstance(task, str) and context.tasks.get(task, "") != ""


def _of_resources(request: Request, context: Context) -> str | None:
    """Which list may still name what nobody vouches for."""
    shown = context.shown
    if shown is None or (shown.listed and shown.described and context.now - shown.at < RELIST_US):
        return None
    asked = [act for act in actions.interpret(request, "legacy") if isinstance(act, actions.ReadResource)]
    if not any(may_be_listed(act, context) for act in asked) or any(confine_paths(act, context) for act in asked):
        return None  # no list changes what is decided
    return "resources/templates/list" if shown.listed and not shown.described else "resources/list"


_RESOURCES: Final = ("resources/read", "resources/subscribe", "subscriptions/listen")
_LISTS_OF_RESOURCES: Final = ("resources/list", "resources/templates/list")
_NEED_TOOLS: Final = ("tools/call", "tasks/result", "tasks/get")
_ASKED_FOR: Final = {"tools/list": _NEED_TOOLS, "prompts/list": ("prompts/get",)} | dict.fromkeys(
    _LISTS_OF_RESOURCES, _RESOURCES
)


def waits_for(opened: Open, method: str) -> bool:
    """Whether the request that waits cannot be judged without ``method``; others only came while it was under way."""
    return opened.method in _ASKED_FOR.get(method, (opened.method,))


def wait(state: State, method: str, message: Request, context: Context) -> list[Command]:
    """Hold ``message`` until ``method`` was answered; ask it, unless that is under way already."""
    opened = state.open(message, context, context.body)
    opened.state, opened.facts = "FETCHING", context.facts
    if state.errand is not None:
        return []
    version = stateless.meta_of(message.params).get(versions.META_VERSION)
    state.errand = Errand(method, context.era, str(version), context.now)
    return _send(state, state.errand, context)


def _send(state: State, errand: Errand, context: Context, cursor: str = "") -> list[Command]:
    errand.pages += 1
    params: dict[str, Any] = {"cursor": cursor} if cursor else {}
    if errand.era == "modern":
        params["_meta"] = stateless.envelope(errand.version)
    label = f"errand {errand.method} {errand.pages}".encode()
    request = Request(f"doorward-{records.fresh(context.facts, label).hex()[:16]}", errand.method, params)
    body = encode(request)
    state.opened[("client", key_of(request.id))] = Open(
        asker="client",
        key=key_of(request.id),
        method=errand.method,
        exchange=routes.OURS,
        body=body,
        era=errand.era,
        state="SENT",
        at=context.now,
        subject=cursor,
        ours=True,
    )
    own = msgspec.structs.replace(context, answers=None, exchange=routes.OURS)
    record = state.describe("intent", request, own, None, body, "durable", sender="doorward")
    return [msgspec.structs.replace(record, otherwise=None), Send("server", routes.OURS, body)]


def answered(
    state: State, acts: tuple[actions.Action, ...], context: Context
) -> tuple[list[Command], list[Open], str | None]:
    """An errand was answered: the next page to ask for, or what may go on now, or why all of it is refused."""
    errand = state.errand
    if errand is None:
        return [], [], None
    page = next((act for act in acts if isinstance(act, actions.Advertise)), None)
    what = versions.LISTS.get(errand.method)
    if what is None:
        return _done(state)
    if page is None and errand.method in _LISTS_OF_RESOURCES:
        return _done(state)  # a server that has none may say so by an error
    if page is None:
        return _failed(state, f"the server does not list its {what}")
    errand.items += len(page.items)
    if state.definitions.beyond and errand.method not in _LISTS_OF_RESOURCES:
        return _failed(state, f"the server's list of {what} is larger than can be kept")
    if errand.pages >= MAX_PAGES or errand.items > definitions.MAX_TOOLS:
        return _failed(state, f"the server's list of {what} does not end")
    if page.cursor:
        return _send(state, errand, context, page.cursor), [], None
    return _done(state)


def _done(state: State) -> tuple[list[Command], list[Open], None]:
    state.errand = None
    return [], _waiting(state), None


def _failed(state: State, why: str) -> tuple[list[Command], list[Open], str]:
    state.errand = None
    return [], _waiting(state), why


def fail(state: State, why: str, context: Context) -> list[Command]:
    """Refuse everything that waits: it cannot be judged."""
    state.errand = None
    for key in [key for key, opened in state.opened.items() if opened.ours]:
        del state.opened[key]
    return [command for opened in _waiting(state) for command in refuse_waiting(state, opened, why, context)]


def refuse_waiting(state: State, opened: Open, why: str, context: Context) -> list[Command]:
    """Refuse one request that waited: it cannot be judged."""
    control = KNOWN_RESOURCES if opened.method in _RESOURCES else CONTROL
    finding = Finding(control, Effect.DENY, f"it cannot be judged: {why}")
    message, own = revive(state, opened, context)
    return refusing.refuse(state, message, own, Decision(Effect.DENY, (finding,), context.policy.digest))


def _waiting(state: State) -> list[Open]:
    waiting = [opened for opened in state.opened.values() if opened.state == "FETCHING"]
    for opened in waiting:
        state.close(opened)
    return waiting


def revive(state: State, opened: Open, context: Context) -> tuple[Request, Context]:
    """A waiting request as if it had just arrived, with the facts it arrived with."""
    tree = decode_value(opened.body)
    message = Request(tree["id"], tree["method"], tree.get("params"))
    facts = opened.facts or context.facts
    frame = Decoded(message, opened.body, 0)
    return message, contexts.around(state, frame, opened.asker, opened.exchange, facts, context.now)


def deadline(state: State) -> int | None:
    """When the errand under way counts as failed."""
    return state.errand.since + TIMEOUT_US if state.errand is not None else None
