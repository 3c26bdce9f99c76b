"""Lines, decimals and base64 as the C2SP text formats write them: one spelling for each value.

Python's own readers are too kind: `int` takes "+1", " 1", "1_0" and Arabic digits, `base64` skips strange
bytes and ignores the spare bits of the last character, `str.splitlines` also splits at U+2028. What is read
here is compared with what would be written (C2SP signed-note, tlog-checkpoint; RFC 4648 section 4).
"""

import base64
import binascii

from log.errors import Malformed

MAX_INT63 = 2**63 - 1  # the largest size, index and timestamp that C2SP readers in signed 64-bit languages hold

_CONTROL = bytes(byte for byte in range(0x20) if byte != 0x0A)


def decimal(text: str, maximum: int = MAX_INT63) -> int:
    """Read an ASCII decimal without sign and leading zeros, 0 <= value <= maximum, or raise `Malformed`."""
    # The length is checked before `int` because its cost grows with the square of the digits.
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(maximum)):
        raise Malformed("not a decimal number in range")
    value = int(text)
    if str(value) != text or value > maximum:
        raise Malformed("not a decimal number in range")
    return value


def b64encode(data: bytes) -> str:
    """Write RFC 4648 section 4 base64: the standard alphabet, padded, on one line."""
    return base64.b64encode(data).decode("ascii")


def b64decode(text: str, length: int | None = None) -> bytes:
    """Read what `b64encode` writes, of `length` bytes if one is given, or raise `Malformed`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:  # ValueError: characters outside ASCII
        raise Malformed("not base64") from e
    if base64.b64encode(data) != text.encode("ascii"):
        raise Malformed("base64 with another spelling than the canonical one")
    if length is not None and len(data) != length:
        raise Malformed(f"base64 of {len(data)} bytes where {length} belong")
    return data


def decode_text(data: bytes) -> str:
    """Read UTF-8 without control bytes other than LF (the character set of signed notes)."""
    if len(data) != len(data.translate(None, _CONTROL)):
        raise Malformed("control byte in text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise Malformed("text is not UTF-8") from e


def decode_lines(data: bytes) -> list[str]:
    """Read text of which every line ends in LF, the last one too; the lines come without their LF."""
    lines = decode_text(data).split("\n")
    if lines.pop() != "":
        raise Malformed("last line does not end in LF")
    return lines


def encode_lines(lines: list[str]) -> bytes:
    """Write lines, each with its LF."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8")
