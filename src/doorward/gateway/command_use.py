"""What an operator gave to start a server by its command, and the walls that follow from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from doorward.confine import profile
from doorward.confine.environment import own_environment
from doorward.confine.network import Network, Target
from doorward.errors import IdentityError, UsageError
from doorward.gateway.identity import judgment
from doorward.gateway.identity.command import CommandIdentity
from doorward.policy import lock
from doorward.policy.home import home
from doorward.policy.identity import variable_problem
from doorward.policy.model import Policy, ServerPolicy

if TYPE_CHECKING:
    from doorward.gateway.fetching.fetch import Fetched, Wish

_FETCHING: Final = frozenset({"npx", "npm", "uvx", "uv", "pipx"})
"""Commands for which it is worth loading what knows whether they fetch."""


class Places(msgspec.Struct, frozen=True):
    """Where this gateway keeps things: state, sockets, pins, and the folder of its configuration.

    ``policies`` are the folders in which a policy would be looked for, there or not.
    """

    state: Path
    runtime: Path
    lock: Path
    config: Path
    policies: tuple[Path, ...] = ()

    def own(self) -> tuple[str, ...]:
        """Every folder that no server is given."""
        return tuple(map(str, (self.state, self.config, self.runtime, *self.policies)))


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
    unsafe_install_scripts: bool = False


def fetches(argv: tuple[str, ...]) -> bool:
    """Whether this may be a command for which something is fetched: only then the rest is worth loading."""
    return os.path.basename(argv[0]) in _FETCHING


def wish_of(options: WrapOptions, identity: CommandIdentity, policy: Policy, places: Places) -> Wish | None:
    """What is to be fetched before the command can be started; None where nothing is.

    Raises:
        FetchError: it is not understood what the command fetches.
        IdentityError: the command is not the one that is pinned under its name; or install scripts would run before
            somebody agreed to it.
    """
    if not fetches(options.command):
        return None
    from doorward.gateway.fetching.fetch import present

    pins = lock.read(places.lock)
    verdict = judgment.judge(identity, pins, policy.profile)
    if isinstance(verdict, judgment.Changed):
        # A command that somebody else changed reaches no registry; what is fetched is judged once it is there.
        written = tuple(one for one in verdict.differences if not one[0].startswith("package"))
        if written:
            raise changed(identity, judgment.Changed(written), places)
    wish = wish_to_accept(options, identity, policy, places)
    if wish is not None and wish.scripts and judgment.asks(verdict) and present(wish) is None:
        hint = judgment.accept_hint(identity).replace("accept ", "accept --unsafe-install-scripts ", 1)
        raise IdentityError(f"install scripts of {identity.name} would run before you agreed to it", hint=hint)
    return wish


def wish_to_accept(
    options: WrapOptions, identity: CommandIdentity, policy: Policy, places: Places, *, refresh: bool = False
) -> Wish | None:
    """The same for a command that is going to be pinned as it is now, whatever it was. ``refresh``: as it is newest.

    Raises:
        FetchError: it is not understood what the command fetches.
        UsageError, ConfinementError: as of `walls_of`.
    """
    from doorward.confine.fetching import Own
    from doorward.gateway.fetching.asked import asked
    from doorward.gateway.fetching.fetch import Wish, can_fetch, present

    what = asked(options.command)
    if what is None:
        return None
    pin = lock.read(places.lock).get(identity.name)
    wish = Wish(
        what,
        launcher=identity.invoked,
        doorward=Own(
            home=str(home()),
            state=str(places.state),
            config=str(places.config),
            others=(str(places.runtime), *map(str, places.policies)),
        ),
        caps=policy.caps_of(identity.name),
        known=pin.package if pin else "",
        scripts=options.unsafe_install_scripts,
        refresh=refresh,
        mechanism=options.sandbox,
        unsafe_no_sandbox=options.unsafe_no_sandbox,
    )
    if not refresh and present(wish) is not None:
        return wish
    if os.path.basename(identity.invoked) == "pipx" and not can_fetch(wish):
        return None  # it does without uv, which is what fetches here: it is started as it is written
    by_it = (folder.path for folder in walls_of(options, identity, policy, places).folders if folder.write)
    by_others = (os.path.realpath(path) for said in policy.servers.values() for path in said.write)
    return msgspec.structs.replace(wish, written=(*by_it, *by_others))


def executed(options: WrapOptions, identity: CommandIdentity, fetched: Fetched | None) -> tuple[str, ...]:
    """The command line that is executed: the program of what was fetched, else what was identified."""
    if fetched is None:
        # What was identified is what is executed, not what a second search would find.
        return (identity.invoked, *options.command[1:])
    from doorward.gateway.fetching.asked import asked

    what = asked(options.command)
    return (*fetched.found.program, *(what.arguments if what else ()))


def walls_of(
    options: WrapOptions, identity: CommandIdentity, policy: Policy, places: Places, fetched: Fetched | None = None
) -> profile.SandboxProfile:
    """The walls around a command, from its own words, the command line and the policy.

    What was ``fetched`` for it is read, and never written. Raises UsageError where ``--network`` or ``--env`` is none,
    ConfinementError where a folder is named that no server may have.
    """
    for variable in options.env:
        if problem := variable_problem(variable):
            raise UsageError(f"--env {problem}", hint="write the name only, no value")
    said, caps = policy.for_server(identity.name), policy.caps_of(identity.name)
    network, connect = _network(options, said)
    walls = profile.derive(
        executed(options, identity, fetched),
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
    if fetched is not None:
        walls = msgspec.structs.replace(
            walls, read=(*walls.read, fetched.tree), env=tuple(_first_on_path(walls, fetched.found.programs))
        )
    return msgspec.structs.replace(walls, mechanism=options.sandbox, **msgspec.structs.asdict(caps))


def _first_on_path(walls: profile.SandboxProfile, folder: str) -> Iterator[tuple[str, str]]:
    """As the launcher does it: the programs that came along are found before others."""
    for name, value in walls.env:
        yield name, f"{folder}:{value}" if name == "PATH" else value


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
