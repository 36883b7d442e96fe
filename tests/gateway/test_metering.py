"""Who may send how often: each source, what it shares with others, and the part that nobody takes from it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from doorward.content.rates import Rate
from doorward.gateway.metering import Incoming, Meter, Source, subscriptions_of
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, ToolPolicy, sealed
from doorward.wire.jsonrpc import Message, Notification, Request, Response

PING = Request(1, "ping", {})
WIDE = 1_000_000


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def rates(sessions: int = 4, servers: dict[str, ServerPolicy] | None = None, **said: int) -> Policy:
    """Wide rates, but for what is said."""
    policy = load(None)
    usual = dict.fromkeys(msgspec.structs.asdict(policy.rates), WIDE)
    values = msgspec.structs.replace(
        policy.values,
        rates=msgspec.structs.replace(policy.rates, **{**usual, **said}),
        limits=msgspec.structs.replace(policy.limits, sessions=sessions),
    )
    return sealed(msgspec.structs.replace(policy, values=values, servers=servers or {}))


class Door:
    """Sends what a test says, and knows how much of it may pass."""

    def __init__(self, policy: Policy) -> None:
        self.clock = Clock()
        self.meter = Meter(policy, self.clock)

    def source(
        self, key: str, *, principal: str = "ada", address: str = "::1", server: str = "s", session: bool = True
    ) -> Source:
        return self.meter.source(key, principal=principal, address=address, server=server, session=session)

    def passed(self, source: Source, count: int, message: Message = PING, server: str = "s") -> int:
        return sum(self.meter.take(source, server, message) is None for _ in range(count))


def call(tool: str) -> Request:
    return Request(1, "tools/call", {"name": tool, "arguments": {}})


def test_each_method_and_each_tool_of_a_session_has_a_bucket_of_its_own() -> None:
    door = Door(rates(method_burst=2, tool_burst=3))
    source = door.source("a")
    assert door.passed(source, 9) == 2
    assert door.passed(source, 9, Request(1, "tools/list")) == 2
    assert door.passed(source, 9, call("read")) == 3
    assert door.passed(source, 9, call("write")) == 3
    assert door.passed(source, 9, Request(1, "resources/read", {"uri": "x:y"})) == 3
    assert door.passed(source, 9, Notification("notifications/cancelled")) == 2
    assert door.passed(door.source("b"), 9) == 2


def test_names_that_nobody_else_uses_do_not_grow_a_table_without_end() -> None:
    door = Door(rates(tool_burst=1))
    source = door.source("a")
    for number in range(1000):
        door.passed(source, 1, call(f"tool {number}"))
    assert len(source.named) <= 65


@pytest.mark.parametrize(
    ("what", "beside"),
    [
        ("session", {"session": "other"}),
        ("principal", {"principal": "bob"}),
        ("address", {"address": "127.0.0.2", "principal": "bob"}),
        ("server", {"server": "t", "principal": "bob"}),
    ],
)
def test_what_several_share_ends_for_all_of_them_and_for_nobody_else(what: str, beside: dict[str, str]) -> None:
    said = {f"{what}_burst": 5, f"{what}_per_second": 5}
    door = Door(rates(1000, None, **said))
    first = door.source("a")
    passed = door.passed(first, 9)
    assert passed == 5
    named: dict[str, Any] = {name: value for name, value in beside.items() if name != "session"}
    assert door.passed(door.source("b", **named), 4, server=named.get("server", "s")) == 4


def test_whoever_floods_leaves_each_other_session_of_its_principal_its_part() -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=200))
    floods = [door.source(f"flood {number}") for number in range(8)]
    honest = door.source("honest")
    for _ in range(30 * 20):  # thirty seconds, and in each twenty calls of the honest one
        door.clock.now += 1 / 20
        for flood in floods:
            door.passed(flood, 8)
        if door.clock.now % 0.1 < 0.05:
            assert door.passed(honest, 1) == 1


def test_all_sessions_together_get_no_more_than_their_principal_may() -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=200))
    sources = [door.source(str(number)) for number in range(10)]
    for source in sources:
        door.passed(source, 1000)
    passed = 0
    for _ in range(100):
        door.clock.now += 0.1
        passed += sum(door.passed(source, 20) for source in sources)
    assert passed == pytest.approx(10 * 100, rel=0.05)


def test_a_new_connection_begins_with_two_messages_out_of_the_part_of_all_that_are_new() -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=100))
    flood = door.source("flood", session=False)
    assert door.passed(flood, 500) == 100 + 2
    honest = door.source("honest", session=False)
    assert door.passed(honest, 50) == 2
    door.clock.now += 1.0
    door.passed(flood, 500)
    assert door.passed(honest, 50) == 10  # its own part by now


def test_whoever_opens_connections_gets_one_part_more_once_and_in_the_long_run_nothing() -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=100))
    passed = 0
    for second in range(20):
        for number in range(200):
            passed += door.passed(door.source(f"new {second} {number}", session=False), 5)
        door.clock.now += 1.0
    assert passed == 20 * 100 + 10  # what passes out of that part is still counted for their principal


def test_a_connection_beside_a_flood_of_connections_that_were_there_before_is_served_from_its_first_message() -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=100))
    floods = [door.source(f"flood {number}", session=False) for number in range(64)]

    def flooded(seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            door.clock.now += 1 / 20
            for flood in floods:
                door.passed(flood, 8)

    flooded(20)
    honest = door.source("honest", session=False)
    for _ in range(40):  # every tenth of a second
        assert door.passed(honest, 1) == 1
        flooded(0.1)


def test_who_keeps_to_its_own_part_is_not_beyond_it_and_who_sends_more_is_for_a_while() -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=100))
    flood, honest = door.source("flood"), door.source("honest")
    for _ in range(40):  # ten a second, which is one part of ten
        door.clock.now += 1 / 10
        assert door.passed(honest, 1) == 1
        assert not door.meter.beyond(honest)
    door.passed(flood, 20)
    assert door.meter.beyond(flood)
    door.clock.now += 10
    assert not door.meter.beyond(flood)


@pytest.mark.parametrize("message", [PING, call("read")])
def test_a_session_has_one_part_from_however_many_addresses_it_is_used(message: Message) -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=100))
    assert sum(door.passed(door.source("s", address=f"::{number}"), 500, message) for number in range(100)) <= 110
    for policy in (rates(session_burst=5), rates(method_burst=5, tool_burst=5)):
        door = Door(policy)
        assert sum(door.passed(door.source("s", address=f"::{number}"), 9, message) for number in range(100)) == 5


def test_names_of_a_session_do_not_grow_without_end_from_however_many_addresses_they_come() -> None:
    door = Door(rates(tool_burst=1))
    passed = 0
    for number in range(1000):
        passed += door.passed(door.source("s", address=f"::{number}"), 1, call(f"tool {number}"))
    assert passed <= 65


def test_whoever_begins_and_ends_sessions_has_no_more_parts_than_those_that_were_open_at_once() -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=100))

    def churn() -> int:
        passed = 0
        for number in range(200):
            passed += door.passed(door.source(f"{door.clock.now} {number}"), 500)
            door.meter.over(f"{door.clock.now} {number}", principal="ada", server="s")
        return passed

    assert churn() <= 110
    for _ in range(10):
        door.clock.now += 1.0
        assert churn() <= 110
    door.passed(door.source("flood"), 500)
    assert door.passed(door.source("another"), 10) == 10  # open beside it, so with a part of its own
    door.clock.now += 1.0
    door.passed(door.source("flood"), 500)
    assert door.passed(door.source("bob's", principal="bob"), 10) == 10


def test_whoever_opens_and_closes_connections_makes_none_that_is_open_begin_anew() -> None:
    door = Door(rates(sessions=10, principal_per_second=100, principal_burst=100))
    passed = 0
    for second in range(8):
        for number in range(2500):
            door.passed(door.source(f"new {second} {number}", session=False), 1)
            door.meter.forget(f"new {second} {number}")
        passed += door.passed(door.source("honest", session=False), 1)
        door.clock.now += 1.0
    assert passed >= 7  # its part begins empty, and is not emptied again


def test_whoever_opens_connections_makes_no_session_forget_what_it_sent() -> None:
    door = Door(rates(session_burst=5, session_per_second=1))
    assert door.passed(door.source("s"), 9) == 5
    for number in range(5000):
        door.source(f"new {number}", session=False)
    assert door.passed(door.source("s"), 9) == 0


def test_what_is_refused_costs_nothing_and_says_when_to_come_back() -> None:
    door = Door(rates(method_per_second=2, method_burst=2))
    source = door.source("a")
    door.passed(source, 100)
    early = door.meter.take(source, "s", PING)
    assert early is not None
    assert early.peer is not None
    assert (early.peer.code, early.peer.data) == (-31003, {"retryAfterMs": 500})
    door.clock.now += 0.5
    assert door.passed(source, 2) == 1


def test_the_operators_rate_of_a_tool_is_for_all_sessions_of_a_principal_and_that_of_a_server_for_everybody() -> None:
    servers = {
        "s": ServerPolicy("s", tools={"send": ToolPolicy(rate=Rate(1, 3))}),
        "t": ServerPolicy("t", rate=Rate(1, 4)),
    }
    door = Door(rates(servers=servers))
    assert door.passed(door.source("a"), 9, call("send")) == 3
    assert door.passed(door.source("b"), 9, call("send")) == 0
    assert door.passed(door.source("b", principal="bob"), 9, call("send")) == 3
    assert door.passed(door.source("a"), 9, call("read")) == 9
    to_t = door.source("a", server="t")
    assert door.passed(to_t, 9, server="t") == 4


def test_a_servers_notifications_and_requests_are_counted_each_by_its_method_and_its_answers_are_not() -> None:
    clock = Clock()
    incoming = Incoming(rates(notice_burst=3, notice_per_second=1, ask_burst=2, ask_per_second=1), clock)

    def passed(message: Message) -> int:
        return sum(incoming.take(message) is None for _ in range(9))

    assert passed(Notification("notifications/message")) == 3
    assert passed(Notification("notifications/resources/updated")) == 3
    assert passed(Request(1, "sampling/createMessage")) == 2
    assert passed(Response(1, result={})) == 9
    clock.now += 1
    assert passed(Notification("notifications/message")) == 1


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (Request(1, "resources/subscribe", {"uri": "x:y"}), 1),
        (Request(1, "subscriptions/listen", {"notifications": {"resourceSubscriptions": ["a", "a", "b"]}}), 3),
        (Request(1, "subscriptions/listen", {"notifications": {"toolsListChanged": True}}), 1),
        (Request(1, "subscriptions/listen", {"notifications": {"resourceSubscriptions": 7}}), 1),
        (Request(1, "subscriptions/listen", None), 1),
        (Request(1, "tools/call", {"name": "resources/subscribe"}), 0),
        (Notification("resources/subscribe"), 0),
    ],
)
def test_subscriptions_are_counted_as_often_as_they_are_asked_for(message: Message, count: int) -> None:
    assert subscriptions_of(message) == count


def test_the_first_messages_of_a_connection_are_not_beyond_its_part_and_more_at_once_are() -> None:
    door = Door(rates(sessions=4, principal_burst=100, principal_per_second=100))
    connection = door.source("a", session=False)
    beyond = []
    for _ in range(4):
        assert door.passed(connection, 1) == 1
        beyond.append(door.meter.beyond(connection))
    assert beyond == [False, False, True, True]
    door.clock.now += 1.0
    assert not door.meter.beyond(connection)
