"""The TLS presentation language (RFC 5246 section 4) that RFC 6962 and C2SP structs are written in.

Numbers are big-endian. `opaque8`, `opaque16` and `opaque24` are vectors whose length stands before them in
1, 2 or 3 bytes. Reading past the end or leaving bytes over is `Malformed`; writing a number that does not
fit is our own bug.
"""

from log.errors import Malformed


class Reader:
    """A cursor over bytes. The caller ends with `done()`, or takes what is left with `rest()`."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, n: int) -> bytes:
        """Return the next n bytes."""
        end = self._at + n
        if end > len(self._data):
            raise Malformed(f"{end - len(self._data)} bytes short")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2))

    def u24(self) -> int:
        return int.from_bytes(self.take(3))

    def u40(self) -> int:
        return int.from_bytes(self.take(5))

    def u64(self) -> int:
        return int.from_bytes(self.take(8))

    def opaque8(self) -> bytes:
        return self.take(self.u8())

    def opaque16(self) -> bytes:
        return self.take(self.u16())

    def opaque24(self) -> bytes:
        return self.take(self.u24())

    def more(self) -> bool:
        """Whether bytes are left: the condition of a loop over a vector of structs."""
        return self._at < len(self._data)

    def rest(self) -> bytes:
        """Return all bytes that are left, perhaps none."""
        return self.take(len(self._data) - self._at)

    def done(self) -> None:
        """Raise `Malformed` if bytes are left."""
        if self.more():
            raise Malformed(f"{len(self._data) - self._at} bytes too many")


def _uint(value: int, width: int) -> bytes:
    try:
        return value.to_bytes(width)
    except OverflowError as e:
        raise AssertionError(f"{value} does not fit into {width} bytes") from e


def u8(value: int) -> bytes:
    return _uint(value, 1)


def u16(value: int) -> bytes:
    return _uint(value, 2)


def u24(value: int) -> bytes:
    return _uint(value, 3)


def u40(value: int) -> bytes:
    return _uint(value, 5)


def u64(value: int) -> bytes:
    return _uint(value, 8)


def opaque8(data: bytes) -> bytes:
    return u8(len(data)) + data


def opaque16(data: bytes) -> bytes:
    return u16(len(data)) + data


def opaque24(data: bytes) -> bytes:
    return u24(len(data)) + data
