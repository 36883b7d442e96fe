"""Spellings of a place that some library opens as a file, and that were not taken for one."""

from __future__ import annotations

from typing import Final

import pytest
from tests.relay.dialogue import Tree, ready

from doorward.content import uris

FOLDER: Final = "/ws"
DISGUISED: Final = (
    "git+file:///etc/passwd",
    "url:file:///etc/passwd",
    "URL:file:///etc/passwd",
    "jar:file:///etc/x.jar!/y",
    "view-source:file:///etc/passwd",
    "<file:///etc/passwd>",
    "<URL:file:///etc/passwd>",
    '"file:///etc/passwd"',
    " 'file:///etc/passwd'",
)


@pytest.mark.parametrize("folders", [(FOLDER,), ()], ids=["folder", "no folder"])
@pytest.mark.parametrize("uri", DISGUISED)
def test_a_resource_in_disguise_is_judged_as_the_file_that_it_is(uri: str, folders: tuple[str, ...]) -> None:
    talk = ready("legacy", folders=folders)
    turn = talk.client(talk.request(1, "resources/read", {"uri": uri}))
    assert turn.told("server") == []
    assert "path-confinement" in turn.controls


@pytest.mark.parametrize(
    "uri", ["notes://today", "https://example.test/file:1", "repo://x/contents/a", "file:///ws/a.txt"]
)
def test_other_schemes_still_pass(uri: str) -> None:
    talk = ready("legacy", folders=(FOLDER,))
    talk.shows(uri)
    assert talk.client(talk.request(1, "resources/read", {"uri": uri})).only("server")["method"] == "resources/read"


# A server that takes quotes and brackets off what a model wrote (they are usual around paths) sees the path in them.
@pytest.mark.parametrize(
    "text", ['"/etc/passwd"', "'/etc/passwd'", "`/etc/passwd`", '"/etc/passwd', "<../x>", ' "~/x" ']
)
def test_what_stands_in_quotes_is_read_without_them_as_well(text: str) -> None:
    found = uris.readings(text, FOLDER)
    assert found.problem or not all(uris.is_below(path, FOLDER) for path in found.paths)


@pytest.mark.parametrize("text", ["'quoted name'.txt", '"notes.txt"', "it's.txt", "a <b>"])
def test_a_quoted_name_below_the_folder_stays_allowed(text: str) -> None:
    found = uris.readings(text, FOLDER)
    assert found.paths
    assert all(uris.is_below(path, FOLDER) for path in found.paths)


def complete(reference: Tree, argument: str = "path", value: str = "/etc/pass") -> Tree:
    return {"ref": reference, "argument": {"name": argument, "value": value}}


@pytest.mark.parametrize(
    "params",
    [
        complete({"type": "ref/resource", "name": "x", "uri": "file:///{path}"}),
        complete({"type": "ref/resource", "uri": "file:///{path}"}),
        complete({"type": "ref/resource", "uri": "file:///{x}"}, "x"),
    ],
    ids=["two names", "one name", "unlikely variable"],
)
def test_a_completion_of_a_file_template_cannot_look_elsewhere(params: Tree) -> None:
    talk = ready("legacy", folders=(FOLDER,))
    assert talk.client(talk.request(1, "completion/complete", params)).told("server") == []


def test_a_completion_below_the_folder_passes() -> None:
    talk = ready("legacy", folders=(FOLDER,))
    params = complete({"type": "ref/resource", "uri": "file:///{path}"}, value="/ws/no")
    assert talk.client(talk.request(1, "completion/complete", params)).told("server")
