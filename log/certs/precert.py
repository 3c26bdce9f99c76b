"""Precertificates (RFC 6962 sections 3.1 and 3.2): what is logged of a certificate before it is issued.

A log signs the TBSCertificate of the certificate to come, less its SCT list. It gets there from the submitted
precertificate, a verifier gets there from the final certificate, and both must arrive at the same bytes: so
the TBS is spliced, and only the lengths of what encloses a splice are written anew.
"""

import hashlib
from collections.abc import Callable, Sequence

from log.certs import der
from log.certs.certificate import (
    AUTHORITY_KEY_IDENTIFIER,
    EXTENSIONS,
    POISON,
    SCT_LIST,
    Certificate,
    boundaries,
    extension_elements,
)
from log.errors import Malformed
from log.formats import sct

_Element = tuple[bytes, bytes]  # an extension: its OID's content bytes, and the whole element


def strip_poison(tbs: bytes) -> bytes:
    """Return a precertificate's TBS without its one poison extension; `Malformed` for none or several."""
    return _edit_extensions(tbs, lambda extensions: _without(extensions, POISON))


def strip_sct_list(tbs: bytes) -> bytes:
    """Return a final certificate's TBS without its one SCT list; `Malformed` for none or several."""
    return _edit_extensions(tbs, lambda extensions: _without(extensions, SCT_LIST))


def defang(precert: Certificate, issuers: Sequence[Certificate]) -> tuple[bytes, bytes]:
    """Return (issuer_key_hash, TBS) of a precertificate's log entry: RFC 6962 section 3.2.

    `issuers` are the certificates behind it, verified, the one that signed it first. When that one is a
    Precertificate Signing Certificate, the entry speaks of the CA behind it, which will sign the certificate.
    Raises `Malformed`.
    """
    if not issuers:
        raise Malformed("precertificate: no issuer")
    signer = issuers[0]
    tbs = strip_poison(precert.tbs)
    if not signer.is_precert_signing:
        return hashlib.sha256(signer.spki).digest(), tbs
    if len(issuers) < 2:
        raise Malformed("precertificate: the issuer of its Precertificate Signing Certificate is missing")
    tbs = _replace_issuer(tbs, signer.issuer)
    tbs = _edit_extensions(tbs, lambda extensions: _with_key_identifier_of(extensions, signer))
    return hashlib.sha256(issuers[1].spki).digest(), tbs


def embedded_scts(certificate: Certificate) -> list[bytes]:
    """Return the serialised SCTs embedded in a certificate, in their order; empty when it has no list.

    Raises `Malformed` for a list that cannot be read, or for several.
    """
    found = [extension.value for extension in certificate.extensions if extension.oid == SCT_LIST]
    if not found:
        return []
    if len(found) > 1:
        raise Malformed("certificate: several SCT lists")
    return sct.parse_sct_list(der.whole(found[0], der.OCTET_STRING))


def _edit_extensions(tbs: bytes, edit: Callable[[list[_Element]], list[_Element]]) -> bytes:
    """Return a TBS with other extensions and all other bytes as they were."""
    *_, tail = boundaries(tbs)
    start, _ = der.expect(tbs, 0, len(tbs), der.SEQUENCE)
    begin, elements = extension_elements(tbs, tail)
    edited = edit([(_oid(tbs, offset, end), tbs[offset:end]) for offset, end in elements])
    head = tbs[start:begin]
    if not edited:  # Extensions is SIZE (1..MAX): without any, the field itself goes
        return der.encode(der.SEQUENCE, head)
    listed = der.encode(der.SEQUENCE, *(element for _, element in edited))
    return der.encode(der.SEQUENCE, head, der.encode(EXTENSIONS, listed))


def _without(extensions: list[_Element], oid: bytes) -> list[_Element]:
    kept = [element for element in extensions if element[0] != oid]
    if len(kept) != len(extensions) - 1:
        raise Malformed(f"certificate: {len(extensions) - len(kept)} extensions {der.dotted(oid)} where one must be")
    return kept


def _replace_issuer(tbs: bytes, issuer: bytes) -> bytes:
    start, _ = der.expect(tbs, 0, len(tbs), der.SEQUENCE)
    _, _, begin, end, *_ = boundaries(tbs)
    return der.encode(der.SEQUENCE, tbs[start:begin], issuer, tbs[end:])


def _with_key_identifier_of(extensions: list[_Element], signer: Certificate) -> list[_Element]:
    """Give the TBS the Authority Key Identifier of the signing certificate: that of the final issuer."""
    wanted = signer.extension(AUTHORITY_KEY_IDENTIFIER)
    if wanted is None:
        return [element for element in extensions if element[0] != AUTHORITY_KEY_IDENTIFIER]
    if all(oid != AUTHORITY_KEY_IDENTIFIER for oid, _ in extensions):
        return [*extensions, (AUTHORITY_KEY_IDENTIFIER, _extension(AUTHORITY_KEY_IDENTIFIER, wanted.value))]
    return [
        (oid, _replace_value(element, wanted.value)) if oid == AUTHORITY_KEY_IDENTIFIER else (oid, element)
        for oid, element in extensions
    ]


def _replace_value(element: bytes, value: bytes) -> bytes:
    """Return an extension with another value; OID and criticality keep their bytes."""
    start, stop = der.expect(element, 0, len(element), der.SEQUENCE)
    _, offset, _, _ = der.children(element, start, stop)[-1]
    return der.encode(der.SEQUENCE, element[start:offset], der.encode(der.OCTET_STRING, value))


def _extension(oid: bytes, value: bytes) -> bytes:
    """Return an extension that is not critical."""
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, oid), der.encode(der.OCTET_STRING, value))


def _oid(tbs: bytes, offset: int, end: int) -> bytes:
    start, _ = der.expect(tbs, offset, end, der.SEQUENCE)
    oid, after = der.expect(tbs, start, end, der.OBJECT_IDENTIFIER)
    return tbs[oid:after]
