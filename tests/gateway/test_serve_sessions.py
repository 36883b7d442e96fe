"""Sessions and principals at ``doorward serve``: whose is what, how many, and for how long."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.foreign import OTHER
from tests.gateway.scripted_upstream import Upstream, Visit
from tests.gateway.serving import (
    Place,
    Serve,
    Session,
    as_other_user,
    by_command,
    by_url,
    initialize,
    modern,
    place,
    request,
)
from tests.gateway.test_serve_modern import BOTH, CHILD
from tests.gateway.test_serve_streams import Held
from tests.gateway.wrapping import wait_gone, wait_until

PLENTY = "[limits]\nsessions = 4\nchildren = 3\n"
FOREIGN = os.geteuid() != OTHER
"""Whether there is a second user: as root there is. Elsewhere the same tests show less."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Serve]:
    with place(tmp_path_factory.mktemp("serve")) as made:
        text = by_url(upstream.url) + by_command(BOTH) + by_command(BOTH, "more") + PLENTY
        yield made.serve(f'[serve]\nallow_users = ["{OTHER}"]\nidle_seconds = 600\n' + text)


@pytest.fixture
def serve(running: Serve) -> Iterator[Serve]:
    yield running
    running.leave_all()


# -- whose -------------------------------------------------------------------------------------------------------------


def test_session_ids_are_long_random_and_never_the_same(serve: Serve) -> None:
    sessions = [serve.session() for _ in range(4)]
    ids = {session.id for session in sessions}
    assert len(ids) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", found) for found in ids)
    for session in sessions:
        session.end()


@pytest.mark.skipif(not FOREIGN, reason="one user alone has nobody to take a session from")
def test_another_users_session_is_answered_as_one_that_is_not_there(serve: Serve) -> None:
    session = serve.session()
    for verb, message in (("POST", request(1, "ping")), ("DELETE", None), ("GET", None)):
        stolen = as_other_user(serve, verb, session.headers, message)
        unknown = as_other_user(serve, verb, session.headers | {"Mcp-Session-Id": "0" * 64}, message)
        assert (stolen.status, stolen.body) == (unknown.status, unknown.body) == (404, stolen.body)
    serve.wait_for_finding("session-bound", "another principal")
    assert session.call(1, "echo", text="mine").message["result"]["content"][0]["text"] == "mine"
    session.end()


@pytest.mark.skipif(not FOREIGN, reason="one user alone shares nothing with anybody")
def test_a_child_is_never_shared_between_users(serve: Serve) -> None:
    mine = serve.modern(1, "tools/call", CHILD, name="echo", arguments={"text": "mine"})
    before = len(serve.children())
    headers, body = modern(1, "tools/call", name="echo", arguments={"text": "theirs"})
    theirs = as_other_user(serve, "POST", headers, body, CHILD)
    assert (mine.status, theirs.status) == (200, 200)
    assert len(serve.children()) > before
    again = len(serve.children())
    assert as_other_user(serve, "POST", headers, body, CHILD).status == 200
    assert len(serve.children()) == again


@pytest.mark.skipif(not FOREIGN, reason="one user alone cannot be told from another")
def test_only_the_own_user_may_come_in_unless_policy_names_others(house: Place, upstream: Upstream) -> None:
    serve = house.serve(by_url(upstream.url))
    refused = as_other_user(serve, "POST", {}, initialize())
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    serve.wait_for_finding("caller", f"user {OTHER}")
    house.write(f'[serve]\nallow_users = ["{OTHER}"]\n' + by_url(upstream.url))
    serve.hang_up()
    serve.wait_said("was read anew")
    assert as_other_user(serve, "POST", {}, initialize()).status == 200


# -- proxies and names -------------------------------------------------------------------------------------------------


def test_what_a_proxy_forwards_is_believed_from_trusted_ones_only_and_needs_the_token(
    house: Place, upstream: Upstream
) -> None:
    serve = house.serve(by_url(upstream.url))
    for name in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"):
        assert serve.ask("POST", {name: "127.0.0.1"}, initialize()).status == 401, name
    serve.wait_for_finding("caller", "trusted_proxies")
    house.stop()
    trusting = house.serve('[serve]\ntrusted_proxies = ["127.0.0.0/8"]\n' + by_url(upstream.url))
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert trusting.ask("POST", forwarded, initialize()).status == 401
    assert trusting.ask("POST", forwarded | {"Authorization": "Bearer wrong"}, initialize()).status == 401
    (told,) = {line["hint"] for line in trusting.told if "start-up token" in line.get("text", "")}
    path = Path(told.split("(in ")[1].rstrip(")"))
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text().strip()
    with_token = {"Authorization": f"Bearer {token}"}
    opened = trusting.ask("POST", forwarded | with_token, initialize())
    assert opened.status == 200
    mine = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
    assert trusting.ask("POST", mine, request(1, "ping")).status == 404  # the proxy's is not its user's
    assert trusting.ask("POST", mine | forwarded | with_token, request(1, "ping")).status == 200
    assert token not in trusting.stderr
    trusting.stop()
    assert not path.exists()


def test_a_host_or_an_origin_of_somebody_else_is_refused_before_anything(house: Place, upstream: Upstream) -> None:
    names = 'public_url = "https://mcp.example.com"\nallowed_origins = ["https://app.example.com"]\n'
    serve = house.serve(f"[serve]\n{names}" + by_url(upstream.url), "--allowed-host", "behind.example:8443")
    own = f"127.0.0.1:{serve.port}"
    for host, status in (
        (own, 200),
        (f"localhost:{serve.port}", 200),
        (f"LOCALHOST:{serve.port}", 200),
        (f"[::1]:{serve.port}", 200),
        ("mcp.example.com", 200),
        ("behind.example:8443", 200),
        ("127.0.0.1", 421),
        ("evil.example", 421),
        (f"evil.example:{serve.port}", 421),
        ("behind.example", 421),
    ):
        assert serve.ask("POST", {"Host": host}, initialize()).status == status, host
        assert serve.ask("GET", {"Host": host}, path="/healthz").status == status, host
    for origin, status in (
        (f"http://{own}", 200),
        ("https://mcp.example.com", 200),
        ("https://app.example.com", 200),
        ("null", 403),
        ("http://mcp.example.com", 403),
        ("https://evil.example", 403),
        (f"https://{own}", 403),
    ):
        assert serve.ask("POST", {"Origin": origin}, initialize()).status == status, origin
    serve.wait_for_finding("http-host", "Host")
    serve.wait_for_finding("http-host", "Origin")
    assert serve.ask("POST", {}, initialize(), "/nowhere").status == 404


def test_what_would_be_plaintext_over_the_network_does_not_start(house: Place, upstream: Upstream) -> None:
    said = house.refuses(by_url(upstream.url), listen="0.0.0.0:0")
    assert "loopback" in said, said
    assert "hint:" in said
    said = house.refuses("", "--upstream", "http://mcp.example.com/mcp")
    assert "hint:" in said
    assert "https" in said


@pytest.mark.parametrize("scheme", ["ws", "wss", "mcp"])
def test_a_scheme_that_is_none_of_mcps_is_refused_by_name(house: Place, scheme: str) -> None:
    said = house.refuses("", "--upstream", f"{scheme}://127.0.0.1:9/mcp")
    assert scheme in said
    assert "hint:" in said


# -- how many ----------------------------------------------------------------------------------------------------------


def in_use(serve: Serve, path: str = "/web/mcp") -> Session:
    """A session that somebody listens to: one that is idle would give way."""
    session = serve.session(path)
    _, events = session.listen()
    next(events)
    return session


def test_sessions_of_one_principal_are_counted_over_all_servers(serve: Serve) -> None:
    sessions = [in_use(serve), in_use(serve), in_use(serve), in_use(serve, CHILD)]
    full = serve.ask("POST", {}, initialize(id=5))
    assert (full.status, full.code, full.message["id"], full.headers["retry-after"]) == (429, -31003, 5, "1")
    serve.wait_for_finding("principal-limits", "4 sessions are in use")
    sessions[0].end()
    assert serve.session().end().status == 204
    for session in sessions[1:]:
        session.end()


def test_children_of_one_principal_are_counted_over_all_servers_and_end_with_their_session(house: Place) -> None:
    serve = house.serve(by_command(BOTH) + by_command(BOTH, "more") + PLENTY)
    sessions = [in_use(serve, path) for path in (CHILD, "/more/mcp", CHILD)]
    full = serve.ask("POST", {}, initialize(id=5), "/more/mcp")
    assert (full.status, full.code) == (429, -31003), full
    serve.wait_for_finding("principal-limits", "3 child processes")
    assert serve.modern(1, "tools/list", CHILD).status == 429
    children = serve.children()
    for session in sessions:
        assert session.end().status == 204
    wait_gone(*children)
    assert serve.session(CHILD).end().status == 204


# -- for how long ------------------------------------------------------------------------------------------------------


def test_an_idle_session_ends_with_its_child_and_one_that_is_listened_to_does_not(
    house: Place, upstream: Upstream
) -> None:
    def get(visit: Visit) -> None:
        visit.stream()
        visit.was_left()

    upstream.on_get, before = get, set(upstream.sessions)
    serve = house.serve("[serve]\nidle_seconds = 1\n" + by_url(upstream.url) + by_command(BOTH))
    kept, idle = serve.session(), serve.session(CHILD)
    client, events = kept.listen()
    next(events)
    assert serve.modern(1, "tools/call", CHILD, name="echo", arguments={"text": "x"}).status == 200
    children = serve.children()
    assert len(children) >= 2
    wait_gone(*children)
    assert idle.ask(request(1, "ping")).status == 404
    assert kept.ask(request(1, "ping")).status == 200
    client.close()
    wait_until(lambda: not upstream.sessions - before, "the upstream's session ended too")
    assert kept.ask(request(2, "ping")).status == 404


def test_a_session_ends_when_it_is_old_however_busy(house: Place, upstream: Upstream) -> None:
    serve = house.serve("[serve]\nmax_seconds = 1\nidle_seconds = 1\n" + by_url(upstream.url))
    session = serve.session()
    _, events = session.listen()
    next(events)
    assert [event.data for event in events if event.data] == []  # until it is ended
    assert session.ask(request(1, "ping")).status == 404


def test_a_client_that_leaves_before_its_session_began_leaves_none_behind(serve: Serve, upstream: Upstream) -> None:
    usual, before = upstream.on_initialize, set(upstream.sessions)
    for _ in range(6):  # more than one principal may have
        held = Held(upstream, "initialize")
        upstream.on_initialize = held
        client = serve.client()
        client.send("POST", {}, json.dumps(initialize()).encode())
        visit = held.visit
        client.reset()
        usual(visit)
        held.release()
        wait_until(lambda: not upstream.sessions - before, "its session ended")
    upstream.on_initialize = usual
    wait_until(lambda: serve.ask("POST", {}, initialize()).status == 200, "a session")
