"""``python -m doorward.lab.targets.published``: install the published servers from their locks.

Separate from ``doorward demo``, which never installs anything unasked.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from doorward.errors import DoorwardError
from doorward.lab.targets.published import LOCKS, Installed, UnreachableError, find, home, install, names


def main(arguments: list[str] | None = None) -> int:
    """Install what is missing and answer the exit code: 0 when all is there, 2 when something is not."""
    options = _parser().parse_args(arguments)
    status = 0
    for name in options.names or names(options.locks):
        try:
            if not isinstance(find(name, locks=options.locks), Installed):
                _say(f"installing {name} into {home()}")
                install(name, locks=options.locks)
        except UnreachableError as unreachable:
            _say(f"warning: {unreachable}")
            if not options.unreachable_is_no_failure or os.environ.get("CI"):
                status = 2
        except DoorwardError as failure:
            _say(f"error: {failure}")
            if failure.hint:
                _say(f"hint: {failure.hint}")
            status = 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m doorward.lab.targets.published", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: all)")
    parser.add_argument("--locks", type=Path, default=LOCKS, help="a folder of other locks of the same form")
    parser.add_argument(
        "--unreachable-is-no-failure",
        action="store_true",
        help="exit 0 when no registry answers, unless CI is set: the demo then excludes those runs",
    )
    return parser


def _say(line: str) -> None:
    print(f"doorward: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
