"""Actions: what an authority decides, one signed text each, chained by hash (design.md section 5).

    twinlog/action@v1
    <base64 SHA-256 of the genesis>
    <chain>                    the name of a side, or `joint`
    <seq>                      1, 2, 3, … in this chain
    <base64 hash>              of the action before; of the first one the genesis'
    <type>
    <effective from>           2026-11-28T00:00:00Z
    <payload>                  one canonical JSON object (RFC 8785), on one line

This is the text of a signed note. An action is known by the SHA-256 of its text, so it stays the same action
whoever signs it besides; the next action names this hash. Which keys must have signed is for
`log.governance` to say.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from log.errors import Malformed
from log.formats import jcs
from log.formats import text as txt
from log.formats.fields import encode_date, identifier, parse_date
from log.formats.names import ACTION

HASH_SIZE = 32
MAX_ACTION_BYTES = 60_000  # of the text: with sixteen signatures it still fits an entry
MAX_SEQ = 2**53 - 1  # what canonical JSON holds
JOINT = "joint"  # the chain that every side signs
SEQ_CONTENT_TYPE = "text/x.twinlog.seq"  # of the 409 to an action out of turn: the seq that would follow, a line end

_LINES = 8


@dataclass(frozen=True, slots=True)
class Action:
    """One decision. `payload` is as the type has it (`log.governance.chains.KINDS`)."""

    genesis: bytes  # SHA-256 of the genesis
    chain: str
    seq: int  # from 1
    previous: bytes  # hash of the action before, or of the genesis
    type: str
    effective_ms: int  # from then on it holds; POSIX milliseconds, whole seconds
    payload: dict[str, Any]

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the text of an action, or raise `Malformed`. Whether its type exists is not looked at."""
        if len(text) > MAX_ACTION_BYTES:
            raise Malformed(f"action over {MAX_ACTION_BYTES} bytes")
        lines = txt.decode_lines(text)
        if len(lines) != _LINES or lines[0] != ACTION:
            raise Malformed("not an action of version 1")
        payload = jcs.parse(lines[7].encode())
        if not isinstance(payload, dict):
            raise Malformed("the payload of an action is a JSON object")
        action = cls(
            txt.b64decode(lines[1], HASH_SIZE),
            identifier(lines[2]),
            txt.decimal(lines[3], MAX_SEQ),
            txt.b64decode(lines[4], HASH_SIZE),
            identifier(lines[5]),
            parse_date(lines[6]),
            payload,
        )
        if action.seq < 1:
            raise Malformed("the actions of a chain are counted from 1")
        if action.encode() != text:
            raise Malformed("action with another spelling than the canonical one")
        return action

    def encode(self) -> bytes:
        """Write the text that authorities sign; `Malformed` when it is too long to be logged."""
        text = txt.encode_lines(
            [
                ACTION,
                txt.b64encode(self.genesis),
                self.chain,
                str(self.seq),
                txt.b64encode(self.previous),
                self.type,
                encode_date(self.effective_ms),
                jcs.encode(self.payload).decode(),
            ]
        )
        if len(text) > MAX_ACTION_BYTES:
            raise Malformed(f"action over {MAX_ACTION_BYTES} bytes")
        return text

    @property
    def hash(self) -> bytes:
        """Return the SHA-256 by which the next action, and everyone else, knows this one."""
        return sha256(self.encode()).digest()
