"""A control that is not asked about a kind of message or action has nothing to say of it (``relay.pipeline``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest

from doorward.content.redaction import Masker
from doorward.protocol import actions
from doorward.relay import pipeline
from doorward.wire.jsonrpc import Notification, Request, Response

WHOLE = pipeline.build(Masker(b"k" * 32))
MESSAGES = (Request(1, "tools/call", {}), Notification("notifications/message", {}), Response(1, result={}))
BLANKS: dict[type, Any] = {str: "", tuple: (), dict: {}}


def blank(kind: type) -> Any:
    """An action of this kind with nothing in it."""
    fields = msgspec.structs.fields(kind)
    return kind(*({"level": "debug", "verb": "start"}.get(field.name, _empty(field.type)) for field in fields))


def _empty(annotation: Any) -> Any:
    origin = getattr(annotation, "__origin__", annotation)
    return next((made for made_of, made in BLANKS.items() if origin is made_of), {})


ACTIONS = tuple(blank(kind) for kind in get_args(actions.Action))
PAIRS = [
    pytest.param(control, what, id=f"{getattr(control, '__name__', type(control).__name__)}-{type(what).__name__}")
    for controls, things in ((WHOLE.gates, MESSAGES), (WHOLE.rewrites, MESSAGES), (WHOLE.checks, ACTIONS))
    for control in controls
    for what in things
    if control not in pipeline.Asked(controls)[type(what)]
]


@pytest.mark.parametrize(("control", "what"), PAIRS)
def test_a_control_that_is_not_asked_would_have_said_nothing(control: Callable[..., Any], what: Any) -> None:
    nothing = (what, None) if control in WHOLE.rewrites else None
    assert control(what, None) == nothing  # not even the context makes a difference


def test_what_is_asked_is_asked_in_the_order_of_the_pipeline() -> None:
    for controls, things in ((WHOLE.gates, MESSAGES), (WHOLE.rewrites, MESSAGES), (WHOLE.checks, ACTIONS)):
        for what in things:
            asked = pipeline.Asked(controls)[type(what)]
            assert list(asked) == [control for control in controls if control in asked]


def test_a_control_that_the_table_does_not_know_is_asked_about_everything() -> None:
    def unknown(_what: Any, _context: Any) -> None:
        return None

    asked = pipeline.Asked((*WHOLE.checks, unknown))
    assert all(unknown in asked[type(what)] for what in ACTIONS)
