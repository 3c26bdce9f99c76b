"""RFC 6962 §2.1 as it is printed: slow, recursive, and sharing no line with `log.merkle`.

Names and argument order are the RFC's; D is a list of leaf inputs.
"""

import hashlib


def mth(d: list[bytes]) -> bytes:
    """§2.1: the Merkle Tree Hash of D[n]."""
    if len(d) == 0:
        return hashlib.sha256(b"").digest()
    if len(d) == 1:
        return hashlib.sha256(bytes([0]) + d[0]).digest()
    k = largest_power_of_two_below(len(d))
    return hashlib.sha256(bytes([1]) + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    """§2.1.1: the audit path of the (m+1)th leaf."""
    if len(d) == 1:
        return []
    k = largest_power_of_two_below(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: list[bytes]) -> list[bytes]:
    """§2.1.2: the consistency proof for the first m leaves."""
    return subproof(m, d, True)


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    if m == len(d):
        return [] if b else [mth(d)]
    k = largest_power_of_two_below(len(d))
    return [*subproof(m, d[:k], b), mth(d[k:])] if m <= k else [*subproof(m - k, d[k:], False), mth(d[:k])]


def largest_power_of_two_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k
