"""The run order of the controls that act in the relay. The table of all controls is ``doorward.controls``.

Gates refuse in this order, first finding wins. Rewrites run in this order and are then done: nothing changes a message
after it was judged. Filters then say which items of a list are left out of it; what is judged and learnt is the whole
list. Checks all run; ``decide`` takes the worst of what they found.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, Final, Generic, TypeVar

import msgspec

from doorward.content.redaction import Masker
from doorward.judge.checks.argument_constraints import require_constraints
from doorward.judge.checks.argument_schema import ValidateArguments
from doorward.judge.checks.hold_secrets import hold_secrets
from doorward.judge.checks.honoured import note_unhonoured
from doorward.judge.checks.input_consent import require_declared_input, require_input_consent
from doorward.judge.checks.known_resources import require_known_resources
from doorward.judge.checks.log_floor import keep_log_floor
from doorward.judge.checks.masked_arguments import refuse_masked_arguments
from doorward.judge.checks.own_tasks import require_own_task
from doorward.judge.checks.paths import confine_paths
from doorward.judge.checks.prompt_arguments import require_listed_arguments
from doorward.judge.checks.recognised import require_recognised
from doorward.judge.checks.resource_size import require_carriable_resource
from doorward.judge.checks.result_schema import ValidateResults
from doorward.judge.checks.tool_consent import require_tool_consent
from doorward.judge.checks.version import refuse_older_revision, require_known_version
from doorward.judge.filters.usable_tools import KeepUsableTools
from doorward.judge.gates.contents import require_bounded_content
from doorward.judge.gates.envelope import require_envelope
from doorward.judge.gates.headers import require_agreeing_headers
from doorward.judge.gates.lifecycle import require_lifecycle
from doorward.judge.gates.member_names import require_exact_names
from doorward.judge.gates.methods import require_known_method
from doorward.judge.gates.owed import require_written_outcomes
from doorward.judge.gates.parts import require_bounded_parts
from doorward.judge.gates.related_tasks import require_own_related_task
from doorward.judge.gates.sealed import require_intact_seal
from doorward.judge.gates.solicited import require_solicited
from doorward.judge.rewrites.answers import keep_asked_answers
from doorward.judge.rewrites.capabilities import narrow_capabilities
from doorward.judge.rewrites.log_masking import mask_logs
from doorward.judge.rewrites.own_task_lists import keep_own_tasks
from doorward.judge.rewrites.result_masking import mask_results
from doorward.judge.rewrites.revision import raise_revision
from doorward.judge.validators import Validators
from doorward.judge.vocabulary import Context, Finding
from doorward.protocol import actions
from doorward.protocol.actions import Action
from doorward.wire.jsonrpc import Message, Notification, Request, Response

Gate = Callable[[Message, Context], Finding | None]
Rewrite = Callable[[Message, Context], tuple[Message, Finding | None]]
Check = Callable[[Action, Context], Finding | None]
Filter = Callable[[actions.Advertise, Context], dict[int, Finding]]


class Pipeline(msgspec.Struct, frozen=True):
    """Every armed control of the relay, in order. ``masker`` is what rewrites and the archive mask with."""

    gates: tuple[Gate, ...]
    rewrites: tuple[Rewrite, ...]
    filters: tuple[Filter, ...]
    checks: tuple[Check, ...]
    masker: Masker


def build(masker: Masker) -> Pipeline:
    """All of them. There is no argument to leave one out: what policy may soften, it softens by its findings."""
    validators = Validators()
    return Pipeline(
        gates=(
            require_solicited,
            require_exact_names,
            require_agreeing_headers,
            require_envelope,
            require_known_method,
            require_lifecycle,
            require_bounded_parts,
            require_bounded_content,
            require_own_related_task,
            require_intact_seal,
            require_written_outcomes,
        ),
        rewrites=(
            keep_asked_answers,
            raise_revision,
            narrow_capabilities,
            mask_logs,
            mask_results,
            keep_own_tasks,
        ),
        filters=(KeepUsableTools(validators),),
        checks=(
            require_recognised,
            require_known_version,
            refuse_older_revision,
            refuse_masked_arguments,
            ValidateArguments(validators),
            require_listed_arguments,
            require_constraints,
            confine_paths,
            require_carriable_resource,
            require_known_resources,
            require_own_task,
            require_declared_input,
            require_input_consent,
            require_tool_consent,
            hold_secrets,
            note_unhonoured,
            keep_log_floor,
            ValidateResults(validators),
        ),
        masker=masker,
    )


_SPEAK_ONLY_OF: Final[dict[Any, tuple[type, ...]]] = {
    require_envelope: (Request,),
    require_known_method: (Request, Notification),
    require_lifecycle: (Request, Notification),
    require_intact_seal: (Request,),
    require_written_outcomes: (Request,),
    keep_asked_answers: (Request,),
    raise_revision: (Request,),
    narrow_capabilities: (Request, Response),
    mask_logs: (Notification,),
    mask_results: (Response,),
    keep_own_tasks: (Response,),
    require_recognised: (actions.Unrecognised,),
    require_known_version: (actions.DeclareServer,),
    refuse_older_revision: (actions.DeclareCapabilities,),
    refuse_masked_arguments: (actions.CallTool, actions.GetPrompt),
    ValidateArguments: (actions.CallTool,),
    require_listed_arguments: (actions.GetPrompt,),
    require_constraints: (actions.CallTool, actions.GetPrompt, actions.Complete, actions.ReadResource),
    confine_paths: (actions.CallTool, actions.GetPrompt, actions.ReadResource, actions.Complete),
    require_known_resources: (actions.ReadResource, actions.Complete),
    require_carriable_resource: (actions.ReadResource,),
    require_own_task: (actions.HandleTask, actions.Announce),
    require_declared_input: (actions.RequestInput, actions.HandleTask),
    require_input_consent: (actions.RequestInput,),
    require_tool_consent: (actions.CallTool,),
    hold_secrets: (actions.CallTool, actions.GetPrompt, actions.Complete, actions.AnswerInput),
    note_unhonoured: (actions.AnswerInput, actions.ReturnError),
    keep_log_floor: (actions.EmitLog,),
    ValidateResults: (actions.ReturnResult, actions.Announce),
}
"""Controls that have nothing to say of any other kind of message or action, so that they need not be asked. One that is
not here is asked of everything."""

Control = TypeVar("Control")


class Asked(dict[type, tuple[Control, ...]], Generic[Control]):
    """Which of ``controls`` are asked about a message or an action, in their order: by its type, found once."""

    def __init__(self, controls: tuple[Control, ...]) -> None:
        super().__init__()
        self._controls = controls

    def __missing__(self, kind: type) -> tuple[Control, ...]:
        found = self[kind] = tuple(control for control in self._controls if _speaks_of(control, kind))
        return found


def _speaks_of(control: object, kind: type) -> bool:
    only = _SPEAK_ONLY_OF.get(control if isinstance(control, FunctionType) else type(control))
    return only is None or kind in only
