"""What a relay knows of its one link between two events. Everything that decides over it stands in the files beside
this one; here are the tables and the few moves that all of them share.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from doorward.audit.entry import Kind
from doorward.content.limits import NAME_BYTES, exceeds
from doorward.judge.vocabulary import Context, Decision, Open, Side, Ticket
from doorward.policy.model import Policy, ServerPolicy
from doorward.protocol import definitions, stateless, versions
from doorward.protocol.link import Link
from doorward.protocol.shown import Shown
from doorward.relay import records, replies, routes, seal
from doorward.relay.commands import Grade, Record, Send
from doorward.relay.pipeline import Pipeline
from doorward.relay.runs import Progress, Refusals
from doorward.wire.jsonrpc import Message, Request, Response, key_of, key_or_nothing


class Settings(msgspec.Struct, frozen=True):
    """What a relay is made of: the policy, the armed controls, and what belongs to this one link.

    ``seal_key`` are 32 random bytes of this process; ``folders`` the absolute, resolved folders that the server may
    touch. ``tasks`` are those that the link's principal began on this server, each with the tool that began it, the
    newest last, ``shown`` the resources that it was shown there: tables that links of one principal share. ``era`` is
    "modern" where the door knows that nothing else can come (HTTP requests without a session). ``known`` is what is
    demanded of a well-known server, whatever the policy says.
    """

    policy: Policy
    server: str
    pipeline: Pipeline
    link: str
    session: str
    seal_key: bytes
    folders: tuple[str, ...] = ()
    era: Literal["", "modern"] = ""
    tasks: dict[str, str] = msgspec.field(default_factory=dict)
    known: ServerPolicy | None = None
    shown: Shown = msgspec.field(default_factory=Shown)


class Held(msgspec.Struct):
    """A ticket that waits for a person: its open request, what it was judged in, and when a sign of life is due."""

    ticket: Ticket
    opened: Open
    context: Context
    onward: int  # the exchange on which an approval sends it on
    alive_at: int
    signs: int = 0


class Errand(msgspec.Struct):
    """A question of Doorward's own that is under way (``relay.errands``)."""

    method: str
    era: str
    version: str
    since: int
    pages: int = 0
    items: int = 0


_MAX_TASKS = 4096  # of one principal on one server; servers keep results for minutes
_MAX_CANCELLED = 1024  # ids remembered; as many as may be in flight


class State:
    """The tables of one link."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server_policy = settings.policy.for_server(settings.server, settings.known)
        self.link = Link(id=settings.link, session=settings.session, era=settings.era)
        self.definitions = definitions.NOTHING
        self.opened: dict[tuple[Side, str], Open] = {}
        self.asked: dict[str, Open] = {}  # those in `opened` that the server asks, by their ids, the oldest first
        self.clients_tasks: dict[str, str] = {}  # what the server asked of the client that became a task, by its id
        self.held: dict[str, Held] = {}
        self.errand: Errand | None = None
        self.refusals = Refusals()
        self.progress = Progress()
        self.owed: list[Record] = []
        self.cancelled: dict[tuple[Side, str], None] = {}
        self.removed: dict[str, None] = {}  # of what filters remove, that which was told
        self.owed_due = 0  # when to try again to write them

    def adopt(self, policy: Policy) -> None:
        """Judge by ``policy`` from the next message on. Approvals that were asked under the old one do not hold."""
        self.settings = msgspec.structs.replace(self.settings, policy=policy)
        self.server_policy = policy.for_server(self.settings.server, self.settings.known)

    def open(self, message: Request, context: Context, body: bytes) -> Open:
        """A request takes its place in the table. It counts as open only if its record succeeds
        (``ends.not_recorded``).
        """
        meta = stateless.meta_of(message.params)
        opened = Open(
            asker=context.sender,
            key=key_of(message.id),
            method=message.method,
            exchange=context.exchange,
            body=body,
            era=context.era,
            state="SENT",
            at=context.now,
            subject=records.subject_of(message),
            params_digest=seal.params_digest(message.params) if context.era == "modern" else "",
            progress=key_or_nothing(meta.get("progressToken")),
            declared=meta.get(versions.META_CAPABILITIES, {}),
        )
        self.opened[(opened.asker, opened.key)] = opened
        if opened.asker == "server":
            self.asked[opened.key] = opened
        return opened

    def close(self, opened: Open) -> None:
        self.opened.pop((opened.asker, opened.key), None)
        if opened.asker == "server":
            self.asked.pop(opened.key, None)

    def cancel(self, opened: Open) -> None:
        """A request that was sent is taken back. Its answer may still come, so its id is not free for a while."""
        self.close(opened)
        self.cancelled[(opened.asker, opened.key)] = None
        if len(self.cancelled) > _MAX_CANCELLED:
            del self.cancelled[next(iter(self.cancelled))]

    def began(self, task: str, tool: str) -> None:
        """A call of ``tool`` by this principal began a task. One of a longer id than a name may have is not kept, so
        nobody may ask for it: a server could fill the memory with them.
        """
        _remember(self.settings.tasks, task, tool)

    def began_at_client(self, task: str, method: str) -> None:
        """The client answered a request of the server's with a task."""
        _remember(self.clients_tasks, task, method)

    def is_open(self, opened: Open) -> bool:
        return self.opened.get((opened.asker, opened.key)) is opened

    def onward(self, message: Message, context: Context) -> int:
        return routes.exchange_for(message, context.sender, context.exchange, context.era, self.opened)

    def send_on(self, message: Message, context: Context, body: bytes) -> Send:
        return Send(routes.other(context.sender), self.onward(message, context), body)

    def describe(
        self,
        kind: Kind,
        message: Message,
        context: Context,
        decision: Decision | None,
        body: bytes,
        grade: Grade,
        **more: Any,
    ) -> Record:
        """The record of a message, and what its asker is told if it cannot be written."""
        return records.describe(
            kind,
            message,
            context,
            decision,
            original=body,
            grade=grade,
            masker=self.settings.pipeline.masker,
            otherwise=_otherwise(message, context),
            **more,
        )

    def pay(self) -> list[Record]:
        """The outcomes owed, to be written before or with the next intent. They come back if that fails, too."""
        owed, self.owed = self.owed, []
        return owed


def _remember(tasks: dict[str, str], task: str, by: str) -> None:
    if exceeds(task, NAME_BYTES):
        return
    tasks[task] = by
    if len(tasks) > _MAX_TASKS:
        del tasks[next(iter(tasks))]


def _otherwise(message: Message, context: Context) -> Send | None:
    if isinstance(message, Request):
        return Send(context.sender, context.exchange, replies.not_recorded(key_of(message.id), executed=False))
    asked = context.answers
    if isinstance(message, Response) and asked is not None and not asked.ours:
        return Send(asked.asker, asked.exchange, replies.not_recorded(asked.key, executed=True))
    return None
