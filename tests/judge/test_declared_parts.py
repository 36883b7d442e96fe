"""A server asks for no part of a capability that its client did not name."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import Era, Tree, eras, ready


@eras()
@pytest.mark.parametrize(
    ("declared", "method", "more", "passes"),
    [
        ({"elicitation": {}}, "elicitation/create", {"mode": "url", "url": "https://host/"}, False),
        ({"elicitation": {"form": {}}}, "elicitation/create", {"mode": "url", "url": "https://host/"}, False),
        ({"elicitation": {"url": {}}}, "elicitation/create", {"mode": "url", "url": "https://host/"}, True),
        ({"elicitation": {"url": {}}}, "elicitation/create", {}, False),
        ({"elicitation": {"url": {}, "form": {}}}, "elicitation/create", {"mode": "form"}, True),
        ({"elicitation": {}}, "elicitation/create", {"mode": "form"}, True),
        ({"elicitation": {}}, "elicitation/create", {"mode": "page"}, False),
        ({"elicitation": {}}, "elicitation/create", {"mode": ["url"]}, False),
        ({"sampling": {}}, "sampling/createMessage", {"tools": []}, False),
        ({"sampling": {}}, "sampling/createMessage", {"toolChoice": {"mode": "auto"}}, False),
        ({"sampling": {"tools": {}}}, "sampling/createMessage", {"tools": []}, True),
        ({"sampling": {}}, "sampling/createMessage", {"includeContext": "none"}, True),
    ],
)
def test_a_part_of_a_capability_that_was_not_declared_is_not_asked_for(
    era: Era, declared: Tree, method: str, more: Tree, *, passes: bool
) -> None:
    talk = ready(era, attached=True, client=declared)
    params = {"message": "m", "messages": [], "maxTokens": 1, **more}
    if era == "legacy":
        turn = talk.server({"jsonrpc": "2.0", "id": "ask", "method": method, "params": params})
    else:
        talk.client(talk.call(1, capabilities=declared))
        asked = {"resultType": "input_required", "inputRequests": {"k": {"method": method, "params": params}}}
        turn = talk.server({"jsonrpc": "2.0", "id": 1, "result": asked})
    assert bool(turn.tickets) is passes
    assert passes or "declared-inputs" in turn.controls
