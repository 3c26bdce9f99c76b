"""The two hashes of a Merkle tree, RFC 6962 §2.1 with SHA-256.

A leaf and a node begin with different bytes, so that no entry can pass for two subtrees.
"""

from hashlib import sha256

HASH_SIZE = 32  # bytes

EMPTY_ROOT = sha256().digest()  # MTH({})


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf's input: MTH({d}) = SHA-256(0x00 || d)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash over two subtrees: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def split_hashes(data: bytes) -> list[bytes]:
    """Cut concatenated hashes apart; the caller has checked that the length is a multiple of 32."""
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]
