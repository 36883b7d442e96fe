"""Doorward less one defence: the proof that the defence was what held.

A wall leaves no finding. It counts as hit only if the same run, with that wall alone replaced by its stand-in, does
harm. ``python -m doorward.lab.ablated NAME VERB …`` is the product's command line with the defence NAME replaced. The
stand-ins live in the lab and nowhere else: no flag, variable or policy key of the product leads to them.

Walls around a server stand in the launcher, so another launcher takes its place: ``lab/launcher.py``, which is the
product's own less what it is told. Where two walls each hold alone, neither is decisive alone: that is a group, named
by its members, and each group has its reason.

Limits have no stand-in, because they are no defence that is armed: they are numbers of the policy, which act inside the
code that counts, and they leave findings. That they decide is shown by the operator's own ``[unsafe_sizes]``: with it
the same argument does harm (``tests/lab/test_relayed.py``).
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from typing import Any

from doorward.controls import CONTROLS

CONFINE_FILES, CONFINE_PROCESSES, CONFINE_PRIVILEGES = "confine-files", "confine-processes", "confine-privileges"
ARCHIVE = "archive"
WALLS = (CONFINE_FILES, CONFINE_PROCESSES, CONFINE_PRIVILEGES, ARCHIVE)
"""Defences that leave no finding when they hold, by the ids of ``doorward.controls``."""

BOTH = f"{CONFINE_FILES}+{CONFINE_PRIVILEGES}"
GROUPS = {
    BOTH: "what only root may write outside the server's folders is out of reach for whoever is not root, "
    "and for whoever is and gets at those folders only",
}
"""Walls of which each holds alone, and why. They count as hit where the same run does harm without all of them."""

LAUNCHER = ("-I", "-S", str(Path(__file__).parent / "launcher.py"))


def forget(*_: Any) -> None:
    """Stands in for the writing of entries: each counts as written, and none is. The log opens and closes as ever."""


def _launched(name: str) -> tuple[str, str, str, Any]:
    return ("doorward.confine.process", "", "_LAUNCHER", (*LAUNCHER, *name.split("+")))


STAND_INS: dict[str, tuple[str, str, str, Any]] = {
    **{name: _launched(name) for name in (CONFINE_FILES, CONFINE_PROCESSES, CONFINE_PRIVILEGES, BOTH)},
    ARCHIVE: ("doorward.gateway.archive", "Archive", "_write", forget),
}
"""Name of the wall or group → module, class (or nothing) and attribute, and what takes the attribute's place."""


def candidates(scenario: str) -> tuple[str, ...]:
    """The walls, and after them the groups, all of whose members are made against the threat of that id."""
    named = (*WALLS, *GROUPS)
    return tuple(name for name in named if all(scenario in CONTROLS[one].threats for one in name.split("+")))


def replace(name: str) -> None:
    """From now on, in this process, the stand-in for ``name`` is in its place.

    Raises:
        KeyError: there is no stand-in of that name.
    """
    module, owner, attribute, stand_in = STAND_INS[name]
    where = importlib.import_module(module)
    setattr(getattr(where, owner) if owner else where, attribute, stand_in)


def main() -> None:
    """``NAME VERB …``: replace, then become the product. By its name: the lab does not know the command line."""
    name, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    replace(name)
    runpy.run_module("doorward", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
