"""Actions: what a message does, whatever era and side it comes from.

Both eras end here. A 2025-11-25 ``sampling/createMessage`` and a 2026-07-28 ``input_required`` result become the same
:class:`RequestInput`, so one check serves both. :func:`interpret` is total: what it does not understand is
:class:`Unrecognised`, never nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from doorward.protocol import versions
from doorward.wire.jsonrpc import Message, Notification, Request, Response, key_or_nothing


class DeclareCapabilities(msgspec.Struct, frozen=True):
    """A client says what it can do: in ``initialize``, or in ``_meta`` of each modern request."""

    version: str
    capabilities: dict[str, Any]
    info: dict[str, Any]


class DeclareServer(msgspec.Struct, frozen=True):
    """A server says what it speaks and can do: the result of ``initialize`` or ``server/discover``."""

    versions: tuple[str, ...]
    capabilities: dict[str, Any]
    info: dict[str, Any]


class CallTool(msgspec.Struct, frozen=True):
    """A tool is called with arguments."""

    name: str
    arguments: dict[str, Any]


class ReadResource(msgspec.Struct, frozen=True):
    """Resources are read or watched. ``verb`` is "read", "subscribe", "unsubscribe" or "listen"; only a modern listen
    names more than one.
    """

    uris: tuple[str, ...]
    verb: str


class GetPrompt(msgspec.Struct, frozen=True):
    """A prompt is asked for with arguments."""

    name: str
    arguments: dict[str, Any]


class Complete(msgspec.Struct, frozen=True):
    """A completion of an argument of a prompt or of a resource template (``reference`` names it). ``others`` are the
    arguments that have their values already.
    """

    reference: str
    argument: str
    value: str
    others: dict[str, Any] = {}


class Enumerate(msgspec.Struct, frozen=True):
    """A list is asked for: tools, prompts, resources, templates, tasks."""

    what: str
    cursor: str


class Operate(msgspec.Struct, frozen=True):
    """Housekeeping that touches nothing outside the link: ping, log level, listening without URIs."""

    method: str


class HandleTask(msgspec.Struct, frozen=True):
    """A task of the tasks extension is looked at, answered or ended."""

    verb: str
    task: str


class RequestInput(msgspec.Struct, frozen=True):
    """A server asks something of the client: a completion by its model, an answer of its user, its roots.

    ``method`` is the legacy method's name in both eras; ``key`` is the entry of ``inputRequests`` (modern) or empty.
    """

    method: str
    params: dict[str, Any]
    key: str


class AnswerInput(msgspec.Struct, frozen=True):
    """A client answers such a request. ``result`` is None where it answered with an error."""

    method: str
    result: dict[str, Any] | None
    key: str


class EmitLog(msgspec.Struct, frozen=True):
    """A server sends a log message."""

    level: str
    logger: str
    data: Any


class ReportProgress(msgspec.Struct, frozen=True):
    """Progress of a request; ``token`` is its progress token as JSON text."""

    token: str


class Cancel(msgspec.Struct, frozen=True):
    """A request is taken back by its sender."""

    request: str  # the id as JSON text


class Announce(msgspec.Struct, frozen=True):
    """Something changed: a list, a resource, a task (which returned ``result``, modern); or a phase was reached."""

    what: str
    uri: str
    task: str = ""
    result: dict[str, Any] | None = None


class Advertise(msgspec.Struct, frozen=True):
    """A server lists what it offers. ``complete`` when the list was asked from its start and has no further page."""

    what: str  # "tools/list" …
    items: tuple[dict[str, Any], ...]
    cursor: str  # of the next page, or empty


class ReturnResult(msgspec.Struct, frozen=True):
    """A result that is none of the special ones."""

    method: str
    result: dict[str, Any]


class ReturnError(msgspec.Struct, frozen=True):
    """An error instead of a result."""

    method: str
    error: dict[str, Any]


class Unrecognised(msgspec.Struct, frozen=True):
    """Something that no rule here understands. It is refused."""

    method: str
    why: str


Action = (
    DeclareCapabilities
    | DeclareServer
    | CallTool
    | ReadResource
    | GetPrompt
    | Complete
    | Enumerate
    | Operate
    | HandleTask
    | RequestInput
    | AnswerInput
    | EmitLog
    | ReportProgress
    | Cancel
    | Announce
    | Advertise
    | ReturnResult
    | ReturnError
    | Unrecognised
)


def interpret(
    message: Message, era: str, method: str = "", asked: tuple[tuple[str, str], ...] = ()
) -> tuple[Action, ...]:
    """The actions in ``message``.

    ``method`` is, for a response, the method of the request that it answers; ``asked`` holds, for a retried modern
    request, the keys that were asked and the method of each. Never raises for any decoded message.
    """
    if isinstance(message, Response):
        return _response(message, era, method)
    if isinstance(message, Notification):
        return _notified(message.method, message.params or {})
    params = message.params or {}
    if era == "modern":
        return (*_modern_envelope(params, dict(asked)), _request(message, params))
    return (_request(message, params),)


# -- requests ---------------------------------------------------------------------------------------------------------


def _request(message: Request, params: dict[str, Any]) -> Action:
    reader = _REQUESTS.get(message.method)
    if reader is not None:
        action = reader(message.method, params)
        return action if action is not None else Unrecognised(message.method, "its params are not of the method's form")
    if message.method in versions.INPUT_METHODS:
        return RequestInput(message.method, params, "")
    return Unrecognised(message.method, "an unknown method")


def _modern_envelope(params: dict[str, Any], asked: dict[str, str]) -> tuple[Action, ...]:
    meta = params.get("_meta")
    meta = meta if isinstance(meta, dict) else {}
    version, capabilities = meta.get(versions.META_VERSION), meta.get(versions.META_CAPABILITIES)
    info = meta.get(versions.META_CLIENT_INFO, {})
    if not isinstance(version, str) or not isinstance(capabilities, dict) or not isinstance(info, dict):
        return (Unrecognised("_meta", "the envelope of a modern request is not of its form"),)
    responses = params.get("inputResponses")
    answers: tuple[Action, ...] = ()
    if isinstance(responses, dict):
        answers = tuple(
            AnswerInput(asked.get(key, ""), value if isinstance(value, dict) else None, key)
            for key, value in responses.items()
        )
    elif responses is not None:
        answers = (Unrecognised("inputResponses", "not an object"),)
    return (DeclareCapabilities(version, capabilities, info), *answers)


def _text(params: dict[str, Any], name: str) -> str | None:
    value = params.get(name)
    return value if isinstance(value, str) else None


def _object(params: dict[str, Any], name: str) -> dict[str, Any] | None:
    value = params.get(name, {})
    return value if isinstance(value, dict) else None


def _initialize(_: str, params: dict[str, Any]) -> Action | None:
    version, capabilities = _text(params, "protocolVersion"), _object(params, "capabilities")
    info = _object(params, "clientInfo")
    if version is None or capabilities is None or info is None:
        return None
    return DeclareCapabilities(version, capabilities, info)


def _call_tool(_: str, params: dict[str, Any]) -> Action | None:
    name, arguments = _text(params, "name"), _object(params, "arguments")
    return None if name is None or arguments is None else CallTool(name, arguments)


def _get_prompt(_: str, params: dict[str, Any]) -> Action | None:
    name, arguments = _text(params, "name"), _object(params, "arguments")
    return None if name is None or arguments is None else GetPrompt(name, arguments)


def _resource(method: str, params: dict[str, Any]) -> Action | None:
    uri = _text(params, "uri")
    return None if uri is None else ReadResource((uri,), method.rpartition("/")[2])


def _listen(method: str, params: dict[str, Any]) -> Action | None:
    wanted = params.get("notifications", {})
    uris = wanted.get("resourceSubscriptions", []) if isinstance(wanted, dict) else None
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        return None
    return ReadResource(tuple(uris), "listen") if uris else Operate(method)


def _complete(_: str, params: dict[str, Any]) -> Action | None:
    reference, argument = _object(params, "ref"), _object(params, "argument")
    if reference is None or argument is None:
        return None
    named = reference.get("name", reference.get("uri"))
    if "name" in reference and "uri" in reference:  # of a prompt or of a resource: one reader takes this, one that
        return None
    name, value = argument.get("name"), argument.get("value")
    if not isinstance(named, str) or not isinstance(name, str) or not isinstance(value, str):
        return None
    context = _object(params, "context")
    others = None if context is None else _object(context, "arguments")
    return None if others is None else Complete(named, name, value, others)


def _enumerate(method: str, params: dict[str, Any]) -> Action | None:
    cursor = params.get("cursor") or ""
    return Enumerate(method, cursor) if isinstance(cursor, str) else None


def _operate(method: str, _: dict[str, Any]) -> Action | None:
    return Operate(method)


def _task(method: str, params: dict[str, Any]) -> Action | None:
    task = _text(params, "taskId")
    return None if task is None else HandleTask(method.rpartition("/")[2], task)


_REQUESTS: Final = {
    "initialize": _initialize,
    "server/discover": _operate,
    "ping": _operate,
    "logging/setLevel": _operate,
    "tools/call": _call_tool,
    "tools/list": _enumerate,
    "prompts/list": _enumerate,
    "prompts/get": _get_prompt,
    "resources/list": _enumerate,
    "resources/templates/list": _enumerate,
    "resources/read": _resource,
    "resources/subscribe": _resource,
    "resources/unsubscribe": _resource,
    "subscriptions/listen": _listen,
    "completion/complete": _complete,
    "tasks/list": _enumerate,
    "tasks/get": _task,
    "tasks/result": _task,
    "tasks/cancel": _task,
    "tasks/update": _task,
}

# -- notifications ----------------------------------------------------------------------------------------------------


def _notified(method: str, params: dict[str, Any]) -> tuple[Action, ...]:
    if _task_asks(params) or ("inputRequests" in params and method != "notifications/tasks"):
        return (Unrecognised(method, "it asks for input where none may be asked"),)
    asks = _asks(method, params) if "inputRequests" in params else ()
    return (*asks, _notification(method, params))


def _notification(method: str, params: dict[str, Any]) -> Action:
    if method == "notifications/message":
        level, logger = params.get("level"), params.get("logger", "")
        if isinstance(level, str) and level in versions.LOG_LEVELS and isinstance(logger, str):
            return EmitLog(level, logger, params.get("data"))
        return Unrecognised(method, "a log message without a known level")
    if method == "notifications/progress":
        return ReportProgress(key_or_nothing(params.get("progressToken")))
    if method == "notifications/cancelled":
        return Cancel(key_or_nothing(params.get("requestId")))
    if method in versions.ANNOUNCEMENTS:
        uri, task, done = params.get("uri", ""), params.get("taskId", ""), params.get("result")
        if isinstance(uri, str) and isinstance(task, str) and isinstance(done, dict | None):
            return Announce(method, uri, task, done)
        return Unrecognised(method, "an announcement that is not of its form")
    return Unrecognised(method, "an unknown notification")


# -- responses --------------------------------------------------------------------------------------------------------


def _response(message: Response, era: str, method: str) -> tuple[Action, ...]:
    if message.error is not None:
        if method in versions.INPUT_METHODS:
            return (AnswerInput(method, None, ""),)
        return _error(method, message.error)
    result = message.result or {}
    if method in versions.INPUT_METHODS:
        return (AnswerInput(method, result, ""),)
    kind = result.get("resultType", "complete")
    if kind == "input_required" and era == "modern":
        return _input_required(method, result)
    if ("inputRequests" in result and not (era == "modern" and method == "tasks/get")) or _task_asks(result):
        return (Unrecognised(method, "it asks for input where none may be asked"),)
    if kind == "task" and era == "modern" and method == "tools/call":
        return (HandleTask("start", str(result.get("taskId", ""))),)
    if kind != "complete":
        return (Unrecognised(method, f"an unknown kind of result {str(kind)[:40]!r}"),)
    asks = _asks(method, result) if "inputRequests" in result else ()
    return (*asks, _complete_result(method, result))


def _error(method: str, error: dict[str, Any]) -> tuple[Action, ...]:
    """An error. One code of it asks: URL elicitation required, whose data lists what a client shows to its user."""
    if error.get("code") != versions.URL_ELICITATION_REQUIRED:
        return (ReturnError(method, error),)
    data = error.get("data")
    asked = data.get("elicitations") if isinstance(data, dict) else None
    if not isinstance(asked, list) or not asked or not all(isinstance(params, dict) for params in asked):
        return (Unrecognised(method, "it requires elicitation and names none"),)
    asks = (RequestInput("elicitation/create", params, str(place)) for place, params in enumerate(asked))
    return (*asks, ReturnError(method, error))


def _task_asks(holder: dict[str, Any]) -> bool:
    """Whether a task inside of ``holder`` carries requests for input. Only the result of ``tasks/get`` may, itself."""
    task = holder.get("task")
    return isinstance(task, dict) and "inputRequests" in task


def _input_required(method: str, result: dict[str, Any]) -> tuple[Action, ...]:
    if method not in versions.MAY_REQUIRE_INPUT:
        return (Unrecognised(method, "it asks for input where none may be asked"),)
    if "inputRequests" not in result and "requestState" not in result:
        return (Unrecognised(method, "it requires input and names none"),)
    if not isinstance(result.get("requestState", ""), str):
        return (Unrecognised(method, "requestState is not a string"),)
    return _asks(method, result) or (ReturnResult(method, result),)


def _asks(method: str, result: dict[str, Any]) -> tuple[Action, ...]:
    requests = result.get("inputRequests", {})
    if not isinstance(requests, dict):
        return (Unrecognised(method, "inputRequests is not an object"),)
    return tuple(_ask(key, request) for key, request in requests.items())


def _ask(key: str, request: object) -> Action:
    if isinstance(request, dict) and request.keys() <= {"method", "params"}:
        method, params = request.get("method"), request.get("params", {})
        if isinstance(method, str) and method in versions.INPUT_METHODS and isinstance(params, dict):
            return RequestInput(method, params, key)
    return Unrecognised("inputRequests", f"its entry {key[:40]!r} is no request for input")


def _complete_result(method: str, result: dict[str, Any]) -> Action:
    if method == "initialize":
        version = result.get("protocolVersion")
        return _server(method, result, (version,))
    if method == "server/discover":
        offered = result.get("supportedVersions", ())
        return _server(method, result, tuple(offered) if isinstance(offered, list) else (None,))
    member = versions.LISTS.get(method)
    if member is None:
        return ReturnResult(method, result)
    items, cursor = result.get(member), result.get("nextCursor") or ""
    if not isinstance(items, list) or not all(isinstance(i, dict) for i in items) or not isinstance(cursor, str):
        return Unrecognised(method, "a list that is not of its form")
    return Advertise(method, tuple(items), cursor)


def _server(method: str, result: dict[str, Any], offered: tuple[Any, ...]) -> Action:
    info = result.get("serverInfo")
    if info is None:
        meta = result.get("_meta")
        info = meta.get(versions.META_SERVER_INFO, {}) if isinstance(meta, dict) else {}
    capabilities = result.get("capabilities", {})
    if not all(isinstance(v, str) for v in offered) or not isinstance(capabilities, dict) or not isinstance(info, dict):
        return Unrecognised(method, "a server's declaration that is not of its form")
    return DeclareServer(offered, capabilities, info)
