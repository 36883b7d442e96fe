"""What an entry says and what its bytes are."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.audit.entry import Entry, FindingRecord, commit, decode, encode, open_commitment

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ENTRIES = st.builds(
    Entry,
    kind=st.sampled_from(["intent", "outcome", "refusal", "run", "closed"]),
    at=st.integers(0, 2**62),
    link=TEXT,
    subject=TEXT,
    request=TEXT,
    body=TEXT,
    findings=st.lists(st.builds(FindingRecord, TEXT, TEXT, TEXT, TEXT), max_size=3).map(tuple),
    detail=st.dictionaries(TEXT, TEXT, max_size=4),
    count=st.integers(0, 2**40),
)


@given(ENTRIES)
def test_decoding_gives_back_the_entry_that_was_encoded(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@given(ENTRIES)
def test_the_bytes_are_json_that_any_reader_understands(entry: Entry) -> None:
    read = json.loads(encode(entry))
    assert (read["kind"], read["at"], read["link"]) == (entry.kind, entry.at, entry.link)
    assert read.get("detail", {}) == entry.detail


def test_the_bytes_do_not_depend_on_the_order_in_which_details_were_given() -> None:
    one = Entry(kind="notice", at=1, link="l", detail={"a": "1", "b": "2"})
    other = Entry(kind="notice", at=1, link="l", detail={"b": "2", "a": "1"})
    assert encode(one) == encode(other) == b'{"kind":"notice","at":1,"link":"l","detail":{"a":"1","b":"2"}}'


@given(ENTRIES, st.integers(0, 2**40))
def test_an_index_that_is_given_takes_the_place_of_the_entrys_own(entry: Entry, index: int) -> None:
    assert encode(entry, index) == encode(msgspec.structs.replace(entry, index=index))


def test_a_kind_that_does_not_exist_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="rumour"):
        encode(Entry(kind="rumour", at=1, link="l"))  # type: ignore[arg-type]


def test_a_lone_surrogate_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        encode(Entry(kind="notice", at=1, link="l", subject="\ud800"))


def test_a_leaf_with_a_field_we_do_not_know_is_refused_rather_than_shown_without_it() -> None:
    with pytest.raises(msgspec.ValidationError, match="added"):
        decode(b'{"kind":"notice","at":1,"link":"l","added":"later"}')


def test_a_commitment_is_the_hash_that_the_format_describes() -> None:
    salt, original = bytes(range(16)), b'{"password":"tr0ub4dor"}'
    digest = hashlib.sha256(original).digest()
    expected = hashlib.sha256(b"doorward audit commitment v2\0" + b"\x10" + salt + digest).hexdigest()
    assert commit(salt, digest) == expected


@given(st.binary(min_size=16, max_size=255), st.binary(), st.binary(min_size=16, max_size=255), st.binary())
def test_a_commitment_opens_with_its_own_salt_and_original_only(s1: bytes, o1: bytes, s2: bytes, o2: bytes) -> None:
    commitment = commit(s1, hashlib.sha256(o1).digest())
    assert open_commitment(commitment, s2, o2) == ((s1, o1) == (s2, o2))


def test_what_is_no_digest_is_refused_since_nothing_else_divides_it_from_the_salt() -> None:
    with pytest.raises(ValueError, match="32"):
        commit(b"s" * 16, b"the original itself")


@pytest.mark.parametrize("size", [0, 15, 256])
def test_a_salt_that_hides_nothing_or_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        commit(bytes(size), bytes(32))
    assert not open_commitment("", bytes(size), b"original")
