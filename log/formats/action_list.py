"""What a governance log says of the actions that it holds, as JSON that is read as requests are: leniently.

    GET /<log>/actions            {"genesis": "<base64 SHA-256>", "digest": "<hex SHA-256>", "next": {…}, …}
    GET /<log>/actions/<chain>    [[seq, "<hex SHA-256>"], …]
    409 to POST /<log>/add-action text/x.twinlog.seq: the seq that would follow, and a line end

None of it is signed: an action proves itself once it is here.
"""

import json
import re
from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats.action import HASH_SIZE, MAX_SEQ
from log.formats.text import b64decode, decimal

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ActionSummary:
    """By which genesis a log goes, and a digest of all that it holds."""

    genesis: bytes  # SHA-256
    digest: bytes  # SHA-256 over the sorted hashes of the actions

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read the summary, or raise `Malformed`."""
        match _json(body):
            case {"genesis": str(genesis), "digest": str(digest)} if _HASH.fullmatch(digest):
                return cls(b64decode(genesis, HASH_SIZE), bytes.fromhex(digest))
        raise Malformed("not what a governance log says of its actions")


def parse_rows(body: bytes) -> list[tuple[int, bytes]]:
    """Return (seq, hash) of each action of a chain, by seq; `Malformed`."""
    found = []
    rows = _json(body)
    if not isinstance(rows, list):
        raise Malformed("not a list of actions")
    for row in rows:
        match row:
            case [int(seq), str(text)] if _HASH.fullmatch(text) and type(seq) is int and 1 <= seq <= MAX_SEQ:
                found.append((seq, bytes.fromhex(text)))
            case _:
                raise Malformed("not a list of actions")
    return sorted(set(found))


def parse_next_seq(body: bytes) -> int:
    """Return the seq that a log would take, as its 409 says; `Malformed`."""
    text = body.decode("ascii", "replace")
    if not text.endswith("\n"):
        raise Malformed("a 409 without the seq that is expected")
    seq = decimal(text[:-1], MAX_SEQ)
    if seq < 1:
        raise Malformed("the actions of a chain are counted from 1")
    return seq


def _json(body: bytes) -> object:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise Malformed("not JSON") from e
    return value
