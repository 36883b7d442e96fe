"""How much work a JSON Schema can make of judging one value, known before it is judged.

A schema comes from the server that it speaks of. Forty definitions that each refer twice to the next are two kilobytes
and 2^40 evaluations; a pattern with a look-ahead can backtrack for ever; no engine gives up by itself. So the ways
from the root to each subschema are counted, for each depth of the value, and multiplied with what stands at that
depth. The count is an upper bound: an engine that stops early does less.

It does not measure memory, nor what a schema costs to compile beyond the number of its patterns.
Source: JSON Schema 2020-12 Core, sections 8 (references), 10 (applicators) and 11 (unevaluated locations); the older
drafts' ``definitions``, ``dependencies`` and ``additionalItems``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from operator import or_
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from doorward.content.numbers import DEAREST, NUMERIC, Numbers, numbers_of, unique_cost
from doorward.content.pointers import inside, levels

MAX_WORK: Final = 2_000_000
"""Evaluations of one subschema at one place: about forty milliseconds."""
MAX_EXPLAINED: Final = 50_000
"""What may be evaluated once more to say where a value does not fit: each branch that failed is remembered then."""
MAX_BACKTRACKS: Final = 2_000
"""Steps of one search; the addresses and dates of the usual schema libraries need less than a hundred."""
MAX_BACKTRACKED: Final = 2_000
"""Characters that a pattern which backtracks is tried on: one of its steps may read all of them."""
MAX_PATTERN_BYTES: Final = 1 << 20
"""What one compiled pattern may take."""

MAX_SCHEMA_BYTES: Final = 256 << 10
"""What one schema may take as JSON; the longest of the usual servers have a tenth of it."""

_MAX_OBJECTS: Final = 4_000
_MAX_COMPILING: Final = 25_000  # about microseconds, of all patterns of one schema
_PATTERN: Final = 60  # to compile one, at least
_BACKTRACKING: Final = 500
_REPEATED: Final = 10  # characters that are repeated in one more microsecond
_LONGEST_COMPILING: Final = 1_500  # then the compiled pattern takes more than it may
_REPEAT: Final = re.compile(r"\{([0-9]{1,6})(?:,([0-9]{0,6}))?\}")
_DEEPEST: Final = 64  # no message is deeper
_ENOUGH: Final = 10**15  # counts are not added up further
_BACKTRACKS: Final = re.compile(r"\(\?(?:[=!>]|<[=!])|\\[1-9kK]|[*+?}]\+")
_BYTES_PER_STEP: Final = 10  # a pattern reads ten bytes in the time of one evaluation
_NUMBER_BYTES: Final = 5  # 1e99, and what parts it from the next
_PER_BACKTRACKED: Final = 35  # evaluations in the time of all steps of one search, for each character that a step reads
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_ONE: Final = ("not", "if", "then", "else")
_SEVERAL: Final = ("allOf", "anyOf", "oneOf")
_NAMED: Final = ("dependentSchemas", "dependencies")
_DATA: Final = frozenset(("const", "enum", "default", "examples"))
_MATCHES: Final = frozenset(("pattern", "patternProperties", "enum"))
_ANY_CHILD: Final = (
    "additionalProperties", "unevaluatedProperties", "propertyNames", "additionalItems", "unevaluatedItems", "contains",
    "items",
)  # fmt: skip

_LEADS: Final = frozenset(
    (*_REFERENCES, *_ONE, *_SEVERAL, *_NAMED, *_ANY_CHILD, "prefixItems", "patternProperties", "properties")
)

Schema = dict[str, Any]


class Work(msgspec.Struct, frozen=True):
    """What one schema may cost: for each depth of a value, how often subschemas are evaluated on one value there
    (patterns weighed in), and how many patterns are searched for in it; about how many microseconds its patterns take
    to compile; ``hard`` are, for each depth, the searches among them that backtrack; how many such patterns there are
    for values, and whether there is one for names; what it makes of numbers, for each depth, whether it names any, and
    whether items must be unique somewhere.
    """

    steps: tuple[int, ...]
    searches: tuple[int, ...]
    hard: tuple[int, ...] = ()
    compiling: int = 0
    backtracking: int = 0
    names_backtracked: bool = False
    numbers: tuple[Numbers, ...] = ()
    names_numbers: bool = False
    unique: bool = False

    def exceeds(self, value: object, size_bytes: int, limit: int = MAX_WORK) -> bool:
        """Whether judging ``value``, which is ``size_bytes`` long as JSON, may take more than ``limit`` evaluations."""
        if self.names_backtracked and _has_long_name(value):
            return True
        if self.unique and max(self.steps) * unique_cost(value) > limit:
            return True
        # A value takes a byte at least, so nearly all calls are small enough whatever stands where.
        per_value = DEAREST // _NUMBER_BYTES if self.names_numbers else 1
        per_byte = max(self.steps) * per_value + sum(self.hard) * _PER_BACKTRACKED
        if per_byte * size_bytes + sum(self.searches) * (size_bytes // _BYTES_PER_STEP) <= limit:
            return False
        total, level = 0, [value]
        for steps, searches, hard, numbers in zip(self.steps, self.searches, self.hard, self.numbers, strict=True):
            total += steps * len(level) + searches * (size_bytes // _BYTES_PER_STEP)
            total += hard * _PER_BACKTRACKED * _searched(level) if hard else 0
            total += steps * numbers.cost(level) if numbers.named else 0
            if total > limit:
                return True
            level = inside(level)
            if not level:
                break
        return False


def _searched(level: list[object]) -> int:
    """The characters in ``level`` that a pattern which backtracks may be tried on."""
    texts = [len(one) for one in level if isinstance(one, str)]
    texts += [len(name) for one in level if isinstance(one, dict) for name in one]
    return sum(length for length in texts if length <= MAX_BACKTRACKED)


def _has_long_name(value: object) -> bool:
    return any(
        len(name) > MAX_BACKTRACKED for level in levels(value) for one in level if isinstance(one, dict) for name in one
    )


def measure(schema: Schema) -> Work:
    """What ``schema`` may cost.

    Raises ValueError where that cannot be said: a reference that leads out of the schema or to nothing, one that leads
    back to itself at the same place, more patterns than a tool's arguments can need.
    """
    graph = _Graph(schema)
    counts: dict[int, int] = {id(schema): 1}
    steps: list[int] = []
    searches: list[int] = []
    hard: list[int] = []
    numbers: list[Numbers] = []
    while counts and len(steps) < _DEEPEST:
        counts = graph.spread(counts)
        steps.append(min(_ENOUGH, sum(count * graph.weight[node] for node, count in counts.items())))
        searches.append(min(_ENOUGH, sum(count * graph.patterns[node] for node, count in counts.items())))
        hard.append(min(_ENOUGH, sum(count * graph.hard[node] for node, count in counts.items())))
        compared = (graph.numbers[node] for node in counts if node in graph.numbers)
        numbers.append(functools.reduce(or_, compared, Numbers()))
        if steps[-1] > MAX_WORK:
            break  # one value at this depth is too much
        counts = graph.descend(counts)
    return Work(
        tuple(steps),
        tuple(searches),
        tuple(hard),
        graph.compiling,
        graph.backtracking,
        graph.names_backtracked,
        tuple(numbers),
        any(one.named for one in numbers),
        graph.unique,
    )


class _Graph:
    """The subschemas of one schema and how they lead to each other: at the same place, or one level further down."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._ids = ("$id", "id") if "draft-04" in str(root.get("$schema")) else ("$id",)
        self._root_id = next((root[key].rstrip("#") for key in self._ids if isinstance(root.get(key), str)), "")
        self._nodes: dict[int, Schema] = {}
        self._anchors: dict[str, list[Schema]] = {}
        self.weight: dict[int, int] = {}
        self.patterns: dict[int, int] = {}
        self.hard: dict[int, int] = {}
        self.compiling = 0
        self.backtracking = 0
        self.names_backtracked = False
        self.numbers: dict[int, Numbers] = {}
        self.unique = False
        self._here: dict[int, list[tuple[int, int]]] = {}
        self._below: dict[int, list[tuple[str | None, int]]] = {}
        self._find(root)
        self._weigh()
        for node in list(self._nodes.values()):
            self._link(node)
        self._order = self._ordered()

    def _find(self, root: Schema) -> None:
        """Every object in the document, also where no keyword puts a schema: a reference may point there."""
        stack: list[object] = [root]
        while stack:
            item = stack.pop()
            if isinstance(item, dict):
                self._nodes[id(item)] = item
                if len(self._nodes) > _MAX_OBJECTS:
                    raise ValueError("the schema has more parts than can be judged")
                for key in ("$anchor", "$dynamicAnchor", *self._ids):
                    if isinstance(item.get(key), str):
                        self._name(item, item[key], key)
                stack.extend(item.values())
            elif isinstance(item, list):
                stack.extend(item)

    def _name(self, item: Schema, name: str, key: str) -> None:
        if key in self._ids and item is not self._root and not name.startswith("#"):
            # In there "#" means another root. Nobody needs that for the arguments of a tool.
            raise ValueError("the schema holds another schema with an id of its own")
        self._anchors.setdefault(name.rstrip("#").removeprefix("#"), []).append(item)

    def _weigh(self) -> None:
        for key, node in self._nodes.items():
            if not node.keys().isdisjoint(NUMERIC):
                self.numbers[key] = numbers_of(node)
                self.unique = self.unique or node.get("uniqueItems") not in (None, False)
            if node.keys().isdisjoint(_MATCHES):
                self.weight[key], self.patterns[key], self.hard[key] = 1, 0, 0
                continue
            own, named = node.get("pattern"), node.get("patternProperties")
            patterns = [pattern for pattern in (own,) if isinstance(pattern, str)]
            self.backtracking += sum(map(_backtracks, patterns))
            names = [name for name in named if isinstance(name, str)] if isinstance(named, dict) else []
            self.names_backtracked = self.names_backtracked or any(map(_backtracks, names))
            patterns += names
            hard = sum(map(_backtracks, patterns))
            listed = node.get("enum")
            size = len(listed) if isinstance(listed, list) else 0
            self.patterns[key], self.hard[key] = len(patterns), hard
            self.weight[key] = 1 + size + 10 * len(patterns) + MAX_BACKTRACKS * hard
            self.compiling += _BACKTRACKING * hard + sum(map(_compiling, patterns))
            if self.compiling > _MAX_COMPILING:
                raise ValueError("the schema has more patterns than can be judged")

    def _link(self, node: Schema) -> None:
        if node.keys().isdisjoint(_LEADS):
            return  # most
        # What is left unevaluated is found out by evaluating the applicators once more.
        times = 2 if "unevaluatedProperties" in node or "unevaluatedItems" in node else 1
        here = [(id(child), times) for child in self._same_place(node)]
        here += [(id(target), times) for name in _REFERENCES for target in self._targets(node, name)]
        self._here[id(node)] = here
        below: list[tuple[str | None, int]] = []
        below += [(None, id(child)) for name in _ANY_CHILD for child in _schemas(node.get(name))]
        below += [(None, id(child)) for child in _schemas(node.get("prefixItems"))]
        below += [(None, id(child)) for child in _values(node.get("patternProperties"))]
        properties = node.get("properties")
        if isinstance(properties, dict):
            below += [(name, id(child)) for name, child in properties.items() if isinstance(child, dict)]
        self._below[id(node)] = below

    def _same_place(self, node: Schema) -> Iterator[Schema]:
        for name in (*_ONE, *_SEVERAL):
            yield from _schemas(node.get(name))
        for name in _NAMED:
            yield from _values(node.get(name))

    def _targets(self, node: Schema, name: str) -> list[Schema]:
        reference = node.get(name)
        if not isinstance(reference, str):
            return []
        if reference == "#":
            return [self._root]
        if self._root_id and reference.startswith(f"{self._root_id}#"):
            reference = reference[len(self._root_id) :]
        if reference.startswith("#/"):
            return self._at(reference)
        return self._anchors.get(reference.rstrip("#").removeprefix("#")) or _nowhere(reference)

    def _at(self, reference: str) -> list[Schema]:
        value: Any = self._root
        for token in unquote(reference).split("/")[1:]:
            step = token.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            elif isinstance(value, dict) and step in value:
                value = value[step]
            else:
                return _nowhere(reference)
        return [value] if isinstance(value, dict) else []  # true and false cost nothing

    def _ordered(self) -> list[int]:
        """Whoever leads to another at the same place stands before it."""
        done: dict[int, None] = {}
        for start in self._nodes:
            path: dict[int, Iterator[tuple[int, int]]] = {}
            if start not in done:
                path[start] = iter(self._here.get(start, ()))
            while path:
                node, edges = next(reversed(path.items()))
                target = next((t for t, _ in edges if t not in done), None)
                if target is None:
                    del path[node]
                    done[node] = None
                elif target in path:
                    raise ValueError("the schema refers to itself without end")
                else:
                    path[target] = iter(self._here.get(target, ()))
        return list(reversed(done))

    def spread(self, counts: dict[int, int]) -> dict[int, int]:
        """``counts`` with everything that they lead to at the same place."""
        counts = dict(counts)
        for node in self._order:
            count = counts.get(node, 0)
            if count:
                for target, times in self._here.get(node, ()):
                    counts[target] = min(_ENOUGH, counts.get(target, 0) + count * times)
        return counts

    def descend(self, counts: dict[int, int]) -> dict[int, int]:
        """How often each is evaluated on one value a level further down: the most that any one name can bring."""
        always: dict[int, int] = {}
        named: dict[tuple[str, int], int] = {}
        for node, count in counts.items():
            for name, target in self._below.get(node, ()):
                if name is None:
                    always[target] = min(_ENOUGH, always.get(target, 0) + count)
                else:
                    named[name, target] = min(_ENOUGH, named.get((name, target), 0) + count)
        most: dict[int, int] = {}
        for (_, target), count in named.items():
            most[target] = max(most.get(target, 0), count)
        return {target: always.get(target, 0) + most.get(target, 0) for target in always.keys() | most.keys()}


def bounded(schema: Schema, work: Work) -> Schema:
    """``schema`` with each pattern that backtracks tried on ``MAX_BACKTRACKED`` characters at most: longer text does
    not fit.

    Raises ValueError where such a pattern stands in what is no schema, but may be referred to as one.
    """
    if not work.backtracking:
        return schema
    found: list[None] = []
    made: Schema = _bounded(schema, found)
    if len(found) != work.backtracking:
        raise ValueError("a pattern stands where no schema does")
    return made


def _bounded(value: Any, found: list[None]) -> Any:
    if isinstance(value, list):
        return [_bounded(item, found) for item in value]
    if not isinstance(value, dict):
        return value
    made = {name: item if name in _DATA else _bounded(item, found) for name, item in value.items()}
    pattern = made.get("pattern")
    if isinstance(pattern, str) and _backtracks(pattern):
        found.append(None)
        del made["pattern"]
        others = made.get("allOf")
        first = [
            {"maxLength": MAX_BACKTRACKED},
            {"pattern": pattern},
        ]  # in this order, and the first that fails ends it
        made["allOf"] = first + (others if isinstance(others, list) else [])
    return made


def _backtracks(pattern: str) -> bool:
    return _BACKTRACKS.search(pattern) is not None


def _compiling(pattern: str) -> int:
    """How long ``pattern`` takes to compile, roughly and rather too much: what is repeated is compiled as often."""
    repeated = len(pattern)
    for least, most in _REPEAT.findall(pattern):
        repeated = min(repeated * max(1, int(least), int(most or 0)), _LONGEST_COMPILING * _REPEATED)
    return _PATTERN + min(repeated // _REPEATED, _LONGEST_COMPILING)


def _nowhere(reference: str) -> list[Schema]:
    raise ValueError(f"the schema refers to {reference[:80]!r}, which is not in it")


def _schemas(value: object) -> Iterator[Schema]:
    """The schemas in ``value``: itself, or the items of a list. True and false cost nothing."""
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _values(value: object) -> Iterator[Schema]:
    if isinstance(value, dict):
        yield from (item for item in value.values() if isinstance(item, dict))
