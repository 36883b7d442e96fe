"""What is in flight is counted, given back, and not remembered any longer."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest

from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.carriage import Carriage
from doorward.gateway.http.load import OWN_BYTES, Claim, Load
from doorward.judge.vocabulary import Principal
from doorward.policy.amounts import Limits
from doorward.wire.jsonrpc import Request

ADA, BOB = Principal("ada", "by her name"), Principal("bob", "by his name")
MEBIBYTE = 1024 * 1024


def load(*, sessions: int = 4, concurrent: int = 8) -> Load:
    limits = Limits(sessions, concurrent, children=4, subscriptions=16, in_flight_bytes=8 * MEBIBYTE)
    return Load(limits, lambda _seconds, done: done())


def about(verb: str, uri: str) -> Request:
    return Request(1, f"resources/{verb}", {"uri": uri})


def test_uris_that_are_not_subscribed_to_any_more_are_not_remembered() -> None:
    here, standing = load(), Counter[str]()
    for number in range(1000):
        assert not here.subscribe(ADA, "s", standing, [about("subscribe", f"x:{number}")])
        assert not here.subscribe(ADA, "s", standing, [about("unsubscribe", f"x:{number}")])
        assert not here.subscribe(ADA, "s", standing, [about("unsubscribe", f"never:{number}")])
    assert not list(standing)


def test_a_batch_with_one_subscription_too_many_counts_none_of_them() -> None:
    here, standing = load(), Counter[str]()
    many = [about("subscribe", f"x:{number}") for number in range(17)]
    for _ in range(3):
        assert here.subscribe(ADA, "s", standing, many) == "16 subscriptions stand"
    assert not standing
    assert not here.subscribe(ADA, "s", standing, many[:16])
    assert here.subscribe(ADA, "s", standing, many[16:])
    swapped = [about("unsubscribe", "x:0"), about("subscribe", "x:16")]
    assert not here.subscribe(ADA, "s", standing, swapped)
    here.unsubscribe_all(ADA, "s", standing)
    assert not here.subscribe(ADA, "t", standing, many[:16])


def test_however_many_principals_fill_their_part_of_the_bytes_there_is_something_for_the_next() -> None:
    here, all_of_them = load(), 0
    for number in range(6):
        held = OWN_BYTES
        assert here.take(f"user {number}", 0, OWN_BYTES)
        while here.take(f"user {number}", held, 100):
            held += 100
        assert held > OWN_BYTES
        all_of_them += held - OWN_BYTES
    assert all_of_them <= 8 * MEBIBYTE


def test_the_bytes_of_bodies_are_given_back_to_the_byte() -> None:
    here = load()
    sizes = [1, OWN_BYTES, OWN_BYTES + 1, 3 * OWN_BYTES]
    for _ in range(1000):
        for size in sizes:
            assert here.take(ADA.id, 0, size // 2)
            assert here.take(ADA.id, size // 2, size - size // 2)
        for size in sizes:
            here.give(ADA.id, size)
    assert here.take(BOB.id, 0, 6 * MEBIBYTE)
    assert not here.take(BOB.id, 6 * MEBIBYTE, MEBIBYTE)
    here.give(BOB.id, 6 * MEBIBYTE)
    assert here.take(ADA.id, 0, 6 * MEBIBYTE)


@pytest.mark.parametrize("method", ["tools/call", "resources/list"])
def test_a_client_beside_many_connections_that_run_away_has_its_part_and_so_has_each_session(method: str) -> None:
    here, asked = load(sessions=32, concurrent=16), Request(1, method, {})
    claims: list[Claim] = []

    def held(sender: str, *, session: bool = False) -> bool:
        claim = here.claim(ADA, sender, "web", [asked], session=session)
        if isinstance(claim, str):
            return False
        carriage = Carriage(cast("HttpCall", None), len(claims))  # which is asked for nothing here
        here.carry(carriage, ADA, claim)
        claims.append(claim)
        return True

    assert all(held(f"127.0.0.1 {port}") for port in range(64))
    assert held("127.0.0.1 honest")
    many = sum(held(f"127.0.0.2 {port}") for port in range(2048))
    assert many < 100
    assert held("a session", session=True)
    assert not isinstance(here.claim(BOB, "127.0.0.1 other", "web", [asked], session=False), str)
