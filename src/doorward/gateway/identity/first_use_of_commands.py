"""The first use of a command that must be agreed to: asked before anything of it runs, then kept."""

from __future__ import annotations

from collections.abc import Callable

from doorward.confine.network import described
from doorward.confine.profile import SandboxProfile
from doorward.gateway.archive import Archive
from doorward.gateway.clock import written
from doorward.gateway.consent import first_use
from doorward.gateway.identity import judgment
from doorward.gateway.identity.command import CommandIdentity
from doorward.gateway.identity.settle import Places
from doorward.gateway.reporter import Reporter
from doorward.judge.vocabulary import Principal
from doorward.policy.model import Policy


async def ask(  # noqa: PLR0913 - whom, about what, and what is needed to ask
    identity: CommandIdentity,
    verdict: judgment.First | judgment.NearMiss,
    walls: SandboxProfile,
    *,
    principal: Principal,
    policy: Policy,
    places: Places,
    archive: Archive,
    clock: Callable[[], int],
    reporter: Reporter,
) -> None:
    """Ask, and pin what was agreed to. ``archive`` is open.

    Raises:
        ConsentError: nobody can be asked, nobody answered, or somebody refused.
        IdentityError: the name was pinned as something else meanwhile.
    """
    why = "the profile asks at the first use of each server"
    if isinstance(verdict, judgment.NearMiss):
        why = f"its name can be mistaken for the known server {verdict.of}: {verdict.why}"
    asked = first_use.Asked(
        server=identity.verified(),
        principal=principal,
        policy=policy,
        why=why,
        command=identity.pin(first_seen="", accepted_by="").argv,
        folders=tuple(f"{folder.path} ({'read and write' if folder.write else 'read'})" for folder in walls.folders),
        network=described(walls),
        hint=judgment.accept_hint(identity),
    )
    answer = await first_use.ask(asked, runtime=places.runtime, state=places.state, archive=archive, clock=clock)
    pin = identity.pin(first_seen=written(clock()), accepted_by=answer.by)
    judgment.keep_accepted(places.lock, pin, lambda known: judgment.differences(known, identity))
    reporter.say(f"{identity.name} was accepted by {answer.by}")
