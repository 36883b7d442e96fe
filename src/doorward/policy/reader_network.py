"""Reading where one server may connect to, in the table of that server."""

from __future__ import annotations

from typing import Any, Final

from doorward.policy.addresses import listed_problem, target_problem
from doorward.policy.shapes import Key, Raw, Shapes

NETWORKS: Final = ("public", "none")


def network(shapes: Shapes, key: Key, raw: Raw) -> dict[str, Any]:
    """What the table ``key`` says, empty where it says nothing. A list of hosts says ``public`` too, but not beside
    ``none``: one of them would not be meant.
    """
    said = shapes.choice(raw, key, "network", NETWORKS, "") if "network" in raw else ""
    hosts = shapes.judged(raw, key, "hosts", listed_problem)
    if raw.get("hosts") == []:
        shapes.add((*key, "hosts"), "names no host", 'network = "none" is what lets it to none')
    elif hosts and said == "none":
        shapes.add((*key, "hosts"), "is of no use beside network = 'none'", "keep one of them")
    return {
        "network": said or ("public" if hosts else ""),
        "connect": shapes.judged(raw, key, "connect", target_problem),
        "hosts": hosts,
    }
