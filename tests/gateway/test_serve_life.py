"""How ``doorward serve`` begins, takes over a policy and ends; and what becomes of upstreams that come and go."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

from tests.gateway.asking_person import Person
from tests.gateway.scripted_upstream import Upstream, Visit
from tests.gateway.serving import Place, by_command, by_url, call, initialize, request
from tests.gateway.test_serve_modern import BOTH, CHILD
from tests.gateway.test_serve_streams import Held, log
from tests.gateway.wrapping import World, wait_gone, wait_until

# -- health, and the end -----------------------------------------------------------------------------------------------


def test_health_is_told_without_a_session_and_readiness_ends_first(house: Place, upstream: Upstream) -> None:
    serve = house.serve("[serve]\ndrain_seconds = 20\n" + by_url(upstream.url))
    for path in ("/healthz", "/readyz"):
        assert serve.ask("GET", path=path).status == 200
        assert serve.ask("POST", path=path).status == 405
    held = Held(upstream, "last")
    session = serve.session()
    asking, kept = session.script(1, "last"), serve.client("/readyz")
    visit = held.visit
    assert kept.ask("GET").status == 200
    half = serve.client("/readyz")
    half.raw(b"GET /readyz HTTP/1.1\r\n")
    serve.process.send_signal(signal.SIGTERM)
    serve.wait_said("stopping: signal SIGTERM")
    visit.json(visit.text("finished"))
    held.release()
    answer = asking.answer()
    assert answer.message["result"]["content"][0]["text"] == "finished"
    assert answer.headers["connection"] == "close"
    assert serve.process.wait(20) == 0
    assert not upstream.sessions  # it was ended there, too


def test_a_port_that_another_has_is_an_error_with_the_option_that_chooses_one(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = world.doorward("serve", "--listen", f"127.0.0.1:{port}", "--upstream", "true")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.endswith(
        f"doorward: error: cannot listen on 127.0.0.1 port {port}: another program does\n"
        "doorward: hint: --listen HOST:PORT chooses another; port 0 takes any that is free\n"
    ), told.stderr


def test_what_does_not_finish_in_time_ends_with_a_clear_error(house: Place, upstream: Upstream) -> None:
    serve = house.serve("[serve]\ndrain_seconds = 0\n" + by_url(upstream.url) + by_command(BOTH))
    never = Held(upstream, "never")
    session = serve.session()
    legacy, modern = session.script(1, "never"), serve.send_modern(9, "tools/call", CHILD, name="mute", arguments={})
    _ = never.visit
    _, events = session.listen()
    next(events)
    wait_until(lambda: len(serve.children()) >= 2, "the child")
    while (
        serve.modern(1, "tools/call", CHILD, name="mutes", arguments={}).message["result"]["content"][0]["text"] != "1"
    ):
        pass
    children = serve.children()
    serve.process.send_signal(signal.SIGTERM)
    for client, key in ((legacy, 1), (modern, 9)):
        told = client.answer().message
        assert (told["id"], told["error"]["data"]["outcome"]) == (key, "unknown"), told
    assert list(events) == []
    assert serve.process.wait(20) == 0
    wait_gone(*children)
    never.release()


def test_who_waits_for_a_link_while_the_gateway_ends_is_told(house: Place) -> None:
    serve = house.serve("[serve]\ndrain_seconds = 0\n" + by_command(BOTH))
    clients = [serve.send_modern(number, "tools/list", CHILD) for number in range(3)]
    clients += [serve.client(CHILD) for _ in range(3)]
    serve.process.send_signal(signal.SIGTERM)
    assert serve.process.wait(20) == 0
    for client in clients[:3]:
        assert client.answer().status in (200, 503)
    assert "unexpected" not in serve.stderr


# -- SIGHUP ------------------------------------------------------------------------------------------------------------


def test_a_new_policy_is_taken_over_and_no_session_is_dropped(house: Place, upstream: Upstream) -> None:
    text = by_url(upstream.url)
    serve = house.serve(text)
    session = serve.session()
    _, events = session.listen()
    next(events)
    assert "result" in session.call(1, "echo", text="x").message
    house.write(text + "[servers.web.tools.echo]\nask = true\n")
    serve.hang_up()
    serve.wait_said("was read anew")
    refused = session.call(2, "echo", text="x")
    assert refused.code == -31002, refused
    house.write(text + "[servers.web.tools.echo]\nno_such_key = 1\n[limits]\nsessions = -1\n")
    serve.hang_up()
    serve.wait_said("the old policy stays in force")
    assert serve.stderr.count("the new policy is refused") == 2
    assert session.call(3, "echo", text="x").code == -31002
    house.write(
        '[serve]\nlisten = "127.0.0.1:1"\n[sizes]\nheaders_bytes = 9000\n' + text + by_url(upstream.url, "another")
    )
    serve.hang_up()
    serve.wait_said("servers.another changed: that takes effect")
    assert "serve.listen changed" in serve.stderr
    assert "sizes.headers_bytes changed" in serve.stderr
    assert "result" in session.call(4, "echo", text="x").message
    assert session.end().status == 204
    assert list(events) == []


def test_a_head_that_comes_again_on_its_connection_is_judged_by_the_new_policy(
    house: Place, upstream: Upstream
) -> None:
    text = by_url(upstream.url)
    with_name = '[serve]\nallowed_hosts = ["gate.example"]\nallowed_origins = ["http://page.example"]\n' + text
    serve = house.serve(with_name)
    host, page = serve.client(), serve.client()
    seen: list[list[int]] = []
    for written in (with_name, text, with_name):
        if seen:
            house.write(written)
            serve.hang_up()
            wait_until(lambda: serve.stderr.count("was read anew") == len(seen), "the new policy")
        answers = [
            client.ask("POST", headers, call(1, "echo", text="x"))
            for client, headers in ((host, {"Host": "gate.example"}), (page, {"Origin": "http://page.example"}))
        ]
        seen.append([answer.status for answer in answers])
    assert seen == [[400, 400], [421, 403], [400, 400]]  # 400: there is no session


def test_an_approval_that_was_asked_for_under_the_old_policy_does_not_hold(house: Place, upstream: Upstream) -> None:
    text = by_url(upstream.url)
    serve = house.serve(text)
    with Person(house.runtime, house.state) as person:
        session = serve.session()
        asking = session.post(call(1, "wipe", text="x"))
        ticket = person.ticket()
        house.write(text + "[limits]\nsessions = 31\n")
        serve.hang_up()
        serve.wait_said("was read anew")
        person.approve(ticket)
        assert asking.answer().code == -31002
        assert not upstream.asked("tools/call")
        again = session.post(call(2, "wipe", text="x"))
        person.approve(person.ticket())
        assert "result" in again.answer().message
        assert len(upstream.asked("tools/call")) == 1


# -- upstreams that come and go ----------------------------------------------------------------------------------------


def test_an_upstream_may_be_down_at_the_start_and_come_later(house: Place, upstream: Upstream) -> None:
    upstream.stop()
    assert "hint: start the server first" in house.refuses(by_url(upstream.url))  # nobody knows yet whose it is
    first = Upstream(port=upstream.port)
    house.serve(by_url(upstream.url)).stop()
    first.stop()
    serve = house.serve(by_url(upstream.url))
    for _ in range(3):
        down = serve.ask("POST", {}, initialize(id=1))
        assert down.message["error"]["data"]["outcome"] == "unknown"
        assert "mcp-session-id" not in down.headers
        assert "error" in serve.modern(1, "tools/call", name="echo", arguments={"text": "x"}).message
    later = Upstream(port=upstream.port)
    assert "result" in serve.session().call(1, "echo", text="x").message
    assert "result" in serve.modern(1, "tools/call", name="echo", arguments={"text": "x"}).message
    later.stop()


def test_after_an_upstream_was_restarted_sessions_are_unknown_and_modern_requests_work(
    house: Place, upstream: Upstream
) -> None:
    serve = house.serve(by_url(upstream.url))
    session = serve.session()
    assert "result" in session.call(1, "echo", text="x").message
    assert "result" in serve.modern(1, "tools/call", name="echo", arguments={"text": "x"}).message
    upstream.stop()
    later = Upstream(port=upstream.port)
    assert "result" in serve.modern(2, "tools/call", name="echo", arguments={"text": "x"}).message
    first = session.call(2, "echo", text="x")
    assert "error" in first.message
    wait_until(lambda: session.ask(request(3, "ping")).status == 404, "the session is unknown")
    assert "result" in serve.session().call(1, "echo", text="x").message
    later.stop()


def test_a_server_that_dies_mid_answer_answers_twice_or_for_another_disturbs_nobody(
    house: Place, upstream: Upstream
) -> None:
    serve = house.serve(by_url(upstream.url))

    def dies(visit: Visit) -> None:
        visit.stream()
        visit.event(log("before"))
        visit.raw(b"5\r\nda")
        visit.over = True

    def twice(visit: Visit) -> None:
        visit.stream()
        visit.event(visit.text("first"))
        visit.event(visit.text("second"))
        visit.end()

    def other(visit: Visit) -> None:
        visit.stream()
        visit.event(visit.text("for somebody else", id=4242))
        visit.end()

    def garbage(visit: Visit) -> None:
        visit.status(200, b"{", "Content-Type: application/json")

    def nothing(visit: Visit) -> None:
        visit.status(500)

    upstream.scripts |= {"dies": dies, "twice": twice, "other": other, "garbage": garbage, "nothing": nothing}
    session = serve.session()
    waiting = Held(upstream, "waiting")
    bystander = session.script("by", "waiting")
    for start in (session.script, serve.script):
        for name in ("dies", "other", "garbage", "nothing"):
            client = start(4242 if name == "garbage" else 1, name)
            status, headers = client.head()
            assert status == 200
            assert headers
        *_, answer = (*start(5, "dies").stream(),)
        assert answer.message["error"]["data"]["outcome"] == "unknown"
        told = start(6, "twice").answer()
        assert told.status == 200
        assert b"second" not in told.body
        assert b"first" in told.body
    waiting.visit.json(waiting.visit.text("undisturbed"))
    waiting.release()
    assert bystander.answer().message["result"]["content"][0]["text"] == "undisturbed"
    assert "unexpected" not in serve.stderr


def test_an_answer_whose_stream_broke_off_is_taken_up_again_upstream(house: Place, upstream: Upstream) -> None:
    serve = house.serve(by_url(upstream.url))
    asked: list[str] = []

    def breaks(visit: Visit) -> None:
        visit.stream()
        visit.event(None, id="e1", retry=100)
        visit.event(log("one"), id="e2")
        upstream.on_get = lambda again: resumes(again, visit)
        visit.over = True

    def resumes(again: Visit, first: Visit) -> None:
        asked.append(again.headers.get("last-event-id", ""))
        again.stream()
        again.event(log("two"), id="e3")
        again.event(first.text("whole"), id="e4")
        again.end()

    upstream.scripts["breaks"] = breaks
    session = serve.session()
    _, one, two, answer = session.script(1, "breaks").stream()
    assert [event.message["params"]["data"] for event in (one, two)] == ["one", "two"]
    assert answer.message["result"]["content"][0]["text"] == "whole"
    assert asked == ["e2"]


def test_a_child_that_cannot_start_or_dies_at_once_is_told_of_and_leaves_nothing(house: Place) -> None:
    script = house.folder / "server.py"
    script.write_text("import sys\nsys.exit(3)\n")
    serve = house.serve(
        by_command((sys.executable, "-I", "-S", str(script))) + "[limits]\nchildren = 2\nsessions = 2\n"
    )
    for _ in range(3):  # more than there may be
        dead = serve.ask("POST", {}, initialize(id=1), CHILD)
        assert "error" in dead.message, dead
        assert "mcp-session-id" not in dead.headers
        assert "error" in serve.modern(1, "tools/list", CHILD).message
        wait_until(lambda: not serve.children(), "nothing runs")
    script.unlink()
    gone = serve.ask("POST", {}, initialize(id=1), CHILD)
    assert gone.status == 502, gone
    assert gone.message["id"] == 1
    assert serve.findings()[-1][0] == "first-use"  # its pinned file is not there
    assert not serve.children(), "the launcher, which came up meanwhile, has gone as well"
    assert "unexpected" not in serve.stderr


def test_a_child_over_its_memory_ends_alone_and_the_next_call_is_answered_in_time(house: Place) -> None:
    serve = house.serve(
        by_command(
            (sys.executable, "-I", "-S", str(Path(__file__).with_name("both_eras_child.py"))),
            more=f"memory_bytes = {256 << 20}",
        )
    )
    other = serve.session(CHILD)
    mine = set(serve.children())
    for number in range(4):
        dead = serve.modern(1, "tools/call", CHILD, name="hoard", arguments={"count": 1 << 30})
        assert dead.message["error"]["data"]["outcome"] == "unknown"
        since = time.monotonic()
        again = serve.modern(2, "tools/call", CHILD, name="echo", arguments={"text": "again"})
        assert again.message["result"]["content"][0]["text"] == "again"
        assert time.monotonic() - since < 5
        assert other.call(number, "echo", text="on").message["result"]["content"][0]["text"] == "on"
    assert mine <= set(serve.children()), "the child of the other session never ended"
    serve.wait_said("it is started again in")


def test_a_child_that_cannot_be_started_for_want_of_descriptors_is_refused_and_starts_once_there_are_some(
    house: Place,
) -> None:
    serve = house.serve(by_command(BOTH))
    client = serve.client(CHILD)
    client.send("POST", {}, json.dumps(request(1, "ping")).encode())  # connected, so that accepting costs none
    assert client.answer().status in (400, 404)
    pid = serve.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + 1, limits[1]))
    client.send("POST", {}, json.dumps(initialize(id=1)).encode())
    refused = client.answer()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert refused.status == 502, refused
    assert refused.message["error"]["data"]["outcome"] == "not executed"
    control, why = serve.findings()[-1]
    assert (control, "cannot be reached" in why) == ("server-reached", True)
    assert serve.session(CHILD).ask(request(2, "ping")).status == 200
