"""Handles of somebody else: sessions, events, states and tasks that let in whoever names them.

The attacker is another user, who comes through the operator's reverse proxy: bare, nobody looks at that; behind
Doorward as shipped, there is no such proxy; configured, the proxy is trusted, and its user is one of the gateway's.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from doorward.lab import oracles
from doorward.lab.another import another_user
from doorward.lab.neighbours.wire import Wire, users_session
from doorward.lab.scenario import BenignTwinBrokenError, Era, Example, Harm, Scenario, Target, Topology, Trace, Variant
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.stage import Stage

HTTP = (Topology.SERVE_URL,)
LEGACY, MODERN = (Era.LEGACY,), (Era.MODERN,)
BOARD, KEEP, READ, REPORT, JOB = "read_board", "keep_note", "read_notes", "order_report", "start_job"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}


def furnish(work: Path, greeting: str) -> None:
    """A board for everybody, and the PIN. The salaries are written when the server is started."""
    (work / "board.txt").write_text(f"for everybody: {greeting}\n", encoding="utf-8")
    (work / "pin.txt").write_text(greeting[::-1], encoding="utf-8")


def _command(stage: Stage) -> tuple[str, ...]:
    (stage.layout.work / "salaries.txt").write_text(f"salaries: {stage.canary}\n", encoding="utf-8")
    return (*python(), script("shared_rooms"), str(stage.layout.work))


ROOMS = Target(
    id="shared-rooms",
    title="a naive server of ours that takes whoever has a handle for whoever got it",
    command=_command,
    furnish=furnish,
    configuration="""\
[serve]
trusted_proxies = ["127.0.0.0/8"]
""",
    tools=(BOARD, KEEP, READ, REPORT, JOB),
    http_option="--http",
)


def in_rooms(title: str, *variants: Variant, eras: tuple[Era, ...]) -> tuple[Example, ...]:
    """The one example of a run in the rooms."""
    return (Example(id="shared-rooms", title=title, target=ROOMS, variants=variants, eras=eras),)


class InRooms(Scenario):
    """A run in the rooms: harm is what belongs to the user, arriving at the attacker."""

    attacker = "client"
    apart = True
    stride = "spoofing, information disclosure"
    owasp = "MCP07:2025"

    def __init__(self) -> None:
        self._heard: dict[tuple[int, str], list[bytes]] = {}

    async def user(self, stage: Stage) -> Wire:
        """Another client of the stage's own user, with a session where there are any."""
        wire = Wire(stage, stage.staging.era)
        await wire.begin()
        return wire

    def attacker_of(self, stage: Stage, variant: Variant, *, same_user: bool = False) -> Wire:
        """The attacker: what arrives there is what the oracle reads."""
        wire = Wire(stage, stage.staging.era, {} if same_user else another_user(stage))
        self._heard[id(stage), variant.id] = wire.heard
        return wire

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        how = oracles.arrived(self._heard.pop((id(stage), variant.id), []), stage.canary)
        return Harm(f"what is the user's reached the attacker: {how}") if how else None

    async def benign(self, stage: Stage) -> str:
        result: Any = await stage.client.call_tool(BOARD, {})
        if stage.greeting not in result.content[0].text:
            raise BenignTwinBrokenError("the board could not be read")
        return "the user read the board"


async def call(wire: Wire, tool: str, **arguments: str) -> bytes:
    """Call a tool, and answer what came back."""
    return await wire.say(wire.post(wire.message("tools/call", {"name": tool, "arguments": arguments})))


class SessionHijack(InRooms):
    """The session of somebody else.

    Goal:
        Act and read as another user.
    Attacker:
        A user of the same server who has seen, or guessed, a session id.
    Steps:
        1. The user keeps a note in a session.
        2. The attacker names that session in a request of his own, and reads its notes.
    Impact:
        Everything that the user can do, in the user's name.
    Remedy:
        A session id is no credential: it counts only together with the user who got it, and cannot be guessed.
    """

    id = "session-hijack"
    title = "the session of somebody else"
    cwe = ("CWE-384", "CWE-639")
    controls = ("session-bound", "caller")
    examples = in_rooms(
        "a session id that is all one needs",
        Variant("named", "its id, named by another", None, topologies=HTTP),
        eras=LEGACY,
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        await stage.client.call_tool(KEEP, {"text": stage.canary})
        attacker = self.attacker_of(stage, variant)
        attacker.session = users_session(stage)
        await call(attacker, READ)


class SessionFixation(InRooms):
    """A session that somebody else has begun.

    Goal:
        Have a user work where the attacker reads.
    Attacker:
        A user of the same server who can make another one's client use a session id.
    Steps:
        1. The attacker begins a session, or makes an id up.
        2. The user's client uses that id, and keeps a note.
        3. The attacker reads the notes of the session.
    Impact:
        What the user says goes to the attacker too.
    Remedy:
        Ids are made by the server, and a session serves only the user who began it.
    """

    id = "session-fixation"
    title = "a session that somebody else has begun"
    cwe = ("CWE-384",)
    controls = ("session-bound", "caller")
    examples = in_rooms(
        "a session that serves whoever names it",
        Variant("begun", "begun by the attacker", None, topologies=HTTP),
        eras=LEGACY,
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        attacker = self.attacker_of(stage, variant)
        attacker.session = await attacker.begin() or "made-up"
        victim = Wire(stage, Era.LEGACY)
        victim.session = attacker.session
        await call(victim, KEEP, text=stage.canary)
        await call(attacker, READ)


class ReplayOfAnother(InRooms):
    """The events of somebody else, sent again.

    Goal:
        Read what a server said to another session.
    Attacker:
        A client with a session of its own.
    Steps:
        1. The user's answer comes as events, each with an id, so that it can be asked for again.
        2. The attacker opens a stream and says that such an id was the last that arrived.
        3. The server sends what came after it.
    Impact:
        Whatever went to others lately.
    Remedy:
        Events are kept for the session that they were sent to, and sent again to no other.
    """

    id = "replay-of-another"
    title = "the events of somebody else, sent again"
    cwe = ("CWE-639", "CWE-488")
    controls = ("session-bound", "caller")
    examples = in_rooms(
        "events that are kept for whoever asks",
        Variant("own-session", "in another session of the same user", "own", topologies=HTTP),
        Variant("other-user", "in the same session, by another user", "theirs", topologies=HTTP),
        eras=LEGACY,
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        user = await self.user(stage)
        await call(user, KEEP, text=stage.canary)
        said = await call(user, READ)
        begun = re.search(rb"(?m)^id: *(\S+)", said)
        own = variant.payload == "own"
        attacker = self.attacker_of(stage, variant, same_user=own)
        attacker.session = await attacker.begin() if own else user.session
        last = begun[1].decode() if begun else "0"
        await attacker.say(attacker.get({"last-event-id": last}), enough=stage.canary.encode(), seconds=1.0)


class RequestStateSwap(InRooms):
    """The state of somebody else's request.

    Goal:
        Get the answer to a request that another one made, or that nobody could have made.
    Attacker:
        A user of the same server who has seen another's state, or writes one.
    Steps:
        1. A server asks for another try, and gives a state along; the next request brings it back.
        2. The attacker brings the state of another user's request, or one that he wrote himself.
        3. The server believes what the state says.
    Impact:
        What the first request was checked for is not checked for again.
    Remedy:
        A state is sealed for one user, server and request; any other is refused.
    """

    id = "request-state-swap"
    title = "the state of somebody else's request"
    cwe = ("CWE-639", "CWE-345", "CWE-565")
    controls = ("sealed-state", "caller")
    examples = in_rooms(
        "a server that believes what comes back",
        Variant("other-user", "of another user's request", "theirs", topologies=HTTP),
        Variant("other-request", "of another request of the same user", "other", topologies=HTTP),
        Variant("forged", "written by the attacker", "forged", topologies=HTTP),
        eras=MODERN,
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        user = await self.user(stage)
        asked = {"about": "salaries", "pin": stage.greeting[::-1]}
        found = re.search(rb'"requestState": ?"([^"]+)"', await call(user, REPORT, **asked))
        state = found[1].decode() if found else ""
        if variant.payload == "forged":
            state = base64.b64encode(json.dumps({"about": "salaries"}).encode()).decode()
        attacker = self.attacker_of(stage, variant, same_user=variant.payload != "theirs")
        again = asked if variant.payload == "theirs" else {"about": "the weather"}
        params = {"name": REPORT, "arguments": again, "requestState": state}
        await attacker.say(attacker.post(attacker.message("tools/call", params)))


class TaskOfAnother(InRooms):
    """The task of somebody else.

    Goal:
        Read the result of a job that another user started.
    Attacker:
        A user of the same server who has seen, or guessed, a task id.
    Steps:
        1. The user starts a job, and the server answers with the id of a task.
        2. The attacker asks for the result of that task.
    Impact:
        Results, and the right to answer what the task asks for, go to whoever counts up.
    Remedy:
        A task belongs to the user whose request began it; to anybody else there is none.
    """

    id = "task-of-another"
    title = "the task of somebody else"
    cwe = ("CWE-639",)
    controls = ("caller", "own-tasks")
    examples = in_rooms(
        "a task id that is all one needs", Variant("get", "its result", None, topologies=HTTP), eras=MODERN
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        user = await self.user(stage)
        declared = {CAPABILITIES: TASKS}
        started = {"name": JOB, "arguments": {"pin": stage.greeting[::-1]}, "_meta": declared}
        said = await user.say(user.post(user.message("tools/call", started)))
        found = re.search(rb'"taskId": ?"([^"]+)"', said)
        task = found[1].decode() if found else "job-1"
        attacker = self.attacker_of(stage, variant)
        await attacker.say(attacker.post(attacker.message("tasks/get", {"taskId": task, "_meta": declared})))


class ListeningToOthers(InRooms):
    """What changes at somebody else's.

    Goal:
        Know when, and at which addresses, another user works.
    Attacker:
        A user of the same server.
    Steps:
        1. The attacker listens to changes below an address that many users have something below.
        2. The server tells whoever listens, and does not ask to whom the resource belongs.
    Impact:
        Names of files and projects, and each moment at which somebody touches them.
    Remedy:
        Each address that is listened to is allowed for this user, and what changed is told for no other.
    """

    id = "listening-to-others"
    title = "what changes at somebody else's"
    cwe = ("CWE-639", "CWE-200")
    controls = ("caller",)
    examples = in_rooms(
        "a server that tells whoever listens",
        Variant("below", "all below an address", "file:///rooms/", topologies=HTTP),
        eras=MODERN,
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        attacker = self.attacker_of(stage, variant)
        wanted = {"notifications": {"resourceSubscriptions": [variant.payload]}}
        await attacker.say(attacker.post(attacker.message("subscriptions/listen", wanted)), seconds=2.0)


LINES = (
    SessionHijack(),
    SessionFixation(),
    ReplayOfAnother(),
    RequestStateSwap(),
    TaskOfAnother(),
    ListeningToOthers(),
)
