"""PURE: a witness that cosigned two heads of one log which exclude each other (E7, monitoring.md §5.4).

    {"heads": [note, note], "kind": "E7", "proof": {"a": [hash…], "b": [hash…]} | null,
     "type": "twinlog/evidence@v1", "witness": vkey}

Each note is a checkpoint under one line of that witness with a time, the smaller first; of one size they have different
roots, across sizes `proof` shows as in E2 that the larger has another prefix. The log's own lines are not asked for: a
witness answers for what it signs.
"""

from collections.abc import Sequence

from log.crypto.notes import COSIGNER_TYPES, open_note
from log.errors import BadProof, BadSignature, Malformed
from log.evidence import prefix
from log.evidence.heads import Kind
from log.evidence.objects import encode_hashes, read_hashes, statement
from log.formats import jcs
from log.formats.checkpoint import Checkpoint
from log.formats.names import EVIDENCE
from log.formats.note import VKey
from log.formats.text import b64decode, b64encode


def witness_lied(witness: VKey, notes: tuple[bytes, bytes], hashes: Sequence[bytes] = ()) -> bytes:
    """Write E7 of two notes under lines of `witness`; `hashes` are those of `prefix.cover`, across sizes only."""
    (one, first), (two, second) = sorted(
        (_read(note, witness) for note in notes), key=lambda read: (read[0].size, read[1])
    )
    proof = None if one.size == two.size else encode_hashes(one.size, two.size, hashes)
    return statement(
        Kind.COSIGNED_BOTH, witness=witness.encode(), heads=[b64encode(first), b64encode(second)], proof=proof
    )


def check(data: bytes, witness: VKey) -> tuple[Checkpoint, Checkpoint]:
    """Return the two heads, under a pinned key. `Malformed`, `BadSignature` or `BadProof` when nothing is proven."""
    match jcs.parse(data):
        case {"heads": [str(first), str(second)], "proof": proof, "witness": str(named), **rest} if rest == {
            "type": EVIDENCE,
            "kind": Kind.COSIGNED_BOTH.value,
        }:
            notes = b64decode(first), b64decode(second)
        case _:
            raise Malformed("not evidence about a witness")
    if named != witness.encode():
        raise BadSignature("evidence about another witness")
    (one, _), (two, _) = (_read(note, witness) for note in notes)
    if one.origin != two.origin:
        raise BadProof("two heads of different logs do not exclude each other")
    hashes: list[bytes] = []
    if one.size == two.size:
        if one.root == two.root:
            raise BadProof("two cosignatures on one tree do not exclude each other")
    else:
        hashes = read_hashes(one.size, two.size, proof)
        if prefix.compare(one.size, two.size, one.root, two.root, hashes) is prefix.Prefix.SAME:
            raise BadProof("the smaller head is a prefix of the larger")
    if witness_lied(witness, notes, hashes) != data:
        raise Malformed("evidence in another form than the one in which it is written")
    return one, two


def _read(note: bytes, witness: VKey) -> tuple[Checkpoint, bytes]:
    """Return the checkpoint and the note with this witness's line alone."""
    if witness.type not in COSIGNER_TYPES:
        raise BadSignature("a witness signs with a 0x04 or 0x06 key")
    opened = open_note(note, [witness])
    if not all(line.witnesses for line in opened.verified):
        raise BadSignature("a cosignature without a time vouches for nothing")
    return opened.checkpoint, opened.reduced().encode()
