"""A token that lives as long as its gateway, for machines that cannot tell who connects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from doorward.errors import DoorwardError
from doorward.gateway.identity.token import StartToken


def test_a_token_is_random_and_lies_in_a_file_that_only_its_user_can_read(tmp_path: Path) -> None:
    one, other = StartToken(tmp_path), StartToken(tmp_path)
    assert one.text != other.text
    assert len(bytes.fromhex(one.text)) == 32
    assert one.path.read_text() == f"{one.text}\n"
    assert one.path.stat().st_mode & 0o777 == 0o600
    assert one.text not in repr(one)


def test_a_token_opens_by_exactly_one_bearer_header(tmp_path: Path) -> None:
    token = StartToken(tmp_path)
    right = f"Bearer {token.text}".encode()
    assert token.matches([right])
    assert token.matches([b"bearer" + right[6:]])


@pytest.mark.parametrize(
    "shape",
    [
        "{}",
        "Bearer  {}",
        "Bearer {} ",
        "Bearer\t{}",
        "Basic {}",
        "Bearer",
        "Bearer ",
        "Bearer {}0",
        "Bearer {}, Bearer {}",
        "Token Bearer {}",
    ],
)
def test_nothing_but_the_token_as_a_bearer_opens(tmp_path: Path, shape: str) -> None:
    token = StartToken(tmp_path)
    assert not token.matches([shape.replace("{}", token.text).encode()])


def test_no_header_several_and_another_tokens_do_not_open(tmp_path: Path) -> None:
    token, other = StartToken(tmp_path), StartToken(tmp_path)
    right = f"Bearer {token.text}".encode()
    assert not token.matches([])
    assert not token.matches([right, right])
    assert not token.matches([right, b""])
    assert not token.matches([f"Bearer {other.text}".encode()])
    assert not token.matches(["Bearer \N{LATIN SMALL LETTER E WITH ACUTE}".encode()])


def test_a_token_is_removed_at_the_end_and_no_other(tmp_path: Path) -> None:
    one, other = StartToken(tmp_path), StartToken(tmp_path)
    one.remove()
    one.remove()
    assert list(tmp_path.iterdir()) == [other.path]


def test_what_a_killed_gateway_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    made = "import os, sys; from pathlib import Path; from doorward.gateway.identity.token import StartToken; "
    made += "StartToken(Path(sys.argv[1])); os._exit(0)"
    subprocess.run([sys.executable, "-c", made, str(tmp_path)], check=True, timeout=30)
    [left] = tmp_path.iterdir()
    token = StartToken(tmp_path)
    assert list(tmp_path.iterdir()) == [token.path]
    assert token.path != left


def test_a_state_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DoorwardError, match=r"cannot write a token to .*missing"):
        StartToken(tmp_path / "missing")
