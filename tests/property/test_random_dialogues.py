"""Two peers that say anything at all, a person who answers anything, a disk that comes and goes: the rules still hold.

After every event: nothing raised, every unit recorded before it sent (the driver checks that), each request of the
client is in the table or was answered exactly once, the tables are bounded, and nothing that one side said reached the
other unless the same unit has the record of an ALLOW or of an approval for it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.messages import any_messages
from tests.relay.dialogue import (
    READ,
    WIPE,
    Dialogue,
    Era,
    Tree,
    Turn,
    discovered,
    failure,
    initialize,
    initialized,
    notification,
    requires,
)

from doorward.judge.gates.owed import MAX_OWED
from doorward.judge.gates.solicited import MAX_OPEN
from doorward.judge.vocabulary import Ticket
from doorward.relay.asking import MAX_HELD
from doorward.relay.commands import Command, Record, Send
from doorward.wire.jsonrpc import encode

MARK = {"client": "said-by-the-client", "server": "said-by-the-server"}


class Watched(Dialogue):
    """A dialogue whose units are also held against what each side said."""

    def perform(self, unit: list[Command]) -> Turn:
        nothing_passed_unjudged(unit)
        turn = super().perform(unit)
        if not any(isinstance(command, Record) for command in turn.commands):
            nothing_passed_unjudged(turn.commands)
        return turn


def nothing_passed_unjudged(unit: list[Command]) -> None:
    allowed = [c.entry for c in unit if isinstance(c, Record) and c.entry.decision == "ALLOW"]
    for command in unit:
        if not isinstance(command, Send):
            continue
        other = "client" if command.to == "server" else "server"
        if MARK[other].encode() not in command.body:
            continue
        tree = msgspec.json.decode(command.body)
        if tree.get("method") == "notifications/progress":
            continue  # of a run only its first and its last entry stand in the archive
        key = msgspec.json.encode(tree["id"]).decode() if "id" in tree else ""
        about = [e for e in allowed if e.kind in ("intent", "notice", "outcome")]
        assert any(e.method == tree.get("method", e.method) and (not key or e.request == key) for e in about), tree


class Count:
    """Which requests the client made, and how often each was answered."""

    def __init__(self, talk: Watched) -> None:
        self.talk = talk
        self.waiting: set[str] = set()

    def client_says(self, tree: Tree) -> Turn:
        opened = {key for asker, key in self.talk.relay.state.opened if asker == "client"}
        turn = self.talk.client(tree)
        if "method" in tree and "id" in tree:
            key = msgspec.json.encode(tree["id"]).decode()
            if key in opened:
                assert [t["id"] for t in turn.told("client") if "method" not in t] == [None]
                return self.after(turn)
            self.waiting.add(key)
        return self.after(turn)

    def after(self, turn: Turn) -> Turn:
        state = self.talk.relay.state
        for tree in turn.told("client"):
            if "method" not in tree and tree["id"] is not None:
                key = msgspec.json.encode(tree["id"]).decode()
                assert key in self.waiting, f"an answer that nobody waited for: {tree}"
                self.waiting.remove(key)
        opened = {key for (asker, key), found in state.opened.items() if asker == "client" and not found.ours}
        assert opened <= self.waiting, "a request in the table that was answered already"
        assert len(state.opened) <= MAX_OPEN + 1
        assert len(state.held) <= MAX_HELD
        assert len(state.owed) <= MAX_OWED + MAX_OPEN
        assert {held.ticket.id for held in state.held.values()} == {o.ticket for o in state.opened.values() if o.ticket}
        if state.opened and any(o.state == "FETCHING" for o in state.opened.values()):
            assert state.errand is not None, "it waits for nothing"
        return turn

    def unanswered(self) -> set[str]:
        opened = {key for asker, key in self.talk.relay.state.opened if asker == "client"}
        return self.waiting - opened


ids = st.integers(0, 4) | st.sampled_from(["0", "s1"])
steps = st.one_of(
    st.tuples(st.just("call"), ids, st.sampled_from(["read", "wipe", "unlisted"]), st.booleans()),
    st.tuples(st.just("list"), ids, st.sampled_from(["tools/list", "prompts/list", "server/discover", "ping"])),
    st.tuples(st.just("cancel"), st.sampled_from(["client", "server"]), ids),
    st.tuples(st.just("initialize"), st.sampled_from(["ask", "ready"])),
    st.tuples(
        st.just("answer"),
        st.integers(0, 3),
        st.sampled_from(["result", "error", "requires", "tools", "broken", "twice"]),
    ),
    st.tuples(
        st.just("ask"), ids, st.sampled_from(["sampling/createMessage", "elicitation/create", "roots/list", "ping"])
    ),
    st.tuples(st.just("client answers"), st.integers(0, 3)),
    st.tuples(
        st.just("notify"),
        st.sampled_from(["notifications/message", "notifications/progress", "notifications/tools/list_changed"]),
    ),
    st.tuples(st.just("person"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("retry"), ids),
    st.tuples(st.just("time"), st.sampled_from([0.0, 0.5, 1.0, 10.0, 46.0, 400.0])),
    st.tuples(st.just("disk"), st.booleans()),
    st.tuples(st.just("attached"), st.booleans()),
    st.tuples(st.just("closes"), st.sampled_from(["client"])),
    st.tuples(st.just("anything"), st.sampled_from(["client", "server"]), any_messages),
    st.tuples(st.just("broken"), st.sampled_from(["client", "server"]), ids),
)


class Scene:
    """Plays the steps. Everything that a side says carries its mark."""

    def __init__(self, era: Era) -> None:
        self.talk = Watched(era)
        self.count = Count(self.talk)
        self.tickets: list[Ticket] = []
        self.states: list[str] = []
        self.cancelled: set[str] = set()

    def play(self, step: tuple[Any, ...]) -> None:
        kind, *rest = step
        turn = getattr(self, f"_{kind.replace(' ', '_')}")(*rest)
        if turn is not None:
            if kind not in ("call", "list", "retry", "initialize", "anything"):
                self.count.after(turn)
            self.tickets += turn.tickets
            for tree in turn.told("client"):
                state = tree.get("result", {}).get("requestState")
                self.states += [state] if isinstance(state, str) else []

    def _open(self, side: str) -> list[Any]:
        found = self.talk.relay.state.opened.values()
        return [opened for opened in found if opened.asker == side and opened.state == "SENT"]

    def _call(self, id: object, tool: str, token: bool) -> Turn:
        meta = {"progressToken": "t"} if token else None
        arguments = {"text": MARK["client"]} if tool == "read" else {"mark": MARK["client"]}
        return self.count.client_says(self.talk.call(id, tool, arguments, meta=meta))

    def _list(self, id: object, method: str) -> Turn:
        return self.count.client_says(self.talk.request(id, method, {"mark": MARK["client"]}))

    def _cancel(self, side: str, id: object) -> Turn:
        before = dict(self.talk.relay.state.opened)
        turn = (self.talk.client if side == "client" else self.talk.server)(self.talk.cancel(id))
        gone = {key for asker, key in before.keys() - self.talk.relay.state.opened.keys() if asker == "client"}
        self.cancelled |= gone
        self.count.waiting -= gone
        return turn

    def _initialize(self, what: str) -> Turn:
        if what == "ask":
            return self.count.client_says(initialize(0))
        return self.count.client_says(notification("notifications/initialized"))

    def _answer(self, which: int, how: str) -> Turn | None:
        waiting = self._open("client")
        if not waiting:
            return None
        opened = waiting[which % len(waiting)]
        id = msgspec.json.decode(opened.key)
        if how == "broken":
            return self.talk.unreadable(b'{"jsonrpc":"2.0","id":%s,"result":5}' % opened.key.encode(), "server")
        answer: Tree = failure(id, -32000, MARK["server"])
        if how == "requires":
            answer = requires(id, state=MARK["server"], a="sampling/createMessage", b="roots/list")
        elif how != "error" and opened.method == "initialize":
            answer = initialized(id)
        elif how != "error" and opened.method == "server/discover":
            answer = discovered(id)
        elif how != "error":
            answer = self.talk.result(id, tools=[READ, WIPE], prompts=[], mark=MARK["server"])
        turn = self.talk.server(answer)
        if how == "twice":
            self.count.after(turn)
            self.tickets += turn.tickets
            return self.talk.server(answer)
        return turn

    def _ask(self, id: object, method: str) -> Turn:
        return self.talk.server({"jsonrpc": "2.0", "id": id, "method": method, "params": {"mark": MARK["server"]}})

    def _client_answers(self, which: int) -> Turn | None:
        waiting = self._open("server")
        if not waiting:
            return None
        id = msgspec.json.decode(waiting[which % len(waiting)].key)
        return self.talk.client({"jsonrpc": "2.0", "id": id, "result": {"mark": MARK["client"]}})

    def _notify(self, method: str) -> Turn:
        return self.talk.server(notification(method, progressToken="t", level="error", data=MARK["server"]))

    def _person(self, which: int, approved: bool) -> Turn | None:
        return (
            self.talk.person(self.tickets[-1 - which % len(self.tickets)], approved=approved) if self.tickets else None
        )

    def _retry(self, id: object) -> Turn | None:
        if not self.states:
            return None
        message = self.talk.call(id, "read", {"text": MARK["client"]})
        message["params"] |= {"requestState": self.states[-1], "inputResponses": {"a": {"m": MARK["client"]}, "z": {}}}
        return self.count.client_says(message)

    def _time(self, seconds: float) -> Turn:
        return self.talk.tick(seconds)

    def _disk(self, works: bool) -> None:
        self.talk.disk = works

    def _attached(self, attached: bool) -> None:
        self.talk.attached = attached

    def _closes(self, side: Any) -> Turn:
        turn = self.talk.closes(side)
        self.count.waiting -= self.count.unanswered() - {
            msgspec.json.encode(t["id"]).decode() for t in turn.told("client")
        }
        return turn

    def _anything(self, side: str, message: Any) -> Turn:
        tree = msgspec.json.decode(encode(message))
        if side == "client":
            return self._cancelling(tree)
        return self.count.after(self.talk.server(tree))

    def _cancelling(self, tree: Tree) -> Turn:
        before = {key for asker, key in self.talk.relay.state.opened if asker == "client"}
        if tree.get("method") == "notifications/cancelled" and "id" not in tree:
            turn = self.talk.client(tree)
            self.count.waiting -= before - {key for asker, key in self.talk.relay.state.opened if asker == "client"}
            return self.count.after(turn)
        return self.count.client_says(tree)

    def _broken(self, side: Any, id: object) -> Turn:
        line = b'{"jsonrpc":"2.0","id":%s,"method":"ping","x":1}' % msgspec.json.encode(id)
        before = set(self.count.waiting)
        turn = self.talk.unreadable(line, side)
        if side == "client":  # an answer to the broken frame itself, which never was a request
            self.count.waiting |= {
                msgspec.json.encode(t["id"]).decode() for t in turn.told("client") if t["id"] is not None
            } - before
        return turn


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(era=st.sampled_from(["legacy", "modern"]), greeted=st.booleans(), script=st.lists(steps, max_size=25))
def test_the_rules_hold_in_any_dialogue(era: Era, *, greeted: bool, script: list[tuple[Any, ...]]) -> None:
    scene = Scene(era)
    if greeted:
        scene.play(("initialize", "ask") if era == "legacy" else ("list", 0, "server/discover"))
        scene.play(("answer", 0, "result"))
        scene.play(("initialize", "ready"))
        scene.play(("attached", True))
    for step in script:
        scene.play(step)
        assert scene.count.unanswered() == set(), f"nobody answered it, and nobody will: after {step}"
    scene.count.after(scene.talk.closes("server"))
    assert scene.talk.relay.state.opened == {}
    assert scene.count.waiting == set(), "the server is gone and somebody still waits"
    scene.talk.tick(3600)
    assert (scene.talk.relay.state.held, scene.talk.relay.state.errand) == ({}, None)
