"""Secrets stay out of the logs of a server: a filter for ``logging``, a processor for structlog, and the masker itself.

What is masked, and how a mask looks, is ``content.redaction``: values under names that announce a secret, the shapes of
credentials, and the secrets that you name. Here it meets the two logging libraries.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, MutableMapping
from itertools import islice
from typing import Any, Final

from doorward.content.redaction import Masker

_PLAIN: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}
_TOO_MUCH: Final = "(too much to log)"
_DEEPEST: Final = 32
_MOST_PARTS: Final = 10_000
_UNREADABLE: Final = "a message that could not be formatted was left out"
_FORMATTER: Final = logging.Formatter()


def masker(secrets: Iterable[str] = ()) -> Masker:
    """A masker with a fresh key: the same value has the same mask for as long as the process lives, and no longer.

    ``secrets`` are values that your server holds and that must not appear anywhere, such as its own tokens; those
    shorter than six characters are left out, since they would mask ordinary words. What it does not protect against
    stands in ``content.redaction``: above all, a bare secret that nobody named and that has no known shape.
    """
    return Masker(os.urandom(32), secrets)


class MaskingFilter(logging.Filter):
    """Masks each record before a handler writes it: message and arguments, exception and stack, and what was added.

    Put it on handlers (``mask_logs`` does): a filter of a logger does not see what its children log. Whatever cannot be
    formatted is left out and said, rather than written raw. An exception is kept as masked text only, so that a handler
    that looks at ``exc_info`` itself sees none.

    Does not protect what does not pass ``logging`` (``print``, a library's own files, the standard error of a child),
    nor a handler that has no such filter, one added later included.
    """

    def __init__(self, secrets: Iterable[str] = (), *, using: Masker | None = None) -> None:
        super().__init__()
        self._masker = using or masker(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - whatever an argument's own code raises: its text is not known
            text = _UNREADABLE
        record.msg, record.args = self._text(text), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_info, record.exc_text = None, self._text(record.exc_text)
        if record.stack_info:
            record.stack_info = self._text(record.stack_info)
        added = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        for name in added:
            del vars(record)[name]  # which may be a secret itself
        vars(record).update(_masked(self._masker, added))
        return True

    def _text(self, text: str) -> str:
        return self._masker.mask_text(text)[0]


def mask_logs(secrets: Iterable[str] = (), *loggers: logging.Logger) -> MaskingFilter:
    """Put one ``MaskingFilter`` on every handler of these loggers (default: the root logger), and return it.

    Call it after logging was configured: handlers that are added later do not have it. Where there is no handler yet,
    Python's own last resort gets it. Calling it again adds no second filter; it makes one with the new secrets instead.
    """
    mine = MaskingFilter(secrets)
    for logger in loggers or (logging.getLogger(),):
        for handler in logger.handlers or ([logging.lastResort] if logging.lastResort else []):
            before = [one for one in handler.filters if isinstance(one, MaskingFilter)]
            handler.addFilter(mine)  # first, or what another thread logs in between would pass
            for old in before:
                handler.removeFilter(old)
    return mine


class MaskingProcessor:
    """The same for structlog: put it last, before the renderer.

    Everything in the event is masked, at any depth, by the names it stands under. A value that is no text, number, list
    or object is masked as its ``repr``, an exception as its traceback. Does not protect what a later processor adds.
    """

    def __init__(self, secrets: Iterable[str] = (), *, using: Masker | None = None) -> None:
        self._masker = using or masker(secrets)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        raised = event.pop("exc_info", None)
        if raised:
            event["exception"] = _traceback(raised)
        return _masked(self._masker, event)


def _masked(using: Masker, values: Mapping[str, Any]) -> dict[str, Any]:
    masked: dict[str, Any] = using.mask_tree(_Plain().of(values))[0]
    return masked


class _Plain:
    """Values as decoded JSON: what is of another kind would be written by its own code, past the masker."""

    def __init__(self) -> None:
        self._left = _MOST_PARTS

    def of(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return str(value)
        if depth > _DEEPEST or self._left < 0:
            return _TOO_MUCH
        if isinstance(value, Mapping):
            return {str(name): self.of(below, depth + 1) for name, below in islice(value.items(), max(self._left, 0))}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(below, depth + 1) for below in islice(value, max(self._left, 0))]
        try:
            return repr(value)
        except Exception:  # noqa: BLE001 - as above
            return _UNREADABLE


def _traceback(raised: Any) -> str:
    if isinstance(raised, BaseException):
        raised = (type(raised), raised, raised.__traceback__)
    elif not isinstance(raised, tuple):
        import sys

        raised = sys.exc_info()
    return _FORMATTER.formatException(raised) if raised[0] else ""
