"""What the operator set for a package manager: which registry, with which credentials, trusting which certificates.

The step that fetches may read it and gets its variables; nothing that was fetched ever does. A folder that these
settings name as a place of packages is read as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from doorward.confine.network import Target
from doorward.gateway.fetching.asked import NPM
from doorward.policy.addresses import split_target

_PREFIXES: Final = {NPM: ("npm_config_", "NPM_CONFIG_"), "pypi": ("UV_",)}
_NETWORK: Final = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "NODE_USE_SYSTEM_CA", "LD_LIBRARY_PATH"),
        *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "NETRC"),
    }
)
# Where a package manager puts things, or what it would run: Doorward says that itself.
_OURS: Final = re.compile(
    r"(?:npm_config_(?:cache|prefix|global|location|ignore_scripts|script_shell|dry_run|package_lock\w*|omit|include"
    r"|before|workspaces?|install_strategy|offline|git|node_options|loglevel|json|save\w*|yes|call|package)"
    r"|UV_(?:CACHE_DIR|TOOL_DIR|TOOL_BIN_DIR|PROJECT\w*|WORKING_DIR\w*|OFFLINE|CONSTRAINT|OVERRIDE|EXCLUDE|BUILD\w*"
    r"|NO_BUILD\w*|NO_BINARY\w*|NO_CACHE|ENV_FILE|LINK_MODE|REQUIRE_HASHES|NO_VERIFY_HASHES|SYSTEM_PYTHON|TARGET|PREFIX"
    r"|COMPILE_BYTECODE|BREAK_SYSTEM\w*|VENV\w*|RUN\w*|PYTHON_DOWNLOADS|MANAGED_PYTHON))",
    re.IGNORECASE,
)
_PATH: Final = re.compile(r"(?:file://|[\s\"'=\[,]|^)(/[^\s\"',\]=]+)")
_NO_SOURCE: Final = re.compile(r"\s*(?:cache|cache-dir|prefix|tmp|shell|script-shell|editor|init-module)\s*=")
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\??\}")
_URL: Final = re.compile(r"(https?)://(?:[^/\s\"'@]*@)?([^/\s\"'@,?#]+)")
_PORT: Final = re.compile(r":[0-9]+\Z")
_IS_PROXY: Final = re.compile(r"\s*(?:npm_config_)?(?:https?[-_]|all_)?proxy\s*=\s*[^\s;#]", re.IGNORECASE)
_MAX_BYTES: Final = 256 * 1024


class Settings(msgspec.Struct, frozen=True):
    """``read``: files and folders, all there; ``variables``: names that the step gets; ``targets``: every host that a
    URL among them names, with its port; ``has_proxy``: one of those is the proxy by which all others are reached.
    """

    read: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    has_proxy: bool = False


def settings_of(registry: str, environ: Mapping[str, str], home: str) -> Settings:
    """The operator's settings for the package manager of ``registry``."""
    names = {name for name in environ if name in _NETWORK or _is_setting(registry, name)}
    files = [path for path in _files(registry, environ, home) if os.path.isfile(path)]
    texts = [_text(path) for path in files]
    for text in texts:
        names |= {name for name in _REFERENCE.findall(text) if name in environ}
    lines = [line for text in texts for line in text.splitlines() if not _NO_SOURCE.match(line)]
    named = [path for line in (*lines, *(environ[name] for name in sorted(names))) for path in _PATH.findall(line)]
    # What lies in a home is only read where it is a single file: a certificate, not a folder that somebody mistyped.
    places = [path for path in named if os.path.isfile(path) or (os.path.isdir(path) and not _is_wide(path, home))]
    said = (*lines, *(f"{name}={environ[name]}" for name in sorted(names)))
    return Settings(
        read=tuple(dict.fromkeys((*files, *places))),
        variables=tuple(sorted(names)),
        targets=tuple(dict.fromkeys(target for line in said for target in _targets(line))),
        has_proxy=any(_IS_PROXY.match(line) for line in said),
    )


def _targets(line: str) -> Iterator[Target]:
    for scheme, where in _URL.findall(line):
        target = split_target(where if _PORT.search(where) else f"{where}:{443 if scheme == 'https' else 80}")
        if target is not None:
            yield target


def _is_setting(registry: str, name: str) -> bool:
    return name.startswith(_PREFIXES[registry]) and not _OURS.fullmatch(name)


def _is_wide(path: str, home: str) -> bool:
    real, house = os.path.realpath(path), os.path.realpath(home)
    return real in ("/", house) or house.startswith(real + "/") or real == os.path.join(house, ".config")


def _files(registry: str, environ: Mapping[str, str], home: str) -> Iterator[str]:
    if registry == NPM:
        yield environ.get("npm_config_userconfig") or environ.get("NPM_CONFIG_USERCONFIG") or f"{home}/.npmrc"
        yield environ.get("npm_config_globalconfig") or environ.get("NPM_CONFIG_GLOBALCONFIG") or "/etc/npmrc"
        return
    config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    data = environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    yield environ.get("UV_CONFIG_FILE") or f"{config}/uv/uv.toml"
    yield "/etc/uv/uv.toml"
    yield f"{data}/uv/credentials/credentials.toml"
    yield environ.get("NETRC") or f"{home}/.netrc"


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return ""
