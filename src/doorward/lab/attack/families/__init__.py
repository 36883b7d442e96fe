"""The families of attacks that are built from what a target lists; one file each.

A family looks for its places with honest calls and answers a plan for each, or says why there is none to play.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from doorward.lab.attack.families import argument_injection, log_leakage, oversized_payload, path_traversal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from doorward.lab.attack.probes import Plan, Unplayed
    from doorward.lab.attack.scene import Scene


class Family(NamedTuple):
    """One family. ``id`` is that of the scenario with the same goal, whose controls may stop it."""

    id: str
    title: str
    cwe: tuple[str, ...]
    side_effects: bool
    scout: Callable[[Scene], Awaitable[list[Plan | Unplayed]]]


FAMILIES = (
    Family(
        path_traversal.ID,
        "a path or URI reads what lies beside the folder that the server may see",
        ("CWE-22", "CWE-59", "CWE-41"),
        False,
        path_traversal.scout,
    ),
    Family(
        log_leakage.ID,
        "a credential in an argument comes back in a log message",
        ("CWE-532",),
        False,
        log_leakage.scout,
    ),
    Family(
        argument_injection.ID,
        "a string in an argument is run, or taken for an option",
        ("CWE-78", "CWE-88", "CWE-94"),
        True,
        argument_injection.scout,
    ),
    Family(
        oversized_payload.ID,
        "one big request ends the server, or its service to others",
        ("CWE-400", "CWE-674"),
        True,
        oversized_payload.scout,
    ),
)
"""In the order in which they are played: what may end the target comes last."""
