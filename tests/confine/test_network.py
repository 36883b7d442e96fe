"""What a profile says of a server's network, and what the server's programs are told of it."""

from __future__ import annotations

import pytest
from tests.confine.conftest import World

from doorward.confine.network import MOST_TARGETS, proxy_environment, spelt, targets
from doorward.errors import ConfinementError


def test_the_default_is_that_of_the_profile_and_what_is_said_decides(world: World) -> None:
    assert world.profile(["cat"]).network == "public"
    assert world.profile(["cat"], profile="strict").network == "none"
    assert world.profile(["cat"], profile="strict", network="public").network == "public"
    assert world.profile(["cat"], network="none", connect=[("127.0.0.1", 80)]).connect == (("127.0.0.1", 80),)


def test_its_programs_are_told_of_the_proxy_where_there_is_one(world: World) -> None:
    assert proxy_environment(world.profile(["cat"], network="none", connect=[("127.0.0.1", 80)])) == {}
    told = proxy_environment(world.profile(["cat"]))
    assert told["HTTPS_PROXY"] == told["http_proxy"] == told["npm_config_proxy"] == "http://127.0.0.1:3128"
    assert "127.0.0.1" in told["NO_PROXY"].split(",")


@pytest.mark.parametrize(
    ("host", "port"), [("", 1), ("a b", 1), ("a\nb", 1), ("a/b", 1), ("ü", 1), ("a", 0), ("a", 65536)]
)
def test_what_is_no_target_is_refused(host: str, port: int) -> None:
    with pytest.raises(ConfinementError):
        targets([(host, port)], "public")


def test_targets_are_said_once_and_in_lower_case() -> None:
    found = targets([("DB.Internal.", 5432), ("db.internal", 5432), ("::1", 80)], "public")
    assert found == (("db.internal", 5432), ("::1", 80))
    assert [spelt(one) for one in found] == ["db.internal:5432", "[::1]:80"]


def test_so_many_targets_and_no_more() -> None:
    named = [("a", port) for port in range(1, MOST_TARGETS + 1)]
    assert len(targets([*named, *named], "none")) == MOST_TARGETS
    with pytest.raises(ConfinementError):
        targets([*named, ("b", 1)], "none")


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST"])
def test_the_place_of_the_proxy_is_no_target_beside_it(host: str) -> None:
    assert targets([(host, 3128)], "none")
    assert targets([("127.0.0.2", 3128)], "public")
    with pytest.raises(ConfinementError, match="doorward's proxy"):
        targets([(host, 3128)], "public")
