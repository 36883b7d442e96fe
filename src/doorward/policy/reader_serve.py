"""Reading what `doorward serve` needs: ``[serve]``, and where each server is and where clients find it."""

from __future__ import annotations

import re
from typing import Any, Final

from doorward.policy import addresses, keys
from doorward.policy.model import EVERY_SERVER, STREAMABLE, TRANSPORTS, ServerPolicy, ServeSettings
from doorward.policy.shapes import Key, Raw, Shapes

IDLE_SECONDS_RANGE: Final = range(1, 86_401)  # up to a day
MAX_SECONDS_RANGE: Final = range(1, 604_801)  # up to a week
DRAIN_SECONDS_RANGE: Final = range(601)

_USER: Final = re.compile(r"[^\s:/*?\x00-\x20\x7f]{1,256}")
_KEY: Final = ("serve",)


def serve_settings(shapes: Shapes, raw: Raw) -> ServeSettings:
    """The table ``[serve]`` of the file ``raw``."""
    given = shapes.table(raw, (), "serve")
    usual = ServeSettings()
    shapes.known(given, _KEY, keys.SERVE)
    return ServeSettings(
        listen=shapes.text(given, _KEY, "listen", addresses.listen_problem, usual.listen),
        allow_users=_users(shapes, given),
        public_url=shapes.text(given, _KEY, "public_url", _public_problem),
        allowed_hosts=tuple(map(str.lower, shapes.judged(given, _KEY, "allowed_hosts", addresses.host_problem))),
        allowed_origins=tuple(map(str.lower, shapes.judged(given, _KEY, "allowed_origins", _origin_problem))),
        trusted_proxies=shapes.judged(given, _KEY, "trusted_proxies", addresses.network_problem),
        idle_seconds=shapes.whole(given, _KEY, "idle_seconds", IDLE_SECONDS_RANGE, usual.idle_seconds),
        max_seconds=shapes.whole(given, _KEY, "max_seconds", MAX_SECONDS_RANGE, usual.max_seconds),
        drain_seconds=shapes.whole(given, _KEY, "drain_seconds", DRAIN_SECONDS_RANGE, usual.drain_seconds),
    )


def where(shapes: Shapes, key: Key, raw: Raw) -> dict[str, Any]:
    """The fields of a `ServerPolicy` that say where the server of table ``key`` is."""
    if key[-1] == EVERY_SERVER:
        for name in keys.WHERE:
            if name in raw:
                shapes.add((*key, name), "is of one server and stands in the table of every server", "name the server")
        return {}
    _judge_together(shapes, key, raw)
    return {
        "url": shapes.text(raw, key, "url", addresses.url_problem),
        "command": _command(shapes, key, raw),
        "path": shapes.text(raw, key, "path", addresses.path_problem),
        "transport": shapes.choice(raw, key, "transport", TRANSPORTS, STREAMABLE),
    }


def judge_paths(shapes: Shapes, servers: dict[str, ServerPolicy]) -> None:
    """No two servers are served under one path."""
    taken: dict[str, str] = {}
    for name, server in servers.items():
        if server.served and (first := taken.setdefault(server.served_path, name)) != name:
            where_said = ("servers", name, "path") if server.path else ("servers", name)
            shapes.add(where_said, f"{server.served_path!r} is the path of server {first} too", "give it another path")


def _judge_together(shapes: Shapes, key: Key, raw: Raw) -> None:
    if "url" in raw and "command" in raw:
        shapes.add((*key, "command"), "stands beside 'url'", "keep one of them")
    if "path" in raw and not ("url" in raw or "command" in raw):
        shapes.add((*key, "path"), "of a server that has neither 'url' nor 'command'", "say where the server is")
    if "transport" in raw and "url" not in raw:
        shapes.add((*key, "transport"), "of a server that has no 'url'", "a command is always spoken to by stdio")


def _command(shapes: Shapes, key: Key, raw: Raw) -> tuple[str, ...]:
    given = raw.get("command", [])
    words = isinstance(given, list) and all(isinstance(word, str) and "\0" not in word for word in given)
    if words and ("command" not in raw or (given and given[0])):
        return tuple(given)
    hint = 'command = ["npx", "-y", "…"]: no shell reads it'
    shapes.add((*key, "command"), "is not a program and its arguments", hint)
    return ()


def _users(shapes: Shapes, raw: Raw) -> tuple[str, ...]:
    """Names, or numbers with or without quotes."""
    given = raw.get("allow_users", [])
    if isinstance(given, list):
        given = [str(one) if type(one) is int else one for one in given]
    return shapes.judged({**raw, "allow_users": given}, _KEY, "allow_users", _user_problem)


def _user_problem(user: str) -> tuple[str, str] | None:
    if _USER.fullmatch(user) and not user.startswith("-"):
        return None
    return f"{user!r} is not the name or the number of a user", "there are no patterns: name each user"


def _public_problem(url: str) -> tuple[str, str] | None:
    if "?" in url:
        return "holds a query", "leave out ? and what follows"
    return addresses.url_problem(url)


def _origin_problem(origin: str) -> tuple[str, str] | None:
    return addresses.origin_problem(origin.lower())
