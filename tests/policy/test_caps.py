"""What a server may use up: the profile's caps, lowered by its table, raised only under an ``unsafe_`` name."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorward.errors import PolicyError
from doorward.policy.load import load
from doorward.policy.model import Policy
from doorward.policy.profiles import values, weakened

GIB = 1 << 30


def policy(folder: Path, text: str) -> Policy:
    file = folder / "doorward.toml"
    file.write_text(text)
    return load(file)


@pytest.mark.parametrize("profile", ["standard", "strict"])
def test_a_server_of_which_nothing_is_said_has_the_caps_of_the_profile(tmp_path: Path, profile: str) -> None:
    assert policy(tmp_path, f'profile = "{profile}"').caps_of("notes") == values(profile).caps


def test_its_own_table_counts_before_that_of_every_server(tmp_path: Path) -> None:
    said = policy(
        tmp_path, f'[servers."*"]\nmemory_bytes = {GIB}\nfile_bytes = {GIB}\n[servers.notes]\nmemory_bytes = {GIB // 4}'
    )
    assert (said.caps_of("notes").memory_bytes, said.caps_of("notes").file_bytes) == (GIB // 4, GIB)
    assert said.caps_of("other").memory_bytes == GIB
    assert said.caps_of("other").processes == values("standard").caps.processes
    assert weakened(said) == ()


def test_what_is_raised_says_so_in_its_name_and_at_the_start(tmp_path: Path) -> None:
    said = policy(tmp_path, f"[servers.notes]\nunsafe_memory_bytes = {8 * GIB}")
    assert said.caps_of("notes").memory_bytes == 8 * GIB
    assert weakened(said) == ("server notes may use more (unsafe_memory_bytes): 8 GiB",)


def test_processes_are_lowered_and_raised_as_bytes_are(tmp_path: Path) -> None:
    said = policy(tmp_path, '[servers."*"]\nprocesses = 100\n[servers.notes]\nunsafe_processes = 5000')
    assert (said.caps_of("other").processes, said.caps_of("notes").processes) == (100, 5000)
    assert weakened(said) == ("server notes may use more (unsafe_processes): 5,000",)


def test_the_share_of_the_processors_is_lowered_and_raised_as_the_others_are(tmp_path: Path) -> None:
    said = policy(tmp_path, '[servers."*"]\nprocessor_percent = 20\n[servers.notes]\nunsafe_processor_percent = 100')
    assert (said.caps_of("other").processor_percent, said.caps_of("notes").processor_percent) == (20, 100)
    assert weakened(said) == ("server notes may use more (unsafe_processor_percent): 100 %",)


@pytest.mark.parametrize("profile", ["standard", "strict"])
def test_no_profile_gives_one_server_all_processors(profile: str) -> None:
    assert 0 < values(profile).caps.processor_percent < 100


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"memory_bytes = {4 * GIB}", "above the profile's"),
        ("memory_bytes = 512", "is not a whole number"),
        ("file_bytes = true", "is not a whole number"),
        ("processes = 2", "is not a whole number of at least 16$"),
        ("processes = 100000", "above the profile's"),
        ("processor_percent = 90", "90 is above the profile's 75"),
        ("processor_percent = 4", "is not a whole number from 5 to 100$"),
        ("unsafe_processor_percent = 101", "is not a whole number from 5 to 100$"),
        ('unsafe_file_bytes = "1 GiB"', "is not a whole number"),
        (f"memory_bytes = {GIB}\nunsafe_memory_bytes = {GIB}", "stands beside"),
    ],
)
def test_what_is_no_cap_is_a_problem(tmp_path: Path, line: str, what: str) -> None:
    with pytest.raises(PolicyError, match=what) as refused:
        policy(tmp_path, f"[servers.notes]\n{line}")
    assert len(refused.value.problems) == 1
