"""The headers that repeat the body, against the SDK's own functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp.shared import inbound

from doorward.protocol import headers, versions
from doorward.wire.jsonrpc import Notification, Request, encode_value

META = {versions.META_VERSION: "2026-07-28", versions.META_CAPABILITIES: {}}

texts = st.one_of(st.text(max_size=20), st.sampled_from(["=?base64?YQ==?=", "=?base64?!?=", " a", "a ", "", "ä", "\n"]))
values = st.one_of(texts, st.integers(-(2**53), 2**53), st.booleans(), st.none(), st.lists(st.integers(), max_size=2))
names = st.sampled_from(["Region", "region", "X-1", "bad name", "", "ü"])


@given(texts)
def test_a_value_is_encoded_as_the_sdk_does_and_comes_back(value: str) -> None:
    assert headers.encode_value(value) == inbound.encode_header_value(value)
    assert headers.decode_header(headers.encode_value(value)) == value


@given(st.one_of(texts, st.text("=?base64YQZABC", max_size=8).map(lambda inner: f"=?base64?{inner}?=")))
@example("=?base64?YR==?=")
@example("=?BASE64?YQ==?=")
def test_a_header_is_decoded_as_the_sdk_does(value: str) -> None:
    if value.isascii():  # the SDK fails where an encoded value is not
        assert headers.decode_header(value) == inbound.decode_header_value(value)
    elif value.startswith("=?base64?") and value.endswith("?="):
        assert headers.decode_header(value) is None
    else:
        assert headers.decode_header(value) == value


def schema_of(properties: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


properties = st.dictionaries(
    st.sampled_from("a b c".split()),
    st.builds(
        lambda name, kind, wrap: (
            {"type": kind, "x-mcp-header": name}
            if not wrap
            else {"type": "object", "properties": {"in": {"type": kind, "x-mcp-header": name}}}
            if wrap == 1
            else {"anyOf": [{"type": kind, "x-mcp-header": name}]}
        ),
        names,
        st.sampled_from(["string", "integer", "boolean", "number", ["string"], None]),
        st.sampled_from([0, 0, 0, 1, 2]),
    ),
    max_size=2,
).map(schema_of)


@given(properties)
def test_annotations_are_valid_where_the_sdk_finds_them_so(schema: dict[str, Any]) -> None:
    declared = headers.declared_headers(schema)
    assert isinstance(declared, str) == (inbound.find_invalid_x_mcp_header(schema) is not None)
    if not isinstance(declared, str):
        assert {path: name for path, name, _ in declared} == inbound.x_mcp_header_map(schema)


@given(
    properties,
    st.dictionaries(st.sampled_from("a b c".split()), st.one_of(values, st.fixed_dictionaries({"in": values}))),
)
def test_what_is_required_is_what_the_sdk_sends_and_takes(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    params = {"name": "tö", "arguments": arguments, "_meta": META}
    sent = headers.required_headers("tools/call", params, encode_value(schema))
    ours = {name.lower(): value for name, value in sent.items()}
    if inbound.find_invalid_x_mcp_header(schema) is None:
        theirs = inbound.mcp_param_headers(inbound.x_mcp_header_map(schema), arguments)
        assert {n: v for n, v in ours.items() if n.startswith("mcp-param-")} == {
            n.lower(): v for n, v in theirs.items()
        }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    assert isinstance(inbound.classify_inbound_request(body, headers=ours), inbound.InboundModernRoute)
    assert inbound.validate_mcp_param_headers(schema, arguments, ours) is None
    assert headers.mismatch(ours.items(), Request(1, "tools/call", params), encode_value(schema)) is None


@given(properties, st.dictionaries(st.sampled_from("a b".split()), values), values, st.sampled_from(["Region", "x-1"]))
@example(schema_of({"a": {"type": "integer", "x-mcp-header": "Region"}}), {"a": 42}, "42.0", "Region")
@example(schema_of({"a": {"type": "integer", "x-mcp-header": "Region"}}), {"a": 42}, "42.5", "Region")
@example(schema_of({"a": {"type": "boolean", "x-mcp-header": "Region"}}), {"a": True}, "1", "Region")
@example(schema_of({"a": {"type": "string", "x-mcp-header": "Region"}}), {}, "eu", "Region")
def test_a_parameter_is_judged_as_the_sdk_does(
    schema: dict[str, Any], arguments: dict[str, Any], given_value: object, name: str
) -> None:
    lines = {"Mcp-Param-" + name: headers.encode_value(str(given_value))}
    envelope = {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "t"}
    message = Request(1, "tools/call", {"name": "t", "arguments": arguments, "_meta": META})
    ours = headers.mismatch({**envelope, **lines}.items(), message, encode_value(schema))
    theirs = inbound.validate_mcp_param_headers(schema, arguments, lines)
    assert (ours is None) == (theirs is None)


GOOD = [("mcp-protocol-version", "2026-07-28"), ("MCP-METHOD", "tools/call"), ("Mcp-Name", "echo")]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (GOOD, None),
        (GOOD[1:], "Version"),
        ([("mcp-protocol-version", "2025-11-25"), *GOOD[1:]], "Version"),
        ([GOOD[0], ("Mcp-Method", "tools/list"), GOOD[2]], "Mcp-Method"),
        ([GOOD[0], ("Mcp-Method", "Tools/Call"), GOOD[2]], "Mcp-Method"),
        ([GOOD[0], GOOD[2]], "Mcp-Method"),
        (GOOD[:2], "Mcp-Name"),
        ([*GOOD[:2], ("Mcp-Name", "Echo")], "Mcp-Name"),
        ([*GOOD[:2], ("Mcp-Name", "=?base64?ZWNobw==?=")], None),
        ([*GOOD[:2], ("Mcp-Name", "=?base64?ZWNobw=?=")], "Mcp-Name"),
        ([*GOOD, ("mcp-NAME", "echo")], "twice"),
        ([*GOOD, ("mcp-param-a", "1"), ("Mcp-Param-A", "1")], "twice"),
        ([*GOOD, ("Mcp-Param-Unknown", "1")], None),
    ],
)
def test_headers_that_do_not_say_what_the_body_says_are_named(lines: list[tuple[str, str]], why: str | None) -> None:
    found = headers.mismatch(lines, Request(1, "tools/call", {"name": "echo", "_meta": META}))
    assert (found is None) if why is None else (found is not None and why in found)


def test_a_body_without_a_version_agrees_with_no_header() -> None:
    assert headers.mismatch(GOOD, Request(1, "tools/call", {"name": "echo"})) is not None
    assert headers.mismatch(GOOD[1:], Request(1, "tools/call", {"name": "echo"})) is not None


def test_an_extensions_name_must_be_right_where_it_stands() -> None:
    request = Request(1, "tasks/get", {"taskId": "t1", "_meta": META})
    envelope = [GOOD[0], ("Mcp-Method", "tasks/get")]
    assert headers.mismatch(envelope, request) is None
    assert headers.mismatch([*envelope, ("Mcp-Name", "t1")], request) is None
    assert headers.mismatch([*envelope, ("Mcp-Name", "t2")], request) is not None


def test_a_notification_needs_no_method_header_but_not_a_wrong_one() -> None:
    message = Notification("notifications/cancelled", {"requestId": 1})
    assert headers.mismatch([], message) is None
    assert headers.mismatch([("Mcp-Method", "tools/call")], message) is not None
