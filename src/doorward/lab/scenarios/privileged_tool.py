"""``privileged-tool``: a tool that may become root does more with that than its duty."""

from __future__ import annotations

import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from doorward.lab import second_user
from doorward.lab.scenario import BenignTwinBrokenError, Example, Harm, Protection, Scenario, Target, Trace, Variant
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorward.lab.stage import Stage

SHIPPED = (Protection.SHIPPED,)  # what a remote server's own user may become, only its operator can say
MANAGE, LEGIT = "manage_service", "httpd"
STARTED = "start"

MAKE, OPEN, OWN, OPTION = "make", "open", "own", "option"
DEEDS = {MAKE: "sudo touch {place}", OPEN: "sudo chmod a+w {place}", OWN: "touch {place}", OPTION: ""}

SYSTEMCTL = """\
#!/bin/bash -p
# A service of the stage is a file: systemctl [--root=FOLDER] ACTION NAME. As root where sudo made root of its caller.
root='{work}' words=()
for word; do case $word in --root=*) root=${{word#--root=}} ;; *) words+=("$word") ;; esac; done
echo "${{words[0]}}" > "$root/${{words[1]}}.service"
"""


def furnish(work: Path, _greeting: str) -> None:
    """One service, which is stopped."""
    (work / f"{LEGIT}.service").write_text("stop\n", encoding="utf-8")


def _programs(stage: Stage) -> Path:
    return stage.layout.root / "programs"


def _theirs(stage: Stage) -> Path:
    """What belongs to the user as whom the server runs, and is no business of the server's."""
    return stage.layout.root / "theirs"


@contextmanager
def equipped(stage: Stage) -> Iterator[str]:
    """``sudo`` and ``systemctl``, and a second user who may use them, where there can be one."""
    programs, theirs, work = _programs(stage), _theirs(stage), stage.layout.work
    stage.layout.root.chmod(0o711)
    programs.mkdir(mode=0o755)
    theirs.mkdir(mode=0o700)
    work.chmod(0o755)
    second_user.give(work, theirs, *work.iterdir())
    systemctl = programs / "systemctl"
    systemctl.write_text(SYSTEMCTL.format(work=work), encoding="utf-8")
    systemctl.chmod(0o755)
    with second_user.sudo(programs / "sudo") as doubt:
        yield doubt


def _command(stage: Stage) -> tuple[str, ...]:
    user = second_user.number()
    become = ("--user", str(user)) if user is not None else ()
    programs, work = str(_programs(stage)), str(stage.layout.work)
    return (*python(), script("service_manager"), "--path", programs, *become, work)


MANAGER = Target(
    id="service-manager",
    title="a naive server of ours that runs sudo systemctl by os.system",
    command=_command,
    furnish=furnish,
    configuration=f"""\
[servers.service-manager.tools.{MANAGE}.arguments]
action = {{ identifier = true }}
service_name = {{ identifier = true }}
""",
    tools=(MANAGE,),
    equipped=equipped,
)


class Misuse(msgspec.Struct, frozen=True):
    """The arguments, with ``{deed}`` for what is done besides and ``{place}`` for where.

    ``MAKE`` makes a file in a folder that only root may write, and ``OPEN`` opens one that only root may write to
    everybody: Landlock sees the first and not the second. ``OWN`` makes one where the server's user may. ``OPTION`` is
    as ``MAKE``, by the program itself. Where the lab does not run as root, all of them make one of the user's own.
    """

    service_name: str
    action: str = STARTED
    deed: str = MAKE


def _misuse(id: str, title: str, service_name: str, deed: str) -> Variant:
    return Variant(id, title, Misuse(service_name, deed=deed), SHIPPED)


class PrivilegedTool(Scenario):
    """Tool vulnerability exploitation.

    Goal:
        Run commands with the privileges that a tool can get, or act on what the tool is not for.
    Attacker:
        A client, or a prompt that makes a model choose the argument.
    Steps:
        1. The server offers ``manage_service``, which builds ``sudo systemctl start NAME`` for the shell.
        2. The attacker sends ``httpd; /bin/bash -c '…'``, or one of the other ways to have more said than a name: a
           second line, a substitution, an option of ``systemctl``, the action instead of the name.
        3. What was injected asks ``sudo`` for root, and makes or opens a file that only root may write.
    Impact:
        All of the machine: whatever root may do, the attacker may. Without ``sudo``, all that the server's user may.
    Remedy:
        A server that never can become root does not become root: it runs with rights that it cannot extend, in a
        sandbox, and what needs root goes by a narrow, typed interface and not by a shell. And the argument is
        constrained before the server sees it.
    """

    id = "privileged-tool"
    title = "tool vulnerability exploitation"
    attacker = "client"
    stride = "elevation of privilege, tampering"
    cwe = ("CWE-250", "CWE-269", "CWE-78", "CWE-88")
    owasp = "MCP05:2025"
    controls = ("argument-constraints", "definition-arguments")
    examples = (
        Example(
            id="service-manager",
            title="sudo systemctl start httpd; and what comes after",
            target=MANAGER,
            variants=(
                _misuse("semicolon", "the document's own", f"{LEGIT}; /bin/bash -c '{{deed}}'", MAKE),
                _misuse("opened", "what root guards is opened", f"{LEGIT}; /bin/bash -c '{{deed}}'", OPEN),
                _misuse("newline", "a second line", f"{LEGIT}\n{{deed}}", OPEN),
                _misuse("substitution", "$( )", f"{LEGIT} $({{deed}})", MAKE),
                _misuse("option", "an option of systemctl", "--root={outside} mark-option", OPTION),
                _misuse("own-rights", "no sudo: what the server's user may", f"{LEGIT}; {{deed}}", OWN),
                Variant("action", "by the action", Misuse(LEGIT, f"{STARTED} {LEGIT}; {{deed}}; true", MAKE)),
            ),
        ),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        misuse: Misuse = variant.payload
        place = _place(stage, variant)
        deed = DEEDS[misuse.deed]
        if misuse.deed == OPEN and second_user.number() is None:
            deed = DEEDS[MAKE]  # anybody may open what is their own
        elif misuse.deed == OPEN:
            place.touch(mode=0o600)

        def said(text: str) -> str:
            return text.replace("{deed}", deed).replace("{place}", str(place))

        arguments = {"action": said(misuse.action), "service_name": said(misuse.service_name)}
        await stage.ask("tools/call", stage.filled({"name": MANAGE, "arguments": arguments}))

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        place = _place(stage, variant)
        if not place.exists():
            return None
        if second_user.number() is None or variant.payload.deed == OWN:
            return Harm(f"{place.name} was made outside the server's folder, with its user's own rights")
        if variant.payload.deed != OPEN:
            return Harm(f"{place.name} was made where only root may write")
        opened = place.stat().st_mode & stat.S_IWOTH
        return Harm(f"{place.name}, which only root could write, may be written by everybody") if opened else None

    async def benign(self, stage: Stage) -> str:
        service = stage.layout.work / f"{stage.greeting}.service"
        for action in (STARTED, "stop"):
            await stage.client.call_tool(MANAGE, {"action": action, "service_name": stage.greeting})
            if not service.exists() or service.read_text(encoding="utf-8").strip() != action:
                raise BenignTwinBrokenError(f"{action} was not done to the service")
        return "a service was started and stopped"


def _place(stage: Stage, variant: Variant) -> Path:
    """Where this variant's harm is seen."""
    deed = variant.payload.deed
    if deed == OPTION:
        return stage.layout.outside / f"mark-{variant.id}.service"
    return _theirs(stage) / f"mark-{variant.id}" if deed == OWN else stage.marker(variant.id)


SCENARIO = PrivilegedTool()
