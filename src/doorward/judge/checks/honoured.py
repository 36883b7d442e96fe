"""Check: who declares a capability and does not honour it is treated as not having it (threat ``capability-forgery``).

A client that knows no such method, or answers in a form that is none of its, is asked no more on this link: the
capability is taken out of what it declares (``capability-grants``), and a server that asks all the same is refused
(``declared-inputs``). Of a server it is only noted, and so it is of a client that never answers, whose user may be away
(``relay.unanswered``). The answer itself goes on: whoever asked must hear something.

Does not see a modern client that never comes back with an answer: it owes none.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.protocol import honouring
from doorward.protocol.actions import Action, AnswerInput, ReturnError

CONTROL: Final = "honoured-capabilities"


def note_unhonoured(action: Action, context: Context) -> Finding | None:
    if isinstance(action, AnswerInput):
        broken = honouring.broken_by_client(action, context.message)
        said = broken and f"the client declared {broken[0]} and does not honour it: {broken[1]}"
    elif isinstance(action, ReturnError):
        name = honouring.broken_by_server(action.method, action.error.get("code"), context.link.server_capabilities)
        said = name and f"the server declared {name} and does not have it"
    else:
        return None
    return Finding(CONTROL, Effect.NOTE, said, action.method) if said else None
