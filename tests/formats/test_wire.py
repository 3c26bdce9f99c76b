"""Numbers and vectors on the wire."""

import pytest

from log.errors import Malformed
from log.formats import wire


def test_numbers_that_do_not_fit_are_our_own_bug() -> None:
    for write, most in ((wire.u8, 8), (wire.u16, 16), (wire.u24, 24), (wire.u40, 40), (wire.u64, 64)):
        assert write(2**most - 1) == b"\xff" * (most // 8)
        for value in (2**most, -1):
            with pytest.raises(AssertionError):
                write(value)
    with pytest.raises(AssertionError):
        wire.opaque8(b"." * 256)


def test_a_reader_gives_what_was_written_and_nothing_else() -> None:
    raw = wire.u8(1) + wire.u16(2) + wire.u24(3) + wire.u40(4) + wire.u64(5)
    raw += wire.opaque8(b"a") + wire.opaque16(b"b") + wire.opaque24(b"c")
    reader = wire.Reader(raw + b"rest")

    assert [reader.u8(), reader.u16(), reader.u24(), reader.u40(), reader.u64()] == [1, 2, 3, 4, 5]
    assert [reader.opaque8(), reader.opaque16(), reader.opaque24()] == [b"a", b"b", b"c"]
    with pytest.raises(Malformed):
        reader.done()
    assert reader.rest() == b"rest"
    reader.done()
    with pytest.raises(Malformed):
        reader.take(1)
