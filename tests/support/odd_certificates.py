"""Odd submissions and what a log answers (contract "Answers of add-chain"): one table for checker and HTTP.

A case builds its chain from a `World` of issuers whose anchors are `world().anchors`. The log under test has no
notAfter window and takes Precertificate Signing Certificates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from log.certs import der
from log.certs.certificate import BASIC_CONSTRAINTS, POISON, parse
from log.certs.chain import Anchor
from log.demo import ca, issuing
from log.demo.ca import Tree
from log.demo.issuing import ALGORITHMS, CA, Key, Profile

NOW_MS = 1_767_225_600_000  # 2026-01-01
_DAY_MS = 86_400_000
_NULL = b"\x05\x00"


def _rsa_algorithm(last: int) -> bytes:
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid(f"1.2.840.113549.1.1.{last}")), _NULL)


MD5, SHA1 = _rsa_algorithm(4), _rsa_algorithm(5)
SHA224, SHA256, SHA384, SHA512 = (f"2.16.840.1.101.3.4.2.{n}" for n in (4, 1, 2, 3))


def _algorithm(oid: str, *parameters: bytes) -> bytes:
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid(oid)), *parameters)


ED448 = _algorithm("1.3.101.113")
ECDSA_SHA512 = _algorithm("1.2.840.10045.4.3.4")
PSS = "1.2.840.113549.1.1.10"
PSS_DEFAULTS = _algorithm(PSS, b"\x30\x00")  # SHA-1, MGF1 with SHA-1, a salt of 20 bytes


class OldKey:
    """An RSA key that also signs with hashes of the past."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        public = self._key.public_key()
        self.spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes, digest: hashes.HashAlgorithm) -> bytes:
        return self._key.sign(message, padding.PKCS1v15(), digest)

    def sign_pss(
        self, message: bytes, digest: hashes.HashAlgorithm, salt: int, mask: hashes.HashAlgorithm | None = None
    ) -> bytes:
        """Return a signature by RSA-PSS."""
        return self._key.sign(message, padding.PSS(padding.MGF1(mask or digest), salt), digest)

    def root(self, name: str, algorithm: bytes, digest: hashes.HashAlgorithm) -> CA:
        """Make a self-signed CA with this hash."""
        subject = issuing.distinguished(("CN", f"{name} {ca.MARK}"))
        profile = Profile(subject, self.spki, 1, NOW_MS - _DAY_MS, NOW_MS + _DAY_MS, issuing.ca_extensions(self.spki))
        signer = lambda message: self.sign(message, digest)  # noqa: E731
        certificate = issuing.assemble(profile.tbs(subject, algorithm), algorithm, signer)
        return CA(Key("rsa2048", self.spki, signer), subject, certificate)


def explicit(spki: bytes) -> bytes:
    """Return a P-256 key with the parameters of its curve in place of the curve's name."""
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    field = der.encode(
        der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.840.10045.1.1")), issuing.integer(p)
    )
    a = (p - 3).to_bytes(32, "big")
    b = bytes.fromhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b")
    generator = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    curve = der.encode(der.SEQUENCE, der.encode(der.OCTET_STRING, a), der.encode(der.OCTET_STRING, b))
    parameters = der.encode(
        der.SEQUENCE,
        issuing.integer(1),
        field,
        curve,
        der.encode(der.OCTET_STRING, generator),
        issuing.integer(order),
        issuing.integer(1),
    )
    start, stop = der.expect(spki, 0, len(spki), der.SEQUENCE)
    _, (_, bits, _, end) = der.children(spki, start, stop)
    oid = der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.840.10045.2.1"))
    return der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, oid, parameters), spki[bits:end])


class World:
    """The issuers of all cases."""

    def __init__(self) -> None:
        self.tree = Tree.make(NOW_MS, Random(20260101))
        self.ca = self.tree.branches["p256"]
        self.root = self.ca.issuers[-1]
        self.old, self.strict = OldKey(), OldKey()
        self.weak_root = self.old.root("Old Root", SHA1, hashes.SHA1())  # noqa: S303
        self.strict_root = self.strict.root("Strict Root", SHA1, hashes.SHA1())  # noqa: S303
        self.md5_root = OldKey().root("Oldest Root", MD5, hashes.MD5())  # noqa: S303
        self.unlisted = CA.root("p256", issuing.distinguished(("CN", f"Unlisted Root {ca.MARK}")), 1, NOW_MS)
        self.impostor = CA.root("p256", _subject(self.root), 1, NOW_MS)
        self.explicit_issuer = self._explicit_issuer()
        self.anchors = (
            *(Anchor(root) for root in self.tree.roots),
            Anchor(self.weak_root.certificate, weak_hash=True),
            Anchor(self.strict_root.certificate),
            Anchor(self.md5_root.certificate),
            Anchor(self.explicit_issuer.certificate),
        )

    def profile(self, n: int = 1) -> Profile:
        """Return the profile of a usual certificate under the P-256 branch."""
        validity = (NOW_MS - _DAY_MS, NOW_MS + 365 * _DAY_MS)
        return ca.leaf_profile(ca.organisation("p256", n), _LEAF_KEY.spki, self.ca.key.spki, n, validity)

    def issue(self, profile: Profile) -> list[bytes]:
        """Return a chain with this profile's certificate."""
        return [self.ca.issue(profile), *self.ca.issuers]

    def precert(self, *poison: bytes) -> list[bytes]:
        """Return a chain with a precertificate that has these extensions for its poison."""
        profile = self.profile()
        return self.issue(replace(profile, extensions=(*profile.extensions, *poison)))

    def old_leaf(self, root: CA, key: OldKey, algorithm: bytes, digest: hashes.HashAlgorithm) -> list[bytes]:
        """Return a chain whose leaf an RSA root signed with this hash."""
        tbs = self.profile().tbs(root.name, algorithm)
        return [issuing.assemble(tbs, algorithm, lambda message: key.sign(message, digest)), root.certificate]

    def deep(self, length: int) -> list[bytes]:
        """Return a chain of this many certificates, leaf and root among them."""
        issuer = self.ca
        while len(issuer.issuers) < length - 1:
            level = len(issuer.issuers)
            name = issuing.distinguished(("CN", f"Level {level} {ca.MARK}"))
            issuer = issuer.subordinate(name, level, NOW_MS)
        return [issuer.issue(self.profile()), *issuer.issuers]

    def under(self, key: Key, extensions: tuple[bytes, ...]) -> list[bytes]:
        """Return a chain through an issuer with this key and these extensions."""
        name = issuing.distinguished(("CN", f"Odd Issuer {ca.MARK}"))
        profile = Profile(name, key.spki, 7, NOW_MS - _DAY_MS, NOW_MS + _DAY_MS, extensions)
        odd = CA(key, name, self.ca.issue(profile), self.ca.issuers)
        return [odd.issue(self.profile()), *odd.issuers]

    def spliced(self, old: bytes, new: bytes, profile: Profile | None = None) -> list[bytes]:
        """Return a chain whose leaf's TBS has other bytes in one place (of equal length), and is signed so."""
        algorithm = ALGORITHMS["p256"]
        tbs = (profile or self.profile()).tbs(self.ca.name, algorithm)
        head, tail = tbs.split(old)
        return [issuing.assemble(head + new + tail, algorithm, self.ca.key.sign), *self.ca.issuers]

    def _explicit_issuer(self) -> CA:
        key = Key.generate("p256")
        name = issuing.distinguished(("CN", f"Explicit Root {ca.MARK}"))
        spki = explicit(key.spki)
        profile = Profile(name, spki, 1, NOW_MS - _DAY_MS, NOW_MS + _DAY_MS, issuing.ca_extensions(spki))
        algorithm = ALGORITHMS["p256"]
        return CA(key, name, issuing.assemble(profile.tbs(name, algorithm), algorithm, key.sign))


_LEAF_KEY = Key.generate("p256")


@cache
def world() -> World:
    """Return the issuers, made once a test run: their anchors are those of the log under test."""
    return World()


Endpoint = Literal["add-chain", "add-pre-chain"]


@dataclass(frozen=True, slots=True)
class Odd:
    """A submission, and what it is answered: a status, and the reason of the refusal or None."""

    name: str
    build: Callable[[World], list[bytes]]
    status: int
    reason: str | None = None
    endpoint: Endpoint = "add-chain"
    needs_sm2: bool = False


def _subject(certificate: bytes) -> bytes:
    return parse(certificate).subject


def _flipped(chain: Sequence[bytes]) -> list[bytes]:
    leaf = bytearray(chain[0])
    leaf[-1] ^= 1
    return [bytes(leaf), *chain[1:]]


def _indefinite(certificate: bytes) -> bytes:
    return b"\x30\x80" + der.whole(certificate, der.SEQUENCE) + b"\0\0"


def _crossed(w: World) -> list[bytes]:
    """Behind the root its own key and name again, certified by another listed root: all verifies."""
    root = parse(w.root)
    profile = Profile(root.subject, root.spki, 9, NOW_MS - _DAY_MS, NOW_MS + _DAY_MS, issuing.ca_extensions(root.spki))
    algorithm = issuing.ALGORITHMS["rsa2048"]
    tbs = profile.tbs(w.weak_root.name, algorithm)
    cross = issuing.assemble(tbs, algorithm, lambda message: w.old.sign(message, hashes.SHA256()))
    return [*w.issue(w.profile()), cross, w.weak_root.certificate]


def _two_algorithms(w: World) -> list[bytes]:
    tbs = w.profile().tbs(w.ca.name, ALGORITHMS["p384"])
    return [issuing.assemble(tbs, ALGORITHMS["p256"], w.ca.key.sign), *w.ca.issuers]


def _version_1(w: World) -> list[bytes]:
    tbs = replace(w.profile(), extensions=()).tbs(w.ca.name, ALGORITHMS["p256"])
    start, stop = der.expect(tbs, 0, len(tbs), der.SEQUENCE)
    _, _, after = der.read(tbs, start, stop)  # [0] version
    return [
        issuing.assemble(der.encode(der.SEQUENCE, tbs[after:stop]), ALGORITHMS["p256"], w.ca.key.sign),
        *w.ca.issuers,
    ]


def _more(w: World, *extensions: bytes) -> list[bytes]:
    profile = w.profile()
    return w.issue(replace(profile, extensions=(*profile.extensions, *extensions)))


def _issued(w: World, spki: bytes, algorithm: bytes, sign: Callable[[bytes], bytes]) -> list[bytes]:
    """Return a chain through an issuer with this key, which signed the leaf like this."""
    _, *issuers = w.under(Key("p256", spki, w.ca.key.sign), issuing.ca_extensions(spki))
    tbs = w.profile().tbs(_subject(issuers[0]), algorithm)
    return [issuing.assemble(tbs, algorithm, sign), *issuers]


def _spki(public: ec.EllipticCurvePublicKey | ed448.Ed448PublicKey) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _p521_issuer(w: World) -> list[bytes]:
    private = ec.generate_private_key(ec.SECP521R1())
    return _issued(w, _spki(private.public_key()), ECDSA_SHA512, lambda m: private.sign(m, ec.ECDSA(hashes.SHA512())))


def _ed448_issuer(w: World) -> list[bytes]:
    private = ed448.Ed448PrivateKey.generate()
    return _issued(w, _spki(private.public_key()), ED448, private.sign)


def _ed25519_with_null(w: World) -> list[bytes]:
    key = w.tree.branches["ed25519"].key
    return _issued(w, key.spki, _algorithm("1.3.101.112", _NULL), key.sign)


def _ed25519_foreign(w: World) -> list[bytes]:
    """An Ed25519 signature under a P-256 key."""
    key = w.tree.branches["ed25519"].key
    return _issued(w, w.ca.key.spki, ALGORITHMS["ed25519"], key.sign)


def _pss(
    algorithm: bytes,
    digest: hashes.HashAlgorithm,
    salt: int,
    *,
    restricted: bytes | None = None,
    mask: hashes.HashAlgorithm | None = None,
) -> Callable[[World], list[bytes]]:
    """Build a leaf signed by RSA-PSS so, naming `algorithm`; `restricted` is that of an issuer's PSS-only key."""

    def build(w: World) -> list[bytes]:
        spki = issuing.rekeyed(w.old.spki, restricted) if restricted else w.old.spki
        return _issued(w, spki, algorithm, lambda m: w.old.sign_pss(m, digest, salt, mask))

    return build


def _pss_key_signs_otherwise(w: World) -> list[bytes]:
    spki = issuing.rekeyed(w.old.spki, _algorithm(PSS))
    return _issued(w, spki, ALGORITHMS["rsa2048"], lambda m: w.old.sign(m, hashes.SHA256()))


def _pss_sha1(root: Callable[[World], tuple[CA, OldKey]]) -> Callable[[World], list[bytes]]:
    def build(w: World) -> list[bytes]:
        issuer, key = root(w)
        tbs = w.profile().tbs(issuer.name, PSS_DEFAULTS)
        return [issuing.assemble(tbs, PSS_DEFAULTS, lambda m: key.sign_pss(m, _SHA1, 20)), issuer.certificate]

    return build


def _not_a_ca(w: World) -> list[bytes]:
    return w.under(_LEAF_KEY, w.profile().extensions)


def _no_constraints(w: World) -> list[bytes]:
    return w.under(_LEAF_KEY, issuing.ca_extensions(_LEAF_KEY.spki)[1:])


def _explicit_intermediate(w: World) -> list[bytes]:
    spki = explicit(_LEAF_KEY.spki)
    return w.under(replace(_LEAF_KEY, spki=spki), issuing.ca_extensions(spki))


def _valid(not_before_ms: int, not_after_ms: int) -> Callable[[World], list[bytes]]:
    return lambda w: w.issue(replace(w.profile(), not_before_ms=not_before_ms, not_after_ms=not_after_ms))


def _serial(serial: int) -> Callable[[World], list[bytes]]:
    return lambda w: w.issue(replace(w.profile(), serial=serial))


_SHA1, _MD5 = hashes.SHA1(), hashes.MD5()  # noqa: S303
_256, _384 = hashes.SHA256(), hashes.SHA384()
_PSS_256 = issuing.rsa_pss(SHA256, salt=32)
_UNKNOWN = der.oid("1.2.3.4.5.6.7.8.9")
_POISON = issuing.POISON_EXTENSION
_RELAXED = issuing.extension(POISON, _NULL)
_FILLED = issuing.extension(POISON, b"\x04\x00", critical=True)
_BEFORE = b"\x17\x0d251231000000Z"  # notBefore of the usual profile
_NO_KEY = der.encode(der.SEQUENCE, ED448, der.encode(der.BIT_STRING, b"\0?"))

CASES: tuple[Odd, ...] = (
    # Usual ones, and what may be left out.
    Odd("whole chain", lambda w: w.issue(w.profile()), 200),
    Odd("root left out", lambda w: w.issue(w.profile())[:-1], 200),
    Odd("P-384", lambda w: w.tree.issue("p384", 1).submitted, 200),
    Odd("RSA", lambda w: w.tree.issue("rsa2048", 1).submitted, 200),
    Odd("Ed25519", lambda w: w.tree.issue("ed25519", 1).submitted, 200),
    Odd("RSA-PSS", lambda w: w.tree.issue("rsapss", 1).submitted, 200),
    Odd("P-521", _p521_issuer, 200),
    Odd("SM2", lambda w: w.tree.issue("sm2", 1).submitted, 200, needs_sm2=True),
    Odd("listed root as itself", lambda w: [w.root], 200),
    Odd("issuing CA as a leaf", lambda w: list(w.ca.issuers), 200),
    Odd("ten certificates", lambda w: w.deep(10), 200),
    # Serials.
    Odd("negative serial", _serial(-0x7829FCE6), 200),
    Odd("zero serial", _serial(0), 200),
    Odd("serial of forty bytes", _serial(1 << 318), 200),
    # Times.
    Odd("expired", _valid(NOW_MS - 900 * _DAY_MS, NOW_MS - 800 * _DAY_MS), 200),
    Odd("not yet valid", _valid(NOW_MS + 900 * _DAY_MS, NOW_MS + 990 * _DAY_MS), 200),
    Odd("ends before it begins", _valid(NOW_MS, NOW_MS - _DAY_MS), 200),
    Odd("valid to the end of time", _valid(NOW_MS, 253_402_300_799_000), 200),
    Odd("GeneralizedTime without seconds", lambda w: w.spliced(_BEFORE, b"\x18\x0d202512310000Z"), 200),
    Odd("30 February", lambda w: w.spliced(_BEFORE, b"\x17\x0d260230000000Z"), 400, "malformed"),
    Odd("time without a zone", lambda w: w.spliced(_BEFORE, b"\x17\x0d2512310000000"), 400, "malformed"),
    # Names.
    Odd("empty subject", lambda w: w.issue(replace(w.profile(), subject=b"\x30\x00")), 200),
    Odd("subject that is no name", lambda w: w.issue(replace(w.profile(), subject=b"\x30\x02\x05\x00")), 200),
    # Keys.
    Odd("explicit curve in a leaf", lambda w: w.issue(replace(w.profile(), spki=explicit(_LEAF_KEY.spki))), 200),
    Odd("explicit curve in an issuer", _explicit_intermediate, 400, "explicit-parameters"),
    Odd(
        "explicit curve in a listed issuer",
        lambda w: [w.explicit_issuer.issue(w.profile()), w.explicit_issuer.certificate],
        400,
        "explicit-parameters",
    ),
    Odd("explicit curve, listed, as itself", lambda w: [w.explicit_issuer.certificate], 200),
    Odd("key that is none", lambda w: w.issue(replace(w.profile(), spki=_NO_KEY)), 200),
    Odd("Ed448 issuer", _ed448_issuer, 400, "unsupported-suite"),
    Odd("Ed25519 with parameters", _ed25519_with_null, 400, "unsupported-suite"),
    Odd("Ed25519 under another kind of key", _ed25519_foreign, 400, "bad-signature"),
    # RSA-PSS.
    Odd("PSS by a usual RSA key", _pss(_PSS_256, _256, 32), 200),
    Odd("PSS with SHA-384", _pss(issuing.rsa_pss(SHA384, salt=48), _384, 48), 200),
    Odd("PSS with SHA-512", _pss(issuing.rsa_pss(SHA512, salt=0), hashes.SHA512(), 0), 200),
    Odd("PSS with the longest salt", _pss(issuing.rsa_pss(SHA256, salt=222), _256, 222), 200),
    Odd("PSS, salt longer than the key", _pss(issuing.rsa_pss(SHA256, salt=223), _256, 222), 400, "bad-signature"),
    Odd("PSS, salt of another length", _pss(_PSS_256, _256, 20), 400, "bad-signature"),
    Odd("PSS without parameters", _pss(_algorithm(PSS), _SHA1, 20), 400, "pss-parameters"),
    Odd("PSS with NULL", _pss(_algorithm(PSS, _NULL), _SHA1, 20), 400, "pss-parameters"),
    Odd("PSS with SHA-224", _pss(issuing.rsa_pss(SHA224, salt=28), hashes.SHA224(), 28), 400, "pss-parameters"),
    Odd(
        "PSS, masked with another hash",
        _pss(issuing.rsa_pss(SHA256, mask=SHA384, salt=32), _256, 32, mask=_384),
        400,
        "pss-parameters",
    ),
    Odd("PSS with SHA-1, listed for it", _pss_sha1(lambda w: (w.weak_root, w.old)), 200),
    Odd("PSS with SHA-1, not listed for it", _pss_sha1(lambda w: (w.strict_root, w.strict)), 400, "weak-hash"),
    Odd("PSS by a key for any PSS", _pss(_PSS_256, _256, 32, restricted=_algorithm(PSS)), 200),
    Odd("PSS by a key for shorter salts", _pss(_PSS_256, _256, 32, restricted=issuing.rsa_pss(SHA256, salt=20)), 200),
    Odd(
        "PSS by a key for longer salts",
        _pss(_PSS_256, _256, 32, restricted=issuing.rsa_pss(SHA256, salt=33)),
        400,
        "bad-signature",
    ),
    Odd(
        "PSS by a key for another hash",
        _pss(_PSS_256, _256, 32, restricted=issuing.rsa_pss(SHA384, salt=0)),
        400,
        "bad-signature",
    ),
    Odd(
        "PSS by a key for what is not taken",
        _pss(_PSS_256, _256, 32, restricted=issuing.rsa_pss(SHA224, salt=28)),
        400,
        "pss-parameters",
    ),
    Odd("PSS key that signs otherwise", _pss_key_signs_otherwise, 400, "bad-signature"),
    # Hashes of the past.
    Odd("SHA-1, listed for it", lambda w: w.old_leaf(w.weak_root, w.old, SHA1, _SHA1), 200),
    Odd("SHA-1, root left out", lambda w: w.old_leaf(w.weak_root, w.old, SHA1, _SHA1)[:1], 200),
    Odd("SHA-1, not listed for it", lambda w: w.old_leaf(w.strict_root, w.strict, SHA1, _SHA1), 400, "weak-hash"),
    Odd("SHA-1 root as itself", lambda w: [w.strict_root.certificate], 200),
    Odd("MD5", lambda w: w.old_leaf(w.weak_root, w.old, MD5, _MD5), 400, "md5"),
    Odd("MD5 root as itself", lambda w: [w.md5_root.certificate], 200),
    # Extensions.
    Odd("no extensions", lambda w: w.issue(replace(w.profile(), extensions=())), 200),
    Odd("version 1", _version_1, 200),
    Odd("unknown critical extension", lambda w: _more(w, issuing.extension(_UNKNOWN, b"?", critical=True)), 200),
    Odd("extension twice", lambda w: _more(w, w.profile().extensions[0]), 200),
    Odd("value that cannot be read", lambda w: _more(w, issuing.extension(BASIC_CONSTRAINTS, b"\xff\xff\xff")), 200),
    Odd("list that cannot be read", lambda w: _more(w, b"\x31\x03abc"), 200),
    Odd("extensions that are none", lambda w: _more(w, b"\x30\x82\xff\xff"), 200),
    # Who may issue.
    Odd("issuer that is no CA", _not_a_ca, 400, "not-a-ca"),
    Odd("issuer without constraints", _no_constraints, 400, "not-a-ca"),
    Odd("unlisted root", lambda w: [w.unlisted.issue(w.profile()), w.unlisted.certificate], 400, "unknown-root"),
    Odd("unlisted root as itself", lambda w: [w.unlisted.certificate], 400, "unknown-root"),
    Odd("root with a listed name", lambda w: [w.impostor.certificate], 400, "bad-signature"),
    Odd("leaf of a root with a listed name", lambda w: [w.impostor.issue(w.profile())], 400, "bad-signature"),
    # The shape of the chain.
    Odd("issuing CA left out", lambda w: w.issue(w.profile())[:1], 400, "unknown-root"),
    Odd("issuers swapped", lambda w: [w.issue(w.profile())[0], w.root, w.ca.certificate], 400, "bad-signature"),
    Odd("root twice", lambda w: [*w.issue(w.profile()), w.root], 400, "unknown-root"),
    Odd("cross certificate behind the root", _crossed, 400, "unknown-root"),
    Odd("listed root twice", lambda w: [w.root, w.root], 400, "unknown-root"),
    Odd("something behind the root", lambda w: [*w.issue(w.profile()), w.unlisted.certificate], 400, "bad-signature"),
    Odd("eleven certificates", lambda w: w.deep(11), 400, "chain-too-long"),
    Odd("no certificate", lambda _: [], 400, "malformed"),
    # Signatures.
    Odd("signature of another", lambda w: _flipped(w.issue(w.profile())), 400, "bad-signature"),
    Odd("two algorithms", _two_algorithms, 400, "bad-signature"),
    # Bytes.
    Odd("empty", lambda _: [b""], 400, "malformed"),
    Odd("not DER", lambda _: [b"certificate"], 400, "malformed"),
    Odd("bytes after it", lambda w: [w.issue(w.profile())[0] + b"\0", *w.ca.issuers], 400, "malformed"),
    Odd("cut short", lambda w: [w.issue(w.profile())[0][:-1], *w.ca.issuers], 400, "malformed"),
    Odd("indefinite length", lambda w: [_indefinite(w.issue(w.profile())[0]), *w.ca.issuers], 400, "malformed"),
    Odd("issuer that is none", lambda w: [w.issue(w.profile())[0], b"\x30\x00"], 400, "malformed"),
    Odd("over 65,535 bytes", lambda w: _more(w, issuing.extension(_UNKNOWN, bytes(65_535))), 413, "too-large"),
    # Precertificates.
    Odd("precertificate", lambda w: w.precert(_POISON), 200, endpoint="add-pre-chain"),
    Odd("precertificate, root left out", lambda w: w.precert(_POISON)[:-1], 200, endpoint="add-pre-chain"),
    Odd(
        "precertificate by a signing certificate",
        lambda w: w.tree.precert("p256", 3, signing_certificate=True).submitted,
        200,
        endpoint="add-pre-chain",
    ),
    Odd("precertificate on add-chain", lambda w: w.precert(_POISON), 400, "wrong-endpoint"),
    Odd(
        "certificate on add-pre-chain",
        lambda w: w.issue(w.profile()),
        400,
        "wrong-endpoint",
        endpoint="add-pre-chain",
    ),
    Odd("poison not critical", lambda w: w.precert(_RELAXED), 400, "poison", endpoint="add-pre-chain"),
    Odd("poison not critical, on add-chain", lambda w: w.precert(_RELAXED), 400, "poison"),
    Odd("poison that is not NULL", lambda w: w.precert(_FILLED), 400, "poison", endpoint="add-pre-chain"),
    Odd("poison twice", lambda w: w.precert(_POISON, _POISON), 400, "poison", endpoint="add-pre-chain"),
    Odd("poison among rubbish", lambda w: w.precert(_POISON, b"\x31\x03abc"), 400, "poison"),
    Odd(
        "precertificate over 65,535 bytes",
        lambda w: w.precert(_POISON, issuing.extension(_UNKNOWN, bytes(65_535))),
        413,
        "too-large",
        endpoint="add-pre-chain",
    ),
)
