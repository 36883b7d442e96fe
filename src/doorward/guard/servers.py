"""One line for a whole server: limits around every request, refusals that the model can read, features by session.

    server = guard.protect(MCPServer("notes"))

The Python SDK's ``MCPServer`` and its low-level ``Server`` (mcp 2.3 or later) and FastMCP (4 or later) are known by
what they are; nothing of either is imported before one is given.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TypeVar

from doorward.errors import RefusedError
from doorward.guard.budgets import MAX_BYTES, Concurrency, RateLimit, check_size
from doorward.guard.features import FeatureGate, Features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TOO_MANY: Final = -31003
"""The gateway's own code for what is over a rate or a capacity (docs/architecture.md, section 5)."""
_INVALID_REQUEST, _INVALID_PARAMS = -32600, -32602
_STANDING: Final = "subscriptions/listen"
_ALWAYS: Final = frozenset({"notifications/cancelled"})

_features: ContextVar[Features] = ContextVar("doorward_features")

Server = TypeVar("Server")
Key = Callable[[Any], Hashable]


class _Around(NamedTuple):
    """What stands around every request of one server."""

    rate: RateLimit | None
    concurrency: Concurrency | None
    standing: Concurrency | None
    features: FeatureGate | None
    key: Key | None
    max_bytes: int

    @contextmanager
    def request(self, context: Any, params: Any, session: Any) -> Iterator[None]:
        """Count, measure and hold a place for one request, or raise RefusedError."""
        key = self.key(context) if self.key else ""
        if self.rate:
            self.rate.take(key)
        check_size(params, self.max_bytes)
        places = self.standing if context.method == _STANDING else self.concurrency
        held: AbstractContextManager[None] = places.hold(key) if places else nullcontext()
        with held:
            declared = session.client_capabilities if self.features and session is not None else None
            said = declared.model_dump(mode="json", by_alias=True, exclude_none=True) if declared else None
            allowed = self.features.declared(said, key) if self.features else Features(frozenset())
            token = _features.set(allowed)
            try:
                yield
            finally:
                _features.reset(token)


def current_features() -> Features:
    """What the client of the request that is being answered may be asked for; nothing outside of one.

    Needs ``protect(server, features=FeatureGate(...))``. Does not ask anybody: the SDK does, and should only after
    ``current_features().require("sampling")``.
    """
    return _features.get(Features(frozenset()))


def protect(
    server: Server,
    *,
    rate: RateLimit | None = None,
    concurrency: Concurrency | None = None,
    features: FeatureGate | None = None,
    key: Key | None = None,
    max_bytes: int = MAX_BYTES,
) -> Server:
    """Put guards around every request of a server, and return the very same server.

    * A ``RefusedError`` that a tool raises becomes a result with ``isError`` and the refusal's own words, so that a
      model can correct itself; without this, the SDKs tell it nothing. One in a resource becomes an error.
    * ``rate`` and ``concurrency`` refuse with -31003 and, where it is known, ``retryAfterMs``. A notification that is
      over is dropped; a cancellation never is. Streams that are listened on (``subscriptions/listen``) stand for as
      long as their clients want: they have as many places of their own, and take none from work. ``key`` tells callers
      apart by the request's context (the SDK's ``ServerRequestContext``, FastMCP's ``MiddlewareContext``): best by who
      was authenticated. Default: one for all.
    * Params larger than ``max_bytes``, of more than 20,000 parts or deeper than 64 levels are refused with -32602.
    * With ``features``, ``current_features()`` is what the client may be asked for; ``key`` is then the principal.
    * A second ``initialize`` in a session is refused (Python SDK): it would declare other capabilities.

    Raises TypeError for what is none of the three servers. Does not check any argument: ``guard.arguments`` does, for
    each tool; nor bound what is read before a request is decoded, nor results, nor authenticate anybody.
    """
    standing = concurrency.another() if concurrency else None
    around = _Around(rate, concurrency, standing, features, key, max_bytes)
    modules = {one.__module__.partition(".")[0] for one in type(server).__mro__}
    if "fastmcp" in modules:
        _protect_fastmcp(server, around)
    elif "mcp" in modules and isinstance(getattr(server, "middleware", None), list):
        _protect_sdk(server, around)
    else:
        raise TypeError("protect() knows MCPServer and Server of the Python SDK, and FastMCP")
    return server


def _error(refusal: RefusedError) -> Exception:
    from mcp import MCPError

    if refusal.rule in ("rate", "concurrency"):
        wait = refusal.retry_after
        return MCPError(TOO_MANY, str(refusal), None if wait is None else {"retryAfterMs": math.ceil(wait * 1000)})
    return MCPError(_INVALID_PARAMS, str(refusal))


@contextmanager
def _unwrapped(
    wrappers: tuple[type[BaseException], ...], told: Callable[[RefusedError], BaseException]
) -> Iterator[None]:
    """Tell a refusal that an SDK wrapped up as what the client can read. What an author made of one is the author's."""
    caught: tuple[type[BaseException], ...] = (RefusedError, *wrappers)
    try:
        yield
    except caught as error:
        behind: BaseException = error
        while isinstance(behind, wrappers) and behind.__cause__ is not None:
            behind = behind.__cause__
        if not isinstance(behind, RefusedError):
            raise
        raise told(behind) from None


def _told_by(kind: type[Exception]) -> Callable[[RefusedError], Exception]:
    return lambda refusal: kind(str(refusal))


# --- the Python SDK --------------------------------------------------------------------------------------------------


def _protect_sdk(server: Any, around: _Around) -> None:
    from mcp import MCPError
    from mcp_types import CallToolResult, TextContent

    async def guarded(context: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        if context.method in _ALWAYS:
            return await call_next(context)
        if context.method == "initialize" and context.session.client_params is not None:
            raise MCPError(_INVALID_REQUEST, "the session was initialized already")
        try:
            with around.request(context, context.params, context.session):
                return await answered(context, call_next)
        except RefusedError as refusal:
            if context.request_id is None:
                return None
            raise _error(refusal) from None

    async def answered(context: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return await call_next(context)
        except RefusedError as refusal:
            if context.method != "tools/call":
                raise
            return CallToolResult(content=[TextContent(type="text", text=str(refusal))], is_error=True)

    server.middleware.append(guarded)
    if hasattr(server, "call_tool"):
        _unwrap_refusals(server)


def _unwrap_refusals(server: Any) -> None:
    """``MCPServer`` turns what a tool raises into one sentence for all, within reach of no middleware."""
    from mcp.server.mcpserver.exceptions import ToolError, UnexpectedResourceError, UnexpectedToolError

    wrappers = (UnexpectedToolError, UnexpectedResourceError)
    call_tool, read_resource = server.call_tool, server.read_resource

    async def calling(*args: Any, **kwargs: Any) -> Any:
        with _unwrapped(wrappers, _told_by(ToolError)):
            return await call_tool(*args, **kwargs)

    async def reading(*args: Any, **kwargs: Any) -> Any:
        with _unwrapped(wrappers, _error):
            return await read_resource(*args, **kwargs)

    server.call_tool, server.read_resource = calling, reading


# --- FastMCP ---------------------------------------------------------------------------------------------------------


def _protect_fastmcp(server: Any, around: _Around) -> None:
    # FastMCP is not installed where types are checked.
    from fastmcp.exceptions import ResourceError, ToolError  # type: ignore[import-not-found] # see above
    from fastmcp.server.middleware import Middleware  # type: ignore[import-not-found] # see above

    class Guarded(Middleware):  # type: ignore[misc] # see above
        async def on_request(self, context: Any, call_next: Any) -> Any:
            try:
                with around.request(context, _dumped(context.message), _session_of(context)):
                    return await call_next(context)
            except RefusedError as refusal:
                raise _error(refusal) from None

        async def on_notification(self, context: Any, call_next: Any) -> Any:
            if context.method not in _ALWAYS:
                try:
                    with around.request(context, _dumped(context.message), None):
                        pass
                except RefusedError:
                    return None
            return await call_next(context)

        async def on_call_tool(self, context: Any, call_next: Any) -> Any:
            with _unwrapped((ToolError,), _told_by(ToolError)):
                return await call_next(context)

        async def on_read_resource(self, context: Any, call_next: Any) -> Any:
            with _unwrapped((ResourceError,), _error):
                return await call_next(context)

    server.add_middleware(Guarded())


def _dumped(message: Any) -> Any:
    return message.model_dump() if hasattr(message, "model_dump") else message


def _session_of(context: Any) -> Any:
    try:
        return context.fastmcp_context.session
    except (AttributeError, RuntimeError):  # no session yet: it is being initialized
        return None
