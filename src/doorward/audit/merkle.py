"""The Merkle tree of RFC 6962, section 2.1, in its words.

``Tree`` grows by one leaf in O(log n) and keeps only the roots of its complete subtrees; ``audit_path`` and
``consistency_proof`` read leaf hashes where they are stored. ``doorward.audit.verify`` does not use this module: it has
its own recursion, so that one mistake cannot agree with itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

LeafHashes = Callable[[int], bytes]
"""Gives the hash of the leaf with that index."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""MTH({}): the hash of nothing."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf). The prefix keeps a leaf from being passed off as a node."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows to the right. ``size`` is the number of leaves."""

    __slots__ = ("_subtrees", "size")

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []  # roots of the complete subtrees, widest first: one per bit set in size

    def copy(self) -> Tree:
        """A tree that grows apart from this one: what an append works on until it is stored."""
        twin = Tree()
        twin.size = self.size
        twin._subtrees = self._subtrees.copy()
        return twin

    def append(self, hashed_leaf: bytes) -> None:
        """Add a leaf by its hash. Every complete pair that this closes becomes one subtree, as a carry in addition."""
        node, carry = hashed_leaf, self.size
        while carry & 1:
            node = node_hash(self._subtrees.pop(), node)
            carry >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """MTH(D[n]): what a checkpoint signs."""
        if not self._subtrees:
            return EMPTY_ROOT
        *wider, root = self._subtrees
        for subtree in reversed(wider):
            root = node_hash(subtree, root)
        return root


def _split(size: int) -> int:
    """k: the largest power of two smaller than ``size``."""
    return 1 << (size - 1).bit_length() - 1


def merkle_tree_hash(leaves: LeafHashes, size: int, start: int = 0) -> bytes:
    """MTH(D[start : start + size])."""
    tree = Tree()
    for index in range(start, start + size):
        tree.append(leaves(index))
    return tree.root()


def audit_path(leaves: LeafHashes, index: int, size: int) -> list[bytes]:
    """PATH(m, D[n]): the inclusion proof of leaf ``index`` in the tree of the first ``size`` leaves, lowest node first.

    ``ValueError``: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    path: list[bytes] = []
    start, width = 0, size
    while width > 1:
        k = _split(width)
        if index - start < k:
            path.append(merkle_tree_hash(leaves, width - k, start + k))
            width = k
        else:
            path.append(merkle_tree_hash(leaves, k, start))
            start, width = start + k, width - k
    path.reverse()
    return path


def consistency_proof(leaves: LeafHashes, first: int, second: int) -> list[bytes]:
    """PROOF(m, D[n]): that the tree of ``second`` leaves begins with the tree of ``first``, lowest node first.

    Empty when both are the same tree. ``ValueError``: not 0 < first <= second (RFC 6962 defines no other).
    """
    if not 0 < first <= second:
        raise ValueError(f"no consistency proof from {first} to {second} leaves")
    proof: list[bytes] = []
    start, width, known = 0, second, True  # known: the subtree at hand is the whole old tree, which the checker has
    while first - start < width:
        k = _split(width)
        if first - start <= k:
            proof.append(merkle_tree_hash(leaves, width - k, start + k))
            width = k
        else:
            proof.append(merkle_tree_hash(leaves, k, start))
            start, width, known = start + k, width - k, False
    if not known:
        proof.append(merkle_tree_hash(leaves, width, start))
    proof.reverse()
    return proof
