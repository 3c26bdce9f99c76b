"""PURE: names, keys and usages out of DER (RFC 5280, RFC 5480), as far as they can be read.

`Malformed` where they cannot; nothing else is raised, whatever the bytes. Texts are read as their type says, and what
is no text of its type shows as U+FFFD, so that a judgement never ends at an encoding.
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TypeVar

from log.certs import der
from log.certs.certificate import EC_PUBLIC_KEY, EXTENDED_KEY_USAGE, KEY_USAGE, Certificate
from log.errors import Malformed

SUBJECT_ALT_NAME = der.oid("2.5.29.17")
COUNTRY, COMMON_NAME = der.oid("2.5.4.6"), der.oid("2.5.4.3")
ORGANISATION, UNIT = der.oid("2.5.4.10"), der.oid("2.5.4.11")
ORGANISATION_ID = der.oid("2.5.4.97")
EMAIL = der.oid("1.2.840.113549.1.9.1")
SERVER_AUTH = der.oid("1.3.6.1.5.5.7.3.1")

UTF8, PRINTABLE, TELETEX, IA5, UNIVERSAL, BMP = 0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E
REMEMBERED_BYTES = 4096  # of a value, a name as it may be, of which it is remembered what was read
_SHORT = 200  # characters of a text whose folded form is remembered
_ENCODINGS = {
    UTF8: "utf-8",
    PRINTABLE: "ascii",
    TELETEX: "latin-1",
    IA5: "ascii",
    UNIVERSAL: "utf-32-be",
    BMP: "utf-16-be",
}
MAIL_NAME, DNS_NAME = 0x81, 0x82  # GeneralName (RFC 5280 section 4.2.1.6)

DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_ENCIPHERMENT, DATA_ENCIPHERMENT, KEY_AGREEMENT = 0x80, 0x40, 0x20, 0x10, 0x08

_T = TypeVar("_T")
_SET = 0x31
_ONE_BYTE = b"\x03\x02"  # a BIT STRING of one byte, behind the number of bits that it leaves over
_RSA = (der.oid("1.2.840.113549.1.1.1"), der.oid("1.2.840.113549.1.1.10"))
_ED25519 = der.oid("1.3.101.112")
_CURVES = {
    der.oid("1.2.840.10045.3.1.7"): "p256",
    der.oid("1.3.132.0.34"): "p384",
    der.oid("1.3.132.0.35"): "p521",
    der.oid("1.2.156.10197.1.301"): "sm2",
}
_HASHES = {  # of signatures, by the OID of the algorithm
    **{der.oid(f"1.2.840.113549.1.1.{arc}"): name for arc, name in ((2, "md2"), (4, "md5"), (5, "sha1"))},
    der.oid("1.2.840.10045.4.1"): "sha1",
    der.oid("1.2.840.10040.4.3"): "sha1",  # DSA
    der.oid("1.3.14.3.2.29"): "sha1",  # RSA, as OIW named it
    der.oid("1.3.14.3.2.3"): "md5",
}
_PSS = der.oid("1.2.840.113549.1.1.10")
_DIGESTS = {der.oid("1.3.14.3.2.26"): "sha1", der.oid("1.2.840.113549.2.5"): "md5"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a Name."""

    oid: bytes  # content bytes
    tag: int  # of the value
    raw: bytes  # its content

    @property
    def text(self) -> str:
        """The value as text."""
        return self.raw.decode(_ENCODINGS.get(self.tag, "latin-1"), "replace")


@dataclass(frozen=True, slots=True)
class Key:
    """What can be said of a public key by its form."""

    kind: str  # rsa, a curve's name, `explicit`, or the algorithm's OID with dots
    bits: int | None = None  # of an RSA modulus


def remembered(
    places: int, longest: int = REMEMBERED_BYTES
) -> Callable[[Callable[[bytes], _T]], Callable[[bytes], _T]]:
    """Remember what was read of so many values; of none of more bytes than `longest`: logs may hold megabytes."""

    def known(read: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
        read_once = lru_cache(places)(read)

        @wraps(read)
        def look(value: bytes) -> _T:
            return read_once(value) if len(value) <= longest else read(value)

        return look

    return known


@remembered(256)
def attributes(name: bytes) -> tuple[Attribute, ...]:
    """Return the attributes of a Name (DER) in their order."""
    content = der.whole(name, der.SEQUENCE)
    at, end, found = 0, len(content), list[Attribute]()
    while at < end:
        stop = at + 2 + content[at + 1] if at + 2 <= end else end + 1
        value = at + 6 + content[at + 5] if at + 6 <= end else end
        if (  # a set of one attribute, with one byte for each length: read where it stands
            value + 2 <= stop <= end
            and content[at] == _SET
            and content[at + 1] < 0x80
            and content[at + 2] == der.SEQUENCE
            and content[at + 3] == content[at + 1] - 2
            and content[at + 4] == der.OBJECT_IDENTIFIER
            and content[at + 5] < 0x80
            and content[value] & 0x1F != 0x1F
            and content[value + 1] < 0x80
            and value + 2 + content[value + 1] == stop
        ):
            found.append(Attribute(content[at + 6 : value], content[value], content[value + 2 : stop]))
        else:
            stop = _set_of_attributes(content, at, end, found)
        at = stop
    return tuple(found)


def _set_of_attributes(content: bytes, at: int, end: int, found: list[Attribute]) -> int:
    """Read the set at `at` part by part; return where it ends."""
    tag, start, stop = der.read(content, at, end)
    if tag != _SET:
        raise Malformed("a name that is no sequence of sets")
    for _, _, first, last in der.children(content, start, stop):
        oid, value = der.expect(content, first, last, der.OBJECT_IDENTIFIER)
        kind, begin, over = der.read(content, value, last)
        found.append(Attribute(content[oid:value], kind, content[begin:over]))
    return stop


def alternatives(certificate: Certificate) -> tuple[tuple[int, bytes], ...]:
    """Return (tag, content) of each name in subjectAltName."""
    found = certificate.extension(SUBJECT_ALT_NAME)
    if found is None:
        return ()
    content = der.whole(found.value, der.SEQUENCE)
    return tuple((tag, content[start:stop]) for tag, _, start, stop in der.children(content, 0, len(content)))


def key_usage(certificate: Certificate) -> int | None:
    """Return the first eight bits of keyUsage, digitalSignature as 0x80; None without the extension."""
    found = certificate.extension(KEY_USAGE)
    if found is None:
        return None
    value = found.value
    if len(value) == 4 and value.startswith(_ONE_BYTE):  # as nearly all are
        return value[3]
    bits = der.whole(value, der.BIT_STRING)
    return bits[1] if len(bits) > 1 else 0


def purposes(certificate: Certificate) -> frozenset[bytes]:
    """Return the extended key usages."""
    found = certificate.extension(EXTENDED_KEY_USAGE)
    if found is None:
        return frozenset()
    content = der.whole(found.value, der.SEQUENCE)
    return frozenset(content[start:stop] for _, _, start, stop in der.children(content, 0, len(content)))


@remembered(64)  # asked more than once of each certificate
def key(spki: bytes) -> Key:
    """Say what a SubjectPublicKeyInfo is."""
    start, stop = der.expect(spki, 0, len(spki), der.SEQUENCE)
    first, bits = der.expect(spki, start, stop, der.SEQUENCE)
    oid, after = der.expect(spki, first, bits, der.OBJECT_IDENTIFIER)
    algorithm = spki[oid:after]
    if algorithm in _RSA:
        begin, end = der.expect(spki, bits, stop, der.BIT_STRING)
        inner, last = der.expect(spki, begin + 1, end, der.SEQUENCE)
        modulus, exponent = der.expect(spki, inner, last, der.INTEGER)
        return Key("rsa", int.from_bytes(spki[modulus:exponent]).bit_length())
    if algorithm == EC_PUBLIC_KEY:
        tag, begin, end = der.read(spki, after, bits)
        if tag != der.OBJECT_IDENTIFIER:
            return Key("explicit")
        return Key(_CURVES.get(spki[begin:end]) or der.dotted(spki[begin:end]))
    return Key("ed25519" if algorithm == _ED25519 else der.dotted(algorithm))


@remembered(256)
def weak_hash(algorithm: bytes) -> str | None:
    """Return the name of the hash of a signature algorithm (AlgorithmIdentifier) if it may be a weak one, or None."""
    start, stop = der.expect(algorithm, 0, len(algorithm), der.SEQUENCE)
    oid, after = der.expect(algorithm, start, stop, der.OBJECT_IDENTIFIER)
    if algorithm[oid:after] != _PSS:
        return _HASHES.get(algorithm[oid:after])
    if after == stop:
        return None  # no parameters: refused by every log
    begin, end = der.expect(algorithm, after, stop, der.SEQUENCE)
    for tag, _, first, last in der.children(algorithm, begin, end):
        if tag == 0xA0:  # hashAlgorithm (RFC 4055 section 3.1); without it SHA-1
            inner, behind = der.expect(algorithm, first, last, der.SEQUENCE)
            digest, over = der.expect(algorithm, inner, behind, der.OBJECT_IDENTIFIER)
            return _DIGESTS.get(algorithm[digest:over])
    return "sha1"


def folded(text: str) -> str:
    """Return a text as names are compared: NFKC (full width is width), case folded, spaces as one."""
    return _folded_before(text) if len(text) <= _SHORT else _folded(text)


@lru_cache(4096)
def _folded_before(text: str) -> str:
    return _folded(text)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def values(subject: tuple[Attribute, ...], oid: bytes) -> Iterator[str]:
    """Iterate over the texts of one kind of attribute."""
    return (each.text for each in subject if each.oid == oid)
