"""JSON pointers (RFC 6901): how every function of this room says where in a value something stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_LONGEST: Final = 4096
_LONGEST_TOKEN: Final = 512
_CUT: Final = "\u2026"


def join(pointer: str, token: str | int) -> str:
    """``pointer`` with one more reference token, escaped (RFC 6901 section 3).

    A pointer is for people and never longer than a few kilobytes: a token of more than 512 characters is cut, and
    what lies below more than 4,096 is not named any further. Otherwise one name of a megabyte above ten thousand items
    would be copied ten thousand times.
    """
    if len(pointer) > _LONGEST:
        return pointer if pointer.endswith(_CUT) else f"{pointer}/{_CUT}"
    if isinstance(token, int):
        return f"{pointer}/{token}"
    if len(token) > _LONGEST_TOKEN:
        token = token[:_LONGEST_TOKEN] + _CUT
    return f"{pointer}/{token.replace('~', '~0').replace('/', '~1')}"


def split(pointer: str) -> tuple[str, ...]:
    """The unescaped tokens of ``pointer``; the empty pointer has none."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def children(value: object, pointer: str) -> Iterator[tuple[str, str | int, object]]:
    """``(pointer, token, child)`` of each member or item of ``value``; nothing for a scalar."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield join(pointer, str(name)), str(name), child
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield join(pointer, index), index, child


def strings(value: object) -> Iterator[str]:
    """Every string in ``value``, member names included, in no particular order and without saying where it stands."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)


def leaves(value: object, pointer: str = "") -> Iterator[tuple[str, object, bool]]:
    """``(pointer, leaf, is_name)`` of every scalar in ``value`` and of every member name, in document order.

    A name is reported with the pointer of the member that it names. Iterative, so that depth costs memory, not stack.
    """
    if not isinstance(value, dict | list | tuple):
        yield pointer, value, False
        return
    stack = [children(value, pointer)]
    while stack:
        for place, token, child in stack[-1]:
            if isinstance(token, str):
                yield place, token, True
            if isinstance(child, dict | list | tuple):
                stack.append(children(child, place))
                break
            yield place, child, False
        else:
            stack.pop()


def empty_objects(value: object, pointer: str = "") -> Iterator[str]:
    """Where objects without members stand in ``value``, itself included: no leaf tells of one."""
    waiting: list[tuple[str, object]] = [(pointer, value)]
    for place, one in waiting:
        if isinstance(one, dict) and not one:
            yield place
        waiting += [
            (below, child) for below, _, child in children(one, place) if isinstance(child, dict | list | tuple)
        ]


def inside(level: list[object]) -> list[object]:
    """What stands one level further down than the values of ``level``: members of objects, items of arrays."""
    below: list[object] = []
    for value in level:
        if isinstance(value, dict):
            below.extend(value.values())
        elif isinstance(value, list):
            below.extend(value)
    return below


def levels(value: object) -> Iterator[list[object]]:
    """``value`` alone, then what stands inside it, level by level."""
    level = [value]
    while level:
        yield level
        level = inside(level)
