"""What an operator gave to start a server by its command, and the walls that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from doorward.confine import profile
from doorward.confine.environment import own_environment
from doorward.confine.network import Network, Target
from doorward.errors import IdentityError, UsageError
from doorward.gateway.identity import judgment
from doorward.gateway.identity.command import CommandIdentity
from doorward.policy import lock
from doorward.policy.home import home
from doorward.policy.model import Policy, ServerPolicy


class Places(msgspec.Struct, frozen=True):
    """Where this gateway keeps things: state, sockets, pins, and the folder of its configuration.

    ``policies`` are the folders in which a policy would be looked for, there or not.
    """

    state: Path
    runtime: Path
    lock: Path
    config: Path
    policies: tuple[Path, ...] = ()


class WrapOptions(msgspec.Struct, frozen=True):
    """What the operator wrote on the command line of ``doorward wrap``."""

    command: tuple[str, ...]
    name: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    sandbox: profile.Mechanism = "auto"
    as_json: bool = False
    unsafe_no_sandbox: bool = False


def walls_of(options: WrapOptions, identity: CommandIdentity, policy: Policy, places: Places) -> profile.SandboxProfile:
    """The walls around a command, from its own words, the command line and the policy.

    Raises UsageError where ``--network`` is none, ConfinementError where a folder is named that no server may have.
    """
    said, caps = policy.for_server(identity.name), policy.caps_of(identity.name)
    network, connect = _network(options, said)
    walls = profile.derive(
        # What was identified is what is executed, not what a second search would find.
        (identity.invoked, *options.command[1:]),
        environ=own_environment(),
        cwd=str(Path.cwd()),
        home=str(home()),
        state=str(places.state),
        config=str(places.config),
        server=identity.name,
        read=(*said.read, *options.read),
        write=(*said.write, *options.write),
        grants=(*said.env, *options.env),
        network=network,
        connect=connect,
        hosts=said.hosts,
        profile=_profile_name(policy),
        also_own=(str(places.runtime), *map(str, places.policies)),
    )
    return msgspec.structs.replace(walls, mechanism=options.sandbox, **msgspec.structs.asdict(caps))


def _profile_name(policy: Policy) -> Literal["standard", "strict"]:
    return "strict" if policy.profile == "strict" else "standard"


def _network(options: WrapOptions, said: ServerPolicy) -> tuple[Network | None, tuple[Target, ...]]:
    """What was said of the network, and the targets. The command line decides, or else the policy; targets of both
    count.
    """
    words = [word for word in options.network if word in ("public", "none")]
    if len(set(words)) > 1:
        raise UsageError("--network none and --network public", hint="keep one of them")
    named = (*said.connect, *(word for word in options.network if word not in words))
    if named:
        from doorward.policy.addresses import split_target, target_problem

        for word in named:
            if problem := target_problem(word):
                raise UsageError(f"--network {problem[0]}", hint=f"none, public, or HOST:PORT {problem[1]}".rstrip())
        targets = tuple(target for word in named if (target := split_target(word)) is not None)
    else:
        targets = ()
    network: Any = words[0] if words else said.network or None
    return network, targets


def changed(identity: CommandIdentity, verdict: judgment.Changed, places: Places) -> IdentityError:
    """What is raised where a known name would run something else."""
    pin = lock.read(places.lock).get(identity.name)
    return judgment.refused(identity.name, verdict, judgment.accept_hint(identity, pin))
