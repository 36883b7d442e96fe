"""What ``unevaluatedProperties`` and ``unevaluatedItems`` cost to be compiled.

To know what nobody evaluated, ``jsonschema-rs`` makes a copy of everything that may evaluate it: of each subschema that
a way leads to from the same place, once for each way, and behind a reference of all that it holds. Fourteen definitions
that each refer twice to the next are thirty thousand copies, and a gigabyte where the last of them is large. So the
ways are counted before. A way that leads back to where it came from ends there, in the engine as here.

(Measured with 0.60 on x86-64. What is compiled once, at its own place, is not counted.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

Schema = dict[str, Any]

KEYWORDS: Final = ("unevaluatedProperties", "unevaluatedItems")

_KEYS: Final = frozenset(KEYWORDS)
_OBJECT: Final = 4  # microseconds
_VALUES_PER_US: Final = 2
_ENOUGH: Final = 10**15

# How an object is copied: as what it applies, as what it holds, or as both if something is unevaluated there.
_APPLIED, _HELD, _WHOLE = range(3)
_Step = tuple[int, int]


def unfolding_cost(
    nodes: Mapping[int, Schema],
    around: dict[int, int],
    applied: Callable[[Schema], Iterable[Schema]],
    referred: Callable[[Schema], Iterable[Schema]],
    patterns: Callable[[Schema], int],
) -> int:
    """About how many microseconds the copies take.

    ``nodes`` are all objects of one schema by their identity, ``around`` is the object that another lies in (0: none;
    what lies inside comes later). ``applied`` says which subschemas a schema applies at the same place, ``referred`` to
    which it refers, ``patterns`` what the patterns for its names take to compile.
    """
    found = [key for key, node in nodes.items() if not _KEYS.isdisjoint(node) and _leaves_anything(node)]
    if not found:
        return 0
    own = {key: _own(node) + patterns(node) for key, node in nodes.items()}
    sizes = dict(own)
    inside: dict[int, list[int]] = {}
    for key, outer in reversed(around.items()):
        if outer:
            sizes[outer] += sizes[key]
            inside.setdefault(outer, []).append(key)
    unevaluated = frozenset(found)

    def leads(step: _Step) -> Iterator[_Step]:
        key, how = step
        if how == _HELD:
            yield from ((one, _WHOLE) for one in inside.get(key, ()))
        elif how == _WHOLE:
            yield key, _HELD
            if key in unevaluated:
                yield key, _APPLIED
        else:
            yield from ((id(one), _APPLIED) for one in applied(nodes[key]))
            for one in referred(nodes[key]):
                yield id(one), _APPLIED
                yield id(one), _HELD

    def cost(step: _Step) -> int:
        key, how = step
        return own[key] + sum(sizes[id(one)] for one in referred(nodes[key])) if how == _APPLIED else 0

    return _sum(((key, _APPLIED) for key in found), leads, cost)


def _leaves_anything(node: Schema) -> bool:
    return any(node.get(one, True) is not True for one in KEYWORDS)


def _own(node: Schema) -> int:
    return _OBJECT + (len(node) + sum(len(one) for one in node.values() if isinstance(one, list))) // _VALUES_PER_US


def _sum(starts: Iterable[_Step], leads: Callable[[_Step], Iterator[_Step]], cost: Callable[[_Step], int]) -> int:
    """The cost of all ways from ``starts``, each step paid for as often as it is gone."""
    total = 0
    paid: dict[_Step, int] = {}
    for start in starts:
        path: dict[_Step, Iterator[_Step]] = {}
        if start not in paid:
            path[start] = leads(start)
        while path:
            step, further = next(reversed(path.items()))
            target = next((one for one in further if one not in paid and one not in path), None)
            if target is not None:
                path[target] = leads(target)
                continue
            del path[step]
            paid[step] = min(_ENOUGH, cost(step) + sum(paid.get(one, 0) for one in leads(step)))
        total += paid[start]
    return min(_ENOUGH, total)
