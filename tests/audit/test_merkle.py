"""The writer's tree against the RFC's vectors and against the verifier's own implementation."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.audit.merkle import EMPTY_ROOT, Tree, audit_path, consistency_proof, leaf_hash, merkle_tree_hash
from doorward.audit.verify import verify_consistency, verify_inclusion

LARGEST = 70

# The leaves and roots that Certificate Transparency's reference implementations are tested with.
REFERENCE_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
REFERENCE_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
REFERENCE_PATH = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]


def hashes(count: int) -> list[bytes]:
    return [leaf_hash(b"leaf %d" % number) for number in range(count)]


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962, 2.1 writes it, over leaf hashes."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = max(2**power for power in range(8) if 2**power < len(leaves))
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


ROOTS = [by_definition(hashes(size)) for size in range(LARGEST + 1)]
LEAVES = hashes(LARGEST)


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert (
        Tree().root() == EMPTY_ROOT == bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    )


def test_the_roots_are_those_of_certificate_transparency() -> None:
    tree = Tree()
    for leaf, root in zip(REFERENCE_LEAVES, REFERENCE_ROOTS, strict=True):
        tree.append(leaf_hash(leaf))
        assert tree.root().hex() == root


def test_the_audit_path_is_that_of_certificate_transparency() -> None:
    leaves = [leaf_hash(leaf) for leaf in REFERENCE_LEAVES]
    assert [node.hex() for node in audit_path(leaves.__getitem__, 0, 8)] == REFERENCE_PATH


def test_growing_leaf_by_leaf_gives_the_tree_of_the_definition() -> None:
    tree = Tree()
    for size in range(1, LARGEST + 1):
        tree.append(LEAVES[size - 1])
        assert tree.root() == ROOTS[size] == merkle_tree_hash(LEAVES.__getitem__, size)


def test_a_copy_grows_apart_from_its_original() -> None:
    tree = Tree()
    for leaf in LEAVES[:5]:
        tree.append(leaf)
    twin = tree.copy()
    twin.append(LEAVES[5])
    assert (tree.size, tree.root()) == (5, ROOTS[5])
    assert (twin.size, twin.root()) == (6, ROOTS[6])


def test_every_audit_path_convinces_the_verifier_and_of_nothing_else() -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            path = audit_path(LEAVES.__getitem__, index, size)
            assert verify_inclusion(LEAVES[index], index, size, path, ROOTS[size])
            assert not verify_inclusion(LEAVES[index], (index + 1) % size, size, path, ROOTS[size]) or size == 1
            assert not verify_inclusion(LEAVES[index], index, size, path, ROOTS[size - 1])
            assert not verify_inclusion(LEAVES[index], index, size, [*path, b"\0" * 32], ROOTS[size])
            assert not path or not verify_inclusion(LEAVES[index], index, size, path[:-1], ROOTS[size])


def test_every_consistency_proof_convinces_the_verifier_and_of_nothing_else() -> None:
    for first, second in itertools.combinations_with_replacement(range(1, LARGEST + 1), 2):
        proof = consistency_proof(LEAVES.__getitem__, first, second)
        assert verify_consistency(first, ROOTS[first], second, ROOTS[second], proof)
        assert not verify_consistency(first, ROOTS[first - 1], second, ROOTS[second], proof)
        assert not verify_consistency(first, ROOTS[first], second, ROOTS[second - 1], proof)
        assert not verify_consistency(first, ROOTS[first], second, ROOTS[second], [*proof, b"\0" * 32])
        assert not proof or not verify_consistency(first, ROOTS[first], second, ROOTS[second], proof[:-1])


@given(st.data())
def test_a_proof_with_one_node_changed_convinces_nobody(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, LARGEST))
    index = data.draw(st.integers(0, size - 1))
    path = audit_path(LEAVES.__getitem__, index, size)
    place = data.draw(st.integers(0, len(path) - 1))
    path[place] = bytes([path[place][0] ^ 1]) + path[place][1:]
    assert not verify_inclusion(LEAVES[index], index, size, path, ROOTS[size])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_path_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        audit_path(LEAVES.__getitem__, index, size)
    assert not verify_inclusion(LEAVES[0], index, size, [], ROOTS[1])


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3)])
def test_there_is_no_consistency_proof_for_sizes_that_the_rfc_does_not_define(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_proof(LEAVES.__getitem__, first, second)
    assert not verify_consistency(first, ROOTS[first], second, ROOTS[second], [])
