"""DER (X.690) by slicing: where elements begin and end, and the headers to put around spliced ones.

Lengths are definite and minimal, tags are one byte; all else is `Malformed`. Nothing here interprets an
element's content, so nothing can disagree with what its author meant.
"""

import re

from log.errors import Malformed

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30

_ARC = re.compile(r"0|[1-9][0-9]{0,39}")  # a UUID as an arc takes 39 digits

MAX_ARC_BYTES = 19  # 133 bits: all that `_ARC` takes

MAX_LENGTH_BYTES = 4  # of one length field: 4 GiB, far above every limit on a body


def read(data: bytes, offset: int, end: int) -> tuple[int, int, int]:
    """Return (tag, start, stop) of the element whose header begins at `offset`.

    Its content is data[start:stop].

    The element must lie within data[:end].
    """
    start = offset + 2
    if start > end:
        raise Malformed("DER: an element is cut short")
    tag, length = data[offset], data[offset + 1]
    if tag & 0x1F == 0x1F:
        raise Malformed("DER: a tag of several bytes")
    if length >= 0x80:
        first, width = start, length - 0x80
        start += width
        if not 1 <= width <= MAX_LENGTH_BYTES or start > end:
            raise Malformed("DER: a length that is indefinite, too long or cut short")
        length = int.from_bytes(data[first:start], "big")
        if length < 0x80 or data[first] == 0:
            raise Malformed("DER: a length that is not minimal")
    stop = start + length
    if stop > end:
        raise Malformed("DER: an element is longer than what holds it")
    return tag, start, stop


def expect(data: bytes, offset: int, end: int, tag: int) -> tuple[int, int]:
    """Return (start, stop) as `read` does, of an element that must have this tag."""
    start = offset + 2
    if start <= end and data[offset] == tag and data[offset + 1] < 0x80:  # most are: the call is half of the cost
        stop = start + data[offset + 1]
        if stop <= end:
            return start, stop
    found, start, stop = read(data, offset, end)
    if found != tag:
        raise Malformed(f"DER: tag {tag:02x} expected, {found:02x} found")
    return start, stop


def whole(data: bytes, tag: int) -> bytes:
    """Return the content of `data`, which must be one element of this tag and nothing else."""
    start, stop = expect(data, 0, len(data), tag)
    if stop != len(data):
        raise Malformed("DER: bytes after the element")
    return data[start:stop]


def children(data: bytes, start: int, stop: int) -> list[tuple[int, int, int, int]]:
    """Return (tag, offset, start, stop) of each element in data[start:stop], which they must fill."""
    found = []
    while start < stop:
        tag, inner, after = read(data, start, stop)
        found.append((tag, start, inner, after))
        start = after
    return found


def encode(tag: int, *content: bytes) -> bytes:
    """Return the element with this tag and the joined content."""
    body = b"".join(content)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def oid(dotted: str) -> bytes:
    """Return the content bytes of an object identifier written with dots."""
    parts = dotted.split(".")
    if len(parts) < 2 or not all(_ARC.fullmatch(part) for part in parts):
        raise Malformed(f"not an object identifier: {dotted[:80]!r}")
    first, second, *rest = map(int, parts)
    if first > 2 or (first < 2 and second > 39):
        raise Malformed(f"not an object identifier: {dotted[:80]!r}")
    return b"".join(_base128(arc) for arc in (40 * first + second, *rest))


def dotted(content: bytes) -> str:
    """Return an object identifier with dots, out of its content bytes."""
    if not content or content[-1] & 0x80:
        raise Malformed("DER: an object identifier is cut short")
    arcs, arc, length = [], 0, 0
    for byte in content:
        if length == 0 and byte == 0x80:
            raise Malformed("DER: an object identifier that is not minimal")
        if length == MAX_ARC_BYTES:
            raise Malformed(f"DER: an object identifier with an arc of over {MAX_ARC_BYTES} bytes")
        arc = arc << 7 | byte & 0x7F
        length += 1
        if byte < 0x80:
            arcs.append(arc)
            arc = length = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _base128(arc: int) -> bytes:
    septets = [arc & 0x7F]
    while arc := arc >> 7:
        septets.append(0x80 | arc & 0x7F)
    return bytes(reversed(septets))
