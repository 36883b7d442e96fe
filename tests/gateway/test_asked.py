"""What the head of a request is taken to say."""

from __future__ import annotations

import pytest

from doorward.gateway.http.asked import source_of


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::5", "2001:db8:0:1::/64"),
        ("[2001:db8:0:1:ffff::6]:443", "2001:db8:0:1::/64"),
        ("[2001:DB8:0:1::7]", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("_hidden", "_hidden"),
        ("", ""),
        ("x" * 1000, "x" * 64),
    ],
)
def test_an_address_that_is_forwarded_is_counted_as_whoever_has_it(said: str, counted: str) -> None:
    assert source_of(said) == counted
