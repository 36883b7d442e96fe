"""Serves a twin and writes down what its guards refuse: it is to a twin what the audit log is to the gateway.

A refusal is a ``doorward.errors.RefusedError``, and each that is made is a line of RECORD: when, by which rule, in
which words. Of one rule at most a thousand a second are written, so that a flood of refusals is none of lines. Nothing
else of the twin is touched, and no guard knows that it is watched. Start: ``python witness.py RECORD SCRIPT [ARGUMENT
…]``.
"""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
import time
from typing import Any

from doorward.errors import RefusedError

MOST_PER_SECOND = 1000
RECORD, *sys.argv = sys.argv[1:]
_record = open(RECORD, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - for as long as the server lives
_written: dict[tuple[str, int], int] = {}
_made = RefusedError.__init__


def _making(refusal: RefusedError, rule: str, message: str, **more: Any) -> None:
    _made(refusal, rule, message, **more)
    now = rule, int(time.monotonic())
    _written[now] = _written.pop(now, 0) + 1
    if len(_written) > MOST_PER_SECOND:
        del _written[next(iter(_written))]
    if _written[now] <= MOST_PER_SECOND:
        _record.write(json.dumps({"at": time.time_ns() // 1000, "rule": rule, "words": message}) + "\n")


RefusedError.__init__ = _making  # type: ignore[method-assign, assignment] # this is how it is watched
_twin = runpy.run_path(sys.argv[0])
SERVER = _twin["SERVER"]

if __name__ == "__main__":
    asyncio.run(_twin["serve"]())
