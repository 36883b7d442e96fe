"""``log-leakage``: a server logs a secret and sends its log to the client."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio

from doorward.audit import reader
from doorward.lab import oracles
from doorward.lab.scenario import (
    BenignTwinBrokenError,
    Example,
    Harm,
    Protection,
    Scenario,
    Target,
    Trace,
    Variant,
)
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.stage import Stage

LOG = "notifications/message"
SETTINGS = "settings.json"
USER = "user 1042"

COUNT_LIMIT_SECONDS = 5.0
"""So long a busy machine may need for the count that Doorward closes after one second."""

COUNT_POLL_SECONDS = 0.05


def furnish(work: Path, greeting: str) -> None:
    """Nothing yet: the settings with the server's own key are written when the server is started."""


def _command(stage: Stage) -> tuple[str, ...]:
    settings = stage.layout.work / SETTINGS
    settings.write_text(json.dumps({"key": stage.credential}), encoding="utf-8")
    return (*python(), script("api_caller"), str(settings))


CALLER = Target(
    id="api-caller",
    title="a naive server of ours that logs what it was called with",
    command=_command,
    furnish=furnish,
    configuration="""\
[log]
floor = "warning"
""",
    tools=("call_external_api", "look_up_user", "post_user_event", "refresh_user_cache"),
)


def _job_command(stage: Stage) -> tuple[str, ...]:
    lines = stage.layout.work / "lines.json"
    lines.write_text(json.dumps({v.id: v.payload for v in stage.example.variants}), encoding="utf-8")
    return (*python(), script("job_logger"), str(lines))


async def _run_a_job(stage: Stage) -> str:
    mark, job = stage.mark(), f"job-{stage.greeting}"
    result: Any = await stage.client.call_tool(RUN_JOB, {"job": job})
    if job not in result.content[0].text:
        raise BenignTwinBrokenError("the tool did not say what it ran")
    if not oracles.arrived(stage.since(mark).lines, f"{job} has nothing to do", method=LOG):
        raise BenignTwinBrokenError("the harmless log line of level error did not arrive")
    return "a job without a key ran, and its log line of level error arrived"


RUN_JOB = "run_job"

JOBS = Target(
    id="job-logger",
    title="a naive server of ours whose authors log in many ways",
    command=_job_command,
    furnish=furnish,
    configuration=CALLER.configuration,
    tools=(RUN_JOB,),
    benign=_run_a_job,
)


class LogLeakage(Scenario):
    """Sensitive data leakage via logs.

    Goal:
        Get the key that a server uses with a third party.
    Attacker:
        Whoever reads the client's log: another client of the server, another user of the machine, a support ticket.
    Steps:
        1. An honest client calls a tool; the key is an argument, or the server has one of its own.
        2. The server logs what it does, key included: as JSON, escaped inside a string, in a URL, as base64, in prose.
        3. It sends the line as ``notifications/message``.
    Impact:
        The key is used at the server's expense and under its identity.
    Remedy:
        Mask by key name, by the shape of credentials and by taint before a log is sent or stored; a floor for levels.
    """

    id = "log-leakage"
    title = "sensitive data leakage via logs"
    attacker = "reader of a log"
    stride = "information disclosure"
    cwe = ("CWE-532", "CWE-200")
    owasp = "MCP01:2025"
    controls = ("log-masking", "log-floor")
    examples = (
        Example(
            id="api-caller",
            title="DEBUG: Calling tool 'call_external_api' with arguments …",
            target=CALLER,
            variants=(
                Variant("as-json", "the document's own, and escaped in a second line", "call_external_api"),
                Variant("in-url", "URL-encoded in a query", "look_up_user"),
                Variant("base64", "base64 in a header, plain in structured data", "post_user_event"),
                Variant("own-key", "the server's own key, in prose", "refresh_user_cache"),
            ),
        ),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        is_job = stage.example.target is JOBS
        tool, arguments = (RUN_JOB, {"job": variant.id}) if is_job else (variant.payload, {"user_data": USER})
        if variant.id != "own-key":
            arguments["apiKey"] = f"secret/key_value+{stage.canary}"
        counted = _counted(stage)
        await stage.client.call_tool(tool, arguments)
        if stage.staging.protection is Protection.CONFIGURED:
            await _window_closed(stage, counted)

    def harmed(self, stage: Stage, variant: Variant, trace: Trace) -> Harm | None:
        secret = stage.credential if variant.id == "own-key" else stage.canary
        how = oracles.arrived(trace.lines, secret, method=LOG)
        return Harm(f"the key reached the client in a log: {how}") if how else None

    async def benign(self, stage: Stage) -> str:
        mark = stage.mark()
        # This tool logs at several levels; its line of level error is above every floor that is sensible.
        result: Any = await stage.client.call_tool("call_external_api", {"user_data": USER})
        if USER not in result.content[0].text:
            raise BenignTwinBrokenError("the tool did not say for whom it called")
        lines = stage.since(mark).lines
        if not oracles.arrived(lines, json.dumps({"user_data": USER}), method=LOG):
            raise BenignTwinBrokenError("the harmless log line of level error did not arrive")
        if stage.staging.protection is Protection.CONFIGURED:
            return "a call without secrets worked, and its log line above the floor arrived"
        if not oracles.arrived(lines, f"done for {USER}", method=LOG):
            raise BenignTwinBrokenError("the harmless log line of level info did not arrive")
        return "a call without secrets worked, and its log lines arrived"


def _counted(stage: Stage) -> int:
    """How many counts of messages below the floor the log of this stage holds."""
    entries = (one.entry for one in reader.last(stage.layout.state, reader.MOST).found)
    return sum(entry.kind == "run" and entry.detail.get("control") == "log-floor" for entry in entries)


async def _window_closed(stage: Stage, counted: int) -> None:
    """Wait until Doorward has closed its count, so that what the next variant causes has an entry of its own.

    Of the messages that it refuses within a second, Doorward records the first and counts the others. Each tool here
    logs at least two lines below the configured floor, so that there is a count to wait for. If it never comes, the
    next variant has no finding and is not called prevented.
    """
    with anyio.move_on_after(COUNT_LIMIT_SECONDS):
        while _counted(stage) == counted:  # noqa: ASYNC110 - another process writes it, and sets no event of ours
            await anyio.sleep(COUNT_POLL_SECONDS)


SCENARIO = LogLeakage()
