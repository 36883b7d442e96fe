"""What a URL stands for, and what follows for the first use, the next, and a changed one.

The attacks are those of ``server-imitation`` over the network: addresses that readers take for different hosts, another
user's socket at a known port, hosts and names made to be mistaken.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.foreign import OTHER, Peer

from doorward.errors import IdentityError
from doorward.gateway.identity.hosts import read_address
from doorward.gateway.identity.judgment import Changed, First, Known, NearMiss
from doorward.gateway.identity.judgment_url import accept_hint, differences, judge_url, record_first_use, why_asked
from doorward.gateway.identity.url import UrlIdentity, identify_url
from doorward.policy.identity import name_problem
from doorward.policy.lock import Pins, read
from doorward.policy.profiles import PROFILES

AT = "2026-11-22T09:00:00Z"
US = os.geteuid()
THEM = US + 1000
THIRD = 1002 if US == 0 else US


def who(url: str, name: str = "", owner: int = -1) -> UrlIdentity:
    return msgspec.structs.replace(identify_url(url, name), owner=owner)


def local(name: str = "", owner: int = US, port: int = 8080) -> UrlIdentity:
    return who(f"http://127.0.0.1:{port}/mcp", name, owner)


def pinned(*identities: UrlIdentity) -> Pins:
    return {one.name: one.pin(first_seen=AT, accepted_by="first use") for one in identities}


def judged(identity: UrlIdentity, *known: UrlIdentity, profile: str = "standard") -> object:
    return judge_url(identity, pinned(*known), profile, user=US)


# One reading of an address.


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://MCP.Example.COM", "https://mcp.example.com/"),
        ("HTTPS://mcp.example.com:443/mcp?x=1", "https://mcp.example.com/mcp?x=1"),
        ("https://mcp.example.com:8443/a%20b/", "https://mcp.example.com:8443/a%20b/"),
        ("https://xn--mnchen-3ya.example/", "https://xn--mnchen-3ya.example/"),
        ("https://192.0.2.1/", "https://192.0.2.1/"),
        ("https://[2001:DB8:0:0::1]/", "https://[2001:db8::1]/"),
        ("http://127.0.0.1:80/mcp", "http://127.0.0.1/mcp"),
        ("http://127.1.2.3:8080", "http://127.1.2.3:8080/"),
        ("http://[0:0:0:0:0:0:0:1]:8080/mcp", "http://[::1]:8080/mcp"),
        ("http://LOCALHOST:8080/mcp", "http://localhost:8080/mcp"),
        ("https://mcp.example.com/@scope/pkg", "https://mcp.example.com/@scope/pkg"),
        ("https://mcp.example.com?q=..", "https://mcp.example.com/?q=.."),
    ],
)
def test_an_address_has_one_spelling(url: str, normal: str) -> None:
    address = read_address(url)
    assert address.url == normal
    assert read_address(normal) == address


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://127.0.0.1@evil.example/", "before an @"),
        ("http://127.0.0.1:80@evil.example/", "before an @"),
        ("https://user:secret@mcp.example.com/", "before an @"),
        ("https://evil.example\\@mcp.example.com/", "backslashes"),
        ("https:\\\\mcp.example.com/", "backslashes"),
        ("https://mcp.example.com/#x", "fragment"),
        ("https://mcp.example.com#@evil.example/", "fragment"),
        ("https://mcp.ex\u00e4mple.com/", "beyond ASCII"),
        ("https://mcp.example.com\u3002evil.example/", "beyond ASCII"),
        ("https://mcp.example.com/\r\nHost: x", "control characters"),
        ("https://mcp.example.com/\tx", "control characters"),
        (" https://mcp.example.com/", "blanks"),
        ("https://mcp.example.com/%0d%0ahost:x", "no URL may"),
        ("https://mcp.example.com/%", "no URL may"),
        ("https://mcp.example.com/<x>", "no URL may"),
        ("https://mcp.example.com/a/../b", "holds . or .."),
        ("https://mcp.example.com/a/%2E./b", "holds . or .."),
        ("https:///mcp", "names no host"),
        ("https://", "names no host"),
        ("https:mcp.example.com", "names no host"),
        ("https://:8080/", "names no host"),
        ("https://::1/", "names no host"),
        ("https://mcp.example.com:0/", "port"),
        ("https://mcp.example.com:/", "port"),
        ("https://mcp.example.com:65536/", "port"),
        ("https://mcp.example.com:+80/", "port"),
        ("https://mcp.example.com:080/", "port"),
        ("https://mcp.example.com:80:80/", "port"),
        ("http://2130706433/", "a number that readers"),
        ("http://0x7f000001/", "a number that readers"),
        ("http://0x7f.0.0.1/", "a number that readers"),
        ("http://0177.0.0.1/", "a number that readers"),
        ("http://127.1/", "a number that readers"),
        ("http://127.0.0.01/", "a number that readers"),
        ("http://127.0.0.1./", "a number that readers"),
        ("https://evil.example.0x7f/", "a number that readers"),
        ("https://1.2.3.4.5/", "a number that readers"),
        ("http://localhost./", "ends in a dot"),
        ("https://mcp.example.com./", "ends in a dot"),
        ("https://mcp..example.com/", "no host name"),
        ("https://-mcp.example.com/", "no host name"),
        ("https://mcp_1.example.com/", "no host name"),
        ("https://mcp%2eexample.com/", "no host name"),
        (f"https://{'a' * 64}.example/", "no host name"),
        ("https://xn--/", "no host name"),
        ("https://xn--a.example/", "no international name"),
        ("https://" + "a\u2044b".encode("punycode").decode().join(("xn--", ".example/")), "no international name"),
        ("https://xn--github-.example/", "no host name"),
        ("https://xn--99999999.example/", "no international name"),
        ("http://[::ffff:127.0.0.1]:8080/", "IPv4 address in disguise"),
        ("http://[::ffff:7f00:1]/", "IPv4 address in disguise"),
        ("http://[::1%25lo]/", "zone"),
        ("http://[fe80::1%eth0]/", "zone"),
        ("http://[::1/", "no host name"),
        ("http://[v1.x]/", "no IPv6 address"),
        ("http://[127.0.0.1]/", "no IPv6 address"),
        ("http://0.0.0.0:8080/", "not the address of one machine"),
        ("http://[::]:8080/", "not the address of one machine"),
        ("https://224.0.0.1/", "not the address of one machine"),
        ("http://mcp.example.com/", "proves nothing"),
        ("http://10.0.0.1/", "proves nothing"),
        ("http://localhost.evil.example/", "proves nothing"),
        ("http://foo.localhost/", "proves nothing"),
        ("http://127.0.0.1.evil.example/", "proves nothing"),
        ("http://[2001:db8::1]/", "proves nothing"),
        ("ws://127.0.0.1/", "ws:// is not how"),
        ("wss://mcp.example.com/", "wss:// is not how"),
        ("MCP://mcp.example.com/", "mcp:// is not how"),
        ("ftp://mcp.example.com/", "neither https"),
        ("mcp.example.com", "neither https"),
        ("", "neither https"),
        (f"https://mcp.example.com/{'a' * 2048}", "over 2048"),
    ],
)
def test_an_address_that_could_be_read_otherwise_is_refused(url: str, what: str) -> None:
    with pytest.raises(IdentityError, match=what) as refused:
        read_address(url)
    assert "secret" not in f"{refused.value} {refused.value.hint}"


def test_what_is_no_transport_is_refused_with_what_to_write_instead() -> None:
    for url, hint in (("wss://x.example/", "WebSocket is no transport of MCP"), ("mcp://x.example/", "proves nothing")):
        with pytest.raises(IdentityError) as refused:
            read_address(url)
        assert hint in refused.value.hint


def test_localhost_is_loopback_and_never_looked_up() -> None:
    assert read_address("http://localhost/").reached_at == ("127.0.0.1", "::1")
    assert read_address("https://mcp.example.com/").reached_at == ()


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "http://127.0.0.1", "https://a.b:"]))
def test_any_text_is_refused_or_has_one_spelling_and_a_name(rest: str, start: str) -> None:
    try:
        one = identify_url(start + rest)
    except IdentityError:
        return
    assert read_address(one.url) == one.address
    assert name_problem(one.name) == ""


# Names and proofs.


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("https://mcp.example.com/mcp", "mcp.example.com-"),
        ("http://127.0.0.1:8080/mcp", "loopback-8080-"),
        ("http://[::1]/", "loopback-80-"),
        ("https://[2001:db8::1]/", "2001-db8-1-"),
        (f"https://{'a' * 60}.example/", "a" * 55),
    ],
)
def test_a_derived_name_tells_where_it_leads_and_depends_on_the_whole_url(url: str, start: str) -> None:
    assert identify_url(url).name.startswith(start)
    assert name_problem(identify_url(url).name) == ""
    assert identify_url(url).name == identify_url(url).name != identify_url(f"{url}?x").name


def test_a_name_that_could_be_mistaken_is_no_name_of_a_url_either() -> None:
    with pytest.raises(IdentityError, match="cannot be the name"):
        identify_url("https://mcp.example.com/", "no tes")


def test_the_proof_of_a_remote_server_is_its_url_and_its_certificate() -> None:
    proof = who("https://mcp.example.com/mcp", "tickets").verified()
    assert (proof.kind, proof.name) == ("url", "tickets")
    assert dict(proof.evidence) == {
        "url": "https://mcp.example.com/mcp",
        "certificate": "mcp.example.com, by the system's trust store",
    }


def test_the_proof_on_loopback_is_the_owner_of_the_socket() -> None:
    one, other = local("x").verified(), local("x", owner=THEM).verified()
    assert dict(one.evidence) == {"url": "http://127.0.0.1:8080/mcp", "listener-owner": str(US)}
    assert one.fingerprint != other.fingerprint


def test_a_secret_in_a_url_is_neither_shown_nor_kept_and_still_compared() -> None:
    secret = "q7" * 18
    one, other = (who(f"https://mcp.example.com/mcp?api_key={key}&v=2", "x") for key in (secret, secret[::-1]))
    pin = pinned(one)["x"]
    assert secret not in f"{pin} {one.verified()} {accept_hint(one)}"
    assert "&v=2" in pin.url
    assert differences(pin, one) == ()
    assert differences(pin, other) == (("url", pin.url, f"{pin.url} (a masked value differs)"),)


def test_an_international_host_is_shown_as_it_displays() -> None:
    one = who("https://xn--github-mcp-0ih.example/")
    assert "displays as" in one.how()
    assert "displays as" in why_asked(one, First(asks=True), user=US)


# The judgment.


def test_our_own_socket_on_loopback_is_recorded_by_standard_and_asks_in_strict() -> None:
    assert judged(local()) == First(asks=False)
    assert judged(local(), profile="strict") == First(asks=True)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "identity", [local(owner=THEM), local(owner=-1), who("https://mcp.example.com/"), who("https://192.0.2.1/")]
)
def test_another_users_socket_and_any_other_host_ask_in_every_profile(identity: UrlIdentity, profile: str) -> None:
    assert judged(identity, profile=profile) == First(asks=True)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("identity", [local("x"), local("x", owner=THEM), who("https://mcp.example.com/", "x")])
def test_the_same_url_is_known(identity: UrlIdentity, profile: str) -> None:
    assert judged(identity, identity, profile=profile) == Known(pinned(identity)["x"])


def test_a_known_port_at_which_nobody_listens_yet_is_known_and_keeps_its_owner() -> None:
    now = local("x", owner=-1)
    verdict = judged(now, local("x", owner=THEM))
    assert isinstance(verdict, Known)
    assert now.expecting(verdict.pin).verified() == local("x", owner=THEM).verified()


@pytest.mark.parametrize("profile", PROFILES)
def test_another_user_at_a_known_port_is_a_change(profile: str) -> None:
    verdict = judged(local("x", owner=THEM), local("x"), profile=profile)
    assert isinstance(verdict, Changed)
    assert [field for field, _, _ in verdict.differences] == ["owner"]


@pytest.mark.parametrize(
    "url", ["https://mcp.example.com/other", "https://mcp.example.com:8443/mcp", "https://mcp.example.com/mcp?x=1"]
)
def test_another_url_under_a_known_name_is_a_change(url: str) -> None:
    verdict = judged(who(url, "x"), who("https://mcp.example.com/mcp", "x"))
    assert verdict == Changed((("url", "https://mcp.example.com/mcp", url),))


def test_a_command_and_a_url_under_one_name_are_changes_of_each_other(tmp_path: Path) -> None:
    from doorward.gateway.identity.command import identify
    from doorward.gateway.identity.judgment import judge

    command = identify(("/bin/true",), path="", cwd=str(tmp_path), name="x")
    pins = {"x": command.pin(first_seen=AT, accepted_by="first use")}
    verdict = judge_url(local("x"), pins, "standard", user=US)
    assert isinstance(verdict, Changed)
    assert verdict.differences[0] == ("kind", "command", "url")
    verdict = judge(command, pinned(local("x")), "standard")
    assert isinstance(verdict, Changed)
    assert verdict.differences[0] == ("kind", "url", "command")


MIMICS = {
    "a slip": "mcp.gihtub.com",
    "a missing letter": "mcp.githb.com",
    "a look-alike pair": "mcp.githlub.com",
    "a digit for a letter": "mcp.g1thub.com",
    "another ending": "mcp.github.co",
    "a longer name": "mcp.github.com.evil.example",
    "a prefix": "my-github.example",
    "a suffix": "github-mcp.example",
    "hyphens": "mcp.git-hub.com",
    "a hyphen for a dot": "mcp-github.com",
    "Cyrillic, in punycode": "mcp." + "g\u0456thub".encode("idna").decode() + ".com",
    "a mark, in punycode": "mcp." + "g\u00eethub".encode("idna").decode() + ".com",
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("host", MIMICS.values(), ids=list(MIMICS))
def test_a_host_like_a_known_one_asks_and_says_which(host: str, profile: str) -> None:
    verdict = judged(who(f"https://{host}/", "second"), who("https://mcp.github.com/", "hub"), profile=profile)
    assert isinstance(verdict, NearMiss)
    assert verdict.of == "hub"
    assert host in verdict.why
    assert "mistaken for the known server hub" in why_asked(who(f"https://{host}/"), verdict, user=US)


@pytest.mark.parametrize(
    ("new", "known"),
    [
        ("https://api.github.com/", "https://mcp.github.com/"),
        ("https://mcp.github.com/other", "https://mcp.github.com/"),
        ("https://mcp1.example.com/", "https://mcp2.example.com/"),
        ("https://mcp.atlassian.com/", "https://mcp.github.com/"),
        ("https://mcp.linear.app/", "https://mcp.sentry.dev/"),
        ("https://a.example.co.uk/", "https://b.other.co.uk/"),
        ("https://192.0.2.1/", "https://192.0.2.2/"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8081/"),
        ("http://localhost:8080/", "http://127.0.0.1:8080/"),
        ("http://localhost:8080/", "https://mcp.github.com/"),
    ],
)
def test_a_host_that_is_merely_related_mimics_nobody(new: str, known: str) -> None:
    for first, second in ((new, known), (known, new)):
        assert isinstance(judged(who(first, owner=US), who(second, owner=US)), First)


@pytest.mark.parametrize(
    ("known", "new"), [("tickets", "ticket"), ("notes", "Notes"), ("github-tools", "gihtub-tools")]
)
def test_a_name_like_a_known_one_asks_even_for_our_own_socket(known: str, new: str) -> None:
    verdict = judged(local(new), local(known, port=9090))
    assert verdict == NearMiss(known, f"the name {new} can be mistaken for {known}")


def test_a_first_use_is_kept_once_and_then_known(tmp_path: Path) -> None:
    lock = tmp_path / "doorward.lock"
    one = local("x")
    assert record_first_use(lock, one, "standard", at=AT, user=US) == First(asks=False)
    assert read(lock) == pinned(one)
    assert isinstance(record_first_use(lock, one, "standard", at=AT, user=US), Known)
    assert isinstance(record_first_use(lock, local("x", owner=THEM), "standard", at=AT, user=US), Changed)
    assert record_first_use(lock, local("other", owner=THEM), "standard", at=AT, user=US) == First(asks=True)
    assert read(lock) == pinned(one)


def test_a_socket_that_nobody_can_tell_the_owner_of_is_not_pinned() -> None:
    with pytest.raises(IdentityError, match="nobody can tell whose socket"):
        local(owner=-1).pin(first_seen=AT, accepted_by="x")


def test_the_hint_is_the_command_that_accepts_it() -> None:
    assert accept_hint(local("x")) == "doorward pin accept --url http://127.0.0.1:8080/mcp --name x"
    assert accept_hint(who("https://a.example/?x=1&y=2")) == "doorward pin accept --url 'https://a.example/?x=1&y=2'"


# Sockets.


def connected(to: tuple[str, int]) -> socket.socket:
    return socket.create_connection(to, timeout=30)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def at(port: int, owner: int | None = None) -> UrlIdentity:
    found = identify_url(f"http://127.0.0.1:{port}/mcp", "x")
    return found if owner is None else msgspec.structs.replace(found, owner=owner)


def test_the_listening_socket_is_looked_at_when_a_url_is_identified(
    server: socket.socket, peers: Callable[..., Peer]
) -> None:
    assert at(server.getsockname()[1]).owner == US
    assert at(peers("listen", "127.0.0.1").port).owner == OTHER
    port = server.getsockname()[1]
    server.close()
    assert at(port).owner == -1


def test_localhost_has_an_owner_only_where_both_its_addresses_have_the_same(peers: Callable[..., Peer]) -> None:
    six = peers("listen", "::1", 0, socket.AF_INET6)
    assert identify_url(f"http://localhost:{six.port}/").owner == OTHER
    with socket.create_server(("127.0.0.1", six.port)):
        assert identify_url(f"http://localhost:{six.port}/").owner == (OTHER if OTHER == US else -1)


def test_a_connection_to_our_own_server_is_its(server: socket.socket) -> None:
    identity = at(server.getsockname()[1])
    with connected(server.getsockname()) as client:
        ends = client.getpeername(), client.getsockname()
        assert identity.verify_connected(*ends) is None  # not accepted yet
        with server.accept()[0]:
            assert identity.verify_connected(*ends) is None
        assert identity.verify_connected(*ends) == "the connection ended before it could be looked at"


def test_another_user_at_the_known_port_is_refused_at_connect(peers: Callable[..., Peer]) -> None:
    squatter = peers("listen", "127.0.0.1")
    with connected(("127.0.0.1", squatter.port)) as client:
        problem = at(squatter.port, owner=US).verify_connected(client.getpeername(), client.getsockname())
    assert (problem is None) if OTHER == US else f"belongs to user {OTHER}" in str(problem)


def test_who_listened_for_a_moment_is_found_out_though_the_server_listens_again(peers: Callable[..., Peer]) -> None:
    squatter = peers("listen", "127.0.0.1")
    with connected(("127.0.0.1", squatter.port)) as client:
        squatter.do("accept")
        squatter.do("close")
        third = peers("listen", "127.0.0.1", squatter.port, socket.AF_INET, "", THIRD)
        identity = at(third.port)
        assert identity.owner == THIRD
        assert identity.verify_connected(client.getpeername()) is None  # the listener alone misleads
        problem = identity.verify_connected(client.getpeername(), client.getsockname())
    assert (problem is None) if OTHER == US else f"was taken by user {OTHER}" in str(problem)


def test_a_connection_elsewhere_or_to_nobody_known_is_refused(server: socket.socket) -> None:
    port = server.getsockname()[1]
    assert "is not where" in str(at(port).verify_connected(("127.0.0.2", port)))
    assert "is not where" in str(at(port).verify_connected(("127.0.0.1", port + 1)))
    assert "not known who" in str(at(port, owner=-1).verify_connected(("127.0.0.1", port)))
    server.close()
    assert "nobody can tell" in str(at(port, owner=US).verify_connected(("127.0.0.1", port)))


def test_a_remote_connection_is_proved_by_tls_and_not_here() -> None:
    assert who("https://mcp.example.com/").verify_connected(("192.0.2.1", 443)) is None
