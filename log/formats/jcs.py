"""Canonical JSON (RFC 8785) of text, whole numbers, booleans, null, lists and objects.

Numbers with a fraction are left out on purpose: their canonical form is the hard part of the RFC, and
nothing here has one. Whole numbers stay within 2**53 - 1, which every JSON reader keeps exact (RFC 7493
section 2.2).
"""

import json
from typing import Any, NoReturn, TypeAlias

from log.errors import Malformed

JSON: TypeAlias = "str | int | bool | list[JSON] | dict[str, JSON] | None"

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64  # nested lists and objects


def encode(value: object) -> bytes:
    """Write a value of the kinds above (tuples count as lists), or raise `Malformed` for any other."""
    if _is_plain(value, MAX_DEPTH):
        text = _PLAIN(value)
        if text.isascii():  # then the order of code points is that of UTF-16
            return text.encode("ascii")
    try:
        return _encode(value, MAX_DEPTH).encode("utf-8")
    except UnicodeEncodeError as e:
        raise Malformed("half of a surrogate pair in a JSON text") from e


def parse(data: bytes) -> JSON:
    """Read one canonical value, or raise `Malformed`, also for JSON in another spelling."""
    try:
        value: JSON = json.loads(data.decode("utf-8"), parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as e:
        # ValueError also stands for what is not UTF-8 and for an integer of thousands of digits.
        raise Malformed("not JSON") from e
    if encode(value) != data:
        raise Malformed("JSON with another spelling than the canonical one")
    return value


def _refuse(token: str) -> NoReturn:
    raise Malformed(f"JSON number that is not a whole one: {token[:20]}")


# The library's encoder writes ASCII as `_encode` does, several times as fast, but takes values that have no place here.
_PLAIN = json.JSONEncoder(ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")).encode


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value has only the types that `_encode` takes, exactly, and is within its limits."""
    kind = type(value)
    if kind is dict:
        return depth > 0 and all(type(key) is str and _is_plain(item, depth - 1) for key, item in value.items())
    if kind is list or kind is tuple:
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    return kind is str or value is None or kind is bool or (kind is int and -MAX_INTEGER <= value <= MAX_INTEGER)


def _encode(value: object, depth: int) -> str:
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return _encode_text(value)
        case int() if abs(value) <= MAX_INTEGER:
            return str(value)
        case list() | tuple() if depth:
            return f"[{','.join(_encode(item, depth - 1) for item in value)}]"
        case dict() if depth and all(isinstance(key, str) for key in value):
            # RFC 8785 section 3.2.3: keys are sorted by UTF-16 code units, where Python compares code points.
            keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
            members = (f"{_encode_text(key)}:{_encode(value[key], depth - 1)}" for key in keys)
            return f"{{{','.join(members)}}}"
        case _:
            raise Malformed("value that has no place in canonical JSON, or nested too deep")


def _encode_text(text: str) -> str:
    # The escapes of `json` are those of RFC 8785 section 3.2.2.2: short ones, lower-case \\u00xx for the
    # rest.
    return json.dumps(text, ensure_ascii=False)
