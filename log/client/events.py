"""Making an event out of a signed document, on the machine where the document is and stays (design.md section 5).

What goes to a log is the event; what stays with the document is the openings of its commitments, drawn here with
fresh salts. The signature is verified first: an event that nobody could verify later is not made.
"""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from log.certs import certificate as certs
from log.certs.certificate import Certificate
from log.client.event_verifier import event_extra
from log.crypto.documents import document_digest, document_word, key_words, recognise
from log.errors import BadProof, Malformed
from log.formats import text as txt
from log.formats.checkpoint import parse_signed
from log.formats.commitment import MAX_VALUE_SIZE, SALT_SIZE, Opening
from log.formats.event_codes import EventType
from log.formats.fields import encode_minute
from log.formats.names import EVENT
from log.formats.ref import Ref
from log.formats.signature_event import Event
from log.formats.tlog_proof import EventExtra, TlogProof
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_inclusion

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Opened:
    """An event, and what opens its commitments."""

    event: Event
    openings: tuple[Opening, ...]  # sorted by field


def commit(values: Mapping[str, bytes]) -> tuple[Opening, ...]:
    """Draw a salt for each value, by field; what comes back is sorted by field.

    `Malformed` for a value that no opening holds: an empty one, or one over MAX_VALUE_SIZE.
    """
    for name, value in values.items():
        if not 1 <= len(value) <= MAX_VALUE_SIZE:
            raise Malformed(f"{name}: what is committed to has 1 to {MAX_VALUE_SIZE} bytes, not {len(value)}")
    return tuple(Opening(name, secrets.token_bytes(SALT_SIZE), values[name]) for name in sorted(values))


def sign_event(
    document: bytes,
    certificate: bytes,
    signature: bytes,
    said: Mapping[str, Any],
    *,
    named: bool,
    certificate_ref: Ref | None = None,
    committed: Mapping[str, bytes] | None = None,
) -> Opened:
    """Make the event of a signature over a document (of type `sign`, or as `said` has it).

    `certificate` is DER, `signature` the value as the key made it. `said` holds members of the event as JSON that
    only the caller knows: `at`, `platform_jurisdiction`, `signer_jurisdiction`, `ca`, and what else applies. With
    `named` the certificate, of an organisation, stands there by its SHA-256, with its validity; else it is committed
    to. `committed` are further values by field.

    Raises `BadSignature` for a signature that is not this key's over this document, `Refused` for a key that is not
    supported, `Malformed` for members that do not make an event.
    """
    parsed = certs.parse(certificate)
    algorithm = recognise(parsed.spki, document, signature)
    key_algorithm, key_bits = key_words(parsed.spki)
    digest_word = document_word(key_algorithm)
    members = {
        "format": EVENT,
        "type": EventType.SIGN.value,
        "key_algorithm": key_algorithm,
        "key_bits": key_bits,
        "signature_algorithm": algorithm,
        "sig_digest": txt.b64encode(sha256(signature).digest()),
        "container": "raw",
        "document_algorithm": digest_word,
    }
    if parsed.policies:
        members["policy_oids"] = list(parsed.policies)
    values = {**(committed or {}), "document": document_digest(digest_word, document)}
    if named:
        members |= _named(parsed, certificate_ref)
    elif certificate_ref is None:
        values["certificate"] = certificate
    else:
        raise Malformed("a certificate that is committed to is not named by its leaf either")
    openings = commit(values)
    members["commitments"] = {opening.name: txt.b64encode(opening.commitment) for opening in openings}
    if taken := members.keys() & said.keys() - {"type", "policy_oids"}:
        raise Malformed(f"{min(taken)} follows from document and certificate")
    return Opened(Event.of(members | dict(said)), openings)


def _named(certificate: Certificate, ref: Ref | None) -> dict[str, Any]:
    members: dict[str, Any] = {
        "certificate": txt.b64encode(certificate.fingerprint),
        "not_before": encode_minute(certificate.not_before_ms // _MINUTE_MS * _MINUTE_MS),
        "not_after": encode_minute(certificate.not_after_ms // _MINUTE_MS * _MINUTE_MS),
    }
    if ref is not None:
        members["certificate_ref"] = ref.to_json()
    return members


def event_ref(receipt: bytes) -> Ref:
    """Return the leaf of a logged event, by its receipt as given or as kept; raises `Malformed` and `BadProof`."""
    parsed = TlogProof.parse(receipt)
    hashed = leaf_hash(event_extra(parsed).entry.encode())
    _, checkpoint = parse_signed(parsed.checkpoint)
    verify_inclusion(parsed.index, checkpoint.size, hashed, parsed.hashes, checkpoint.root)
    return Ref(checkpoint.origin, parsed.index, hashed)


def kept(receipt: bytes, member: str, opened: Opened) -> bytes:
    """Return a receipt with the openings beside its entry, for the machine on which the document is.

    Raises `Malformed` for what is no receipt, `BadProof` for that of another event or member, and for one whose
    hashes do not lead to the root of its checkpoint. Who signed that, `log.client.event_verifier` looks at.
    """
    parsed = TlogProof.parse(receipt)
    entry = event_extra(parsed).entry
    if entry.logged_event().event != opened.event or entry.submitter != member.encode():
        raise BadProof("the receipt is that of another event")
    event_ref(receipt)
    extra = EventExtra(entry, opened.openings).encode()
    return TlogProof(parsed.index, parsed.hashes, parsed.checkpoint, extra).encode()


def disclosed(receipt: bytes, fields: Collection[str]) -> bytes:
    """Return a kept receipt with the openings of these fields alone, for a reader who need not know the others.

    Raises `Malformed`, also for a field that the receipt does not open.
    """
    parsed = TlogProof.parse(receipt)
    extra = event_extra(parsed)
    if missing := set(fields) - {opening.name for opening in extra.openings}:
        raise Malformed(f"the receipt does not open {min(missing)}")
    some = tuple(opening for opening in extra.openings if opening.name in fields)
    return TlogProof(parsed.index, parsed.hashes, parsed.checkpoint, EventExtra(extra.entry, some).encode()).encode()
