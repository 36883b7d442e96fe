"""One small message must not cost much time or memory, whoever sent it."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from typing import Any, Final

import msgspec
import pytest
from tests.relay.dialogue import (
    LIMITS,
    MASKER,
    READ,
    Dialogue,
    Era,
    Tree,
    eras,
    greet,
    lists,
    notification,
    only_legacy,
    only_modern,
    ready,
)

from doorward.content.redaction import Masker
from doorward.content.schemas import measure
from doorward.content.work import MAX_WORK
from doorward.protocol import definitions, headers
from doorward.relay.records import MOST_FINDINGS
from doorward.wire.jsonrpc import decode

MIB: Final = 1 << 20
BUSY_SECONDS: Final = 90  # each takes a few seconds at most, on a busy machine; what was found took minutes to years


def fan_out(levels: int) -> Tree:
    """Each definition refers twice to the next: two to the power of ``levels`` evaluations."""
    inner: Tree = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"properties": {"text": {"$ref": "#/$defs/d0"}}, "$defs": {**inner, f"d{levels}": {"type": "string"}}}


def unevaluated(levels: int) -> Tree:
    schema: Tree = {"properties": {"text": {}}}
    for _ in range(levels):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    return {"properties": {"text": {}}, **schema}


def backtracking(count: int) -> Tree:
    patterns = [{"pattern": rf"^(?=(a|aa)+$)(a+)+\1b{n}$"} for n in range(count)]
    return {"properties": {"text": {"allOf": patterns}}}


def calling(schema: Tree, arguments: Tree) -> Any:
    talk = lists(greet(Dialogue("legacy")), [{"name": "t", "inputSchema": schema}])
    return talk.client(talk.call(1, "t", arguments))


@pytest.mark.timeout(BUSY_SECONDS)
@pytest.mark.parametrize(
    "schema", [fan_out(50), unevaluated(28), backtracking(1_500)], ids=["fan", "unevaluated", "patterns"]
)
def test_a_schema_that_takes_for_ever_is_refused_and_not_evaluated(schema: Tree) -> None:
    turn = calling(schema, {"text": "a" * 40 + "!"})
    assert turn.told("server") == []
    assert "definition-arguments" in turn.controls


@pytest.mark.timeout(BUSY_SECONDS)
def test_a_pattern_that_backtracks_ends_and_refuses() -> None:
    turn = calling(backtracking(50), {"text": "a" * 40 + "!"})
    assert turn.told("server") == []
    assert "definition-arguments" in turn.controls


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"$ref": "#"}]},
        {"$ref": "#/$defs/nowhere"},
        {"properties": {"a": {"$id": "other", "$defs": {"x": {}}, "$ref": "#/$defs/x"}}, "$defs": {"x": {}}},
        {"properties": {"a": {"$ref": "http://json-schema.org/draft-07/schema#"}}},
    ],
    ids=["endless", "nowhere", "another root", "outside"],
)
def test_a_schema_whose_work_cannot_be_told_has_no_measure(schema: Tree) -> None:
    with pytest.raises(ValueError, match="the schema"):
        measure(schema)


def nested(levels: int, value: object) -> object:
    for _ in range(levels):
        value = [value]
    return value


JSON: Final = {
    "properties": {"x": {"$ref": "#/$defs/json"}},
    "$defs": {
        "json": {
            "anyOf": [
                {"type": ["string", "number", "boolean", "null"]},
                {"type": "array", "items": {"$ref": "#/$defs/json"}},
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/json"}},
            ]
        }
    },
}
TREE: Final = {
    "$ref": "#/$defs/node",
    "$defs": {"node": {"properties": {"v": {}, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}},
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (JSON, {"x": nested(8, 1)}),
        (TREE, {"kids": [{"kids": [{"kids": [{"v": 1}]}]}]}),
        (fan_out(3), {"text": "a"}),
        (
            {"properties": {"to": {"items": {"pattern": r"^(?!\.)(?!.*\.\.)[a-z.]+@[a-z.]+$"}}}},
            {"to": ["a@b.test"] * 400},
        ),
    ],
    ids=["json", "tree", "few references", "addresses"],
)
def test_ordinary_schemas_are_far_from_the_limit(schema: Tree, value: Tree) -> None:
    assert not measure(schema).exceeds(value, len(msgspec.json.encode(value)), MAX_WORK // 2)


def test_the_measure_grows_with_what_is_judged() -> None:
    work = measure({"properties": {"x": {"items": {"enum": list(range(100))}}}})
    assert not work.exceeds({"x": [1] * 10}, 20, 2_000)
    assert work.exceeds({"x": [1] * 30}, 60, 2_000)


def test_one_long_name_above_many_items_is_not_copied_for_each_of_them() -> None:
    talk = ready("legacy", folders=("/ws",))
    body = msgspec.json.encode(talk.call(1, "read", {"k" * 500_000: [0] * 9_000}))
    frame = decode(body, LIMITS)
    tracemalloc.start()
    try:
        talk.relay.foresee(frame, "client")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


@pytest.mark.timeout(BUSY_SECONDS)
@eras()
def test_a_log_under_a_long_name_is_masked_in_time(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(
        notification("notifications/message", level="error", data={"password": 1, "k" * (4 * MIB): [0] * 19_000})
    )
    assert "masked" in str(turn.only("client")["params"]["data"]["password"])


# What follows a name here is no value, so the same word used to be read again for each name in it.
@pytest.mark.timeout(BUSY_SECONDS)
@pytest.mark.parametrize("unit", ["password=${", "pwd://", "token=a(", "--password=${", "authorization: ${"])
def test_names_repeated_inside_of_one_word_are_masked_in_time(unit: str) -> None:
    masked, _ = MASKER.mask_text(unit * (MIB // len(unit)) + " password=hunter22")
    assert "hunter22" not in masked


@pytest.mark.parametrize("length", [200, 255, 256, 257, 5_000])
def test_a_long_value_is_masked_to_its_end(length: int) -> None:
    secret = "s3cr" * (length // 4)
    masked, hits = MASKER.mask_text(f"password={secret} and then")
    assert masked.endswith(" and then")
    assert "s3cr" not in masked
    assert len(hits) == 1


@eras()
def test_a_progress_token_is_as_short_as_an_id(era: Era) -> None:
    talk = ready(era)
    turn = talk.client(talk.call(1, meta={"progressToken": "t" * 10_000}))
    assert turn.told("server") == []
    assert "part-limits" in turn.controls


@only_legacy
def test_ids_of_tasks_do_not_fill_the_memory(era: Era) -> None:
    talk = ready(era)
    for number, length in enumerate((100, 100_000)):
        talk.client(talk.call(number))
        talk.server(talk.result(number, task={"taskId": f"{number}" * length, "status": "working"}))
    assert list(talk.relay.state.settings.tasks) == ["0" * 100]


@eras()
def test_schemas_do_not_fill_the_memory_page_by_page(era: Era) -> None:
    talk = greet(Dialogue(era))
    asked = talk.client(talk.call("call")).only("server")
    filler = "x" * (definitions.MAX_BYTES // 4)
    large = {**READ, "inputSchema": {"type": "object", "description": filler}}
    for number in range(3):
        tools = [{**large, "name": f"t{number}"}]
        asked = talk.server(talk.result(asked["id"], tools=tools, nextCursor=f"{number}")).only("server")
    turn = talk.server(talk.result(asked["id"], tools=[{**large, "name": "one too many"}]))
    assert turn.only("client")["error"]["code"] == -31001
    assert sum(len(tool.schema) for tool in talk.relay.state.definitions.tools.values()) <= definitions.MAX_BYTES
    asked = talk.client(talk.call("again")).only("server")
    assert talk.server(talk.result(asked["id"], tools=[READ])).only("server")["id"] == "again", (
        "a list that fits is kept"
    )


@only_modern
@pytest.mark.parametrize("ask", [{"method": "elicitation/create", "params": {"message": "m"}}, {"method": "none"}])
def test_a_result_that_asks_thousands_of_things_is_neither_shown_nor_archived_thousands_of_times(
    era: Era, ask: Tree
) -> None:
    talk = ready(era, attached=True)
    for number, many in enumerate((3, 4_000)):
        talk.client(talk.call(number))
        asked = {f"k{n}": ask for n in range(many)}
        turn = talk.server(talk.result(number, resultType="input_required", inputRequests=asked))
        assert len(turn.tickets) == (1 if many == 3 and "params" in ask else 0)
        assert len(turn.record.entry.findings) <= MOST_FINDINGS + 1
        assert len(msgspec.json.encode(turn.record.entry)) < 20_000
        if many > 3:
            assert turn.only("client")["error"]["code"] in (-31001, -31002)
            assert any(f.effect == "DENY" for f in turn.record.entry.findings)
            assert "more" in turn.record.entry.findings[-1].reason


@eras()
def test_commas_in_a_text_are_not_counted_as_values(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    table = "1,2,3,4,5,6,7\n" * 5_000
    answer = talk.result(1, content=[{"type": "text", "text": table}])
    assert talk.server(answer).only("client") == answer


@eras()
def test_more_values_than_allowed_are_refused_all_the_same(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(talk.result(1, structuredContent={"rows": [0] * 25_000}))
    assert turn.only("client")["error"]["code"] in (-31001, -32602)


@eras()
def test_a_flood_of_refused_notifications_is_counted_and_not_recorded_singly(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    debug = notification("notifications/message", level="debug", data="x")
    recorded = sum(len(talk.server(debug).written) for _ in range(500))
    assert recorded == 1
    (run,) = talk.tick(1.0).records("run")
    assert (run.entry.count, run.entry.sender, run.entry.method) == (499, "server", "notifications/message")


def test_refusals_beyond_the_windows_are_counted_for_whoever_sent_them() -> None:
    talk = ready("legacy")
    for n in range(100):
        talk.client({"jsonrpc": "2.0", "id": f"c{n}", "method": f"unknown/{n}"})
    first = talk.server({"jsonrpc": "2.0", "id": "s", "method": "server/unknown"})
    assert first.record.entry.sender == "server"
    counted = {run.entry.sender: run.entry.count for run in talk.tick(1.0).records("run")}
    assert counted == {"client": 100 - 63}


def test_a_writer_that_fails_in_an_unknown_way_says_so(tmp_path: Any) -> None:
    script = """
import asyncio, sys
from pathlib import Path
from doorward.audit.entry import Entry
from doorward.gateway.archive import Archive
from doorward.relay.commands import Record
async def main():
    archive = Archive(Path(sys.argv[1]), label="x", clock=lambda: 1_795_338_600_000_000, report=print)
    archive.start(); await asyncio.to_thread(archive.wait_open)
    print(type(await asyncio.wait_for(archive.write([None]), 10)).__name__)
    good = Record(Entry(kind="notice", at=1_795_338_600_000_000, link="l", sender="client"), "written")
    print(await asyncio.wait_for(archive.write([good]), 10))
    archive.close()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["StorageError", "None"], done.stderr


def test_a_schema_is_looked_at_once_for_what_its_tool_wants_in_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    declared = headers.declared_headers

    def counting(schema: object) -> Any:
        looked.append(schema)
        return declared(schema)

    monkeypatch.setattr(headers, "declared_headers", counting)
    wants = {"type": "object", "properties": {"place": {"type": "string", "x-mcp-header": "Place-Looked-At-Once"}}}
    talk = ready("legacy", tools=[{"name": "t", "inputSchema": wants}])
    looked.clear()
    for number in range(10):
        assert talk.client(talk.call(number, "t", {"place": "x"})).told("server")
    assert len(looked) <= 1


def test_of_thousands_of_credentials_in_a_call_the_first_hundreds_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[bool] = []
    mask_text = Masker.mask_text

    def counting(self: Masker, text: str, **how: Any) -> Any:
        looked.append(how.get("names", True))
        return mask_text(self, text, **how)

    monkeypatch.setattr(Masker, "mask_text", counting)
    talk = ready("legacy", tools=[{"name": "t", "inputSchema": {"type": "object"}}])
    turn = talk.client(talk.call(1, "t", {"a": ["https://ada:swordfish@h.test/"] * 5_000}))
    assert "held-secrets" in turn.controls
    assert looked.count(False) < 1_000
