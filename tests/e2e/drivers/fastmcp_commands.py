"""Runs commands of FastMCP's CLI one after the other in one process, since loading it takes longer than they do.

Run by the Python of FastMCP's own environment. Standard input: a JSON list of argument lists. Standard output: a JSON
list of [exit code, standard output] for each.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any


def main() -> None:
    from fastmcp.cli.cli import app  # type: ignore[import-not-found]  # not in the environment of this project
    from fastmcp.cli.client import console  # type: ignore[import-not-found]  # the same

    results = []
    for arguments in json.load(sys.stdin):
        spoken = io.StringIO()
        console.file = spoken
        with contextlib.redirect_stdout(spoken):
            results.append([_code(app, arguments), spoken.getvalue()])
    sys.stdout.write(json.dumps(results))


def _code(app: Any, arguments: list[str]) -> int:
    try:
        app(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    main()
