"""Policies of a log of `heads`, and the witnesses that they name."""

from log.crypto.notes import NoteSigner, cosign
from log.formats.note import KeyType, Note, VKey
from log.formats.policy import Policy
from tests.client.heads import TIME_MS, VKEYS, ed25519
from tests.support.engine import mldsa_signer

GD = ed25519("gd.twinlog.example/witness", KeyType.COSIGNATURE, 11)
GD_MLDSA = mldsa_signer("gd.twinlog.example/witness", 11)
OUTSIDE = ed25519("outside.example/witness", KeyType.COSIGNATURE, 12)


def policy(*, logs: tuple[VKey, ...] = VKEYS, quorum: str = "both", groups: str = "group both all gd out\n") -> Policy:
    lines = [f"log {vkey.encode()}\n" for vkey in logs]
    lines += [f"witness gd {GD.vkey.encode()}\n", f"witness out {OUTSIDE.vkey.encode()}\n", groups]
    return Policy.parse("".join(lines) + f"quorum {quorum}\n")


async def cosigned(raw: bytes, *witnesses: NoteSigner, time_s: int = TIME_MS // 1000 + 100) -> bytes:
    note = Note.parse(raw)
    lines = [await cosign(note.text, time_s, witness) for witness in witnesses]
    return note.with_signatures((*note.signatures, *lines)).encode()
