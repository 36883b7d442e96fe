"""Checkpoints are C2SP notes: keys as Go's note tools write them, signatures that plain Ed25519 accepts."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from doorward.audit.checkpoint import (
    Checkpoint,
    generate,
    note_text,
    parse,
    private_text,
    public_text,
    read_private,
    sign,
)
from doorward.errors import AuditError

# The pair of keys in the documentation of golang.org/x/mod/sumdb/note.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n"

CHECKPOINT = Checkpoint("doorward/0123456789abcdef/log", 57, bytes(range(32)), 1_795_338_600_123_456)


def test_a_private_key_of_go_gives_the_public_key_of_go() -> None:
    key = read_private(GO_PRIVATE)
    assert public_text(key) == GO_PUBLIC
    assert private_text(key) == GO_PRIVATE


def test_a_generated_key_is_read_back_and_names_itself_after_its_public_half() -> None:
    key = generate(b"\x07" * 32)
    assert read_private(private_text(key)) == key
    assert key.name.startswith("doorward/")
    assert public_text(key).startswith(f"{key.name}+{key.key_id.hex()}+")
    assert generate(b"\x08" * 32).name != key.name


def test_a_key_does_not_show_its_seed_when_printed() -> None:
    key = generate(b"\x07" * 32)
    assert repr(key) == f"SigningKey({key.name}+{key.key_id.hex()})"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PRIVATE+KEY+name+c74f20a3",
        "PUBLIC+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        "PRIVATE+KEY+PeterNeumann+c74f20+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AoEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        "PRIVATE+KEY++c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEK",
        "PRIVATE+KEY+PeterNeumann+c74f20a3+!",
    ],
)
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(AuditError, match="note key"):
        read_private(text)


def test_the_text_of_a_checkpoint_has_the_four_lines_of_the_format() -> None:
    assert note_text(CHECKPOINT) == (
        "doorward/0123456789abcdef/log\n"
        "57\n"
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
        "doorward-time-us 1795338600123456\n"
    )


def test_the_signature_line_holds_the_key_id_and_an_ed25519_signature_of_the_text() -> None:
    key = read_private(GO_PRIVATE)
    note = sign(CHECKPOINT, key)
    text, _, line = note.rpartition("\n\n")
    dash, name, encoded = line.removesuffix("\n").split(" ")
    blob = b64decode(encoded)
    assert (dash, name, blob[:4].hex()) == ("—", "PeterNeumann", "c74f20a3")
    public = Ed25519PublicKey.from_public_bytes(b64decode(GO_PUBLIC.split("+", 2)[2])[1:])
    public.verify(blob[4:], (text + "\n").encode())  # raises InvalidSignature otherwise


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32), st.integers(0, 2**62))
def test_a_note_is_read_back_as_the_checkpoint_that_was_signed(size: int, root: bytes, at: int) -> None:
    checkpoint = Checkpoint("origin/log", size, root, at)
    assert parse(f"{note_text(checkpoint)}\n— name AAAA\n") == checkpoint


@pytest.mark.parametrize(
    "note",
    [
        "",
        "origin\n5\n",
        "origin\n05\nAAAA\ndoorward-time-us 1\n\n— name AAAA\n",
        "origin\n-5\nAAAA\ndoorward-time-us 1\n\n— name AAAA\n",
        "origin\n5\nAAAA\ndoorward-time-us 01\n\n— name AAAA\n",
        "origin\n5\nAAAA\nother-line 1\n\n— name AAAA\n",
        "origin\n5\n*\ndoorward-time-us 1\n\n— name AAAA\n",
        "origin\n5\nAAAA\ndoorward-time-us 1\nmore\n\n— name AAAA\n",
    ],
)
def test_a_note_in_another_form_is_refused(note: str) -> None:
    with pytest.raises(AuditError, match="not a checkpoint"):
        parse(note)


@pytest.mark.parametrize("origin", ["", "two\nlines", "bell\x07"])
def test_an_origin_that_would_break_the_note_is_refused(origin: str) -> None:
    with pytest.raises(AuditError, match="origin"):
        note_text(Checkpoint(origin, 1, bytes(32), 1))


def test_the_keys_of_the_vectors_are_what_their_encoding_says() -> None:
    assert b64encode(b"\x01" + read_private(GO_PRIVATE).seed).decode() + "\n" == GO_PRIVATE.split("+", 4)[4]
