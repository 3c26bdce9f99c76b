"""Entries that travel with their proof: what a governance or events log answers, and what monitors carry across.

The `extra` of such a tlog-proof is the entry itself, since no reader has a document to rebuild it from. It proves
that the log took the entry in; whether anybody else vouches for that head is for a policy to say.
"""

from collections.abc import Callable, Sequence

from log.crypto.notes import open_note
from log.errors import BadSignature, Malformed
from log.formats.event import Entry
from log.formats.note import VKey
from log.formats.tlog_proof import EntryExtra, TlogProof
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion


def carried_entry(proof: TlogProof) -> Entry:
    """Return the entry that a proof carries; `Malformed` when it carries none."""
    if proof.extra is None:
        raise Malformed("a proof without extra data carries no entry")
    return EntryExtra.parse(proof.extra).entry


def verify_entry(raw: bytes, vkeys_of: Callable[[str], Sequence[VKey]]) -> tuple[str, int, Entry]:
    """Verify that a log has taken in the entry that its proof carries; return origin, index and entry.

    `vkeys_of` gives the keys of an origin, none for a log that is not known. `Malformed`; `BadSignature` when no
    known log signed the head; `BadProof`.
    """
    proof = TlogProof.parse(raw)
    entry = carried_entry(proof)
    origin = proof.checkpoint.partition(b"\n")[0].decode()
    vkeys = vkeys_of(origin)
    if not vkeys:
        raise BadSignature(f"{origin} is no log that is known here")
    opened = open_note(proof.checkpoint, vkeys)
    if opened.checkpoint.origin != origin or not opened.verified:
        raise BadSignature(f"no signature by {origin}")
    verify_inclusion(
        proof.index, opened.checkpoint.size, leaf_hash(entry.encode()), proof.hashes, opened.checkpoint.root
    )
    return origin, proof.index, entry
