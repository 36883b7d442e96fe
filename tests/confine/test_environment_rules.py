"""Which variables a server gets: what was meant for it, and not what its client happened to hold."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.confine.conftest import World

from doorward.confine.environment import (
    SAFE,
    SESSION_HANDLES,
    Profile,
    ancestor_environment,
    is_credential_like,
    select_environment,
)
from doorward.confine.network import proxy_environment
from doorward.errors import ConfinementError


@pytest.mark.parametrize(
    "name",
    [
        *("API_KEY", "OPENAI_API_KEY", "apiKey", "GITHUB_TOKEN", "NPM_AUTH", "DB_PWD", "PGPASSWORD", "GITHUBTOKEN"),
        *(
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "SESSION_COOKIE",
            "my-secret",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
    ],
)
def test_names_that_say_credential_are_recognised(name: str) -> None:
    assert is_credential_like(name)


@pytest.mark.parametrize(
    "name",
    [
        *("KEYBOARD", "AUTHOR", "GIT_AUTHOR_NAME", "TOKENIZERS_PARALLELISM", "MAX_TOKENS", "MONKEY", "PATH", "PWD"),
        *("OLDPWD", "COMPASS_DIR", "HOME", "LANG", "SECRETARY", "XDG_SESSION_ID", "PATIENCE"),
    ],
)
def test_names_that_only_sound_like_it_are_not(name: str) -> None:
    assert not is_credential_like(name, "plain")


@pytest.mark.parametrize("value", ["postgres://me:hunter2@db/x", "-----BEGIN PRIVATE KEY-----\nMII@", "redis://:pw@h"])
def test_a_value_that_holds_a_password_counts_under_any_name(value: str) -> None:
    assert is_credential_like("DATABASE_URL", value)
    assert not is_credential_like("DATABASE_URL", value.partition("@")[2])


def test_a_credential_that_was_merely_inherited_is_withheld_and_one_that_was_given_passes() -> None:
    environ = {"CLIENT_KEY": "1", "OWN_KEY": "2", "CHANGED_KEY": "3", "PLAIN": "4"}
    inherited = {"CLIENT_KEY": "1", "CHANGED_KEY": "other", "PLAIN": "4"}
    passed, withheld = select_environment(environ, inherited=inherited)
    assert passed == {"OWN_KEY": "2", "CHANGED_KEY": "3", "PLAIN": "4"}
    assert withheld == ("CLIENT_KEY",)


def test_what_cannot_be_read_counts_as_inherited() -> None:
    passed, withheld = select_environment({"OWN_KEY": "2", "PLAIN": "4"}, inherited=None)
    assert (passed, withheld) == ({"PLAIN": "4"}, ("OWN_KEY",))


@pytest.mark.parametrize("name", sorted(SESSION_HANDLES | {"DOORWARD_STATE"}))
def test_handles_of_the_session_never_pass_unasked_even_when_they_were_given(name: str) -> None:
    assert select_environment({name: "x"}, inherited={}) == ({}, (name,))


@pytest.mark.parametrize("name", ["LD_PRELOAD", "NODE_OPTIONS", "BASH_ENV"])
def test_what_loads_foreign_code_passes_only_when_it_was_given(name: str) -> None:
    assert select_environment({name: "x"}, inherited={})[0] == {name: "x"}
    assert select_environment({name: "x"}, inherited={name: "x"})[0] == {}


def test_a_grant_lets_a_name_pass_in_both_profiles() -> None:
    environ = {"SSH_AUTH_SOCK": "/s", "API_KEY": "k", "PATH": "/usr/bin", "LANG": "C"}
    grants = ["SSH_AUTH_SOCK", "API_KEY", "NOT_SET"]
    assert select_environment(environ, inherited=environ, grants=grants)[0] == environ
    strict, withheld = select_environment(environ, inherited={}, grants=grants, profile="strict")
    assert (set(strict), withheld) == ({"SSH_AUTH_SOCK", "API_KEY", "PATH"}, ("LANG",))


@pytest.mark.parametrize("profile", ["standard", "strict"])
def test_doorwards_own_settings_cannot_even_be_granted(profile: Profile) -> None:
    with pytest.raises(ConfinementError, match="DOORWARD_STATE"):
        select_environment({"DOORWARD_STATE": "/s"}, inherited={}, grants=["DOORWARD_STATE"], profile=profile)


def test_the_safe_list_is_the_sdks_own() -> None:
    from mcp.client.stdio import DEFAULT_INHERITED_ENV_VARS

    assert set(DEFAULT_INHERITED_ENV_VARS) == SAFE


NAMES = st.sampled_from([*sorted(SAFE), "API_KEY", "PLAIN", "SSH_AUTH_SOCK", "NODE_OPTIONS", "DOORWARD_X", "URL"])
VALUES = st.sampled_from(["1", "2", "https://a:b@c/"])
ENVIRONMENTS = st.dictionaries(NAMES, VALUES)


@given(environ=ENVIRONMENTS, inherited=st.none() | ENVIRONMENTS)
def test_everything_is_either_passed_unchanged_or_named_as_withheld(
    environ: dict[str, str], inherited: dict[str, str] | None
) -> None:
    passed, withheld = select_environment(environ, inherited=inherited)
    assert {*passed, *withheld} == set(environ)
    assert passed.items() <= environ.items()
    for name in passed:
        assert name not in SESSION_HANDLES
        if is_credential_like(name, environ[name]):
            assert inherited is not None
            assert inherited.get(name) != environ[name]


ASK = "from doorward.confine.environment import ancestor_environment as a; print((a() or {}).get('WHO'))"


@pytest.mark.parametrize(
    ("command", "who"),
    [
        (["{python}", "-c", "{ask}"], "test"),
        (["/bin/sh", "-c", 'WHO=shell "$0" -c "$1"; exit', "{python}", "{ask}"], "test"),
        (["/usr/bin/env", "WHO=env", "/bin/sh", "-c", '"$0" -c "$1"; exit', "{python}", "{ask}"], "test"),
        (
            ["{python}", "-c", "import subprocess,sys; subprocess.run(sys.argv[1:])", "{python}", "-c", "{ask}"],
            "client",
        ),
    ],
)
def test_launchers_are_looked_through_and_a_client_is_not(command: list[str], who: str) -> None:
    # The wrapper holds WHO=test at its start; whatever it starts holds WHO=client.
    wrapper = "import subprocess,sys,os; subprocess.run(sys.argv[1:], env={**os.environ, 'WHO': 'client'}, check=True)"
    filled = [part.format(python=sys.executable, ask=ASK) if part.startswith("{") else part for part in command]
    done = subprocess.run(
        [sys.executable, "-c", wrapper, *filled],
        env={**os.environ, "WHO": "test"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == who


def test_an_ancestor_that_is_not_there_has_no_environment() -> None:
    assert ancestor_environment(0) is None
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    assert ancestor_environment(gone.pid) is None


def test_the_server_gets_exactly_the_chosen_environment_and_its_own_folders(world: World) -> None:
    environ = {"PATH": os.environ["PATH"], "PLAIN": "p", "SSH_AUTH_SOCK": "/agent", "DOORWARD_STATE": str(world.state)}
    status, out, _ = world.run(["env"], environ=environ)
    got = dict(line.split("=", 1) for line in out.splitlines())
    own = {"TMPDIR", "TMP", "TEMP", "npm_config_cache", "UV_CACHE_DIR", "UV_TOOL_DIR"}
    assert status == 0
    proxy = proxy_environment(world.profile(["env"]))
    assert got.items() >= proxy.items()
    assert set(got) - {"GIT_CONFIG_NOSYSTEM"} - proxy.keys() == {"PATH", "PLAIN", *own}
