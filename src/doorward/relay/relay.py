"""The one path of a message.

    1 context   2 admit   3 rewrite   4 interpret   5 judge   6 decide   7 enact

The numbers stand in the code. Nothing below knows a socket, a clock or a disk: the doors bring facts and the time, and
perform what comes out. Whatever is not understood, not known, not recorded or not answered is refused; a control that
crashes has refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from doorward.controls import CONTROLS
from doorward.judge.vocabulary import (
    Context,
    Decision,
    Effect,
    Facts,
    Finding,
    Open,
    Question,
    SealedState,
    Side,
    decide,
)
from doorward.protocol import actions
from doorward.relay import asking, ends, errands, offering, passing, records, refusing, seal, unanswered
from doorward.relay import context as contexts
from doorward.relay.commands import (
    Answered,
    Arrived,
    Closed,
    Command,
    Event,
    NotRecorded,
    Send,
    Tick,
    Undelivered,
    Unproven,
    Unreadable,
)
from doorward.relay.pipeline import Asked
from doorward.relay.questions import questions
from doorward.relay.state import Settings, State
from doorward.wire.jsonrpc import Decoded, Message, Notification, Request, Response


class Relay:
    """Judges every message of one link. Not thread-safe: one task calls it, synchronously."""

    def __init__(self, settings: Settings) -> None:
        self.state = State(settings)
        self._gates = Asked(settings.pipeline.gates)
        self._rewrites = Asked(settings.pipeline.rewrites)
        self._checks = Asked(settings.pipeline.checks)

    def start(self, facts: Facts, now: int) -> list[Command]:
        """The link begins: its first record names who and what."""
        detail = {"authenticated": facts.principal.how, **dict(facts.server.evidence)}
        return [
            records.note(
                "opened", contexts.of_link(self.state, facts, now), grade="durable", sender="doorward", detail=detail
            )
        ]

    def handle(self, event: Event, now: int) -> list[Command]:
        """One event in, its commands out. ``now``: microseconds since the epoch, never going back."""
        match event:
            case Arrived():
                return self._arrived(event, now)
            case Unreadable():
                return ends.unreadable(self.state, event, now)
            case Answered():
                return asking.answered(self.state, event, now)
            case Tick():
                late = unanswered.expire(self.state, event.facts, now)
                return [*late, *ends.tick(self.state, event.facts, now)]
            case Closed():
                return ends.closed(self.state, event, now)
            case Unproven():
                return ends.unproven(self.state, event, now)
            case NotRecorded():
                return ends.not_recorded(self.state, event, now)
            case Undelivered():
                return ends.undelivered(self.state, event, now)

    def foresee(self, frame: Decoded, sender: Side) -> tuple[Question, ...]:
        """What the doors must find out before ``handle``, because it depends on the body."""
        if sender != "client":
            return ()
        return questions(frame.message, self.state.settings.folders, self.state.server_policy)

    def count(self, frame: Decoded, sender: Side, exchange: int, found: Finding) -> list[Send] | None:
        """What came too often (``found``) after others of its kind: counted with them, and what it is answered with.
        None: it is to be judged as any other.
        """
        return refusing.count(self.state, frame, sender, exchange, found)

    @property
    def deadline(self) -> int | None:
        """When a Tick matters next."""
        state = self.state
        if not (state.held or state.asked or state.errand or state.refusals.runs or state.progress.runs or state.owed):
            return None  # nearly always
        known = (
            asking.deadline(state),
            unanswered.deadline(state),
            errands.deadline(state),
            state.refusals.deadline,
            state.progress.deadline,
            state.owed_due if state.owed else None,
        )
        return min((at for at in known if at is not None), default=None)

    @property
    def busy(self) -> bool:
        """Whether a request that was sent is still unanswered. What is only listened on ends with its link."""
        opened = self.state.opened.values()
        return any(request.state == "SENT" and request.method != "subscriptions/listen" for request in opened)

    @property
    def fetching(self) -> bool:
        """Whether a request still waits for an answer to a question of ours."""
        return any(opened.state == "FETCHING" for opened in self.state.opened.values())

    # -- the path -----------------------------------------------------------------------------------------------------

    def _arrived(self, event: Arrived, now: int) -> list[Command]:
        context = contexts.around(  # 1 context
            self.state, event.frame, event.sender, event.exchange, event.facts, now
        )
        found = event.facts.too_much
        return self._travel(event.frame.message, context, _softened([found], context) if found else [])

    def _travel(self, message: Message, context: Context, counted: Sequence[Finding] = ()) -> list[Command]:
        finding = next((found for found in counted if found.effect is Effect.DENY), None)
        finding = finding or self._admit(message, context)  # 2 admit
        if finding is not None:
            commands = refusing.turn_away(self.state, message, context, finding)
            return commands + self._errand_lost(context)
        if isinstance(message, Request):
            method = errands.needed(message, context)
            if method is not None:
                return errands.wait(self.state, method, message, context)
        rewritten, notes = self._rewrite(message, context)  # 3 rewrite
        acts = self._interpret(rewritten, context)  # 4 interpret
        offered, removed = offering.narrow(self.state, rewritten, acts, context, _crashed)
        findings = (*counted, *notes, *removed, *_softened(self._check(acts, context), context))  # 5 judge
        decision = decide(findings, context.policy.digest)  # 6 decide
        return self._enact(offered, acts, context, decision)  # 7 enact

    def _admit(self, message: Message, context: Context) -> Finding | None:
        for gate in self._gates[type(message)]:
            try:
                finding = gate(message, context)
            except Exception as crash:  # noqa: BLE001 - a crash refuses
                return _crashed(gate, crash)
            if finding is not None:
                return finding
        return None

    def _rewrite(self, message: Message, context: Context) -> tuple[Message, list[Finding]]:
        notes: list[Finding] = []
        for rewrite in self._rewrites[type(message)]:
            try:
                message, noted = rewrite(message, context)
            except Exception as crash:  # noqa: BLE001 - a crash refuses
                noted = _crashed(rewrite, crash)
            if noted is not None:
                notes.append(noted)
        if isinstance(message, Response):
            message = self._seal(message, context)
        return message, notes

    def _seal(self, message: Response, context: Context) -> Response:
        """An ``input_required`` result: its state is sealed to this request before anybody judges or sees it."""
        answers, result = context.answers, message.result or {}
        if answers is None or answers.era != "modern" or result.get("resultType") != "input_required":
            return message
        if result.keys().isdisjoint(("inputRequests", "requestState")) or not isinstance(
            result.get("requestState", ""), str
        ):
            return message  # not of its form: a seal would hide that from whoever refuses it
        lifetime_s = context.policy.claim_seconds + context.policy.hold_seconds
        sealed = seal.around(
            result,
            ticket=asking.ticket_id(context.facts),
            principal=context.facts.principal.id,
            server=context.facts.server.fingerprint,
            method=answers.method,
            params=answers.params_digest,
            expires=context.now + lifetime_s * 1_000_000,
        )
        token = seal.close_seal(self.state.settings.seal_key, sealed)
        return Response(message.id, result={**result, "requestState": token})

    def _interpret(self, message: Message, context: Context) -> tuple[actions.Action, ...]:
        answers = context.answers
        method = answers.method if answers is not None else ""
        if answers is not None and answers.asker == "server" and method == "tasks/result":
            # What a task of the client's returned answers what the task was asked.
            method = context.clients_tasks.get(answers.subject, "elicitation/create")
        asked: tuple[tuple[str, str], ...] = ()
        if isinstance(context.seal, SealedState):
            asked = tuple((key, asked_method) for key, asked_method, _ in context.seal.asked)
        return actions.interpret(message, context.era, method, asked)

    def _check(self, acts: tuple[actions.Action, ...], context: Context) -> list[Finding]:
        findings: list[Finding] = []
        for act in acts:
            for check in self._checks[type(act)]:
                try:
                    finding = check(act, context)
                except Exception as crash:  # noqa: BLE001 - a crash refuses
                    finding = _crashed(check, crash)
                if finding is not None:
                    findings.append(finding)
        return findings

    def _enact(
        self, message: Message, acts: tuple[actions.Action, ...], context: Context, decision: Decision
    ) -> list[Command]:
        if decision.effect is Effect.DENY:
            return refusing.refuse(self.state, message, context, decision) + self._errand_lost(context)
        if decision.effect is Effect.ASK:
            return asking.ask(self.state, message, context, decision)
        if isinstance(message, Request):
            return passing.pass_request(self.state, message, acts, context, decision)
        if isinstance(message, Notification):
            return passing.pass_notification(self.state, message, acts, context, decision)
        answered = context.answers
        if answered is None:  # a gate lets no such answer pass; without it, it still goes nowhere
            return []
        commands = passing.pass_response(self.state, message, acts, context, answered, decision)
        return commands + self._errand_done(acts, context, answered)

    # -- what waited for an answer of ours ----------------------------------------------------------------------------

    def _errand_done(self, acts: tuple[actions.Action, ...], context: Context, answered: Open) -> list[Command]:
        if not answered.ours:
            return []
        commands, waiting, why = errands.answered(self.state, acts, context)
        for opened in waiting:
            if why is not None and errands.waits_for(opened, answered.method):
                commands += errands.refuse_waiting(self.state, opened, why, context)
            else:
                commands += self._travel(*errands.revive(self.state, opened, context))
        return commands

    def _errand_lost(self, context: Context) -> list[Command]:
        if context.answers is None or not context.answers.ours:
            return []
        return errands.fail(self.state, "the server's answer was refused", context)


def _softened(findings: list[Finding], context: Context) -> list[Finding]:
    """While the operator only observes (``unsafe_observe_until``), what controls that may soften refuse is noted."""
    until = context.policy.observe_until
    if not until or not context.policy.observes(_day(context.now)):
        return findings
    return [_noted(finding) if CONTROLS[finding.control].softens else finding for finding in findings]


def _noted(finding: Finding) -> Finding:
    return Finding(finding.control, Effect.NOTE, f"observed, not enforced: {finding.reason}", finding.evidence)


def _day(now: int) -> str:
    return datetime.datetime.fromtimestamp(now // 1_000_000, datetime.UTC).date().isoformat()


def _crashed(control: Any, crash: Exception) -> Finding:
    """A control that fails has refused; which and how stands in the archive."""
    name = getattr(control, "__name__", type(control).__name__)
    return Finding("crash", Effect.DENY, f"the control {name} failed", f"{type(crash).__name__}: {crash}"[:400])
