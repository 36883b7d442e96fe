"""The attackers of ``request-flooding`` over HTTP, in a process of their own: what it takes to send a flood must not be
part of what the honest client waits for.

It gets one line of JSON (see :class:`Plan`), says ``ready``, and from the next line on each connection repeats its
messages as soon as it was answered, until standard input ends. It gives way to every other process of its session, as
attackers who are elsewhere would. Imports nothing of Doorward. Start: ``python flooder.py``.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from collections import Counter
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any, TypedDict

ANSWER_LIMIT_SECONDS = 10.0
LEAST_NICE = 19


class Attacker(TypedDict):
    """From which address of loopback it comes (empty: the system's choice), and its messages, each with its headers."""

    source: str
    messages: list[tuple[dict[str, Any], dict[str, str]]]


class Plan(TypedDict):
    """Whom to ask, who does, and on how many connections each."""

    host: str
    port: int
    path: str
    attackers: list[Attacker]
    at_once: int


class Flood:
    """All connections of all attackers. ``answered`` are the answers by status."""

    def __init__(self, plan: Plan) -> None:
        self.answered: Counter[str] = Counter()
        self.begun = threading.Event()
        self._plan = plan
        self._numbers = itertools.count(1)

    def start(self) -> None:
        for attacker in self._plan["attackers"]:
            for _ in range(self._plan["at_once"]):
                threading.Thread(target=self._ask_without_end, args=(attacker,), daemon=True).start()

    def _ask_without_end(self, attacker: Attacker) -> None:
        way = HTTPConnection(
            self._plan["host"],
            self._plan["port"],
            timeout=ANSWER_LIMIT_SECONDS,
            source_address=(attacker["source"], 0) if attacker["source"] else None,
        )
        self.begun.wait()
        for message, headers in itertools.cycle(attacker["messages"]):
            body = json.dumps({**message, "id": f"flood-{next(self._numbers)}"})
            try:
                way.request("POST", self._plan["path"], body.encode(), headers)
                answer = way.getresponse()
                answer.read()
                self.answered[str(answer.status)] += 1
            except (OSError, HTTPException) as problem:
                self.answered[type(problem).__name__] += 1
                way.close()


def say(line: str) -> None:
    """One line for whoever started this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Until standard input ends."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.nice(LEAST_NICE)
    flood = Flood(json.loads(sys.stdin.readline()))
    flood.start()
    say("ready")
    if sys.stdin.readline():
        flood.begun.set()
        sys.stdin.read()
    say(json.dumps(flood.answered))


if __name__ == "__main__":
    main()
