"""What a tool demands of its arguments, said once above the function, and judged before it runs.

    @guard.arguments(name=guard.identifier, text=(guard.single_line, guard.max_length(200)))
    def rename(name: str, text: str) -> str: ...

The demands are those that an operator can write in ``doorward.toml`` (``content.constraints`` says what each means and
what it does not protect against), so that a server says itself what others would otherwise have to say for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from doorward.content import constraints
from doorward.content.pointers import empty_objects, leaves
from doorward.errors import RefusedError

RULE: Final = "arguments"
_LONGEST_PLACE: Final = 200
_MARK: Final = "__doorward_demands__"

Function = TypeVar("Function", bound=Callable[..., Any])


class Demand(NamedTuple):
    """One thing to demand of a value: ``judge`` answers why it does not hold, or None.

    ``of_text``: numbers are judged as the text that a program would print, and member names of objects as well. Else an
    object is refused, since it is never what was meant.
    """

    judge: Callable[[Any], str | None]
    of_text: bool = True


identifier: Final = Demand(constraints.identifier)
no_leading_dash: Final = Demand(constraints.no_leading_dash)
no_shell_metacharacters: Final = Demand(constraints.no_shell_metacharacters)
single_line: Final = Demand(constraints.single_line)


def max_length(characters: int) -> Demand:
    """At most so many characters in each text. See ``content.constraints``. Not the sum: ``guard.check_size`` is."""
    return Demand(lambda text: constraints.max_length(text, characters))


def one_of(*allowed: object) -> Demand:
    """One of the values allowed, exactly; in a list each item. Does not say that it suits the other arguments."""
    return Demand(lambda value: constraints.one_of(value, allowed), of_text=False)


def number_range(minimum: float | None = None, maximum: float | None = None, *, integer: bool = False) -> Demand:
    """A number within both bounds, which are included; in a list each item. Does not bound how many there are."""
    return Demand(lambda value: constraints.number_range(value, minimum, maximum, integer=integer), of_text=False)


def pattern(expression: str) -> Demand:
    """The whole text fits the regular expression, which is searched in linear time and is trusted: you wrote it.

    Raises ValueError at once for one that cannot be used. See ``content.constraints.pattern`` for the dialect.
    """
    problem = constraints.pattern_problem(expression)
    if problem is not None:
        raise ValueError(problem)
    return Demand(lambda text: constraints.pattern(text, expression))


def path_below(folder: str) -> Demand:
    """Every reading of the text as a path ends below the absolute folder, by its text alone.

    Does not protect against links, nor against what changes before you open it: open with ``guard.Root``.
    """
    if not folder.startswith("/"):
        raise ValueError("a folder is written as an absolute path")
    return Demand(lambda text: constraints.path_below(text, folder))


def url_allow(*places: str) -> Demand:
    """A URL of one of these places, as ``https://api.example.com`` or ``https://example.com/v1/``.

    Does not protect against what the name resolves to when you connect, nor against redirects. Raises ValueError at
    once for a place that is no URL.
    """
    constraints.url_allow("", places)
    return Demand(lambda text: constraints.url_allow(text, places))


def violation(value: object, *demands: Demand) -> str | None:
    """Why ``value`` breaks one of the demands, or None. A container is judged in all that it holds, at any depth.

    Judged are texts, numbers, booleans, None, paths, and lists and objects of them; anything else breaks every demand,
    since it is not known what will be done with it: judge its fields.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None and demands:
        return "nothing was given"
    for demand in demands:
        if not demand.of_text and (empty := next(empty_objects(value), None)) is not None:
            return f"{_shown(empty)}holds an object where a value is expected"
        for place, leaf, is_name in leaves(value):
            reason = _broken(demand, leaf, is_name=is_name)
            if reason is not None:
                return f"{_shown(place)}{reason}"
    return None


def check(name: str, value: object, *demands: Demand) -> None:
    """Raise RefusedError (rule ``arguments``) where ``value``, called ``name``, breaks one of the demands."""
    reason = violation(value, *demands)
    if reason is not None:
        raise RefusedError(RULE, f"{name}: {reason}")


def arguments(**demands: Demand | Iterable[Demand]) -> Callable[[Function], Function]:
    """Demand something of the arguments of a function, by their names: one demand or several for each.

    The function, plain or async, keeps its signature, so that an SDK still reads its schema. Whatever is passed is
    judged, by position or by name; only a parameter's own default is not. Raises RefusedError (rule ``arguments``)
    instead of calling the function; ValueError at once where it has no such parameter.

    Does not protect an argument that you do not name (``undemanded`` lists those), nor against arguments that are each
    allowed and together are not.
    """
    wanted = {name: (one,) if isinstance(one, Demand) else tuple(one) for name, one in demands.items()}

    def decorate(function: Function) -> Function:
        from functools import wraps
        from inspect import Parameter, iscoroutinefunction, signature

        shape = signature(function)
        missing = sorted(wanted.keys() - shape.parameters.keys())
        if missing:
            raise ValueError(f"{function.__name__} has no parameter {', '.join(missing)}")
        if any(shape.parameters[name].kind is Parameter.VAR_KEYWORD for name in wanted):
            raise ValueError("name the arguments, not what collects those without a name")
        defaults = {name: parameter.default for name, parameter in shape.parameters.items()}

        def judge(args: Sequence[Any], kwargs: dict[str, Any]) -> None:
            for name, value in shape.bind(*args, **kwargs).arguments.items():
                if name in wanted and not _same(value, defaults[name]):
                    check(name, value, *wanted[name])

        @wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            judge(args, kwargs)
            return function(*args, **kwargs)

        @wraps(function)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            judge(args, kwargs)
            return await function(*args, **kwargs)

        chosen = waiting if iscoroutinefunction(function) else plain
        vars(chosen)[_MARK] = vars(function).get(_MARK, frozenset()) | wanted.keys()
        return cast("Function", chosen)

    return decorate


def undemanded(function: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters of a function of which nothing is demanded: for a test of your server that wants none."""
    from inspect import signature

    named: frozenset[str] = vars(function).get(_MARK, frozenset())
    return tuple(name for name in signature(function).parameters if name not in named)


def _broken(demand: Demand, leaf: object, *, is_name: bool) -> str | None:
    if not isinstance(leaf, str | int | float | None):
        return "is of a kind that cannot be judged"
    if demand.of_text:
        return demand.judge(leaf if isinstance(leaf, str) else _printed(leaf))
    return "holds an object where a value is expected" if is_name else demand.judge(leaf)


def _printed(leaf: float | None) -> str:
    if leaf is None:
        return "null"
    return str(leaf).lower() if isinstance(leaf, bool) else repr(leaf)


def _same(value: object, default: object) -> bool:
    return value is default or (
        type(value) is type(default) and isinstance(value, str | int | float) and value == default
    )


def _shown(place: str) -> str:
    if not place:
        return ""
    from doorward.content.text import reveal  # only for a refusal

    return f"{reveal(place[:_LONGEST_PLACE])} "
