"""`doorward.policy.positions`: a problem names the line on which it stands."""

from __future__ import annotations

from doorward.policy.positions import Positions

TEXT = """\
profile = "standard"

[servers."a.b"]
read = [
  "/x",
]
[servers.fs.tools.run.arguments]
'odd key' = { identifier = true }
dotted . deep = 1
[[points]]
x = 1
"""


def test_every_kind_of_key_is_found_on_its_line() -> None:
    positions = Positions(TEXT)
    assert positions.line(("profile",)) == 1
    assert positions.line(("servers", "a.b")) == 3
    assert positions.line(("servers", "a.b", "read")) == 4
    assert positions.line(("servers", "fs", "tools", "run", "arguments", "odd key")) == 8
    assert positions.line(("servers", "fs", "tools", "run", "arguments", "dotted", "deep")) == 9
    assert positions.line(("points", "x")) == 11


def test_a_key_without_a_line_of_its_own_is_found_at_the_nearest_key_around_it() -> None:
    positions = Positions(TEXT)
    assert positions.line(("servers", "fs", "tools", "run", "arguments", "odd key", "identifier")) == 8
    assert positions.line(("servers", "fs")) == 7
    assert positions.line(("nowhere",)) == 1
