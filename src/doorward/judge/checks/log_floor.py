"""Check: log messages below the floor do not reach the client (threat ``log-leakage``: debug logs are where secrets
leak).
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.protocol import versions
from doorward.protocol.actions import Action, EmitLog

CONTROL: Final = "log-floor"


def keep_log_floor(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, EmitLog):
        return None
    floor = context.policy.values.log_floor
    if versions.LOG_LEVELS.index(action.level) >= versions.LOG_LEVELS.index(floor):
        return None
    return Finding(CONTROL, Effect.DENY, f"a log message of level {action.level}, below the floor {floor}")
