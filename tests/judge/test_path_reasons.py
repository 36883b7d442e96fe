"""What a person reads in the log when a path was refused is a sentence, whatever was wrong with the path."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import Era, eras, ready


def why(era: Era, uri: str, *folders: str) -> list[str]:
    talk = ready(era, folders=folders)
    turn = talk.client(talk.request(1, "resources/read", {"uri": uri}))
    assert turn.told("server") == []
    return [f.reason for r in turn.written for f in r.entry.findings if f.control == "path-confinement"]


@eras()
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file://elsewhere/a", "a path refused: a file on another host"),
        ("file:///a%ff", "a path refused: escapes that are not UTF-8 (overlong, cut or Latin-1)"),
        ("file:///a/../../b", "a path refused: climbs above the root"),
        ("file:///etc/passwd", "a path outside the folders of this server"),
    ],
)
def test_the_reason_names_what_is_wrong_with_the_path(era: Era, uri: str, reason: str) -> None:
    assert why(era, uri, "/work/space") == [reason]


@eras()
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file://elsewhere/a", "a file URI refused: a file on another host"),
        ("file:///a/../b", "a file URI that is not in its canonical form"),
    ],
)
def test_without_folders_the_reason_names_what_is_wrong_with_the_uri(era: Era, uri: str, reason: str) -> None:
    assert why(era, uri) == [reason]
