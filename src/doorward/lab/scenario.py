"""The words of the lab: what an attack is, on whom it is played, and how it may end.

One attack is one file in ``lab/scenarios``: a subclass of :class:`Scenario` whose docstring stands under the headings
of :data:`HEADINGS`. The attack is not the oracle: ``attack`` acts, ``harmed`` looks for what the stage planted, and
``benign`` walks the same flow as an honest user, because a server that answers nobody is no defence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from doorward.lab.stage import Stage
    from doorward.lab.transcript import Message

HEADINGS = ("Goal", "Attacker", "Steps", "Impact", "Remedy")
"""The docstring of every scenario has exactly these headings, in this order."""

CONFIGURATION_LINES = 10
"""As many lines as an operator of one server would still write (docs/threats.md)."""


class Era(StrEnum):
    """The two ways in which MCP peers speak; the value is the revision that the lab speaks."""

    LEGACY = "2025-11-25"
    MODERN = "2026-07-28"


class Protection(StrEnum):
    """What stands between the client and the target. ``ABLATED`` is ``SHIPPED`` or ``CONFIGURED`` less one defence.

    With ``GUARDED`` nothing does: the target is a twin that its author wrote with ``doorward.guard`` (``lab.guarded``).
    """

    NAIVE = "naive"
    SHIPPED = "as shipped"
    CONFIGURED = "configured"
    GUARDED = "guarded"


BEHIND = (Protection.SHIPPED, Protection.CONFIGURED)
"""All that is not bare."""

GATEWAY = (Protection.NAIVE, *BEHIND)
"""What is compared where the gateway is what protects."""


class Topology(StrEnum):
    """What stands where (docs/threats.md). The client speaks over pipes with ``WRAP``, over HTTP with the others."""

    WRAP = "wrap"
    SERVE_COMMAND = "serve→command"
    SERVE_URL = "serve→URL"


class Kind(StrEnum):
    """How a run ended (docs/threats.md)."""

    SUCCEEDED = "SUCCEEDED"
    """Harm was seen."""
    PREVENTED = "PREVENTED"
    """No harm, a control or wall is named for every variant, and the benign twin still works."""
    OBSTRUCTED = "OBSTRUCTED"
    """No harm, but the benign twin broke too."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The target was not reached, or nothing that could have prevented the harm can be named."""
    EXCLUDED = "EXCLUDED"
    """Not played, or not judged, for a reason of :class:`Exclusion`."""


class Exclusion(StrEnum):
    """Why a run cannot be played, or proves nothing. There is no other reason."""

    REGISTRY_UNREACHABLE = "REGISTRY_UNREACHABLE"
    """The published target is not installed and its registry did not answer."""
    ERA_NOT_SPOKEN = "ERA_NOT_SPOKEN"
    """The target does not speak this era of the protocol."""
    TRANSPORT_NOT_SPOKEN = "TRANSPORT_NOT_SPOKEN"
    """The target has no HTTP, so nobody reaches it by a URL."""
    REMOTE_INTERNALS = "REMOTE_INTERNALS"
    """The harm happens inside a remote server, where no gateway can stand."""
    INSIDE_ITS_FOLDERS = "INSIDE_ITS_FOLDERS"
    """Played as shipped, and what was harmed lies in the server's own folders, as ``own_folders`` looked up."""


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended; ``reason`` only where it was excluded: an :class:`Exclusion`, or of a twin a ``Unstopped``."""

    kind: Kind
    reason: StrEnum | None = None


class Harm(msgspec.Struct, frozen=True):
    """What an oracle saw of the harm that the stage planted the means to see.

    ``inside``: it is nothing but what the server was entrusted with. The runner takes that back where it does not lie
    in the server's own folders, or the variant does not say so.
    """

    seen: str
    inside: bool = False


class Trace(msgspec.Struct, frozen=True):
    """Everything that reached the lab's side while one variant was played: the only thing that an oracle may read.

    ``lines`` are the bytes that arrived at the client, ``prompts`` what its model was given, ``glances`` what the
    person was shown and said. Times are microseconds since the epoch, UTC. ``exchange`` is for reports only.
    """

    started: int
    ended: int
    lines: tuple[bytes, ...] = ()
    prompts: tuple[str, ...] = ()
    glances: tuple[Glance, ...] = ()
    exchange: tuple[Message, ...] = ()


class Glance(msgspec.Struct, frozen=True):
    """One question that the lab's person answered: the screen as text, the answer, and what they made of it."""

    screen: str
    approved: bool
    why: str


class Variant(msgspec.Struct, frozen=True):
    """One form of an attack. ``payload`` is what the scenario makes of it, with ``{…}`` for places of the stage.

    ``remote_internals`` are the protections under which, behind a URL, only the remote server itself could stop it; it
    is played bare, and shown as not Doorward's to prevent. ``topologies`` are those in which it can be played at all.
    ``inside`` says that as shipped its harm stays in the server's own folders; that is looked up, not believed.
    """

    id: str
    title: str
    payload: Any
    remote_internals: tuple[Protection, ...] = ()
    topologies: tuple[Topology, ...] = tuple(Topology)
    inside: bool = False


class Target(msgspec.Struct, frozen=True):
    """A server that can be attacked.

    ``command`` answers its argument vector for a stage, or None where it is not installed; ``furnish`` puts into the
    stage what the server needs to be honest work (notes, scripts); ``configuration`` is what an operator of this server
    would write into ``doorward.toml``, with ``{work}`` for its folder. ``tools`` are the names it lists, for the test
    that no code outside the lab knows them. ``over_http`` says that it can be reached by a URL: by
    ``targets/over_http.py``, or by the option that ``http_option`` puts before its arguments. ``benign`` is what an
    honest user does with it, where that is not the flow of the scenario. ``equipped`` puts into the stage what must be
    gone when the target is, whatever happens; it answers why this machine does not allow that, else nothing.
    ``entrusted`` puts among the server's own data a secret that no tool of it gives, and that lies nowhere else.
    """

    id: str
    title: str
    command: Callable[[Stage], tuple[str, ...] | None]
    furnish: Callable[[Path, str], None]
    configuration: str
    tools: tuple[str, ...]
    eras: tuple[Era, ...] = (Era.LEGACY, Era.MODERN)
    missing: Callable[[], str] = lambda: ""
    over_http: bool = True
    http_option: str = ""
    benign: Callable[[Stage], Awaitable[str]] | None = None
    equipped: Callable[[Stage], AbstractContextManager[str]] = lambda _stage: nullcontext("")
    entrusted: Callable[[Path, str], None] | None = None


class Example(msgspec.Struct, frozen=True):
    """One attack run of a scenario: on whom, and in which variants.

    All variants are played against one server process, one after the other, each with its own trace. ``asks`` says that
    the flow leads to a question to a person; ``announced`` is what the benign flow tells that person to expect.
    ``eras`` are those whose protocol has what is attacked. ``alone`` says that its target is another from the start, or
    is left as another, so that no other example is played on its stage.
    """

    id: str
    title: str
    target: Target
    variants: tuple[Variant, ...]
    asks: bool = False
    announced: tuple[str, ...] = ()
    eras: tuple[Era, ...] = tuple(Era)
    alone: bool = False

    def variants_of(self, topology: Topology) -> tuple[Variant, ...]:
        """The variants that can be played in ``topology``."""
        return tuple(variant for variant in self.variants if topology in variant.topologies)


class BenignTwinBrokenError(Exception):
    """The honest use of the same flow did not work."""


class Scenario(ABC):
    """One attack. ``controls`` are those of ``doorward.controls`` that may stop it, and no others; none where nothing
    does yet. ``measures`` says that its oracle compares times, so that nothing else may be played meanwhile. ``apart``
    says that variants are refused alike and at once, so each waits until it is recorded as one of its own.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    attacker: ClassVar[str]
    stride: ClassVar[str]
    cwe: ClassVar[tuple[str, ...]]
    owasp: ClassVar[str]
    controls: ClassVar[tuple[str, ...]]
    measures: ClassVar[bool] = False
    apart: ClassVar[bool] = False
    examples: ClassVar[tuple[Example, ...]]

    @abstractmethod
    async def attack(self, stage: Stage, variant: Variant, /) -> None:
        """Do what the attacker does. Any answer is fine, an exception of the client too; harm is for the oracle."""

    @abstractmethod
    def harmed(self, stage: Stage, variant: Variant, trace: Trace, /) -> Harm | None:
        """Look for the planted harm, in the trace and in the stage's own places. Never for words such as ``error``."""

    @abstractmethod
    async def benign(self, stage: Stage, /) -> str:
        """Use the same flow honestly and say what worked.

        Raises:
            BenignTwinBrokenError: when an honest user did not get what the naive target gives.
        """

    async def honest_use(self, stage: Stage, /) -> str:
        """What an honest user does with the stage's target: its own flow where it has one, else ``benign``."""
        return await (stage.example.target.benign or self.benign)(stage)

    def sampler(self, _stage: Stage, /) -> Any:
        """The client's sampling callback, for flows in which the server asks the client's model; else None."""
        return None

    def elicited(self, _stage: Stage, /) -> Any:
        """The client's elicitation callback, for flows in which the server asks the client's user; else None."""
        return None
