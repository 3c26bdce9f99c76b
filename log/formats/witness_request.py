"""The request that asks a witness to cosign a checkpoint (C2SP tlog-witness, `add-checkpoint`).

old <size of the checkpoint that the witness cosigned last>
<base64 of a hash>         consistency proof from old to the checkpoint, at most 63

<checkpoint as a signed note>
"""

from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats import text as txt
from log.formats.checkpoint import parse_signed

MAX_PROOF_HASHES = 63
HASH_SIZE = 32
SIZE_CONTENT_TYPE = "text/x.tlog.size"  # of the 409 whose body is the size that the witness holds


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a witness takes, in bytes: as much as the widest deployed one."""

    max_bytes: int = 128 << 10


LIMITS = RequestLimits()


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One request. Whether `old` and the proof fit the checkpoint is for the witness to judge."""

    old: int  # 0 <= old < 2**63
    proof: tuple[bytes, ...]
    note: bytes  # the checkpoint, byte for byte as the log signed it

    @classmethod
    def parse(cls, body: bytes, limits: RequestLimits = LIMITS) -> Self:
        """Read a request body, or raise `Malformed`, also when its note is not a checkpoint."""
        if len(body) > limits.max_bytes:
            raise Malformed(f"request over {limits.max_bytes} bytes")
        head, _, note = body.partition(b"\n\n")  # the first empty line: proof lines are never empty
        lines = txt.decode_text(head).split("\n")
        old = lines.pop(0)
        if not old.startswith("old "):
            raise Malformed("request that does not begin with the old size")
        if len(lines) > MAX_PROOF_HASHES:
            raise Malformed(f"proof of more than {MAX_PROOF_HASHES} hashes")
        parse_signed(note)
        request = cls(
            txt.decimal(old.removeprefix("old ")),
            tuple(txt.b64decode(line, HASH_SIZE) for line in lines),
            note,
        )
        if request.encode() != body:
            raise Malformed("request with another spelling than the canonical one")
        return request

    def encode(self) -> bytes:
        return txt.encode_lines([f"old {self.old}", *map(txt.b64encode, self.proof), ""]) + self.note
