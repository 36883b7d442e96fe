"""Ways to write a key into a log: the name it has, what is done to it, the form of the line, what stands around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.lab.scenario import Variant

if TYPE_CHECKING:
    import random

WORDS = (
    ("api", "key"),
    ("password",),
    ("db", "password"),
    ("client", "secret"),
    ("secret", "key"),
    ("access", "token"),
    ("auth", "token"),
    ("refresh", "token"),
    ("private", "key"),
    ("user", "passwd"),
    ("service", "api", "key"),
    ("aws", "secret", "access", "key"),
)
# Below the floor as shipped is debug, which is refused whatever it says.
LEVELS = ("info", "notice", "warning", "error", "critical")
PLAIN = ("plain", "plain", "base64", "base64-url", "hex", "url")
QUOTED = ("quoted", "quoted", "base64", "hex")

# What a line looks like, and what may be done to the key in it. {name} is the name, {key} the key.
TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("{name}={key}", PLAIN),
    ("{name}: {key}", PLAIN),
    ("{name} = {key}", PLAIN),
    ("{name}='{key}'", PLAIN),
    ('{name}="{key}"', QUOTED),
    ('{"{name}": "{key}"}', QUOTED),
    ('{"{name}":"{key}"}', QUOTED),
    ("{'{name}': '{key}'}", PLAIN),
    ('{"user": "anna", "{name}": "{key}", "retry": 3}', QUOTED),
    ('{\\"{name}\\": \\"{key}\\"}', ("quoted-twice", "base64", "hex")),
    ("export {name}={key}", PLAIN),
    ("--{name}={key}", PLAIN),
    ("--{name} {key}", PLAIN),
    ("GET https://api.example/v1/users?page=2&{name}={key}", ("url", "form")),
    ("GET https://api.example/v1/users?{name}={key}&page=2 took 31 ms", ("url", "form")),
    ("POST /v1 body: user=anna&{name}={key}&retry=1", ("url", "form")),
    ("{name} => {key}", PLAIN),
    ("<{name}>{key}</{name}>", PLAIN),
    ("Config({name}='{key}', retries=3)", PLAIN),
    ("connecting to postgres://anna:{key}@db.example:5432/jobs", ("url",)),
    ("connecting to https://anna:{key}@api.example/v1", ("url",)),
    ("curl -H 'X-{name}: {key}' https://api.example", PLAIN),
    ("Authorization: Bearer {key}", ("plain", "base64", "base64-url", "hex")),
    ("authorization=Bearer {key}", ("plain", "base64-url", "hex")),
    ("> Authorization: Basic {key}", ("basic",)),
    ("Cookie: theme=dark; {name}={key}; lang=en", ("base64-url", "hex", "url")),
)
BEFORE = ("", "", "DEBUG: ", "2026-11-26T10:00:00Z INFO jobs - ", "calling with ", "retry 3 of 5 (")
AFTER = ("", "", "\n", " [jobs.py:42]", "\nnext attempt in 5 s", ", giving up")


def draw(source: random.Random, id: str) -> Variant:
    """One line as text, or as structured data with the key as a value of its own or inside a text."""
    name, level = _name(source), source.choice(LEVELS)
    if source.random() < 0.7:  # noqa: PLR2004 - most logs are text
        form, written = source.choice(TEXTS)
        data: Any = source.choice(BEFORE) + form.replace("{name}", name) + source.choice(AFTER)
        if source.random() < 0.3:  # noqa: PLR2004
            data = {"message": data, "line": 42}
        how = source.choice(written)
    else:
        data, how = _structured(source, name), source.choice(PLAIN)
    return Variant(id, f"{level}, {how}: {data}", {"level": level, "written": how, "data": data})


def _structured(source: random.Random, name: str) -> Any:
    return source.choice(
        (
            {name: "{key}"},
            {"event": "login", name: "{key}"},
            {"request": {"headers": {f"X-{name}": "{key}"}}},
            {"config": {name: ["{key}"]}},
            {"attempts": [{"n": 1, name: "{key}"}]},
            {"env": {name.upper(): "{key}"}},
            {name: {"value": "{key}", "expires": 3600}},
        )
    )


def _name(source: random.Random) -> str:
    words = source.choice(WORDS)
    return source.choice(
        (
            words[0] + "".join(word.capitalize() for word in words[1:]),
            "".join(word.capitalize() for word in words),
            "_".join(words),
            "-".join(words),
            "_".join(words).upper(),
            "-".join(word.capitalize() for word in words),
        )
    )
