"""A thousand schemas that mean harm: none is fetched for, none hangs, none crashes a control, and calls are decided."""

from __future__ import annotations

import gc
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.judge.hostile_schemas import Hostile, drawn
from tests.relay.dialogue import MASKER, READ, Dialogue, Turn, greet

from doorward.content.patterns import MAX_BACKTRACKED
from doorward.content.schemas import measure
from doorward.judge.filters.usable_tools import KeepUsableTools
from doorward.judge.validators import CLOSED, Validators
from doorward.protocol.actions import Advertise
from doorward.relay import pipeline

COUNT = 1_000
SEED = int(os.environ.get("DOORWARD_SEED", "7"))
BOUND_S = 0.05


class Bait:
    """A port that somebody may connect to, and a pipe that would hold whoever opens it."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.pipe = folder / "schema.json"
        os.mkfifo(self.pipe)
        port = self.listener.getsockname()[1]
        self.places = (
            f"http://127.0.0.1:{port}/schema.json",
            f"https://127.0.0.1:{port}/schema.json",
            f"ftp://127.0.0.1:{port}/x",
            self.pipe.as_uri(),
            str(self.pipe),
            "schema.json",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
            "data:application/json,{}",
        )

    def touched(self) -> bool:
        """Whether somebody connected. (Whoever opened the pipe is still at it.)"""
        try:
            connection, _ = self.listener.accept()
        except BlockingIOError:
            return False
        connection.close()
        return True


@pytest.fixture
def bait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bait]:
    monkeypatch.chdir(tmp_path)
    made = Bait(tmp_path)
    with made.listener:
        yield made


def test_the_bait_tells_whoever_connects(bait: Bait) -> None:
    assert not bait.touched()
    with socket.create_connection(bait.listener.getsockname()):
        assert bait.touched()


def play(hostile: Hostile) -> tuple[Turn, Turn]:
    """The schema is listed beside an ordinary one, and called."""
    talk = greet(Dialogue("legacy"))
    talk.client(talk.request("list", "tools/list"))
    listed = talk.server(talk.result("list", tools=[{"name": "t", "inputSchema": hostile.schema}, READ]))
    called = talk.client(talk.call(1, "t", hostile.arguments))
    assert talk.client(talk.call(2)).told("server"), "the rest works"
    return listed, called


def spent(hostile: Hostile) -> float:
    """Seconds of the processor's time for looking at the schema and judging one call by it."""
    talk = greet(Dialogue("legacy", pipe=pipeline.build(MASKER)))
    talk.relay.state.definitions = msgspec.structs.replace(talk.relay.state.definitions, complete=True)
    item = {"name": "t", "inputSchema": hostile.schema}
    keep = next(one for one in talk.relay.state.settings.pipeline.filters if isinstance(one, KeepUsableTools))
    context = _context(talk)
    began = time.process_time()
    keep(Advertise("tools/list", (item,), ""), context)
    looked = time.process_time() - began
    talk.client(talk.request("list", "tools/list"))
    talk.server(talk.result("list", tools=[item]))
    call = talk.call(1, "t", hostile.arguments)
    began = time.process_time()
    talk.client(call)
    return max(looked, time.process_time() - began)


def _context(talk: Dialogue):  # type: ignore[no-untyped-def]  # whatever the relay makes of it
    from doorward.relay import context

    return context.of_link(talk.relay.state, talk.facts(), talk.now)


def test_a_thousand_hostile_schemas_are_neither_fetched_for_nor_crash_anything(bait: Bait) -> None:
    ends: Counter[tuple[str, bool]] = Counter()
    for hostile in drawn(COUNT, SEED, bait.places):
        listed, called = play(hostile)
        controls = listed.controls | called.controls
        assert "crash" not in controls, (hostile.kind, str(hostile.schema)[:300], called.record.entry.findings)
        assert len(called.told("server")) + len(called.told("client")) == 1
        assert not bait.touched(), str(hostile.schema)[:300]
        ends[hostile.kind, bool(called.told("server"))] += 1
    kinds = {kind for kind, _ in ends}
    assert len(kinds) == 13
    assert all(ends[kind, False] for kind in kinds), "each kind is refused at least once"
    assert not any(ends[kind, True] for kind in ("going_in_circles", "many_patterns"))


def test_no_hostile_schema_takes_more_than_fifty_milliseconds_to_look_at_or_to_judge_by(bait: Bait) -> None:
    spent(Hostile("warm", {"properties": {"a": {"pattern": "(?=a)a"}}}, {"a": "b"}))
    gc.collect()
    gc.freeze()  # what nine thousand tests left is no garbage of these, and looking through it is none of their work
    try:
        slow = []
        for hostile in drawn(COUNT, SEED, bait.places):
            taken = spent(hostile)
            if taken > BOUND_S:  # another program may have had the caches: the least of three counts
                taken = min(taken, spent(hostile), spent(hostile))
            if taken > BOUND_S:
                slow.append((taken, hostile.kind, str(hostile.schema)[:200]))
    finally:
        gc.unfreeze()
    assert slow == []


def test_a_pattern_that_backtracks_is_tried_on_short_texts_only() -> None:
    schema = {
        "type": "object",
        "properties": {"to": {"pattern": r"^(?!\.)[a-z.]+@[a-z.]+$"}, "body": {"type": "string"}},
    }
    validator, work = Validators().of(msgspec.json.encode(schema), CLOSED)
    ordinary = {"to": "a@b.test", "body": "x" * 500_000}
    assert validator.is_valid(ordinary)
    assert not work.exceeds(ordinary, 500_100)
    assert not validator.is_valid({"to": "a" * MAX_BACKTRACKED + "@b"})
    assert not validator.is_valid({"to": ".a@b"})


@pytest.mark.parametrize("key", ["const", "enum", "default", "examples"])
def test_a_pattern_in_what_is_no_schema_is_not_referred_to(key: str) -> None:
    held = {"pattern": "(?=a)a"}
    value = [held] if key in ("enum", "examples") else held
    schema = {"properties": {"a": {key: value}, "b": {"$ref": f"#/properties/a/{key}"}}}
    assert measure({"properties": {"a": {"pattern": "(?=a)a"}}}).backtracking == 1
    with pytest.raises(ValueError, match="where no schema does"):
        Validators().of(msgspec.json.encode(schema), CLOSED)


def test_a_name_that_is_too_long_for_a_pattern_of_names_is_refused() -> None:
    schema = {"patternProperties": {"^(?!x)a+$": {"type": "string"}}}
    _, work = Validators().of(msgspec.json.encode(schema), CLOSED)
    assert work.exceeds({"a" * (MAX_BACKTRACKED + 1): "x"}, 3_000)
    assert not work.exceeds({"a" * 50: "x" * 3_000}, 3_100)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_is_kept_of_schemas_is_bounded_however_many_are_listed() -> None:
    validators, before = Validators(), resident_bytes()
    for number in range(600):
        heavy = {f"p{n}": {"pattern": f"\\w{{1,900}}{number}x{n}"} for n in range(15)}
        validators.of(msgspec.json.encode({"properties": heavy}), CLOSED)
    assert resident_bytes() - before < 200 << 20  # of a gigabyte and a half
    schema = msgspec.json.encode(READ["inputSchema"])
    assert validators.of(schema, CLOSED) is validators.of(schema, CLOSED), "and what is used is kept"
