"""Write the JSON Schema of the policy file, `src/doorward/policy/schema.json`.

``python tools/policy_schema.py`` writes it, ``--check`` exits 1 if it is not up to date. Keys and words stand in
``doorward.policy.keys``, ranges and defaults in the code that reads them.

Draft 4, since that is what TOML editors understand. It cannot say everything that the reader refuses: what depends on
the profile, on another table, on today, or on another server. `doorward policy check` has the last word.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from doorward.content.sql import DIALECTS
from doorward.policy import keys
from doorward.policy.amounts import CAPS
from doorward.policy.model import EVERY_SERVER, HOLD_SECONDS, STREAMABLE, TRANSPORTS, ServeSettings
from doorward.policy.profiles import PROFILES, STANDARD, values
from doorward.policy.reader import HOLD_SECONDS_RANGE, RATE_RANGE
from doorward.policy.reader_caps import bounds
from doorward.policy.reader_constraints import LENGTHS, MAX_EXPRESSION, MAX_LISTED
from doorward.policy.reader_network import NETWORKS
from doorward.policy.reader_serve import DRAIN_SECONDS_RANGE, IDLE_SECONDS_RANGE, MAX_SECONDS_RANGE
from doorward.protocol.versions import KNOWN_VERSIONS, LOG_LEVELS

TARGET = Path(__file__).parent.parent / "src" / "doorward" / "policy" / "schema.json"

Schema = dict[str, Any]

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
_LISTED = r"^(?:\*\.)?[A-Za-z0-9_.:-]+$"
_LOOPBACK = r"(?:127(?:\.[0-9]{1,3}){3}|\[::1\]|[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt])"
_REST = r"""(?::[0-9]{1,5})?(?:[/?][^\s"#<>\\^`{|}]*)?"""
_URL = rf"^(?:[Hh][Tt][Tt][Pp][Ss]://{_HOST}|[Hh][Tt][Tt][Pp]://{_LOOPBACK}){_REST}$"
_FOLDER = r"^(?:/|~$|~/)"


def schema() -> Schema:
    """The whole schema."""
    top = {
        "profile": _choice(PROFILES, STANDARD),
        "consent": _table(keys.CONSENT, {"hold_seconds": _whole(HOLD_SECONDS_RANGE, HOLD_SECONDS)}),
        "log": {
            **_table(keys.LOG, {"floor": _choice(LOG_LEVELS), "unsafe_floor": _choice(LOG_LEVELS)}),
            "not": {"required": ["floor", "unsafe_floor"]},
        },
        "protocol": {
            **_table(keys.PROTOCOL, {"oldest": _choice(KNOWN_VERSIONS), "unsafe_oldest": _choice(KNOWN_VERSIONS)}),
            "not": {"required": ["oldest", "unsafe_oldest"]},
        },
        "sizes": _lowered(keys.SIZES, msgspec.structs.asdict(values(STANDARD).sizes)),
        "unsafe_sizes": _raised(keys.SIZES),
        "limits": _lowered(keys.LIMITS, msgspec.structs.asdict(values(STANDARD).limits)),
        "unsafe_limits": _raised(keys.LIMITS),
        "rates": _lowered(keys.RATES, msgspec.structs.asdict(values(STANDARD).rates)),
        "unsafe_rates": _raised(keys.RATES),
        "serve": _table(keys.SERVE, _serve()),
        "servers": {
            "type": "object",
            "properties": {EVERY_SERVER: {"$ref": "#/definitions/every_server"}},
            "patternProperties": {r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": {"$ref": "#/definitions/server"}},
            "additionalProperties": False,
        },
        "unsafe_standing_approvals": {"$ref": "#/definitions/standing"},
        "unsafe_observe_until": _day(),
    }
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "Policy of Doorward (doorward.toml)",
        **_table(keys.TOP, top),
        "definitions": _definitions(),
    }


def _between(least: int, most: int | None) -> Schema:
    return {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})


def _serve() -> Schema:
    usual = ServeSettings()
    return {
        "listen": {"type": "string", "pattern": rf"^{_LOOPBACK}:[0-9]{{1,5}}$", "default": usual.listen},
        "allow_users": _list({"type": ["string", "integer"], "pattern": r"^[^\s:/*?-][^\s:/*?]*$", "minimum": 0}),
        "public_url": {"type": "string", "pattern": _URL},
        "allowed_hosts": _list({"type": "string", "pattern": rf"^{_HOST}(?::[0-9]{{1,5}})?$"}),
        "allowed_origins": _list({"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@*]+$"}),
        "trusted_proxies": _list({"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(?:/[1-9][0-9]{0,2})?$"}),
        "idle_seconds": _whole(IDLE_SECONDS_RANGE, usual.idle_seconds),
        "max_seconds": _whole(MAX_SECONDS_RANGE, usual.max_seconds),
        "drain_seconds": _whole(DRAIN_SECONDS_RANGE, usual.drain_seconds),
    }


def _definitions() -> Schema:
    rules = {
        "read": _list({"type": "string", "pattern": _FOLDER}),
        "write": _list({"type": "string", "pattern": _FOLDER}),
        "env": _list({"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"}),
        **{f"{unsafe}{name}": _between(*bounds(name)) for name in CAPS for unsafe in ("", "unsafe_")},
        "network": {"type": "string", "enum": list(NETWORKS)},
        "hosts": {**_list({"type": "string", "pattern": _LISTED}), "minItems": 1},
        "connect": _list({"type": "string", "pattern": rf"^{_HOST}:[1-9][0-9]{{0,4}}$"}),
        "grants": _list({"type": "string", "pattern": r"^(?!(?:experimental|extensions)/?$)[^\s*?\[\]]{1,256}$"}),
        "secrets": {"type": "boolean"},
        "rate": {"$ref": "#/definitions/rate"},
        "sizes": {"$ref": "#/definitions/part_sizes"},
        "unsafe_sizes": {"$ref": "#/definitions/part_sizes"},
        "uris": _list({"type": "string", "pattern": r"^(?![Ff][Ii][Ll][Ee]:)[A-Za-z][A-Za-z0-9+.-]*:[^\s*{}\"<>\\]*$"}),
        "below": _list({"type": "string", "pattern": r"^/[^\s]"}),
        "tools": {
            "type": "object",
            "patternProperties": {r"^[^\s*?\[\]]{1,256}$": {"$ref": "#/definitions/tool"}},
            "additionalProperties": False,
        },
        "prompts": {
            "type": "object",
            "patternProperties": {r"^[^\s*?\[\]]{1,256}$": {"$ref": "#/definitions/prompt"}},
            "additionalProperties": False,
        },
        "templates": {
            "type": "object",
            "patternProperties": {r"^[^{}]*\{.+\}": {"$ref": "#/definitions/template"}},
            "additionalProperties": False,
        },
        "unsafe_standing_approvals": {"$ref": "#/definitions/standing"},
    }
    where = {
        "url": {"type": "string", "pattern": _URL},
        "command": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string"},
        },
        "path": {
            "type": "string",
            "pattern": r"^(?!/(?:healthz|readyz|metrics)$)(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$",
        },
        "transport": _choice(TRANSPORTS, STREAMABLE),
        "unsafe_no_profile": {"type": "boolean"},
    }
    words = {name: word for name, word in keys.SERVER.items() if name not in keys.WHERE}
    rate: Schema = {"$ref": "#/definitions/rate"}
    arguments = {"type": "object", "additionalProperties": {"$ref": "#/definitions/constraints"}}
    return {
        "every_server": _table(words, rules),
        "server": {
            **_table(keys.SERVER, where | rules),
            "not": {"required": ["url", "command"]},
            "dependencies": {
                "path": {"anyOf": [{"required": ["url"]}, {"required": ["command"]}]},
                "transport": ["url"],
            },
        },
        "tool": _table(
            keys.TOOL,
            {
                "ask": {"type": "boolean"},
                "arguments": arguments,
                "rate": rate,
                "sizes": {"$ref": "#/definitions/part_sizes"},
                "unsafe_sizes": {"$ref": "#/definitions/part_sizes"},
                "secrets": _list({"type": "string", "pattern": r"^(?:[^/]|(?:/(?:[^/~]|~[01])*)+$)"}),
            },
        ),
        "prompt": _table(keys.PROMPT, {"arguments": arguments}),
        "template": _table(keys.TEMPLATE, {"arguments": arguments}),
        "constraints": {**_table(keys.CONSTRAINT, _constraints()), "minProperties": 1},
        "standing": _standing(),
        "rate": _rate(),
        "part_sizes": _raised(keys.PART_SIZES),
    }


def _constraints() -> Schema:
    flag = {"enum": [True]}
    texts = {"type": "array", "minItems": 1, "maxItems": MAX_LISTED}
    return {
        "enum": {**texts, "items": {"type": ["string", "number", "boolean"]}},
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
        "integer": flag,
        "max_length": {"type": "integer", "minimum": LENGTHS[0], "maximum": LENGTHS[-1]},
        "single_line": flag,
        "identifier": flag,
        "no_leading_dash": flag,
        "no_shell_metacharacters": flag,
        "pattern": {"type": "string", "minLength": 1, "maxLength": MAX_EXPRESSION},
        "url_allow": {**texts, "items": {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9+.-]*://[^\s@?#\\]+$"}},
        "path_below": {"anyOf": [flag, {"type": "string", "pattern": _FOLDER}]},
        "read_only_sql": {"enum": [True, *DIALECTS]},
    }


def _rate() -> Schema:
    number = {"type": "integer", "minimum": RATE_RANGE[0], "maximum": RATE_RANGE[-1]}
    return {**_table(keys.RATE, dict.fromkeys(keys.RATE, number)), "required": list(keys.RATE)}


def _standing() -> Schema:
    kinds = {name: {"type": "boolean"} for name in keys.ASKS}
    until = {"expires": _day(), "for": {"type": "string", "pattern": r"^[1-9][0-9]{0,4}[mh]$"}}
    return {
        **_table(keys.STANDING, kinds | until),
        "oneOf": [{"required": ["expires"]}, {"required": ["for"]}],
        "anyOf": [{"required": [name], "properties": {name: {"enum": [True]}}} for name in keys.ASKS],
    }


def _table(words: keys.Keys, shapes: Schema) -> Schema:
    if words.keys() != shapes.keys():
        raise ValueError(f"keys without a shape, or shapes without a key: {sorted(words.keys() ^ shapes.keys())}")
    return {
        "type": "object",
        "properties": {name: _described(shapes[name], word) for name, word in words.items()},
        "additionalProperties": False,
    }


def _described(shape: Schema, word: str) -> Schema:
    # Beside a $ref nothing else counts in draft 4, so the words stand around it.
    return {"description": word, "allOf": [shape]} if "$ref" in shape else {"description": word, **shape}


def _lowered(words: keys.Keys, usual: dict[str, int]) -> Schema:
    return _table(words, {name: _whole(range(1, usual[name] + 1), usual[name]) for name in words})


def _raised(words: keys.Keys) -> Schema:
    return _table(words, {name: {"type": "integer", "minimum": 1} for name in words})


def _whole(allowed: range, usual: int) -> Schema:
    return {"type": "integer", "minimum": allowed[0], "maximum": allowed[-1], "default": usual}


def _choice(choices: tuple[str, ...], usual: str = "") -> Schema:
    return {"enum": list(choices), **({"default": usual} if usual else {})}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": {"minLength": 1, **items}}


def _day() -> Schema:
    # A date of TOML; what turns TOML into JSON makes a text of it.
    return {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}


def run(argv: list[str]) -> int:
    """Write, or with ``--check`` compare."""
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if argv != ["--check"]:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        print("not up to date: src/doorward/policy/schema.json; run python tools/policy_schema.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
