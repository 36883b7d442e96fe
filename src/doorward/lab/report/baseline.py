"""An earlier report, in JSON, with which a new one is compared: what stands there is known.

Known findings are reported as before and marked; only the others decide the exit code. A finding is known by its
fingerprint, so harm of another variant, or harm where there was only an obstruction, is new. What the earlier report
called open is not taken: whoever takes it off that list wants to hear of it. What is inconclusive is never known.

A baseline is an opinion on risks, kept by whoever owns the target: who may change the file may silence a finding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from doorward.errors import UsageError
from doorward.lab.report.document import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

_VERSION: Final = re.compile(r"(?<=.)(?:@|==)[0-9][^/]*$")
_PLACES: Final = ("/", "./", "../", "~")
MOST_BYTES = 256 * 1024 * 1024
"""No report comes near. A larger file is something else."""


class Earlier(msgspec.Struct, frozen=True):
    """One finding of the earlier report, as far as it is needed to recognise and to name it."""

    fingerprint: str
    state: str
    id: str
    example: str
    era: str
    topology: str
    protection: str
    variant: str
    outcome: str

    def __str__(self) -> str:
        where = f"{self.topology}, {self.era}, {self.protection}"
        return f"{self.id} on {self.example} ({where}), {self.variant or 'the run'}: {self.outcome}"


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an attack was about, credentials masked: a server by its ``command`` or ``url``, or a ``client`` by its
    command. None of them in a demo, which brings its own targets.
    """

    command: tuple[str, ...] = ()
    url: str = ""
    client: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.url or " ".join(self.command or self.client)

    def is_like(self, other: Target) -> bool:
        """Whether both are one target: the same program, package or URL, wherever it lies and in whatever version.
        Folders that it is given are not compared: each run of a pipeline has others.
        """
        mine, others = ((one.url, _gist(one.command), _gist(one.client)) for one in (self, other))
        return mine == others


def _gist(words: tuple[str, ...]) -> tuple[str, ...]:
    """``words`` without versions, places and folders."""
    plain = [_VERSION.sub("", word) for word in words]
    named = [word.rpartition("/")[2] if word.startswith(_PLACES) else word for word in plain]
    is_folder = [word.startswith(_PLACES) and "." not in name for word, name in zip(plain, named, strict=True)]
    return tuple(name for place, name in enumerate(named) if place == 0 or not is_folder[place])


class Baseline(msgspec.Struct, frozen=True):
    """The earlier report. Members that a later version of the same schema adds are left alone."""

    schema: str
    verb: str
    findings: tuple[Earlier, ...]
    target: Target = Target()

    @property
    def known(self) -> tuple[Earlier, ...]:
        return tuple(finding for finding in self.findings if finding.state != "open")


def read(path: Path, verb: str) -> Baseline:
    """The report in ``path``.

    Raises:
        UsageError: it is not there, no report, of another schema, or of another verb than ``verb``.
    """
    hint = f"name a file that `doorward {verb} --json FILE` wrote"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} is too large for a report", hint=hint)
        found = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {(problem.strerror or '').lower()}", hint=hint) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} is no report: {str(problem).lower()}", hint=hint) from None
    if found.schema != SCHEMA:
        raise UsageError(f"{path} is a report of the form {found.schema!r}, not {SCHEMA!r}", hint=hint)
    if found.verb != verb:
        raise UsageError(f"{path} is a report of `doorward {found.verb}`", hint=hint)
    return found
