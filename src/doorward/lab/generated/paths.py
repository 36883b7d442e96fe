"""Ways to write a path that leaves a folder: a route out of it, each of its characters in a dress of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.lab.scenario import BEHIND, Variant

if TYPE_CHECKING:
    import random

DRESSES = {
    ".": (".", "%2e", "%2E", "%252e", "%c0%ae", "%25c0%25ae", "\uff0e", "%EF%BC%8E"),
    "/": ("/", "%2f", "%2F", "%252f", "%c0%af", "\\", "%5c", "%255c", "\uff0f", "%ef%bc%8f"),
    "-": ("-", "%2d", "%252d", "\uff0d"),
}
PLAIN = 0.6
"""How often a character is left as it is: a path with every character dressed is easier to find than one with one."""

DETOURS = ("", "", "./", "/", "././", ".//./")
CLIMB = (8, 16)
ENDINGS = ("", "", "", "%00", "%00.md", "%2500.txt", "\0.txt")
HOSTS = ("", "", "localhost", "files.example", "127.0.0.1:80")


def draw(source: random.Random, id: str) -> Variant:
    """A URI for ``resources/read``, or an argument of the tool."""
    route, linked = _route(source)
    remote = BEHIND if linked else ()
    way = source.choice(("uri", "uri", "absolute", "relative"))
    if way == "relative" and route.startswith("/"):
        path = _written(source, route.lstrip("/"))
    elif way == "uri":
        uri = f"file://{source.choice(HOSTS)}{{work}}{_written(source, route)}"
        return Variant(id, uri, [{"method": "resources/read", "params": {"uri": uri}}], remote)
    else:
        path = f"{{work}}{_written(source, route)}"
    call = {"name": "open_note", "arguments": {"path": path}}
    return Variant(id, path, [{"method": "tools/call", "params": call}], remote)


def _route(source: random.Random) -> tuple[str, bool]:
    """From the folder to the secret, and whether only somebody who follows links sees that it leads out."""
    detour = source.choice(DETOURS)
    kind = source.choice(("up", "up", "up", "sibling", "climb", "proc", "link", "through-link"))
    place = source.choice(("outside", "work-evil"))
    if kind == "sibling":
        return f"-evil/{detour}secret.txt".replace("//", "/"), False
    if kind == "climb":
        return f"/{detour}" + "../" * source.randint(*CLIMB) + f"{{root}}/{place}/secret.txt", False
    if kind == "proc":
        way = source.choice(("self/root{root}", "self/cwd/..", "thread-self/root{root}"))
        return f"/{detour}" + "../" * source.randint(*CLIMB) + f"proc/{way}/{place}/secret.txt", False
    if kind == "link":
        return f"/{detour}" + source.choice(("latest.txt", "shared/secret.txt", "shared/./secret.txt")), True
    if kind == "through-link":
        return f"/{detour}shared/../{place}/secret.txt", True
    return f"/{detour}../{source.choice(DETOURS)}{place}/secret.txt", False


def _written(source: random.Random, route: str) -> str:
    return "".join(_dressed(source, character) for character in route) + source.choice(ENDINGS)


def _dressed(source: random.Random, character: str) -> str:
    if character not in DRESSES or source.random() < PLAIN:
        return character
    return source.choice(DRESSES[character])
