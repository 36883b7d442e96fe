"""Filter: a tool whose schemas cannot be used is quarantined (threat ``argument-injection``).

No call of it could be judged, so it would be refused; therefore it does not appear in the list that the client gets,
the archive and the operator are told why, once, and the rest works. Such a schema does not compile, refers to what is
not in it, or makes more work than can be bounded (``judge.validators``); or it wants arguments in headers against the
rules, or a secret (``protocol.headers``). What has no name, or no object as its ``inputSchema``, is no tool.

Compiling is work as well, and a list may be long: what is beyond a budget for one page stays in the list and is judged
when it is called. Does not protect against a tool that is described well and means harm.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.content.schemas import DearError
from doorward.judge.validators import CLOSED, OPEN, SHUT, Validators
from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding
from doorward.protocol.actions import Advertise
from doorward.protocol.headers import unusable_in
from doorward.wire.jsonrpc import encode_value

CONTROL: Final = "usable-definitions"
MAX_PAGE_COST: Final = 200_000
"""About microseconds, for all schemas of one page: a thousand ordinary tools."""
_LEAST: Final = 60  # for the smallest
_BYTES_PER_US: Final = 10


class KeepUsableTools:
    """Removes what cannot be called."""

    def __init__(self, validators: Validators) -> None:
        self._validators = validators

    def __call__(self, listed: Advertise, context: Context) -> dict[int, Finding]:
        """Why items of ``listed`` are removed, by their place in it."""
        if listed.what != "tools/list":
            return {}
        manner = SHUT if context.policy.values.undeclared_always_refused else CLOSED
        removed: dict[int, Finding] = {}
        left = MAX_PAGE_COST
        for place, item in enumerate(listed.items):
            problem, cost = self._judge(item, manner, left)
            left -= cost
            if problem:
                name = str(item.get("name"))[:200]
                told = f"{name}: {problem}"[:MAX_EVIDENCE]
                removed[place] = Finding(CONTROL, Effect.NOTE, "a tool that cannot be called is not shown", told)
        return removed

    def _judge(self, item: dict[str, Any], manner: str, left: int) -> tuple[str, int]:
        """Why the tool cannot be used (empty: it can, as far as is known), and what it cost to find out."""
        if not isinstance(item.get("name"), str):
            return "it has no name", 0
        if not isinstance(item.get("inputSchema"), dict):
            return "its inputSchema is no object", 0
        schema = encode_value(item["inputSchema"])
        if problem := unusable_in(schema):
            return problem, 0
        schemas = [(schema, manner)]
        if item.get("outputSchema") is not None:
            schemas.append((encode_value(item["outputSchema"]), OPEN))
        spent = 0
        for encoded, treated in schemas:
            problem, cost = self._compile(encoded, treated, left - spent)
            spent += cost
            if problem or spent > left:
                return problem, spent
        return "", spent

    def _compile(self, schema: bytes, manner: str, left: int) -> tuple[str, int]:
        """The same of one of its schemas. What was spent counts, whatever came of it."""
        spent = 0
        try:
            if not self._validators.know(schema, manner):
                spent += _LEAST + len(schema) // _BYTES_PER_US
            if spent > left:
                return "", spent  # and nothing of this page is looked at any more
            spent += self._validators.to_compile(schema, manner)
            if spent <= left:
                self._validators.of(schema, manner)
        except ValueError as problem:
            return str(problem), spent + (problem.cost_us if isinstance(problem, DearError) else 0)
        return "", spent
