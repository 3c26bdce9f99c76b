"""What a node knows of the leaves that an event refers to (design.md section 5).

    own-log            the leaf is in a log of this node, at that index, and is the event's certificate
    foreign-proven     a tlog-proof leads to a head that this node's own witness has cosigned, of any size
    foreign-unproven   a leaf of another log, without such a proof
    not-logged         no leaf is named

What is wrong is refused, never marked: a leaf of this node that is another one or none, a proof that does not lead to
its head. The log's own signature on that head need not be looked at, for our witness had to before it cosigned.
"""

from collections.abc import Callable, Mapping, Sequence

from log.crypto.notes import verify_note
from log.errors import BadProof, BadSignature, Malformed, NotFound, Refused
from log.formats.checkpoint import is_rehearsal, parse_signed
from log.formats.event_batch import Submitted
from log.formats.event_codes import Standing
from log.formats.family import FINGERPRINT_KEY, X509
from log.formats.note import VKey
from log.formats.ref import Ref
from log.formats.tile_leaf import X509_ENTRY
from log.formats.tlog_proof import TlogProof
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion
from log.service.log import Log

REASON = "reference"  # the word for what is refused here


class References:
    """Checks references against the logs of one node, and what its witness cosigned."""

    def __init__(self, logs: Callable[[], Mapping[str, Log]], witness: Callable[[], Sequence[VKey]]) -> None:
        """`logs` are those of the node by origin, `witness` the keys of its witness."""
        self._logs = logs
        self._witness = witness

    async def own(self, submitted: Submitted) -> bool:
        """Check what an event says of logs of this node; say whether its certificate is in one of them. `Refused`."""
        event = submitted.event
        logs = self._logs()
        for earlier in event.events:
            if earlier.origin in logs:
                await _row(logs[earlier.origin], earlier)
        ref = event.certificate_ref
        if ref is None or ref.origin not in logs:
            return False
        if is_rehearsal(ref.origin):
            raise Refused(f"{ref.origin} is a rehearsal log: nothing there counts", REASON)
        hosted = logs[ref.origin]
        if hosted.family is not X509:
            raise Refused(f"{ref.origin} is no log of certificates", REASON)
        row = await _row(hosted, ref)
        # Of a precertificate's entry nothing tells which certificate came of it; its leaf does.
        is_certificate = int.from_bytes(row[8:10]) == X509_ENTRY
        if is_certificate and FINGERPRINT_KEY + (event.certificate or b"") not in X509.keys(row):
            raise Refused(f"entry {ref.index} of {ref.origin} is another certificate", REASON)
        return True

    def foreign(self, submitted: Submitted) -> Standing:
        """Say what is known of a certificate that is in no log of this node; `Refused`. Takes a while: two hashes
        and a signature for each proof.
        """
        ref = submitted.event.certificate_ref
        if ref is None:
            if submitted.certificate_proof is not None:
                raise Refused("a proof of a certificate that the event does not refer to", REASON)
            return Standing.NOT_LOGGED
        if submitted.certificate_proof is None:
            return Standing.FOREIGN_UNPROVEN
        cosigned = is_cosigned(ref, submitted.certificate_proof, self._witness())
        return Standing.FOREIGN_PROVEN if cosigned else Standing.FOREIGN_UNPROVEN


async def _row(hosted: Log, ref: Ref) -> bytes:
    """Return the row of a leaf of our own, or raise `Refused`."""
    try:
        [row] = await hosted.entries(ref.index, ref.index + 1, hosted.size)
    except NotFound:
        raise Refused(f"{hosted.origin} has no entry {ref.index}", REASON) from None
    if leaf_hash(hosted.family.leaf_input(row)) != ref.leaf_hash:
        raise Refused(f"entry {ref.index} of {hosted.origin} is another leaf", REASON)
    return row


def is_cosigned(ref: Ref, raw: bytes, witness: Sequence[VKey]) -> bool:
    """Say whether a proof of this leaf ends in a head with a valid cosignature of one of these keys.

    `Refused` when it is no proof of it.
    """
    try:
        proof = TlogProof.parse(raw)
        note, checkpoint = parse_signed(proof.checkpoint)
        if (checkpoint.origin, proof.index) != (ref.origin, ref.index):
            raise Refused("the proof is of another leaf", REASON)
        verify_inclusion(ref.index, checkpoint.size, ref.leaf_hash, proof.hashes, checkpoint.root)
    except (Malformed, BadProof) as error:
        raise Refused(f"the proof does not verify: {error}", REASON) from error
    try:
        return any(line.witnesses for line in verify_note(note, witness))
    except BadSignature:
        return False
