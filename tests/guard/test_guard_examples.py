"""The servers of ``examples/`` that are written with the guard: started as they stand, spoken to over pipes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FASTMCP = Path(os.environ["DOORWARD_TARGETS"]) / "fastmcp" / "venv" / "bin" / "python"
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
}
LEGACY = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class Spoken:
    """One server on two pipes, in the legacy era, or where it is ``modern``; every answer is waited for."""

    def __init__(
        self,
        python: str,
        program: Path,
        folder: Path,
        paths: str = "",
        capabilities: dict[str, Any] | None = None,
        *,
        modern: bool = False,
    ) -> None:
        self._meta = {"_meta": MODERN} if modern else {}
        self.process = subprocess.Popen(
            [python, str(program), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self._ids = iter(range(1, 1000))
        if not modern:
            self.ask("initialize", {**LEGACY, "capabilities": capabilities or {}})
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, **self._meta}})
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == number:
                return answer
        pytest.fail("the server ended")

    def call(self, tool: str, **arguments: Any) -> tuple[bool, str]:
        """Whether it went wrong, and what was said."""
        answer = self.ask("tools/call", {"name": tool, "arguments": arguments})
        result = answer["result"]
        return result.get("isError", False), result["content"][0]["text"]


@pytest.fixture(params=["guard-sdk", "guard-fastmcp"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spoken]:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "hidden.txt").write_text("a\u202eb\nsecond")
    (folder / "out.txt").symlink_to("/etc/passwd")
    (folder / "large.txt").write_text("x" * 100_000)
    python, paths = sys.executable, ""
    if request.param == "guard-fastmcp":
        python, paths = str(FASTMCP), str(ROOT / "src")
    with Spoken(python, EXAMPLES / request.param / "server.py", folder, paths) as spoken:
        yield spoken


def test_an_example_does_its_work_and_refuses_what_is_not_its_work(server: Spoken) -> None:
    assert server.call("write_note", name="new", text="hello") == (False, "written")
    assert server.call("read_note", path="new.txt") == (False, "hello")
    assert server.call("read_note", path="hidden.txt") == (False, "a⟨U+202E⟩b\nsecond")
    assert server.call("write_note", name="new", text="again") == (True, "there is something of that name already")
    for path in ("../../etc/passwd", "/etc/passwd", "out.txt"):
        assert server.call("read_note", path=path) == (True, "the path leads out of the folder")
    assert server.call("read_note", path="large.txt") == (True, "the file is larger than 65536 bytes")
    failed, said = server.call("write_note", name="../x", text="")
    assert failed
    assert said.startswith("name: not an identifier")


def test_an_example_bounds_its_callers(server: Spoken) -> None:
    for _ in range(100):
        answer = server.ask("tools/call", {"name": "read_note", "arguments": {"path": "hidden.txt"}})
        if "error" in answer:
            assert answer["error"]["code"] == -31003
            assert answer["error"]["data"]["retryAfterMs"] > 0
            return
    pytest.fail("nothing was refused")


def test_the_schema_of_a_guarded_tool_is_that_of_its_function(server: Spoken) -> None:
    tools = server.ask("tools/list", {})["result"]["tools"]
    [schema] = [tool["inputSchema"] for tool in tools if tool["name"] == "write_note"]
    assert schema["properties"].keys() == {"name", "text"}
    assert set(schema["required"]) == {"name", "text"}


@pytest.fixture
def sdk_server(tmp_path: Path) -> Iterator[Spoken]:
    (tmp_path / "a.txt").write_text("-e one\ntwo -e\n")
    with Spoken(sys.executable, EXAMPLES / "guard-sdk" / "server.py", tmp_path) as spoken:
        yield spoken


def test_an_option_in_an_argument_is_searched_for_and_not_obeyed(sdk_server: Spoken) -> None:
    assert sdk_server.call("count_lines", word="-e") == (False, "./a.txt:2\n")
    assert sdk_server.call("count_lines", word="--file=/etc/passwd") == (False, "./a.txt:0\n")


def test_a_session_is_not_initialized_again(sdk_server: Spoken) -> None:
    answer = sdk_server.ask("initialize", {**LEGACY, "capabilities": {"sampling": {}}})
    assert answer["error"]["message"] == "the session was initialized already"
    assert sdk_server.call("read_note", path="a.txt")[0] is False


def test_a_server_believes_no_answer_but_to_its_own_question(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("a note")
    call: dict[str, Any] = {"name": "remove_all", "arguments": {}}
    yes = {"inputResponses": {"sure": {"action": "accept", "content": {}}}}
    with Spoken(sys.executable, EXAMPLES / "guard-state" / "server.py", tmp_path, modern=True) as spoken:

        def said(**more: Any) -> str:
            result = spoken.ask("tools/call", {**call, **more})["result"]
            return str(result["content"][0]["text"])

        asked = spoken.ask("tools/call", call)["result"]
        state = {"requestState": asked["requestState"]}
        assert list(asked["inputRequests"]) == ["sure"]
        assert said(**yes) == "an answer that was not asked for"
        assert said(requestState='["a.txt"]', **yes) == "the state was not sealed here"
        assert said(arguments={"folder": "/"}, **state, **yes) == "the state was sealed for other params"
        assert said(**state, inputResponses={"sure": {"action": "decline"}}) == "removed: 0"
        (tmp_path / "c.txt").write_text("written after the question")
        assert said(**state, **yes) == "removed: 2"
    assert [file.name for file in tmp_path.iterdir()] == ["c.txt"]


CONFINED = """
import sys

{imported}

from doorward import guard

folder = sys.argv[1] + "/given"
walls = guard.Profile(read=[folder])
server = guard.protect({made})
LOOKS = "import socket, sys; print(open(sys.argv[1]).read()); socket.create_connection(('127.0.0.1', {port}), 2)"


@server.tool{call}
def show(path: str) -> str:
    done = guard.run("cat", (), [path], cwd=folder, confine=walls)
    return f"{{done.status}} {{done.stdout.decode()}}"


@server.tool{call}
async def look(path: str) -> str:
    done = await guard.run_async(sys.executable, ["-I", "-c", LOOKS], [path], terminator=None, confine=walls)
    return f"{{done.status}} {{done.stdout.decode()}}"


server.run({options})
"""


@pytest.mark.parametrize("made", ["FastMCP", "MCPServer"])
def test_a_tool_runs_a_program_inside_walls_of_its_own(tmp_path: Path, made: str) -> None:
    for name in ("given", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fast = made == "FastMCP"
        program = tmp_path / "server.py"
        program.write_text(
            CONFINED.format(
                imported="from fastmcp import FastMCP" if fast else "from mcp.server.mcpserver import MCPServer",
                made=f'{made}("confined")',
                call="" if fast else "()",
                options="show_banner=False" if fast else "",
                port=listening.getsockname()[1],
            )
        )
        python, paths = (str(FASTMCP), with_msgspec(tmp_path)) if fast else (sys.executable, "")
        with Spoken(python, program, tmp_path, paths) as spoken:
            assert spoken.call("show", path="file") == (False, "0 given")
            assert spoken.call("show", path=f"{tmp_path}/outside/file") == (False, "1 ")
            assert spoken.call("look", path=f"{tmp_path}/outside/file") == (False, "1 ")
            assert spoken.call("look", path=f"{tmp_path}/given/file") == (False, "1 given\n")  # and no connection
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def with_msgspec(folder: Path) -> str:
    """What a server's own environment would have of Doorward: the package, and what it needs, and nothing else."""
    needed = folder / "installed"
    needed.mkdir()
    (needed / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    return f"{ROOT / 'src'}:{needed}"


FEATURES = """
import sys

from fastmcp import FastMCP

from doorward import guard

server = guard.protect(
    FastMCP("asking"),
    features=guard.FeatureGate(["sampling", "roots", "experimental/x"]),
    concurrency=guard.Concurrency(1),
    max_bytes=1000,
)


@server.tool
def may(said: str = "") -> str:
    return ",".join(sorted(guard.current_features().names))


@server.resource("notes://{name}")
def note(name: str) -> str:
    guard.check("name", name, guard.identifier)
    return "a note"


@server.tool
def wrap() -> str:
    try:
        guard.check("x", "a b", guard.identifier)
    except guard.RefusedError as refusal:
        raise KeyError("the author's own") from refusal


server.run(show_banner=False)
"""


def test_fastmcp_knows_features_sizes_and_refusals_in_resources(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(FEATURES)
    declared: dict[str, Any] = {"sampling": {}, "experimental": {"x": {}}}
    with Spoken(str(FASTMCP), program, tmp_path, str(ROOT / "src"), declared) as asking:
        assert asking.call("may") == (False, "sampling")
        assert asking.ask("tools/call", {"name": "may", "arguments": {"said": "x" * 2000}})["error"] == {
            "code": -32602,
            "message": "larger than 1000 bytes",
        }
        assert "name: not an identifier" in asking.ask("resources/read", {"uri": "notes://a%20b"})["error"]["message"]
        assert "result" in asking.ask("resources/read", {"uri": "notes://ann"})
        failed, said = asking.call("wrap")
        assert failed
        assert "not an identifier" not in said  # what an author made of a refusal is the author's
        assert asking.call("may") == (False, "sampling")  # the one place was given back each time
