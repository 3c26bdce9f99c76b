"""Verifying that a document was signed and logged: document, receipt and policy in, facts or an error out.

As in `log.client.verifier`, nothing here reads a clock, a file or the network, and of other packages only
`cryptography` is needed. What does not hold is a `VerificationError`, whatever the reason:

    BadProof        the receipt cannot be read, is of another document, or its hashes do not lead to the root
    BadSignature    of the log, of a witness, or over the document
    PolicyNotMet    all is true, but too few witnesses have cosigned

and a plain one where this machine lacks SM2 or SM3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from log.certs import certificate as certs
from log.client.verifier import Proven, certificate_leaf, verify_leaf, verify_proof
from log.crypto.documents import document_digest, verify_document
from log.errors import BadProof, BadSignature, Malformed, PolicyNotMet, Refused, SuiteUnavailable, VerificationError
from log.formats.checkpoint import parse_signed
from log.formats.event_codes import Standing
from log.formats.names import EXTRA_EVENT
from log.formats.policy import Policy
from log.formats.ref import Ref
from log.formats.sct import SCT
from log.formats.signature_event import Event
from log.formats.tlog_proof import EntryExtra, EventExtra, TlogProof, X509Extra
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion


@dataclass(frozen=True, slots=True)
class ProvenEvent:
    """What a receipt proves: this event stands at `index` of `origin`; and who vouches for that log."""

    origin: str
    index: int
    timestamp_ms: int  # when the log took it in; what the submitter claims stands in the event
    size: int  # of the head that covers it
    witnesses: tuple[tuple[str, int], ...]  # key name and time in ms of each cosignature the policy knows
    provisional: bool  # True when the quorum is not met: one side's word
    submitter: str  # <side>/<member>
    record: bytes  # SHA-256 of the submission record: by it the submitter's own signature is found
    event: Event
    certificate_standing: Standing  # what the node knew of the certificate then
    certificate: bytes | None  # SHA-256 of the signer's; None where it is committed to and not opened
    document_verified: bool  # the document in hand is the one
    signature_verified: bool  # and a signature over it is this certificate's, where both were in hand
    certificate_logged_ms: int | None = None  # when the leaf that the event names was logged; None if not looked at
    signed_ms: int | None = None  # when the log signed that head, by its own lines
    missing: tuple[str, ...] = ()  # witnesses of the policy that did not cosign it


def event_extra(proof: TlogProof) -> EventExtra:
    """Return entry and openings out of an event's receipt, as given (without openings) or as kept; or `Malformed`."""
    if proof.extra is None:
        raise Malformed("a proof without extra data is not that of an event")
    if proof.extra[0] == EXTRA_EVENT:
        return EventExtra.parse(proof.extra)
    entry = EntryExtra.parse(proof.extra).entry
    entry.logged_event()
    return EventExtra(entry, ())


def certificate_ref(proof: bytes, certificate: bytes) -> Ref:
    """Return the leaf at which a tlog-proof says a certificate (DER) is, as an event names it.

    The proof must lead from the certificate to the root of its checkpoint, whose signatures are not looked at: the
    node that takes the event does. Raises `Malformed` and `BadProof`.
    """
    parsed = TlogProof.parse(proof)
    if parsed.extra is None:
        raise Malformed("a proof without extra data is not that of a certificate")
    extra = X509Extra.parse(parsed.extra)
    hashed = leaf_hash(certificate_leaf(certificate, extra, SCT.parse(extra.sct)))
    _, checkpoint = parse_signed(parsed.checkpoint)
    verify_inclusion(parsed.index, checkpoint.size, hashed, parsed.hashes, checkpoint.root)
    return Ref(checkpoint.origin, parsed.index, hashed)


def verify_receipt(raw: bytes, policy: Policy, *, provisional: bool = False) -> ProvenEvent:
    """Verify that an event is logged, without its document.

    `PolicyNotMet` comes last; `provisional=True` turns it into the result's `provisional`.
    """
    return _verify(raw, policy, _InHand(), provisional=provisional)


def verify_event(
    raw: bytes,
    document: bytes,
    policy: Policy,
    *,
    certificate: bytes | None = None,
    signature: bytes | None = None,
    certificate_proof: bytes | None = None,
    provisional: bool = False,
) -> ProvenEvent:
    """Verify that a document is the one that an event speaks of, and that the event is logged.

    `raw` is a tlog-proof. Where it opens the document, that must be this one. Where the signer's `certificate` (DER) is
    given it must be the event's, where the `signature` (its value) is, it must be the event's and verify over the
    document; that needs the certificate, given or opened, and does without the document's opening: this is how a bank
    that was given no receipt verifies what it found by the signature. One of the two must tell of the document.

    `certificate_proof` is a tlog-proof of the certificate under the same policy, for the leaf that the event names.
    What the node says of that leaf (`certificate_standing`) it says without having seen the certificate.
    """
    return _verify(raw, policy, _InHand(document, certificate, signature, certificate_proof), provisional=provisional)


@dataclass(frozen=True, slots=True)
class _InHand:
    """What the verifier holds besides the receipt."""

    document: bytes | None = None
    certificate: bytes | None = None
    signature: bytes | None = None
    certificate_proof: bytes | None = None


def _verify(raw: bytes, policy: Policy, held: _InHand, *, provisional: bool) -> ProvenEvent:
    try:
        proven = _proven(raw, policy, held)
    except SuiteUnavailable as error:
        raise VerificationError(f"cannot be verified on this machine: {error}") from error
    except (Malformed, Refused) as error:
        raise BadProof(str(error)) from error
    if proven.provisional and not provisional:
        raise PolicyNotMet(
            f"{len(proven.witnesses)} cosignatures of known witnesses do not meet the quorum:"
            f" not vouched for by {', '.join(proven.missing) or 'those of the certificate'}"
        )
    return proven


def _proven(raw: bytes, policy: Policy, held: _InHand) -> ProvenEvent:
    proof = TlogProof.parse(raw)
    extra = event_extra(proof)
    vouched = verify_leaf(proof, extra.entry.encode(), policy)
    logged = extra.entry.logged_event()
    event = logged.event
    opened = {opening.name: opening.value for opening in extra.openings}
    if held.document is not None and (held.signature is None or "document" in opened):
        _check_document(event, opened, held.document)
    certificate = _certificate(event, opened, held.certificate)
    if held.signature is not None:
        _check_signature(event, certificate, held.document or b"", held.signature)
    listed = None if held.certificate_proof is None else _listed(event, certificate, held.certificate_proof, policy)
    return ProvenEvent(
        vouched.checkpoint.origin,
        proof.index,
        extra.entry.timestamp_ms,
        vouched.checkpoint.size,
        vouched.witnesses,
        not vouched.satisfied or (listed is not None and listed.provisional),
        extra.entry.submitter.decode(),
        logged.record,
        event,
        logged.certificate_standing,
        event.certificate if certificate is None else sha256(certificate).digest(),
        held.document is not None,
        held.signature is not None,
        None if listed is None else listed.timestamp_ms,
        vouched.signed_ms,
        vouched.missing,
    )


def _check_document(event: Event, opened: Mapping[str, bytes], document: bytes) -> None:
    if event.document_algorithm is None:
        raise BadProof(f"an event of the type {event.type} speaks of no document")
    if "document" not in opened:
        raise BadProof("the receipt does not open which document it is of, and no signature over it was given")
    if document_digest(event.document_algorithm, document) != opened["document"]:
        raise BadProof("the receipt is of another document")


def _certificate(event: Event, opened: Mapping[str, bytes], given: bytes | None) -> bytes | None:
    """Return the signer's certificate, DER, given or opened; None without either, or raise `BadProof`."""
    committed = opened.get("certificate")
    if given is None:
        return committed
    if given != committed and sha256(given).digest() != event.certificate:
        raise BadProof("the event does not say that this certificate signed")
    return given


def _listed(event: Event, certificate: bytes | None, proof: bytes, policy: Policy) -> Proven:
    """Verify that the certificate is the leaf that the event names."""
    if certificate is None or event.certificate_ref is None:
        raise BadProof("the event names no leaf, or the certificate that should be in it is not in hand")
    if certificate_ref(proof, certificate) != event.certificate_ref:
        raise BadProof("the certificate is logged elsewhere than the event says")
    return verify_proof(proof, certificate, policy, provisional=True)


def _check_signature(event: Event, certificate: bytes | None, document: bytes, signature: bytes) -> None:
    if certificate is None:
        raise BadProof("a signature is verified with the signer's certificate, which was neither given nor is opened")
    if event.signature_algorithm is None or sha256(signature).digest() != event.sig_digest:
        raise BadSignature("the signature is not the one that was logged")
    verify_document(certs.parse(certificate).spki, event.signature_algorithm, document, signature)
