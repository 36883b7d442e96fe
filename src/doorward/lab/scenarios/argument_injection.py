"""``argument-injection``: an argument becomes part of a shell line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.lab import git_repository
from doorward.lab.oracles import mapped
from doorward.lab.scenario import BenignTwinBrokenError, Example, Harm, Protection, Scenario, Target, Trace, Variant
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.stage import Stage

SHIPPED = (Protection.SHIPPED,)  # what a remote server may be told by whom, only its operator can say
LEGIT = "legit_script.py"
DONE = "legit_script.done"
HONEST_RUNS = 3  # alone, in a list, as a last step


def furnish(work: Path, greeting: str) -> None:
    """One legitimate script, which notes in its own folder that it ran."""
    done = str(work / DONE)
    (work / LEGIT).write_text(f"open({done!r}, 'a').write({greeting!r})\n", encoding="utf-8")


RUNNER = Target(
    id="script-runner",
    title="a naive server of ours that runs scripts by os.system",
    command=lambda stage: (*python(), script("script_runner"), str(stage.layout.work)),
    furnish=furnish,
    configuration="""\
[servers.script-runner.tools.execute_script.arguments.script_path]
path_below = "{work}"
no_shell_metacharacters = true
[servers.script-runner.tools.execute_plan.arguments]
"/steps/*" = { no_shell_metacharacters = true }
"/finally/script_path" = { no_shell_metacharacters = true }
""",
    tools=("execute_script", "execute_plan"),
)


def _simple(id: str, title: str, script_path: str) -> Variant:
    return Variant(id, title, {"name": "execute_script", "arguments": {"script_path": script_path}}, SHIPPED)


class ArgumentInjection(Scenario):
    """Tool argument injection.

    Goal:
        Run a command of the attacker's on the server's machine.
    Attacker:
        A client, or a prompt that makes a model choose the argument.
    Steps:
        1. The server offers ``execute_script`` and builds a line for the shell; it refuses ``..`` and nothing else.
        2. The attacker sends the name of a legitimate script and, in one of the ways a shell knows, a command after it;
           plain, in a list, in a nested object.
        3. The command makes a mark where the server has no business.
    Impact:
        Arbitrary commands with the rights of the server's process.
    Remedy:
        Constrain the argument's value before the server sees it; no shell; and a sandbox, so that a command that does
        run can do no more than the server's own work.
    """

    id = "argument-injection"
    title = "tool argument injection"
    attacker = "client"
    stride = "tampering, elevation of privilege"
    cwe = ("CWE-78", "CWE-88")
    owasp = "MCP05:2025"
    controls = ("argument-constraints", "definition-arguments", "path-confinement")
    examples = (
        Example(
            id="script-runner",
            title="legit_script.py; and what comes after",
            target=RUNNER,
            variants=(
                _simple("semicolon", "the document's own", f"{LEGIT}; touch {{marker}}"),
                _simple("newline", "a second line", f"{LEGIT}\ntouch {{marker}}"),
                _simple("substitution", "$( )", f"{LEGIT} $(touch {{marker}})"),
                _simple("back-ticks", "back-ticks", f"{LEGIT} `touch {{marker}}`"),
                _simple("and", "&&", f"{LEGIT} && touch {{marker}}"),
                _simple("pipe", "a pipe", f"{LEGIT} | touch {{marker}}"),
                _simple("redirection", "a redirection", f"{LEGIT} > {{marker}}"),
                Variant(
                    "in-array",
                    "hidden in a list",
                    {"name": "execute_plan", "arguments": {"steps": [LEGIT, f"{LEGIT}; touch {{marker}}"]}},
                    SHIPPED,
                ),
                Variant(
                    "in-object",
                    "hidden in a nested object",
                    {"name": "execute_plan", "arguments": {"finally": {"script_path": f"{LEGIT}; touch {{marker}}"}}},
                    SHIPPED,
                ),
            ),
        ),
        Example(
            id=git_repository.PUBLISHED,
            title="CVE-2025-68144 (what names a revision is an option) as published",
            target=git_repository.GIT,
            variants=(
                Variant(
                    "option",
                    "a file written by --output",
                    {"name": "git_diff", "arguments": {"repo_path": "{work}", "target": "--output={marker}"}},
                ),
            ),
        ),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        marker = str(stage.marker(variant.id))
        marked = mapped(variant.payload, lambda text: text.replace("{marker}", marker))
        await stage.ask("tools/call", stage.filled(marked))

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        marker = stage.marker(variant.id)
        return Harm(f"an injected command made {marker.name} outside the server's folder") if marker.exists() else None

    async def benign(self, stage: Stage) -> str:
        done = stage.layout.work / DONE
        done.unlink(missing_ok=True)
        await stage.client.call_tool("execute_script", {"script_path": LEGIT})
        await stage.client.call_tool("execute_plan", {"steps": [LEGIT], "finally": {"script_path": LEGIT}})
        ran = done.read_text(encoding="utf-8").count(stage.greeting) if done.exists() else 0
        if ran != HONEST_RUNS:
            raise BenignTwinBrokenError(f"{LEGIT} ran {ran} times instead of {HONEST_RUNS}")
        return f"{LEGIT} ran alone, in a list and as a last step"


SCENARIO = ArgumentInjection()
