"""All attacks, in the order of the document. To add one, write its file and its line here."""

from __future__ import annotations

from doorward.lab.scenario import Scenario
from doorward.lab.scenarios import (
    argument_injection,
    capability_forgery,
    consent_bypass,
    disputed_execution,
    log_leakage,
    message_tampering,
    oversized_payload,
    path_traversal,
    privileged_tool,
    request_flooding,
    server_imitation,
)

CATALOGUE: tuple[Scenario, ...] = (
    server_imitation.SCENARIO,
    capability_forgery.SCENARIO,
    message_tampering.SCENARIO,
    argument_injection.SCENARIO,
    disputed_execution.SCENARIO,
    path_traversal.SCENARIO,
    log_leakage.SCENARIO,
    request_flooding.SCENARIO,
    oversized_payload.SCENARIO,
    privileged_tool.SCENARIO,
    consent_bypass.SCENARIO,
)
