"""What judgment needs later is loaded before anybody waits for it, and only that."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("package", "loaded"), [("pypi:mcp-server-sqlite 2025.1.14", True), ("pypi:mcp-server-git 1", False)]
)
def test_the_parser_of_sql_is_loaded_for_a_server_that_is_held_to_it(package: str, *, loaded: bool) -> None:
    program = (
        "import sys; from doorward.gateway import defences; from doorward.policy import known_servers, load; "
        f"known = known_servers.of_package({package!r}); "
        "policy = load.load(None); defences.arm(policy).warm(policy.for_server('x', known.said)); "
        "print('sqlglot' in sys.modules, 'jsonschema_rs' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{loaded} True\n"
