"""A flood of messages does not become a flood of records; results are stored by digest (architecture §4, Streams)."""

from __future__ import annotations

import hashlib

import msgspec
from tests.relay.dialogue import Dialogue, Era, asks, eras, notification, only_legacy, ready, with_tool

from doorward.audit.entry import INLINE_BODY_BYTES, open_commitment
from doorward.policy.load import load
from doorward.policy.model import ToolPolicy
from doorward.relay import runs
from doorward.wire.jsonrpc import encode_value

LIMIT = runs.PROGRESS_PER_WINDOW


def calling(era: Era) -> Dialogue:
    """A call that asked to hear of its progress is under way."""
    talk = ready(era)
    talk.client(talk.call(1, meta={"progressToken": "t"}))
    return talk


def expected_hash(bodies: list[bytes]) -> str:
    running = ""
    for body in bodies:
        running = hashlib.sha256(running.encode() + body).hexdigest()
    return running


@eras()
def test_progress_up_to_the_limit_is_recorded_singly(era: Era) -> None:
    talk = calling(era)
    for count in range(LIMIT):
        turn = talk.server(talk.progress_to("t", count))
        assert (turn.record.entry.kind, turn.record.grade) == ("notice", "written")
        assert len(turn.told("client")) == 1


@eras()
def test_progress_above_the_limit_is_a_run_with_a_count_and_a_hash(era: Era) -> None:
    talk = calling(era)
    for count in range(LIMIT):
        talk.server(talk.progress_to("t", count))
    opening = talk.server(talk.progress_to("t", LIMIT))
    assert opening.record.entry.kind == "run"
    folded = [talk.server(talk.progress_to("t", LIMIT + 1 + count)) for count in range(25)]
    assert all(len(turn.told("client")) == 1 and turn.written == [] for turn in folded)
    assert talk.relay.deadline == talk.now + runs.WINDOW_US
    (closing,) = talk.until_deadline().records("run")
    assert closing.entry.count == 25
    assert closing.entry.running == expected_hash([body for turn in folded for body in turn.bytes_to("client")])


@eras()
def test_a_run_that_was_opened_is_closed_even_if_nothing_followed(era: Era) -> None:
    talk = calling(era)
    for count in range(LIMIT + 1):
        talk.server(talk.progress_to("t", count))
    (closing,) = talk.until_deadline().records("run")
    assert closing.entry.count == 0


@eras()
def test_a_run_ends_with_its_request(era: Era) -> None:
    talk = calling(era)
    for count in range(LIMIT + 4):
        talk.server(talk.progress_to("t", count))
    turn = talk.server(talk.result(1))
    assert [(r.entry.kind, r.entry.count) for r in turn.written] == [("run", 3), ("outcome", 0)]
    assert turn.written[0].entry.request == "1"
    assert talk.relay.deadline is None


@eras()
def test_a_run_ends_with_a_cancellation_and_with_the_link(era: Era) -> None:
    for end in ("cancel", "server", "client"):
        talk = calling(era)
        for count in range(LIMIT + 4):
            talk.server(talk.progress_to("t", count))
        if end == "cancel":
            turn = talk.client(talk.cancel(1))
        else:
            talk.now += runs.WINDOW_US
            turn = talk.closes("server" if end == "server" else "client")
        assert [r.entry.count for r in turn.records("run")] == [3], end


@eras()
def test_progress_below_the_limit_in_each_window_never_becomes_a_run(era: Era) -> None:
    talk = calling(era)
    for _ in range(4):
        for count in range(LIMIT):
            assert talk.server(talk.progress_to("t", count)).record.entry.kind == "notice"
        talk.now += runs.WINDOW_US
        talk.tick()


@eras()
def test_progress_of_nothing_that_is_open_ends_silently(era: Era) -> None:
    talk = calling(era)
    for token in ("other", True, 1, None, "T"):
        turn = talk.server(talk.progress_to(token))
        assert turn.silent
    talk.server(talk.result(1))
    assert talk.server(talk.progress_to("t")).silent


@eras()
def test_nobody_reports_progress_of_what_they_asked_themselves(era: Era) -> None:
    talk = calling(era)
    assert talk.client(talk.progress_to("t")).silent


@only_legacy
def test_a_client_reports_progress_of_what_its_server_asked(era: Era) -> None:
    talk = ready(era, attached=True)
    ticket = asks(talk, params={"messages": [], "_meta": {"progressToken": 5}}).ticket
    talk.person(ticket)
    assert talk.client(talk.progress_to(5)).only("server")["params"]["progressToken"] == 5
    assert talk.client(talk.progress_to("5")).silent


@eras()
def test_refusals_by_gates_are_recorded_once_in_a_window_with_a_count(era: Era) -> None:
    talk = ready(era)
    first = talk.client(talk.request(1, "no/such"))
    reference = first.record.entry.reference
    for id in range(2, 9):
        turn = talk.client(talk.request(id, "no/such"))
        assert turn.written == []
        assert turn.only("client")["error"]["data"]["reference"] == reference
        assert turn.only("client")["id"] == id
    (closing,) = talk.until_deadline().records("run")
    assert (closing.entry.count, closing.entry.reference) == (7, reference)
    assert closing.entry.detail == {"control": "known-methods"}
    assert talk.client(talk.request(9, "no/such")).record.entry.kind == "refusal"


@eras()
def test_each_kind_of_refusal_has_its_window(era: Era) -> None:
    talk = ready(era)
    assert talk.client(talk.request(1, "no/such")).records("refusal")
    assert talk.client(talk.request(2, "no/other")).records("refusal")
    assert talk.server(talk.result(77)).records("refusal")


@eras()
def test_many_kinds_of_refusals_share_the_bounded_windows(era: Era) -> None:
    talk = ready(era)
    recorded = sum(len(talk.client(talk.request(n, f"no/such{n}")).written) for n in range(500))
    assert 0 < recorded <= 64 + 1, "those beyond are counted together"
    closing = talk.until_deadline().records("run")
    assert sum(record.entry.count for record in closing) == 500 - recorded


@eras()
def test_unreadable_frames_are_counted_too(era: Era) -> None:
    talk = ready(era)
    assert len(talk.unreadable(b"{", "client").written) == 1
    for _ in range(5):
        turn = talk.unreadable(b"{", "client")
        assert (turn.written, len(turn.told("client"))) == ([], 1)
    (closing,) = talk.until_deadline().records("run")
    assert closing.entry.count == 5


@eras()
def test_everything_counted_is_closed_with_the_link(era: Era) -> None:
    talk = ready(era)
    for id in range(3):
        talk.client(talk.request(id, "no/such"))
    (closing,) = talk.closes("client").records("run")
    assert closing.entry.count == 2
    assert talk.relay.deadline is None


@eras()
def test_a_result_is_stored_by_digest_and_size_and_not_by_content(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(talk.result(1, content=[{"type": "text", "text": "private content"}]))
    (body,) = turn.bytes_to("client")
    entry = turn.record.entry
    assert (entry.body_digest, entry.body_size) == (hashlib.sha256(body).hexdigest(), len(body))
    assert (entry.body, turn.record.body) == ("", b"")
    assert open_commitment(entry.commitment, turn.record.salt, body)


@eras()
def test_a_body_of_64_kib_stands_in_its_entry_and_a_longer_one_beside_it(era: Era) -> None:
    for over in (0, 1):
        talk = ready(era)
        empty = len(talk.client(talk.call(1, arguments={"text": ""})).bytes_to("server")[0])
        turn = talk.client(talk.call(2, arguments={"text": "x" * (INLINE_BODY_BYTES - empty + over)}))
        (body,) = turn.bytes_to("server")
        assert len(body) == INLINE_BODY_BYTES + over
        entry = turn.record.entry
        assert entry.body_digest == hashlib.sha256(body).hexdigest()
        assert (entry.body.encode(), turn.record.body) == ((b"", body) if over else (body, b""))


@eras()
def test_the_archive_holds_the_masked_body_and_a_commitment_to_the_original(era: Era) -> None:
    talk = ready(era, policy=with_tool(load(None), "read", ToolPolicy(secrets=("text",))))
    secret = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    turn = talk.client(talk.call(1, arguments={"text": secret}))
    (body,) = turn.bytes_to("server")
    assert secret.encode() in body
    assert secret not in turn.record.entry.body
    assert open_commitment(turn.record.entry.commitment, turn.record.salt, body)


@eras()
def test_a_log_message_is_masked_on_the_wire_and_in_the_archive(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(notification("notifications/message", level="error", data={"apiKey": "secret_key_value"}))
    assert "secret_key_value" not in str(turn.only("client"))
    assert "secret_key_value" not in turn.record.entry.body
    assert encode_value(turn.only("client")["params"]["data"]).decode().count("masked:key") == 1
    assert msgspec.json.decode(turn.record.entry.body)["params"]["level"] == "error"
