"""A certificate (RFC 5280 section 4.1) as slices of its own bytes.

What a log needs is read and nothing else. A serial that is zero or negative, a name that no browser would
show, an extension that no parser understands: these are what auditors come to look for, so they are no reason
to refuse. Extensions are read when first asked for; a list of them that cannot be read at all leaves
`extensions` empty and says why in `extensions_error`.
"""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from log.certs import der
from log.certs.times import time_ms
from log.errors import Malformed

POISON = der.oid("1.3.6.1.4.1.11129.2.4.3")  # RFC 6962 section 3.1
SCT_LIST = der.oid("1.3.6.1.4.1.11129.2.4.2")  # RFC 6962 section 3.3
PRECERT_SIGNING = der.oid("1.3.6.1.4.1.11129.2.4.4")  # an extended key usage: RFC 6962 section 3.1
KEY_USAGE = der.oid("2.5.29.15")
BASIC_CONSTRAINTS = der.oid("2.5.29.19")
CERTIFICATE_POLICIES = der.oid("2.5.29.32")
AUTHORITY_KEY_IDENTIFIER = der.oid("2.5.29.35")
EXTENDED_KEY_USAGE = der.oid("2.5.29.37")
EC_PUBLIC_KEY = der.oid("1.2.840.10045.2.1")

VERSION = 0xA0  # [0] EXPLICIT
EXTENSIONS = 0xA3  # [3] EXPLICIT
UNIQUE_IDS = (0x81, 0x82)  # [1] and [2] IMPLICIT BIT STRING, between the key and the extensions

CACHED_VALUES = 1024  # of one kind of extension, as they were read
CACHED_BYTES = 1024  # a longer value is read each time

_NULL = b"\x05\x00"
_NO_CA = b"\x30\x00"  # BasicConstraints of all that is no CA
_FIELDS = (der.INTEGER, der.SEQUENCE, der.SEQUENCE, der.SEQUENCE, der.SEQUENCE, der.SEQUENCE)


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension; `oid` and `value` are content bytes, tbs[start:end] is the whole element."""

    oid: bytes
    critical: bool
    value: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. Equal when all bytes are equal."""

    der: bytes
    tbs: bytes = field(compare=False)  # TBSCertificate with its header: what is signed
    signature_algorithm: bytes = field(compare=False)  # AlgorithmIdentifier, DER: the outer one
    signature: bytes = field(compare=False)  # the octets of the BIT STRING
    serial: bytes = field(compare=False)  # content octets, two's complement, as issued
    tbs_algorithm: bytes = field(compare=False)  # AlgorithmIdentifier, DER: the one that is signed
    issuer: bytes = field(compare=False)  # Name, DER
    subject: bytes = field(compare=False)  # Name, DER
    not_before_ms: int = field(compare=False)
    not_after_ms: int = field(compare=False)
    spki: bytes = field(compare=False)  # SubjectPublicKeyInfo, DER
    _tail: int = field(compare=False, repr=False)  # where in `tbs` the key ends
    _read: "tuple[tuple[Extension, ...], str | None] | None" = field(
        default=None, init=False, compare=False, repr=False
    )

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate, 32 bytes."""
        return hashlib.sha256(self.der).digest()

    @property
    def serial_number(self) -> int:
        """The serial as a number; zero and negative ones occur."""
        return int.from_bytes(self.serial, "big", signed=True)

    @property
    def self_issued(self) -> bool:
        """Whether issuer and subject are one name (RFC 5280 section 3.2); says nothing about the key."""
        return self.issuer == self.subject

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """The extensions in their order; empty when the list cannot be read."""
        return self._extensions()[0]

    @property
    def extensions_error(self) -> str | None:
        """Why the list of extensions cannot be read, or None."""
        return self._extensions()[1]

    def extension(self, oid: bytes) -> Extension | None:
        """Return the first extension of this OID (content bytes), or None."""
        for found in self.extensions:
            if found.oid == oid:
                return found
        return None

    @property
    def is_precert(self) -> bool:
        """Whether a poison extension is present, well formed or not, or may be among extensions that cannot be read."""
        # Nearly every final certificate is told by its bytes alone, without reading its extensions.
        return POISON in self.tbs and (self.extensions_error is not None or self.extension(POISON) is not None)

    @property
    def poison_valid(self) -> bool:
        """Whether the poison stands there once, critical and NULL (RFC 6962 section 3.1)."""
        found = [extension for extension in self.extensions if extension.oid == POISON]
        return len(found) == 1 and found[0].critical and found[0].value == _NULL

    @property
    def is_ca(self) -> bool:
        """Whether basicConstraints says cA TRUE; False when it is absent or cannot be read."""
        found = self.extension(BASIC_CONSTRAINTS)
        return found is not None and _says_ca(found.value)

    @property
    def is_precert_signing(self) -> bool:
        """Whether this is a Precertificate Signing Certificate (RFC 6962 section 3.1)."""
        found = self.extension(EXTENDED_KEY_USAGE)
        if found is None:
            return False
        try:
            content = der.whole(found.value, der.SEQUENCE)
            purposes = der.children(content, 0, len(content))
        except Malformed:
            return False
        return any(content[start:stop] == PRECERT_SIGNING for _, _, start, stop in purposes)

    @property
    def policies(self) -> tuple[str, ...]:
        """The certificate policies' OIDs with dots; empty when there are none or they cannot be read."""
        found = self.extension(CERTIFICATE_POLICIES)
        if found is None:
            return ()
        # A CA writes the same policies into one certificate after the other.
        return _known_policies(found.value) if len(found.value) <= CACHED_BYTES else _policies(found.value)

    @property
    def explicit_parameters(self) -> bool:
        """Whether an EC key spells its curve out instead of naming it (RFC 5480 section 2.1.1)."""
        start, stop = der.expect(self.spki, 0, len(self.spki), der.SEQUENCE)
        start, stop = der.expect(self.spki, start, stop, der.SEQUENCE)
        return self.spki[start + 2 : stop].startswith(EC_PUBLIC_KEY + b"\x30")

    def _extensions(self) -> tuple[tuple[Extension, ...], str | None]:
        if self._read is None:
            try:
                read: tuple[tuple[Extension, ...], str | None] = (
                    _read_extensions(self.tbs, self._tail),
                    None,
                )
            except Malformed as e:
                read = ((), str(e))
            # A memo, not a change: two threads that meet here write equal values.
            object.__setattr__(self, "_read", read)
            return read
        return self._read


def parse(data: bytes) -> Certificate:
    """Slice a certificate; raises `Malformed`, also for bytes after it.

    The extensions are not read yet, so nothing in them can make a certificate malformed.
    """
    start, stop = der.expect(data, 0, len(data), der.SEQUENCE)
    if stop != len(data):
        raise Malformed("certificate: bytes after it")
    _, algorithm = der.expect(data, start, stop, der.SEQUENCE)
    tbs = data[start:algorithm]
    _, bits = der.expect(data, algorithm, stop, der.SEQUENCE)
    signature, end = der.expect(data, bits, stop, der.BIT_STRING)
    if end != stop or data[signature : signature + 1] != b"\0":
        raise Malformed("certificate: the signature is not the last element, or not whole bytes")
    serial, inner, issuer, validity, subject, spki, tail = boundaries(tbs)
    serial_start, _ = der.expect(tbs, serial, inner, der.INTEGER)
    not_before_ms, not_after_ms = _validity(tbs, validity, subject)
    _check_spki(tbs, spki, tail)
    return Certificate(
        data,
        tbs,
        data[algorithm:bits],
        data[signature + 1 : end],
        tbs[serial_start:inner],
        tbs[inner:issuer],
        tbs[issuer:validity],
        tbs[subject:spki],
        not_before_ms,
        not_after_ms,
        tbs[spki:tail],
        tail,
    )


def boundaries(tbs: bytes) -> tuple[int, int, int, int, int, int, int]:
    """Return where serial, algorithm, issuer, validity, subject, key and what follows them begin in a TBS.

    Each element reaches to where the next begins.
    """
    offset, end = der.expect(tbs, 0, len(tbs), der.SEQUENCE)
    if end != len(tbs):
        raise Malformed("certificate: bytes after the TBS")
    if tbs[offset : offset + 1] == b"\xa0":
        _, _, offset = der.read(tbs, offset, end)
    marks = []
    for tag in _FIELDS:
        marks.append(offset)
        _, offset = der.expect(tbs, offset, end, tag)
    serial, algorithm, issuer, validity, subject, spki = marks
    return serial, algorithm, issuer, validity, subject, spki, offset


def extension_elements(tbs: bytes, tail: int) -> tuple[int, list[tuple[int, int]]]:
    """Return where the [3] of the extensions begins in a TBS, and (offset, end) of each extension.

    `tail` is where the key ends. Without extensions the first is the TBS's end. Raises `Malformed`.
    """
    end = len(tbs)
    while tail < end and tbs[tail] in UNIQUE_IDS:
        _, _, tail = der.read(tbs, tail, end)
    if tail == end:
        return end, []
    start, stop = der.expect(tbs, tail, end, EXTENSIONS)
    first, last = der.expect(tbs, start, stop, der.SEQUENCE)
    if not stop == last == end:
        raise Malformed("certificate: bytes after the extensions")
    return tail, [(offset, after) for _, offset, _, after in der.children(tbs, first, last)]


def _read_extensions(tbs: bytes, tail: int) -> tuple[Extension, ...]:
    return tuple(_read_extension(tbs, offset, end) for offset, end in extension_elements(tbs, tail)[1])


def _read_extension(tbs: bytes, offset: int, end: int) -> Extension:
    """Read one extension; `offset` and `end` are where an element begins and ends in `tbs`."""
    # Nearly all have one byte for each length and leave FALSE out: read where they stand, a call for each part costs
    # four times as much. Whatever is otherwise is read part by part below.
    value = offset + 4 + tbs[offset + 3] if end - offset > 4 else end
    if (
        value + 2 <= end
        and tbs[offset] == der.SEQUENCE
        and tbs[offset + 1] < 0x80
        and tbs[offset + 2] == der.OBJECT_IDENTIFIER
        and tbs[offset + 3] < 0x80
        and tbs[value] == der.OCTET_STRING
        and tbs[value + 1] < 0x80
        and value + 2 + tbs[value + 1] == end
    ):
        return Extension(tbs[offset + 4 : value], False, tbs[value + 2 : end], offset, end)
    return _read_by_parts(tbs, offset, end)


def _read_by_parts(tbs: bytes, offset: int, end: int) -> Extension:
    start, _ = der.expect(tbs, offset, end, der.SEQUENCE)
    oid, after = der.expect(tbs, start, end, der.OBJECT_IDENTIFIER)
    tag, first, stop = der.read(tbs, after, end)
    critical = False
    if tag == der.BOOLEAN:
        # DER leaves FALSE out; it is read where CAs wrote it down all the same.
        critical = tbs[first:stop] != b"\0"
        tag, first, stop = der.read(tbs, stop, end)
    if tag != der.OCTET_STRING or stop != end:
        raise Malformed("certificate: an extension is not OID, critical, value")
    return Extension(tbs[oid:after], critical, tbs[first:stop], offset, end)


@lru_cache(CACHED_VALUES)
def _known_policies(value: bytes) -> tuple[str, ...]:
    return _policies(value)


def _policies(value: bytes) -> tuple[str, ...]:
    try:
        content = der.whole(value, der.SEQUENCE)
        return tuple(_policy(content, start, stop) for _, _, start, stop in der.children(content, 0, len(content)))
    except Malformed:
        return ()


def _says_ca(value: bytes) -> bool:
    if value == _NO_CA:
        return False
    try:
        content = der.whole(value, der.SEQUENCE)
    except Malformed:
        return False
    return content[:2] == b"\x01\x01" and content[2:3] not in (b"", b"\x00")


def _policy(content: bytes, start: int, stop: int) -> str:
    oid, end = der.expect(content, start, stop, der.OBJECT_IDENTIFIER)
    return der.dotted(content[oid:end])


def _check_spki(tbs: bytes, offset: int, end: int) -> None:
    start, stop = der.expect(tbs, offset, end, der.SEQUENCE)
    inner, bits = der.expect(tbs, start, stop, der.SEQUENCE)
    der.expect(tbs, inner, bits, der.OBJECT_IDENTIFIER)
    if der.expect(tbs, bits, stop, der.BIT_STRING)[1] != stop:
        raise Malformed("certificate: bytes after the key")


def _validity(tbs: bytes, offset: int, end: int) -> tuple[int, int]:
    start, stop = der.expect(tbs, offset, end, der.SEQUENCE)
    tag, first, after = der.read(tbs, start, stop)
    not_before_ms = time_ms(tag, tbs[first:after])
    tag, first, last = der.read(tbs, after, stop)
    if last != stop:
        raise Malformed("certificate: bytes after the validity")
    return not_before_ms, time_ms(tag, tbs[first:last])
