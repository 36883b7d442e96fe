"""JSON pointers (RFC 6901): how every function of this room says where in a value something stands."""

from __future__ import annotations

from collections.abc import Iterator


def join(pointer: str, token: str | int) -> str:
    """``pointer`` with one more reference token, escaped (RFC 6901 section 3)."""
    if isinstance(token, int):
        return f"{pointer}/{token}"
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
