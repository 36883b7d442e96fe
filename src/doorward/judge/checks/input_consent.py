"""Checks: a server's request for the client's model, user or folders passes only after a person saw all of it.

Covers sampling, elicitation and roots of the legacy era and the entries of a modern ``input_required`` result alike
(threat ``consent-bypass``). The policy may say yes in advance (``unsafe_standing_approvals``), for some of the three,
on one server or on all, until an end that it must name; each use is recorded as a note. Nobody sees what passes so.

A request for something that the client did not declare is refused without asking, approved in advance or not (MCP: only
declared capabilities may be used); so is one for a part of it that the client did not name: an address instead of a
form, tools for the model.
"""

from __future__ import annotations

import datetime
from typing import Any, Final

from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.protocol import versions
from doorward.protocol.actions import Action, HandleTask, RequestInput

CONTROL: Final = "input-consent"
UNDECLARED: Final = "declared-inputs"
_OF_TOOLS: Final = ("tools", "toolChoice")

_WHAT: Final = {
    "sampling/createMessage": "a completion by your model is asked for",
    "elicitation/create": "an answer of yours is asked for",
    "roots/list": "the folders that you work in are asked for",
}


def require_input_consent(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, RequestInput):
        return None
    if until := _approved_until(action.method, context):
        return Finding(CONTROL, Effect.NOTE, f"a standing approval of the policy, until {until}", action.method)
    return Finding(CONTROL, Effect.ASK, _WHAT.get(action.method, "input is asked for"), action.method)


def _approved_until(method: str, context: Context) -> str:
    """The end of the standing approval that covers ``method`` longest; empty if none does now."""
    name = versions.INPUT_CAPABILITY.get(method, "")
    ends = [approval.until_us for approval in context.server.standing if approval.covers(name, context.now)]
    if not ends:
        return ""
    return f"{datetime.datetime.fromtimestamp(max(ends) // 1_000_000, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def require_declared_input(action: Action, context: Context) -> Finding | None:
    if isinstance(action, HandleTask) and action.verb == "start":
        return _undeclared_task(context)
    if not isinstance(action, RequestInput):
        return None
    name = versions.INPUT_CAPABILITY.get(action.method, "")
    if name in context.link.unhonoured:
        return Finding(UNDECLARED, Effect.DENY, f"the client declared {name} and did not honour it", action.method)
    declared = _declared(context)
    part = _part_beyond(action, declared.get(name)) if name in declared else name
    return Finding(UNDECLARED, Effect.DENY, f"the client did not declare {part}", action.method) if part else None


def _part_beyond(action: RequestInput, declared: Any) -> str:
    """The part of a capability that ``action`` needs and that is not ``declared``; empty if there is none. A client
    that names no mode of elicitation has forms, as before there were others.
    """
    parts = declared if isinstance(declared, dict) else {}
    if action.method == "sampling/createMessage":
        return "sampling/tools" if "tools" not in parts and not action.params.keys().isdisjoint(_OF_TOOLS) else ""
    if action.method != "elicitation/create":
        return ""
    mode = action.params.get("mode", "form")
    if mode == "form":
        return "elicitation/form" if "url" in parts and "form" not in parts else ""
    return "" if mode == "url" and "url" in parts else "elicitation/url"


def _undeclared_task(context: Context) -> Finding | None:
    extensions = _declared(context).get("extensions")
    if isinstance(extensions, dict) and versions.TASKS in extensions:
        return None
    return Finding(UNDECLARED, Effect.DENY, "a task instead of a result, which the client did not declare")


def _declared(context: Context) -> dict[str, Any]:
    if context.era == "modern" and context.answers is not None:
        return dict(context.answers.declared)
    return context.link.client_capabilities
