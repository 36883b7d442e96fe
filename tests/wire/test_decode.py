"""Bytes to one message: each rule, each limit at and beyond its bound, and nothing lost (architecture §8)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from doorward.errors import MalformedMessageError
from doorward.wire.jsonrpc import (
    FrameLimits,
    Message,
    Notification,
    Request,
    Response,
    count_values,
    decode,
    decode_value,
    encode,
    encode_value,
    key_of,
)

WIDE = FrameLimits()


def fault(frame: bytes, limits: FrameLimits = WIDE) -> MalformedMessageError:
    with pytest.raises(MalformedMessageError) as found:
        decode(frame, limits)
    return found.value


# -- what is a message -------------------------------------------------------------------------------------------------

GOOD: dict[bytes, Message] = {
    b'{"jsonrpc":"2.0","id":1,"method":"ping"}': Request(1, "ping"),
    b'{"jsonrpc":"2.0","id":"1","method":"ping","params":{}}': Request("1", "ping", {}),
    b'{"jsonrpc":"2.0","id":-3,"method":"a","params":{"b":[1,2.5,null,true]}}': Request(
        -3, "a", {"b": [1, 2.5, None, True]}
    ),
    b'{"jsonrpc":"2.0","method":"notifications/x"}': Notification("notifications/x"),
    b'{"jsonrpc":"2.0","id":1,"result":{}}': Response(1, result={}),
    b'{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"m"}}': Response("a", error={"code": 1, "message": "m"}),
    b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m","data":[]}}': Response(
        None, error={"code": 1, "message": "m", "data": []}
    ),
}


@pytest.mark.parametrize("frame", GOOD)
def test_a_message_is_decoded_and_written_again_the_same_way(frame: bytes) -> None:
    found = decode(frame, WIDE)
    assert found.message == GOOD[frame]
    assert found.body == frame == encode(found.message)


def test_order_and_space_are_ours_whatever_came_in() -> None:
    spaced = b' {"method" : "ping" ,\t"id":1,"jsonrpc":"2.0"}\r'
    found = decode(spaced, WIDE)
    assert found.body == b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    assert encode(found.message) == b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


PARSE, REQUEST = -32700, -32600
BAD: dict[bytes, tuple[str, int, object]] = {
    b"": ("json", PARSE, None),
    b"{": ("json", PARSE, None),
    b"nul": ("json", PARSE, None),
    b'{"jsonrpc":"2.0","id":1,"method":"a"}{}': ("json", PARSE, None),
    b'{"jsonrpc":"2.0","id":1,"method":"a",}': ("json", PARSE, None),
    b"{'a':1}": ("json", PARSE, None),
    b'{"a":NaN}': ("json", PARSE, None),
    b'{"a":Infinity}': ("json", PARSE, None),
    b'{"a":01}': ("json", PARSE, None),
    b'{"a":"\x00"}': ("json", PARSE, None),
    b'{"a":"\n"}': ("json", PARSE, None),
    b"\xef\xbb\xbf{}": ("json", PARSE, None),
    b'{"jsonrpc":"2.0","id":1,"method":"\xff"}': ("utf-8", PARSE, None),
    b'{"a":"\xed\xa0\x80"}': ("utf-8", PARSE, None),
    b'{"a":"\xc0\xaf"}': ("utf-8", PARSE, None),
    b'{"a":"\\ud800"}': ("lone-surrogate", PARSE, None),
    b'{"a":"\\ude00\\ud83d"}': ("lone-surrogate", PARSE, None),
    b'{"a":1e400}': ("number-range", PARSE, None),
    b'{"a":' + b"9" * 310 + b"}": ("number-range", PARSE, None),
    b'{"a":-' + b"9" * 5000 + b"}": ("number-range", PARSE, None),
    b'{"a":0.' + b"3" * 310 + b"}": ("number-range", PARSE, None),
    b'{"a":1e-' + b"0" * 310 + b"1}": ("number-range", PARSE, None),
    b"5": ("not-an-object", REQUEST, None),
    b'"x"': ("not-an-object", REQUEST, None),
    b"null": ("not-an-object", REQUEST, None),
    b"[]": ("batch", REQUEST, None),
    b'[{"jsonrpc":"2.0","id":1,"method":"a"}]': ("batch", REQUEST, None),
    b"{}": ("jsonrpc-version", REQUEST, None),
    b'{"id":7,"method":"a"}': ("jsonrpc-version", REQUEST, 7),
    b'{"jsonrpc":2.0,"id":7,"method":"a"}': ("jsonrpc-version", REQUEST, 7),
    b'{"jsonrpc":"2","id":7,"method":"a"}': ("jsonrpc-version", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"method":""}': ("method", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"method":null}': ("method", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"method":["a"]}': ("method", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"method":"' + b"m" * 257 + b'"}': ("method", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"method":"a","params":null}': ("params", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"method":"a","params":[1]}': ("params", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"method":"a","extra":1}': ("extra-member", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"method":"a","result":{}}': ("extra-member", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":null,"method":"a"}': ("id", REQUEST, None),
    b'{"jsonrpc":"2.0","id":true,"method":"a"}': ("id", REQUEST, None),
    b'{"jsonrpc":"2.0","id":1.0,"method":"a"}': ("id", REQUEST, None),
    b'{"jsonrpc":"2.0","id":1e2,"method":"a"}': ("id", REQUEST, None),
    b'{"jsonrpc":"2.0","id":{},"method":"a"}': ("id", REQUEST, None),
    b'{"jsonrpc":"2.0","id":null,"result":{}}': ("id", REQUEST, None),
    b'{"jsonrpc":"2.0","result":{}}': ("id", REQUEST, None),
    b'{"jsonrpc":"2.0","id":false,"error":{"code":1,"message":"m"}}': ("id", REQUEST, None),
    b'{"jsonrpc":"2.0","id":7}': ("response", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":"m"}}': ("response", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"result":null}': ("result", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"result":[]}': ("result", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"error":null}': ("error-object", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"error":{"code":1}}': ("error-object", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"error":{"code":true,"message":"m"}}': ("error-object", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"error":{"code":1.0,"message":"m"}}': ("error-object", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":null}}': ("error-object", REQUEST, 7),
    b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":7,"method":"a"}': ("duplicate-member", REQUEST, 7),
    b'{"jsonrpc":"2.0","id":"x","method":"a","params":{"n":{"a":1,"\\u0061":2}}}': ("duplicate-member", REQUEST, "x"),
}  # fmt: skip


@pytest.mark.parametrize("frame", BAD)
def test_a_broken_rule_is_named_with_its_code_and_the_id_where_it_can_be_read(frame: bytes) -> None:
    problem = fault(frame)
    assert (problem.rule, problem.rpc_code, problem.request_id) == BAD[frame]


def test_every_rule_of_the_decoder_stands_in_the_table() -> None:
    import ast
    import inspect

    from doorward.wire import jsonrpc

    calls = (node for node in ast.walk(ast.parse(inspect.getsource(jsonrpc))) if isinstance(node, ast.Call))
    rules = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "_malformed" and isinstance(call.args[0], ast.Constant)
    }
    limits = {"frame-bytes", "frame-nodes", "frame-depth"}
    assert rules - limits == {rule for rule, _, _ in BAD.values()}


def test_a_lone_surrogate_is_named_with_a_hint_and_a_pair_is_a_character() -> None:
    problem = fault(b'{"a":"\\uD83D x"}')
    assert "\\uD83D" in str(problem)
    assert "code point" in problem.hint
    emoji = decode(b'{"jsonrpc":"2.0","id":"\\ud83d\\ude00","method":"a"}', WIDE)
    assert emoji.body == '{"jsonrpc":"2.0","id":"😀","method":"a"}'.encode()


def test_an_id_that_is_too_long_is_not_repeated() -> None:
    assert fault(b'{"jsonrpc":"2.0","id":"%s","method":5}' % (b"x" * 257)).request_id is None


def test_the_number_and_the_text_have_two_keys() -> None:
    assert {key_of(1), key_of("1"), key_of(-1), key_of(10**30)} == {"1", '"1"', "-1", "1" + "0" * 30}


# -- limits, exactly ---------------------------------------------------------------------------------------------------


def wrapped(value: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"result":{"v":' + value + b"}}"


@pytest.mark.parametrize("size", [64, 64 * 1024, 64 * 1024 + 2, 1024 * 1024])
def test_as_many_bytes_as_allowed_and_not_one_more(size: int) -> None:
    frame = wrapped(b'"' + b"x" * (size - len(wrapped(b'""'))) + b'"')
    assert len(frame) == size
    assert decode(frame, FrameLimits(max_bytes=size)).body == frame
    problem = fault(frame, FrameLimits(max_bytes=size - 1))
    assert (problem.rule, problem.rpc_code) == ("frame-bytes", REQUEST)


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [3, 10, 64])
def test_as_deep_as_allowed_and_not_one_deeper(pair: tuple[bytes, bytes], depth: int) -> None:
    """The message itself is level one, its result level two."""
    opening, closing = pair

    def nested(levels: int) -> bytes:
        return wrapped(opening * levels + b"1" + closing * levels)

    assert decode(nested(depth - 2), FrameLimits(max_depth=depth)).body == nested(depth - 2)
    assert fault(nested(depth - 1), FrameLimits(max_depth=depth)).rule == "frame-depth"


def test_brackets_in_a_text_are_not_depth() -> None:
    frame = wrapped(b'"' + b"[{" * 500 + b'"')
    assert decode(frame, FrameLimits(max_depth=3)).body == frame


@pytest.mark.parametrize("count", [10, 20_000])
@pytest.mark.parametrize("padding", [0, 70_000])
def test_as_many_values_as_allowed_and_not_one_more(count: int, padding: int) -> None:
    """Counted before and after decoding: short frames are walked, long ones counted by their delimiters first."""

    def with_items(items: int) -> bytes:
        return wrapped(b'["' + b"," * padding + b'",' + b",".join([b"1"] * (items - 1)) + b"]")

    fixed = 1 + 3 + 1  # the message, its members, the list
    assert decode(with_items(count - fixed), FrameLimits(max_nodes=count)).nodes <= count
    assert fault(with_items(count - fixed + 1), FrameLimits(max_nodes=count)).rule == "frame-nodes"


def test_hundred_thousand_brackets_are_refused_and_not_recursed_into() -> None:
    for bracket in (b"[", b'{"a":'):
        assert fault(bracket * 100_000, FrameLimits(max_nodes=10**6)).rule == "frame-depth"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\", b'\\\\"', b'""', b'"\\'])
def test_no_text_makes_counting_slow(unit: bytes) -> None:
    """4 MiB of quotes that end nothing: linear, or this takes hours."""
    frame = b"," * 20_001 + b'"' + unit * (4_000_000 // len(unit))
    assert fault(frame).rule in ("frame-nodes", "json")


# -- properties --------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.sampled_from(["a", "b", "id", "\u00e9", "", ":", '"', "\\", "{"]) | texts
numbers = st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, json_values, max_size=4)
ids = st.integers(-(10**20), 10**20) | texts
methods = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
errors = st.builds(lambda code, text, more: {"code": code, "message": text, **more}, st.integers(), texts,
                   st.dictionaries(st.just("data"), json_values, max_size=1))  # fmt: skip
messages = st.one_of(
    st.builds(Request, ids, methods, st.none() | objects),
    st.builds(Notification, methods, st.none() | objects),
    st.builds(Response, ids, result=objects),
    st.builds(Response, ids | st.none(), error=errors),
)


@given(messages)
def test_decoding_what_was_encoded_changes_nothing(message: Message) -> None:
    body = encode(message)
    found = decode(body, WIDE)
    assert repr(found.message) == repr(message)  # by repr, for which 1 is not 1.0 and not True
    assert found.body == body


@given(messages, st.sampled_from([None, 2]), st.booleans())
def test_another_writers_spelling_of_a_message_is_the_same_message(
    message: Message, indent: int | None, ascii_only: bool
) -> None:
    theirs = json.dumps(decode_value(encode(message)), indent=indent, ensure_ascii=ascii_only).encode()
    assert repr(decode(theirs, WIDE).message) == repr(message)


class Twice(Exception):  # noqa: N818 (what the oracle found)
    """An object names a member twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Twice
    return dict(pairs)


member_lists = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", ":", '"a":1', "\\", "{", "},"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(st.sampled_from(["a", "b", ":", '"', "\\"]), inner), max_size=3).map(
            lambda pairs: ("object", pairs)
        )
    ),
    max_leaves=12,
)


def written(value: Any, escaped: bool) -> str:
    """JSON text in which an object may name a member twice, also by another spelling of its name."""
    if isinstance(value, tuple):
        members = [
            (
                json.dumps(name) if not (escaped and at % 2) else "".join(f"\\u{ord(c):04x}" for c in name).join('""'),
                item,
            )
            for at, (name, item) in enumerate(value[1])
        ]
        return "{" + ",".join(f"{name} :{written(item, escaped)}" for name, item in members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(item, escaped) for item in value) + "]"
    return json.dumps(value)


@settings(max_examples=200)
@given(member_lists, st.booleans())
@example(("object", [("a", 1), ("a", 1)]), True)
def test_a_member_named_twice_is_found_wherever_the_standard_library_finds_it(value: Any, escaped: bool) -> None:
    frame = wrapped(written(value, escaped).encode())
    try:
        json.loads(frame, object_pairs_hook=_once)
    except Twice:
        assert fault(frame).rule == "duplicate-member"
    else:
        assert repr(decode(frame, WIDE).message) == repr(Response(1, result={"v": json.loads(frame)["result"]["v"]}))


@settings(max_examples=200)
@given(
    st.binary(max_size=60)
    | messages.map(encode).flatmap(lambda body: st.integers(0, len(body)).map(lambda at: body[:at]))
)
def test_any_bytes_are_a_message_or_a_named_fault(frame: bytes) -> None:
    try:
        found = decode(frame, WIDE)
    except MalformedMessageError:
        assert fault(frame).rpc_code in (PARSE, REQUEST)
        assert fault(frame).rule
    else:
        assert decode(found.body, WIDE).message == found.message


def opened_and_parted(value: Any) -> int:
    """The brackets that open something in ``value``, and the commas between its parts."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(0, len(value) - 1) + sum(map(opened_and_parted, inner))


tangled = st.lists(st.sampled_from(["\\", '"', ",", "[", "{", ":", "\n", "x", "\u00e9", "\x7f"]), max_size=9).map(
    "".join
)
tangles = st.recursive(
    st.integers(0, 9) | tangled,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(tangled, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200)
@given(tangles, st.booleans())
@example(["\\", '"', '\\"', '"\\', "\\\\", ',"['], False)
def test_no_text_hides_a_value_from_being_counted_or_adds_one(value: Any, ascii_only: bool) -> None:
    assert count_values(json.dumps(value, ensure_ascii=ascii_only).encode()) == 1 + opened_and_parted(value)
    assert count_values(encode_value(value)) == 1 + opened_and_parted(value)


@given(st.binary(max_size=40), tangles)
def test_what_follows_a_value_takes_nothing_from_its_count(more: bytes, value: Any) -> None:
    """Or a frame that is no JSON in the end could be built larger than was counted."""
    begun = encode_value(value)
    assert count_values(begun + b"\\" + more) >= count_values(begun)


@given(json_values)
def test_our_encoding_of_a_value_is_read_back_as_it_was(value: Any) -> None:
    assert repr(decode_value(encode_value(value))) == repr(value)
    assert repr(msgspec.json.decode(encode_value(value))) == repr(value)
