"""`load`: a policy file to a `Policy`, or every problem in it at once.

No file means the standard profile. A file that cannot be believed (`doorward.policy.trusted`), or that says something
which is not known, means a refusal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from doorward.errors import PolicyError, Problem
from doorward.policy.model import Policy, sealed
from doorward.policy.profiles import STANDARD, values
from doorward.policy.trusted import read_trusted

if TYPE_CHECKING:
    import datetime
    from pathlib import Path

    from doorward.policy.origins import Setting
    from doorward.policy.positions import Positions


def load(path: Path | None, *, today: datetime.date | None = None, started_us: int | None = None) -> Policy:
    """The policy in ``path``; without a path the standard profile.

    ``today`` is the day that dates are measured against. ``started_us`` is when this process began (microseconds since
    the epoch, UTC): standing approvals ``for`` a while count from there, also when the file is read again. The clock is
    asked only where one is None and the file names a date or a duration.

    Raises:
        PolicyError: the file is missing, could have been written by somebody else, or has problems (all of them).
    """
    if path is None:
        return sealed(Policy(STANDARD, values(STANDARD)))
    policy, _, _ = _read(path, today, started_us)
    return policy


def explained(
    path: Path | None, *, today: datetime.date | None = None, started_us: int | None = None
) -> tuple[Policy, tuple[Setting, ...]]:
    """As `load`, and where each value comes from."""
    from doorward.policy.origins import Origins

    if path is None:
        policy = load(None)
        return policy, Origins(policy, {}, None).settings()
    policy, raw, positions = _read(path, today, started_us)
    return policy, Origins(policy, raw, positions).settings()


def _read(path: Path, today: datetime.date | None, started_us: int | None) -> tuple[Policy, dict[str, Any], Positions]:
    try:
        text = read_trusted(path)
    except FileNotFoundError:
        raise PolicyError((Problem(str(path), "there is no such file", "doorward policy init"),)) from None
    # Imported here: with no file, the usual case, wrap starts without a parser.
    from doorward.policy.positions import Positions
    from doorward.policy.reader import Reader

    raw, positions = _parse(str(path), text), Positions(text)
    return Reader(str(path), positions, today, started_us).policy(raw), raw, positions


def _parse(source: str, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        what, _, place = str(problem).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        where = f"{source}:{line[1]}" if line else f"{source}:{text.count(chr(10)) + 1}"
        raise PolicyError((Problem(where, f"is not TOML: {what[:1].lower()}{what[1:]}"),)) from None
    except RecursionError:
        raise PolicyError((Problem(source, "is nested too deeply"),)) from None
