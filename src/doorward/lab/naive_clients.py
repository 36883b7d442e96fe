"""Clients that mean well and ask their user badly: the two of ``consent-bypass``, and one that asks not at all.

They use the SDK's client as it is; what is wrong with them is what they do when a server asks for something. The model
is a recorder: what it was given is what an oracle reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mcp import types

if TYPE_CHECKING:
    from mcp.client.session import ClientRequestContext

    from doorward.lab.stage import Stage

TRUSTED = ("trusted.com",)
CONFIGURED_AS = "mail.trusted.com"
"""The name under which the user once wrote the malicious server into the client's configuration."""

MARKUP = re.compile(
    r"""<!--.*?--> | <(\w+)[^>]*display:none[^>]*>.*?</\1> | <[^>]*> | \[(?P<link>[^]]*)\]\([^)]*\)""",
    re.DOTALL | re.VERBOSE,
)
"""What a page takes for markup (HTML, and links of Markdown): of all that, the words of a link are drawn."""


class Model:
    """A language model as far as this lab needs one: it notes what it was given and answers one sentence."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def complete(self, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        parts = [params.system_prompt or "", *(_given(message) for message in params.messages)]
        self._stage.model.append("\n".join(part for part in parts if part))
        answer = types.TextContent(text=f"all is well, {self._stage.greeting}")
        return types.CreateMessageResult(role="assistant", content=answer, model="recorder")


class MisleadingDialogue:
    """Shows the first sentence, as a page would render it, and no picture; once the user says yes to that, it sends
    everything.
    """

    def __init__(self, stage: Stage, expected: str) -> None:
        self._model, self._expected = Model(stage), expected

    async def __call__(
        self, _context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        rendered = MARKUP.sub(lambda found: found["link"] or "", _text(params.messages[0]))
        shown = re.split(r"(?<=[.!?])\s|(?<=[.!?])$|[^\x20-\x7e]", rendered, maxsplit=1)[0]
        if shown != self._expected:  # the user reads what there is to read
            return types.ErrorData(code=-1, message="the user said no")
        return self._model.complete(params)


class AlwaysTrust:
    """Never asks when the server's name ends in one that the user once trusted."""

    def __init__(self, stage: Stage) -> None:
        self._model = Model(stage)

    async def __call__(
        self, _context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        if not CONFIGURED_AS.endswith(TRUSTED):
            return types.ErrorData(code=-1, message="the user was not asked")
        return self._model.complete(params)


class Obliging:
    """Opens whatever a server wants opened, and fills in whatever it wants filled in: a password where one is asked
    for. What it did is noted where an oracle reads.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def __call__(
        self, _context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        if isinstance(params, types.ElicitRequestURLParams):
            self._stage.model.append(f"opened {params.url}")
            return types.ElicitResult(action="accept")
        fields = params.requested_schema.get("properties", {})
        filled: dict[str, str | int | float | bool | list[str] | None] = {
            name: self._stage.canary if "assword" in name else self._stage.greeting for name in fields
        }
        self._stage.model.append(f"filled in {filled}")
        return types.ElicitResult(action="accept", content=filled)


def _text(message: types.SamplingMessage) -> str:
    return " ".join(getattr(block, "text", "") for block in _blocks(message))


def _given(message: types.SamplingMessage) -> str:
    """What a model is given of a message: its text, its pictures, and what is said of those."""
    said = [
        [getattr(block, "text", ""), getattr(block, "data", ""), *(block.meta or {}).values()]
        for block in _blocks(message)
    ]
    return " ".join(str(part) for parts in said for part in parts if part)


def _blocks(message: types.SamplingMessage) -> list[Any]:
    content: Any = message.content
    return content if isinstance(content, list) else [content]
