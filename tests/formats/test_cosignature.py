"""Cosignatures at the edges of their fields; what they sign stands in `test_vectors`."""

import pytest

from log.errors import Malformed
from log.formats.cosignature import decode_timestamped, encode_timestamped, subtree_message


def test_a_time_may_have_63_bits() -> None:
    data = encode_timestamped(2**63 - 1, b"s" * 64)

    assert decode_timestamped(data) == (2**63 - 1, b"s" * 64)
    with pytest.raises(Malformed):
        decode_timestamped(encode_timestamped(2**63, b"s" * 64))


def test_a_subtree_that_does_not_start_at_0_has_no_time() -> None:
    subtree_message("w", 0, "o", 4, 8, b"r" * 32)
    with pytest.raises(AssertionError):
        subtree_message("w", 1, "o", 4, 8, b"r" * 32)
