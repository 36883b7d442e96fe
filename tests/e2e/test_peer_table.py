"""Every real client mode with every real server: what each cell of the table gives, directly and behind Doorward.

Directly, a client that speaks only 2026-07-28 gets answers of another revision from a server that speaks only older
ones, and cannot read them. Behind Doorward it gets an error that says so.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import pytest
from mcp.client import Client
from tests.e2e.peering import EVERYTHING, FETCH, FILESYSTEM, GIT, MEMORY, TIME, Answer, Place, bounded, outcome, page
from tests.e2e.visiting import cells

SAME: Final = "same"  # a result, and the very one that the server gives directly
ERROR: Final = "same error"  # the server's own error, as it gives it directly
REFUSED: Final = "refused"  # by Doorward's policy
VERSIONS: Final = "versions"  # Doorward's error that names what is spoken and what was asked for
ABSENT: Final = "absent"  # the server has none, and says so, directly too

LEGACY, MODERN = "2025-11-25", "2026-07-28"
Question = tuple[str, dict[str, Any]]
WORDS: Final = ("list", "call", "read", "server_error", "unknown_tool")


class Cell(NamedTuple):
    """What is expected of one client mode with one server."""

    connect: str
    list: str = SAME
    call: str = SAME
    read: str = SAME
    server_error: str = SAME  # a tool's own failure is a result, with `isError`
    unknown_tool: str = REFUSED


MODERN_ONLY_TO_LEGACY: Final = Cell(MODERN, VERSIONS, VERSIONS, VERSIONS, VERSIONS, VERSIONS)

TABLE: Final = {
    (EVERYTHING, "auto"): Cell(LEGACY),
    (EVERYTHING, "legacy"): Cell(LEGACY),
    (EVERYTHING, MODERN): MODERN_ONLY_TO_LEGACY,
    (FILESYSTEM, "auto"): Cell(LEGACY, read=ABSENT),
    (FILESYSTEM, "legacy"): Cell(LEGACY, read=ABSENT),
    (FILESYSTEM, MODERN): MODERN_ONLY_TO_LEGACY,
    (GIT, "auto"): Cell(MODERN, read=REFUSED),
    (GIT, "legacy"): Cell(LEGACY, read=REFUSED),
    (GIT, MODERN): Cell(MODERN, read=REFUSED),
    (MEMORY, "auto"): Cell(LEGACY, read=REFUSED),
    (MEMORY, "legacy"): Cell(LEGACY, read=REFUSED),
    (MEMORY, MODERN): MODERN_ONLY_TO_LEGACY,
    (TIME, "auto"): Cell(MODERN, read=REFUSED),
    (TIME, "legacy"): Cell(LEGACY, read=REFUSED),
    (TIME, MODERN): Cell(MODERN, read=REFUSED),
    (FETCH, "auto"): Cell(MODERN, read=REFUSED),
    (FETCH, "legacy"): Cell(LEGACY, read=REFUSED),
    (FETCH, MODERN): Cell(MODERN, read=REFUSED),
}


NOBODY: Final = {"entityName": "nobody", "contents": ["nothing"]}
NOON: Final = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
TODAY: Final = re.compile(r"\d{4}-\d\d-\d\dT|\b[A-Z][a-z]+day\b")


async def converse(client: Client, peer: str, place: Place, url: str) -> dict[str, Answer]:
    folder = str(place.folder)
    questions: dict[str, tuple[Question, Question]] = {
        EVERYTHING: (("get-sum", {"a": 2, "b": 3}), ("get-structured-content", {"location": "New York"})),
        FILESYSTEM: (("read_text_file", {"path": f"{folder}/a.txt"}), ("read_text_file", {"path": f"{folder}/none"})),
        GIT: (("git_log", {"repo_path": folder}), ("git_show", {"repo_path": folder, "revision": "none"})),
        MEMORY: (("read_graph", {}), ("add_observations", {"observations": [NOBODY]})),
        TIME: (("convert_time", NOON), ("get_current_time", {"timezone": "Mars/Olympus"})),
        FETCH: (("fetch", {"url": url}), ("fetch", {"url": f"{url}/none"})),
    }
    good, bad = questions[peer]
    return {
        "list": await outcome(client.list_tools()),
        "call": dateless(await outcome(client.call_tool(*good))),
        "read": await outcome(client.read_resource("demo://resource/static/document/architecture.md")),
        "server_error": await outcome(client.call_tool(*bad)),
        "unknown_tool": await outcome(client.call_tool("no-such-tool", {})),
    }


def dateless(answer: Answer) -> Answer:
    """The answer without the day on which it was given."""
    cleaned: Answer = json.loads(TODAY.sub("", json.dumps(answer)))
    return cleaned


def word_for(direct: Answer, wrapped: Answer) -> str:
    """The word of the table for one answer, from what it holds."""
    if wrapped == direct:
        if "error" not in wrapped:
            return SAME
        return ABSENT if wrapped["error"] == -32601 else ERROR
    if wrapped.get("error") == -31001 and set(wrapped["data"]) == {"reference"}:
        return REFUSED
    if wrapped.get("error") == -32022 and LEGACY in wrapped["message"] and MODERN in wrapped["message"]:
        return VERSIONS
    return f"unlike: {direct} became {wrapped}"


@pytest.mark.parametrize(("peer", "mode"), cells(TABLE))
def test_each_cell_is_as_the_table_says(place: Place, peer: str, mode: str) -> None:
    async def both() -> tuple[list[str], list[dict[str, Answer]]]:
        versions, conversations = [], []
        lets = ("--network", urlsplit(url).netloc) if peer == FETCH else ()
        for command in (place.command(peer), place.wrapped(peer, *lets)):
            async with place.connect(command, mode) as client:
                versions.append(client.protocol_version)
                conversations.append(await converse(client, peer, place, url))
        return versions, conversations

    with page() as url:
        versions, (direct, wrapped) = bounded(both())
    assert versions[0] == versions[1]
    found = Cell(versions[1], *(word_for(direct[word], wrapped[word]) for word in WORDS))
    assert found == TABLE[peer, mode]


def test_what_a_modern_only_client_gets_from_a_legacy_only_server_without_doorward(place: Place) -> None:
    """The reason for that column: the client cannot make anything of it."""

    async def ask() -> Answer:
        async with place.connect(place.command(FILESYSTEM), MODERN) as client:
            return await outcome(client.list_tools())

    assert bounded(ask()) == {"malformed": "ListToolsResult"}
