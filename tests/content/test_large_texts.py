"""A large text is masked as a small one is: what makes the search fast changes nothing in what it finds."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from doorward.content import quick, redaction
from doorward.content.credentials import SHAPES, Shape, shapes_in
from doorward.content.pairs import named_values, names_in
from doorward.content.quick import words_in
from doorward.content.redaction import Masker

MASKER = Masker(b"k" * 32)
LINES = 1500  # far beyond the size from which another engine searches
FILLERS = ("nothing to see in this line\n" * LINES, "Größe, 東京都, привет 🙂\n" * LINES)

PIECES = st.sampled_from(
    [
        "password", "apiKey", "access token", "--token", "cookie", "Authorization", "otp", "jwt", "cred", "max_tokens",
        ": ", "=", " = ", " ", '"', "'", "\\", "\\n", "\n", "%2F", "_", "x", "\u00df", "\u6771", "\ud800", ",", ";",
        "hunter2hunter2", "Bearer ", "Basic dXNlcjpwYXNzd29yZA==", "AKIAIOSFODNN7EXAMPLE", "https://ada:swordfish@h/",
        "eyJ" + "hbGciOiJI" * 3 + ".eyJzdWIiOiI" + "xMjM0" * 4 + ".sig", "sk-", "sk-Ab3" + "dE5fG7" * 6,
        "ghp_" + "a1B2" * 9, "@",
        "-----BEGIN PRIVATE KEY-----", "xoxb-123456789012-abc", "gh", "IA", "k_",
    ]
)  # fmt: skip
FILL = ("word ", "x", "-", "_", "1", "\u6771", "\n", " ")
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from(FILLERS), st.booleans())
@example("AKIAIOSFODNN7EXAMPLE, wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", FILLERS[0], False)
@example('{"api_key": "hunter2hunter2"}', FILLERS[1], True)
def test_what_is_masked_in_a_small_text_is_masked_in_a_large_one(text: str, filler: str, names: bool) -> None:
    text += "\n"
    small, hits = MASKER.mask_text(text, names=names)
    large, found = MASKER.mask_text(filler + text, names=names)
    assert large == filler + small
    assert found == hits


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.sampled_from(FILLERS))
def test_names_stand_where_they_stood_before_the_text_grew(text: str, filler: str) -> None:
    moved = {(start - len(filler), end - len(filler), kind) for start, end, kind in names_in(filler + text)}
    assert moved == set(names_in(text))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(PIECES | st.sampled_from(FILL), st.integers(1, 12)), max_size=60))
@example([("x", 12), ("password", 1), ("=", 1), ("hunter2hunter2", 1)])
def test_what_is_found_part_by_part_is_what_is_found_in_the_whole(drawn: list[tuple[str, int]]) -> None:
    text = "".join(piece * times if piece in FILL else piece for piece, times in drawn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick, "_PART", len(text) + 1)
        whole = list(named_values(text)), MASKER.mask_text(text)
        patch.setattr(redaction, "_LARGE", 0)
        for part in (32, 57):  # less than what is seen around each, so that every name lies at an edge
            patch.setattr(quick, "_PART", part)
            assert (list(named_values(text)), MASKER.mask_text(text)) == whole


TREES = st.recursive(
    TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PIECES | TEXTS, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(TREES, st.sampled_from(["", FILLERS[0]]))
@example({"a": "token: x1 Bearer abcdefgh1"}, "")
def test_shapes_that_the_quick_look_does_not_see_in_a_message_are_not_in_its_tree(tree: object, filler: str) -> None:
    tree = [filler, tree]
    encoded = msgspec.json.encode(surrogates_replaced(tree))
    decoded = msgspec.json.decode(encoded)
    whole = MASKER.mask_tree(decoded)
    shapes, names = MASKER.maybe_credential(encoded), MASKER.maybe_named(encoded)
    assert MASKER.mask_tree(decoded, shapes=shapes) == whole
    assert shapes or names or not whole[1]


def surrogates_replaced(tree: object) -> object:
    """``tree`` with nothing that JSON in UTF-8 cannot say."""
    if isinstance(tree, str):
        return tree.encode("utf-8", "replace").decode()
    if isinstance(tree, dict):
        return {surrogates_replaced(name): surrogates_replaced(below) for name, below in tree.items()}
    return [surrogates_replaced(one) for one in tree] if isinstance(tree, list) else tree


@given(st.text(max_size=20), st.sampled_from(["", *FILLERS]))
def test_a_word_is_found_wherever_it_is(text: str, filler: str) -> None:
    words = ("key", "pass", "line", "k.y", "nowhere")
    body = (filler + text).encode("utf-8", "surrogatepass")
    assert words_in(body, words) == [word for word in words if word.encode() in body]


@pytest.mark.parametrize("before", ["", " ", "=", "\\n", "\\r", "%2F", "x", "_", "-", "n", "2F", "9"])
@pytest.mark.parametrize(
    "secret", ["sk-Ab3" + "dE5fG7" * 6, "eyJ" + "hbGciOiJI" * 3 + ".eyJzdWIiOiI" + "xMjM0" * 4 + ".sig"]
)
def test_a_shape_begins_at_an_edge_or_behind_an_escape(before: str, secret: str) -> None:
    inside = "[A-Za-z0-9]" if secret.startswith("sk-") else r"[A-Za-z0-9_\-]"
    at_edge = re.search(rf"(?:^|(?<!{inside})|(?<=\\[nrt])|(?<=%[0-9A-Fa-f][0-9A-Fa-f]))\Z", before) is not None
    assert [(start, end) for start, end, _ in shapes_in(before + secret)] == (
        [(len(before), len(before + secret))] if at_edge else []
    )


AS_WRITTEN = ("basic-auth", "bearer")  # any case would match; looked for are the two in which people write them


@pytest.mark.parametrize(
    "shape",
    [shape for shape in SHAPES if shape.kind not in AS_WRITTEN],
    ids=lambda shape: f"{shape.kind}-{shape.needle}",
)
def test_the_needle_of_a_shape_is_in_all_that_the_shape_matches(shape: Shape) -> None:

    @settings(max_examples=20, deadline=None)
    @given(st.from_regex(re.compile(shape.pattern, re.ASCII)))
    def check(text: str) -> None:
        assert shape.needle in text

    check()
