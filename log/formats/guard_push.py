"""What a guard tells a node so that a restored image cannot fork it (design.md section 4.3).

    twinlog/guard-push@v1
    node <name>
    time <seconds>
    own <base64 of a note>                 largest head of one of the node's logs that the guard holds
    peer <origin> <base64 of a note>|none  largest head of that origin that the node's own witness cosigned

This is the text of a note that the guard signs with its 0x01 key. The notes inside carry their own
signatures: that of the log, and the guard's cosignature or the witness's. None of them is verified here.
"""

from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats import text as txt
from log.formats.checkpoint import parse_signed
from log.formats.names import GUARD_PUSH
from log.formats.note import check_name

_NONE = "none"


@dataclass(frozen=True, slots=True)
class GuardPush:
    """One push to one node. Each origin is named at most once among `own`, and at most once among `peers`."""

    node: str  # the name in the node's settings: a push to one node says nothing to another
    time_s: int  # POSIX seconds on the guard's clock
    own: tuple[bytes, ...]  # notes
    peers: tuple[tuple[str, bytes | None], ...]  # origin and note, None where the witness cosigned nothing yet

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the text of a guard's note, or raise `Malformed`."""
        lines = txt.decode_lines(text)
        if len(lines) < 3 or lines[0] != GUARD_PUSH:
            raise Malformed("not a guard push of version 1")
        node, time = _words("node", lines[1], 1), _words("time", lines[2], 1)
        check_name(node[0])
        rest = lines[3:]
        own = tuple(_note(_words("own", line, 1)[0]) for line in rest if line.startswith("own "))
        peers = tuple(_peer(*_words("peer", line, 2)) for line in rest if not line.startswith("own "))
        push = cls(node[0], txt.decimal(time[0]), own, peers)
        _check_origins([parse_signed(note)[1].origin for note in own])
        _check_origins([origin for origin, _ in peers])
        if push.encode() != text:
            raise Malformed("guard push with another order or spelling than the canonical one")
        return push

    def encode(self) -> bytes:
        """Write the text that the guard signs."""
        own = [f"own {txt.b64encode(note)}" for note in self.own]
        peers = [f"peer {origin} {_NONE if note is None else txt.b64encode(note)}" for origin, note in self.peers]
        return txt.encode_lines([GUARD_PUSH, f"node {self.node}", f"time {self.time_s}", *own, *peers])


def _words(keyword: str, line: str, count: int) -> list[str]:
    first, *words = line.split(" ")
    if first != keyword or len(words) != count:
        raise Malformed(f"guard push with another line where {keyword} belongs")
    return words


def _note(word: str) -> bytes:
    raw = txt.b64decode(word)
    parse_signed(raw)
    return raw


def _peer(origin: str, word: str) -> tuple[str, bytes | None]:
    check_name(origin)
    if word == _NONE:
        return origin, None
    raw = _note(word)
    if parse_signed(raw)[1].origin != origin:
        raise Malformed("guard push with a note of another origin than its line says")
    return origin, raw


def _check_origins(origins: list[str]) -> None:
    if len(set(origins)) != len(origins):
        raise Malformed("guard push that names an origin twice")
