"""What no message could carry is not asked for: by the size of its file, or by what its server announced of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.relay.dialogue import LIMITS, Dialogue, Era, Turn, eras, only_legacy, ready

from doorward.judge.vocabulary import FileSize
from doorward.policy.profiles import values
from doorward.protocol.definitions import MAX_SIZES
from doorward.relay.commands import Arrived
from doorward.wire.jsonrpc import decode

LIMIT = values("standard").sizes.from_server_bytes
DUMP = "file:///work/space/dump"
REMOTE = "store://dumps/1"


def with_file(era: Era, size: int) -> Dialogue:
    talk = ready(era, folders=("/work/space",))
    talk.files["/work/space/dump"] = size
    return talk


def reads(talk: Dialogue, id: int, uri: str) -> Turn:
    return talk.client(talk.request(id, "resources/read", {"uri": uri}))


def listed(talk: Dialogue, id: int, *items: dict[str, Any], params: dict[str, Any] | None = None, **more: Any) -> None:
    talk.client(talk.request(id, "resources/list", params or {}))
    talk.server(talk.result(id, resources=[{"name": "dump", **item} for item in items], **more))


@eras()
def test_a_file_that_just_fits_is_read_and_a_larger_one_is_refused(era: Era) -> None:
    assert reads(with_file(era, LIMIT), 1, DUMP).told("server")
    turn = reads(with_file(era, LIMIT + 1), 1, DUMP)
    assert (turn.told("server"), turn.controls) == ([], {"resource-size"})
    error = turn.only("client")["error"]
    assert (error["code"], error["data"]["limit"]) == (-32602, LIMIT)


@eras()
def test_a_refusal_names_the_file_and_its_size_to_the_operator(era: Era) -> None:
    (record,) = reads(with_file(era, 4 << 30), 1, DUMP).written
    (finding,) = record.entry.findings
    assert finding.evidence == f"/work/space/dump: {4 << 30} bytes"


@eras()
def test_every_reading_of_a_uri_is_measured(era: Era) -> None:
    turn = reads(with_file(era, LIMIT + 1), 1, "file:///work/space/du%6Dp")
    assert (turn.told("server"), turn.controls) == ([], {"resource-size"})


@only_legacy
def test_what_is_too_large_to_be_read_is_not_watched_either_but_no_longer_watching_passes(era: Era) -> None:
    talk = with_file(era, LIMIT + 1)
    turn = talk.client(talk.request(1, "resources/subscribe", {"uri": DUMP}))
    assert (turn.told("server"), turn.controls) == ([], {"resource-size"})
    assert talk.client(talk.request(2, "resources/unsubscribe", {"uri": DUMP})).told("server")


def test_a_modern_client_does_not_listen_on_what_is_too_large() -> None:
    talk = with_file("modern", LIMIT + 1)
    listening = {"notifications": {"resourceSubscriptions": ["file:///work/space/small", DUMP]}}
    turn = talk.client(talk.request(1, "subscriptions/listen", listening))
    assert (turn.told("server"), turn.controls) == ([], {"resource-size"})


@eras()
def test_a_size_that_nobody_found_out_refuses(era: Era) -> None:
    talk = ready(era, folders=("/work/space",))
    frame = decode(msgspec.json.encode(talk.request(1, "resources/read", {"uri": DUMP})), LIMITS)
    answers = {
        asked: None if isinstance(asked, FileSize) else asked.path for asked in talk.relay.foresee(frame, "client")
    }
    turn = talk.event(Arrived(frame, "client", 0, talk.facts(answers)))
    assert (turn.told("server"), turn.controls) == ([], {"resource-size"})


@eras()
def test_a_server_elsewhere_is_believed_what_it_announces(era: Era) -> None:
    talk = ready(era)
    listed(talk, 1, {"uri": REMOTE, "size": LIMIT + 1}, {"uri": "store://dumps/2", "size": LIMIT})
    turn = reads(talk, 2, REMOTE)
    assert (turn.told("server"), turn.controls) == ([], {"resource-size"})
    assert reads(talk, 3, "store://dumps/2").told("server")
    assert reads(talk, 4, "store://dumps/3").told("server"), "of this one nothing was said"


@eras()
def test_sizes_of_all_pages_hold_until_the_list_is_read_from_its_start(era: Era) -> None:
    talk = ready(era)
    listed(talk, 1, {"uri": REMOTE, "size": LIMIT + 1}, nextCursor="more")
    listed(talk, 2, {"uri": "store://dumps/2", "size": LIMIT + 1}, params={"cursor": "more"})
    assert reads(talk, 3, REMOTE).controls == {"resource-size"}
    assert reads(talk, 4, "store://dumps/2").controls == {"resource-size"}
    listed(talk, 5, {"uri": "store://dumps/2", "size": 1})
    assert reads(talk, 6, "store://dumps/2").told("server")
    assert reads(talk, 7, REMOTE).told("server")


@eras()
def test_a_resource_that_is_listed_twice_counts_as_the_larger(era: Era) -> None:
    talk = ready(era)
    listed(talk, 1, {"uri": REMOTE, "size": LIMIT + 1}, {"uri": REMOTE, "size": 1})
    assert reads(talk, 2, REMOTE).controls == {"resource-size"}


@only_legacy
@pytest.mark.parametrize("news", ["list_changed", "updated"])
def test_what_changed_may_be_smaller_now(era: Era, news: str) -> None:
    talk = ready(era)
    listed(talk, 1, {"uri": REMOTE, "size": LIMIT + 1}, {"uri": "store://dumps/2", "size": LIMIT + 1})
    params = {"uri": REMOTE} if news == "updated" else {}
    talk.server({"jsonrpc": "2.0", "method": f"notifications/resources/{news}", "params": params})
    assert reads(talk, 2, REMOTE).told("server")
    assert bool(reads(talk, 3, "store://dumps/2").told("server")) == (news == "list_changed")


@eras()
@pytest.mark.parametrize("size", [True, -1, 1e30, "4294967296", None])
def test_what_is_no_size_announces_nothing(era: Era, size: object) -> None:
    talk = ready(era)
    listed(talk, 1, {"uri": REMOTE, "size": size})
    assert reads(talk, 2, REMOTE).told("server")


def test_no_more_sizes_are_kept_than_are_bounded() -> None:
    from doorward.protocol import definitions

    page = tuple({"uri": f"store://{number}", "size": LIMIT + 1} for number in range(MAX_SIZES + 5))
    known = definitions.record_sizes(definitions.NOTHING, page, first=True)
    assert len(known.sizes) == MAX_SIZES


@eras()
def test_a_tool_that_names_a_large_file_may_be_called(era: Era) -> None:
    talk = with_file(era, LIMIT + 1)
    turn = talk.client(talk.request(1, "tools/call", {"name": "read", "arguments": {"text": "/work/space/dump"}}))
    assert turn.told("server")
