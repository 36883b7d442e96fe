"""All that the reference server does works behind Doorward as it does directly, but what a person must agree to."""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Any

import pytest
from mcp import types
from mcp.client import Client
from tests.e2e.peering import EVERYTHING, Answer, Place, bounded, outcome
from tests.gateway.wrapping import Wrapped

DOCUMENT = "demo://resource/static/document/architecture.md"
DYNAMIC = "demo://resource/dynamic/text/1"
BUILT_IN_TIME = re.compile(r"created at [0-9: ]+[AP]M")

# The SDK warns of what 2026-07-28 removes; older clients will use it for years.
pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")


def timeless(answer: Answer) -> Answer:
    """The server writes the time of day into some answers."""
    cleaned: Answer = json.loads(BUILT_IN_TIME.sub("created at some time", json.dumps(answer)))
    return cleaned


class Heard:
    """A client's callbacks, and what came in through them."""

    def __init__(self) -> None:
        self.logs: list[Answer] = []
        self.notifications: list[Answer] = []
        self.asked: list[str] = []
        self._news = asyncio.Condition()

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logs.append(params.model_dump(mode="json", exclude_none=True))
        await self._tell()

    async def message(self, message: Any) -> None:
        if not isinstance(message, Exception):
            self.notifications.append(message.model_dump(mode="json", by_alias=True, exclude_none=True))
        await self._tell()

    async def sample(self, _context: Any, _params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        self.asked.append("sampling")
        text = types.TextContent(type="text", text="sampled")
        return types.CreateMessageResult(role="assistant", content=text, model="test")

    async def elicit(self, _context: Any, _params: Any) -> types.ElicitResult:
        self.asked.append("elicitation")
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def roots(self, _context: Any) -> types.ListRootsResult:
        self.asked.append("roots")
        return types.ListRootsResult(roots=[])

    async def until(self, method: str) -> Answer:
        """The first notification of this method, once it came."""
        async with self._news:
            await self._news.wait_for(lambda: any(one["method"] == method for one in self.notifications))
        return next(one for one in self.notifications if one["method"] == method)

    async def until_logged(self, text: str) -> Answer:
        async with self._news:
            await self._news.wait_for(lambda: any(text in str(one["data"]) for one in self.logs))
        return next(one for one in self.logs if text in str(one["data"]))

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def listening(self) -> dict[str, Any]:
        return {"logging_callback": self.log, "message_handler": self.message}

    def answering(self) -> dict[str, Any]:
        answers = {"sampling_callback": self.sample, "elicitation_callback": self.elicit}
        return {**self.listening(), **answers, "list_roots_callback": self.roots}


async def survey(client: Client) -> dict[str, Answer]:
    """Everything that asks nothing of the client, with its answers."""
    prompt = types.PromptReference(type="ref/prompt", name="completable-prompt")
    template = types.ResourceTemplateReference(type="ref/resource", uri="demo://resource/dynamic/text/{resourceId}")
    questions = {
        "tools": client.list_tools(),
        "prompts": client.list_prompts(),
        "resources": client.list_resources(),
        "templates": client.list_resource_templates(),
        "echo": client.call_tool("echo", {"message": "grüß dich \N{WAVING HAND SIGN}"}),
        "sum": client.call_tool("get-sum", {"a": 1.5, "b": 2}),
        "image": client.call_tool("get-tiny-image", {}),
        "structured": client.call_tool("get-structured-content", {"location": "Chicago"}),
        "links": client.call_tool("get-resource-links", {"count": 3}),
        "reference": client.call_tool("get-resource-reference", {"resourceType": "Text", "resourceId": 2}),
        "annotated": client.call_tool("get-annotated-message", {"messageType": "error", "includeImage": True}),
        "simple prompt": client.get_prompt("simple-prompt"),
        "prompt with arguments": client.get_prompt("args-prompt", {"city": "Rome"}),
        "prompt with a resource": client.get_prompt("resource-prompt", {"resourceType": "Text", "resourceId": "1"}),
        "a prompt that is not there": client.get_prompt("no-such-prompt"),
        "completion of a prompt": client.complete(prompt, {"name": "department", "value": "E"}),
        "completion of a template": client.complete(template, {"name": "resourceId", "value": "1"}),
        "document": client.read_resource(DOCUMENT),
        "from a template": client.read_resource(DYNAMIC),
        "a resource that is not there": client.read_resource("demo://nowhere"),
        "subscribe": client.subscribe_resource(DYNAMIC),
        "unsubscribe": client.unsubscribe_resource(DYNAMIC),
        "log level": client.set_logging_level("warning"),
        "ping": client.send_ping(),
    }
    return {name: timeless(await outcome(question)) for name, question in questions.items()}


def test_every_answer_is_the_one_that_the_server_gives_directly(place: Place) -> None:
    async def both() -> list[tuple[Answer, dict[str, Answer]]]:
        found = []
        for command in (place.command(EVERYTHING), place.wrapped(EVERYTHING)):
            async with place.connect(command, "legacy") as client:
                declared = client.server_capabilities.model_dump(mode="json", by_alias=True, exclude_none=True)
                found.append((declared, await survey(client)))
        return found

    (direct_declared, direct), (wrapped_declared, wrapped) = bounded(both())
    assert wrapped_declared == direct_declared
    # What the server does not list is refused before it is asked.
    missing = {"a prompt that is not there", "a resource that is not there"}
    assert {name for name in direct if wrapped[name] != direct[name]} == missing
    assert [wrapped[name]["error"] for name in missing] == [-31001, -31001]
    assert "error" in direct["a resource that is not there"]
    assert "error" not in direct["subscribe"]


def test_progress_arrives_in_order_and_before_its_result(place: Place) -> None:
    async def both() -> list[list[tuple[float, float | None]]]:
        return [await steps(place.command(EVERYTHING)), await steps(place.wrapped(EVERYTHING))]

    async def steps(command: tuple[str, ...]) -> list[tuple[float, float | None]]:
        seen: list[tuple[float, float | None]] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            assert message is None
            seen.append((progress, total))

        async with place.connect(command, "legacy") as client:
            work = {"duration": 1, "steps": 4}
            result = await client.call_tool("trigger-long-running-operation", work, progress_callback=note)
            assert not result.is_error
            assert len(seen) == 4
        return seen

    direct, wrapped = bounded(both())
    assert wrapped == direct == [(1.0, 4.0), (2.0, 4.0), (3.0, 4.0), (4.0, 4.0)]


def test_log_messages_and_resource_updates_reach_a_client_that_subscribed(place: Place) -> None:
    async def listen() -> tuple[Answer, Answer]:
        heard = Heard()
        async with place.connect(place.wrapped(EVERYTHING), "legacy", **heard.listening()) as client:
            await client.subscribe_resource(DYNAMIC)
            logged = await heard.until_logged("Subscribe Resource request")
            await client.call_tool("toggle-subscriber-updates", {})
            return logged, await heard.until("notifications/resources/updated")

    logged, updated = bounded(listen())
    assert logged["level"] == "info"
    assert updated["params"]["uri"] == DYNAMIC


def test_what_asks_something_of_the_user_is_declined_while_nobody_is_attached(place: Place) -> None:
    """The same client answers all three at once when the server asks it directly."""

    async def ask(command: tuple[str, ...]) -> tuple[list[str], list[str]]:
        heard = Heard()
        async with place.connect(command, "legacy", **heard.answering()) as client:
            await heard.until("notifications/tools/list_changed")  # the server adds these tools after initialization
            texts = []
            for tool, arguments in (
                ("trigger-sampling-request", {"prompt": "hello", "maxTokens": 10}),
                ("trigger-elicitation-request", {}),
            ):
                result = await client.call_tool(tool, arguments)
                texts.append(" ".join(part.text for part in result.content if isinstance(part, types.TextContent)))
        return texts, heard.asked

    texts, asked = bounded(ask(place.command(EVERYTHING)))
    assert {"sampling", "elicitation"} <= set(asked)
    assert "sampled" in texts[0]
    assert "Ada" in texts[1]
    texts, asked = bounded(ask(place.wrapped(EVERYTHING)))
    assert asked == []
    assert "MCP error -1:" in texts[0]
    assert '"action": "decline"' in texts[1]
    assert "roots/list from the server" in place.stderr.read_text()


def test_a_task_is_started_followed_and_fetched(place: Place) -> None:
    """Tasks of 2025-11-25, which the SDK's client does not have: spoken by hand."""
    command, environment = place.wrapped(EVERYTHING), {"PATH": os.environ["PATH"], "HOME": str(place.home)}
    wrapped = Wrapped(command, environment, place.folder, place.stderr)
    try:
        wrapped.initialize({"tasks": {"list": {}, "cancel": {}}})
        call = {"name": "simulate-research-query", "arguments": {"topic": "doors"}, "task": {"ttl": 60_000}}
        named = {"taskId": wrapped.ask("tools/call", call)["result"]["task"]["taskId"]}
        assert wrapped.ask("tasks/get", named)["result"]["status"] == "working"
        (listed,) = wrapped.ask("tasks/list")["result"]["tasks"]
        assert listed["taskId"] == named["taskId"]
        (content,) = wrapped.ask("tasks/result", named)["result"]["content"]
        assert "doors" in content["text"]
        assert wrapped.ask("tasks/get", named)["result"]["status"] == "completed"
        assert wrapped.ask("tasks/cancel", named)["error"]["code"] == -32602  # the server's own: it is over
    finally:
        wrapped.stop()


PROXY = {
    *(name for one in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for name in (one, one.lower())),
    *("npm_config_proxy", "npm_config_https_proxy", "npm_config_noproxy", "NODE_USE_ENV_PROXY"),
}
"""By which its programs find their way out."""


def test_the_servers_environment_is_the_clients_and_doorwards_own_folders(place: Place) -> None:
    """The list of what Doorward adds. Nothing that was there is lost or changed."""

    async def environments() -> list[dict[str, str]]:
        found = []
        for command in (place.command(EVERYTHING), place.wrapped(EVERYTHING)):
            async with place.connect(command, "legacy") as client:
                result = await client.call_tool("get-env", {})
                (part,) = result.content
                assert isinstance(part, types.TextContent)
                found.append(json.loads(part.text))
        return found

    direct, wrapped = bounded(environments())
    assert wrapped | direct == wrapped
    temporary, caches = {"TMPDIR", "TMP", "TEMP"}, {"npm_config_cache", "UV_CACHE_DIR", "UV_TOOL_DIR"}
    assert wrapped.keys() - direct.keys() == temporary | caches | PROXY | {"GIT_CONFIG_NOSYSTEM"}
