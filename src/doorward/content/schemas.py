"""How much work a JSON Schema can make of judging one value, known before it is judged.

A schema comes from the server that it speaks of. Forty definitions that each refer twice to the next are two kilobytes
and 2^40 evaluations; a pattern with a look-ahead can backtrack for ever; no engine gives up by itself. So the ways
from the root to each subschema are counted, for each depth of the value, and multiplied with what stands at that
depth. The count is an upper bound: an engine that stops early does less.

Some keywords read more than the value that they stand at: ``uniqueItems`` and ``const`` read all that lies below it,
``required`` looks up each of its names. And ``unevaluatedProperties`` is compiled with a copy of everything that it may
be reached by at the same place, so that forty definitions are 2^40 copies before anything is judged.

It does not measure what is kept of a schema besides these copies.
Source: JSON Schema 2020-12 Core, sections 8 (references), 10 (applicators) and 11 (unevaluated locations); the older
drafts' ``definitions``, ``dependencies`` and ``additionalItems``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from doorward.content.numbers import NUMERIC, Numbers, compared_cost, numbers_of
from doorward.content.patterns import BACKTRACKING, MAX_BACKTRACKS, backtracks, compiling_cost
from doorward.content.unfolding import KEYWORDS, unfolding_cost
from doorward.content.work import MAX_WORK, Work

MAX_SCHEMA_BYTES: Final = 256 << 10
"""What one schema may take as JSON; the longest of the usual servers have a tenth of it."""

_MAX_OBJECTS: Final = 2_500
_MAX_PARTS: Final = 20_000  # objects and all other values
_PART: Final = 3  # microseconds to look at one and to compile it
_MAX_COMPILING: Final = 25_000  # about microseconds, of all patterns of one schema
_DEEPEST: Final = 64  # no message is deeper
_ENOUGH: Final = 10**15  # counts are not added up further
_MAX_VISITS: Final = 30_000  # of subschemas, over all depths: thirty milliseconds
_VISIT: Final = 1  # microsecond
_MAX_UNFOLDING: Final = 25_000  # microseconds
_PER_PARSED: Final = 50  # searches in the time in which a text is read as JSON
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_ONE: Final = ("not", "if", "then", "else")
_SEVERAL: Final = ("allOf", "anyOf", "oneOf")
_NAMED: Final = ("dependentSchemas", "dependencies")
_LISTED: Final = ("required", "dependentRequired", "dependencies", "dependentSchemas")
"""Whose entries are looked up, each by itself."""
_ASSERTED: Final = ("format", "contentMediaType", "contentEncoding")  # in old drafts; in the others they only tell
_LONG_FORMATS: Final = frozenset(
    "regex email idn-email uri uri-reference iri iri-reference uri-template json-pointer relative-json-pointer".split()
)
"""Those that a long text may be of."""
_WEIGHED: Final = frozenset(("pattern", "patternProperties", "enum", "const", *_SEVERAL, *_LISTED, *_ASSERTED))
MODERN_DRAFTS: Final = ("2019-09", "2020-12")
"""In which formats and encodings only tell, and unevaluated values are known."""
_ANY_CHILD: Final = (
    "additionalProperties", "unevaluatedProperties", "propertyNames", "additionalItems", "unevaluatedItems", "contains",
    "items",
)  # fmt: skip

_LEADS: Final = frozenset(
    (*_REFERENCES, *_ONE, *_SEVERAL, *_NAMED, *_ANY_CHILD, "prefixItems", "patternProperties", "properties")
)

Schema = dict[str, Any]


class DearError(ValueError):
    """A schema that cannot be used, and about how many microseconds it took to find that out."""

    def __init__(self, why: str, cost_us: int) -> None:
        super().__init__(why)
        self.cost_us = cost_us


def measure(schema: Schema) -> Work:
    """What ``schema`` may cost.

    Raises ValueError where that cannot be said: a reference that leads out of the schema or to nothing, one that leads
    back to itself at the same place, more patterns than a tool's arguments can need.
    """
    graph = _Graph(schema)
    counts = graph.spread({id(schema): 1})
    depths: list[_Depth] = []
    visits = 0
    while counts and len(depths) < _DEEPEST:
        visits += len(counts)
        if visits > _MAX_VISITS:
            raise DearError("the schema has more parts at each depth than can be judged", visits * _VISIT)
        depths.append(graph.at(counts))
        if depths[-1].steps > MAX_WORK:
            break  # one value at this depth is too much
        below = graph.spread(graph.descend(counts))
        if below == counts:  # and so it is at every depth from here on
            depths += depths[-1:] * (_DEEPEST - len(depths))
        counts = below
    return Work(
        tuple(depth.steps for depth in depths),
        tuple(depth.searches for depth in depths),
        tuple(depth.hard for depth in depths),
        graph.compiling,
        visits * _VISIT + graph.parts * _PART,
        graph.backtracking,
        graph.names_backtracked,
        tuple(depth.numbers for depth in depths),
        any(depth.numbers.named for depth in depths),
        tuple(depth.unique for depth in depths),
        tuple(depth.branches for depth in depths),
    )


class _Depth(NamedTuple):
    """What one schema may cost at one depth of a value (see ``Work``)."""

    steps: int
    searches: int
    hard: int
    numbers: Numbers
    unique: int
    branches: int


class _Graph:
    """The subschemas of one schema and how they lead to each other: at the same place, or one level further down."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._ids = ("$id", "id") if "draft-04" in str(root.get("$schema")) else ("$id",)
        self._root_id = next((root[key].rstrip("#") for key in self._ids if isinstance(root.get(key), str)), "")
        self._asserts = "$schema" in root and not any(one in str(root["$schema"]) for one in MODERN_DRAFTS)
        self._nodes: dict[int, Schema] = {}
        self._anchors: dict[str, list[Schema]] = {}
        self._around: dict[int, int] = {}  # the object that another lies in
        self.parts = 0
        self.weight: dict[int, int] = {}
        self.patterns: dict[int, int] = {}
        self.hard: dict[int, int] = {}
        self.compiling = 0
        self.backtracking = 0
        self.names_backtracked = False
        self.numbers: dict[int, Numbers] = {}
        self.unique: dict[int, int] = {}
        self.branches: dict[int, int] = {}
        self._here: dict[int, list[tuple[int, int]]] = {}
        self._below: dict[int, list[tuple[str | None, int]]] = {}
        self._find(root)
        self._weigh()
        for node in list(self._nodes.values()):
            self._link(node)
        self._order = self._ordered()
        self._leading = [node for node in self._order if self._here.get(node)]
        unfolding = unfolding_cost(self._nodes, self._around, self._same_place, self._referred, _name_patterns)
        if unfolding > _MAX_UNFOLDING:
            raise ValueError("the schema has more ways to what is evaluated than can be judged")
        self.compiling += unfolding

    def _find(self, root: Schema) -> None:
        """Every object in the document, also where no keyword puts a schema: a reference may point there."""
        naming = frozenset(("$anchor", "$dynamicAnchor", *self._ids))
        stack: list[tuple[Any, int]] = [(root, 0)]
        while stack:
            item, around = stack.pop()
            values = item
            if type(item) is dict:
                self._nodes[id(item)] = item
                self._around[id(item)] = around
                if not naming.isdisjoint(item):
                    for key in naming:
                        if isinstance(item.get(key), str):
                            self._name(item, item[key], key)
                values, around = item.values(), id(item)
            self.parts += len(values)
            if len(self._nodes) > _MAX_OBJECTS or self.parts > _MAX_PARTS:
                raise ValueError("the schema has more parts than can be judged")
            stack.extend((one, around) for one in values if type(one) is dict or type(one) is list)

    def _name(self, item: Schema, name: str, key: str) -> None:
        if key in self._ids and item is not self._root and not name.startswith("#"):
            # In there "#" means another root. Nobody needs that for the arguments of a tool.
            raise ValueError("the schema holds another schema with an id of its own")
        self._anchors.setdefault(name.rstrip("#").removeprefix("#"), []).append(item)

    def _weigh(self) -> None:
        for key, node in self._nodes.items():
            if not node.keys().isdisjoint(NUMERIC):
                self.numbers[key] = numbers_of(node)
                if node.get("uniqueItems") not in (None, False):
                    self.unique[key] = 1
            branches = sum(len(node[word]) for word in ("anyOf", "oneOf") if isinstance(node.get(word), list))
            if branches:
                self.branches[key] = branches
            if node.keys().isdisjoint(_WEIGHED):
                self.weight[key], self.patterns[key], self.hard[key] = 1, 0, 0
                continue
            own, named = node.get("pattern"), node.get("patternProperties")
            patterns = [pattern for pattern in (own,) if isinstance(pattern, str)]
            self.backtracking += sum(map(backtracks, patterns))
            names = [name for name in named if isinstance(name, str)] if isinstance(named, dict) else []
            self.names_backtracked = self.names_backtracked or any(map(backtracks, names))
            patterns += names
            hard = sum(map(backtracks, patterns))
            self.patterns[key], self.hard[key] = len(patterns), hard
            self.weight[key] = 1 + _looked_up(node) + 10 * len(patterns) + MAX_BACKTRACKS * hard
            if self._asserts:
                self.patterns[key] += _read_through(node)
            self.compiling += BACKTRACKING * hard + sum(map(compiling_cost, patterns))
            if self.compiling > _MAX_COMPILING:
                raise ValueError("the schema has more patterns than can be judged")

    def _link(self, node: Schema) -> None:
        if node.keys().isdisjoint(_LEADS):
            return  # most
        # What is left unevaluated is found out by evaluating the applicators once more.
        times = 2 if any(one in node for one in KEYWORDS) else 1
        here = [(id(child), times) for child in self._same_place(node)]
        here += [(id(target), times) for target in self._referred(node)]
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

    def _referred(self, node: Schema) -> Iterator[Schema]:
        for name in _REFERENCES:
            yield from self._targets(node, name)

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
        for node in self._leading:
            count = counts.get(node, 0)
            if count:
                for target, times in self._here[node]:
                    counts[target] = min(_ENOUGH, counts.get(target, 0) + count * times)
        return counts

    def at(self, counts: dict[int, int]) -> _Depth:
        """What ``counts`` evaluations cost, each subschema's own keywords."""
        steps = searches = hard = unique = branches = 0
        numbers = Numbers()
        for node, count in counts.items():
            steps += count * self.weight[node]
            if self.patterns[node]:
                searches += count * self.patterns[node]
                hard += count * self.hard[node]
            if node in self.numbers:
                numbers |= self.numbers[node]
                unique += count * self.unique.get(node, 0)
            if node in self.branches:
                branches += count * self.branches[node]
        return _Depth(min(_ENOUGH, steps), min(_ENOUGH, searches), min(_ENOUGH, hard), numbers, unique, branches)

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


def _looked_up(node: Schema) -> int:
    """How much is looked up or compared for one value, whatever it is, beyond the evaluation itself."""
    total = 0
    for word in _LISTED:
        listed = node.get(word)
        if isinstance(listed, list | dict):
            inner = listed.values() if isinstance(listed, dict) else ()
            total += len(listed) + sum(len(one) for one in inner if isinstance(one, list))
    for word in _SEVERAL:
        listed = node.get(word)
        total += sum(isinstance(one, bool) for one in listed) if isinstance(listed, list) else 0
    listed = node.get("enum")
    options = [node.get("const"), *(listed if isinstance(listed, list) else ())]
    return total + len(options) - 1 + sum(compared_cost(one) for one in options if isinstance(one, list | dict))


def _read_through(node: Schema) -> int:
    """How many searches of a text its format and its encoding cost where they are asserted."""
    total = 1 if isinstance(node.get("format"), str) and node["format"] in _LONG_FORMATS else 0
    total += 1 if "contentEncoding" in node else 0
    return total + (_PER_PARSED if "contentMediaType" in node else 0)


def _name_patterns(node: Schema) -> int:
    named = node.get("patternProperties")
    return sum(map(compiling_cost, named)) if isinstance(named, dict) else 0


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
