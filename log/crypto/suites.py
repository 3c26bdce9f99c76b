"""The signatures that issuers put on certificates: algorithm identifiers, issuer keys, how to verify.

An AlgorithmIdentifier is compared as bytes, never parsed. Its parameters may be absent or NULL: RFC 4055
wants NULL for RSA, RFC 5758 nothing for ECDSA, and real SM2 certificates have either. Ed25519 must have none
(RFC 8410 section 3), RSA-PSS must have some: `log.crypto.pss`. An RSA key signs in both ways; one whose own
identifier is RSASSA-PSS (RFC 4055 section 1.2) signs by PSS alone, and within the parameters that it names.

A log admits what is weak and says so (design section 5): SHA-1 verifies, and `weak_hash` tells. MD5 does not:
whoever likes can make a second certificate for such a signature. No key is too small.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from log.crypto import pss
from log.crypto.sm2 import SPKI_PREFIX as SM2_PREFIX
from log.crypto.sm2 import Sm2Key
from log.errors import BadSignature, Malformed, Refused, SuiteUnavailable

KeyFamily = Literal["rsa", "rsa-pss", "ec", "ed25519", "sm2"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an issuer key may ask of the machine that verifies with it."""

    rsa_bits: int = 8192  # modulus; a verification takes about 0.2 ms at this size and grows with its square


DEFAULT_LIMITS = Limits()
CACHED_KEYS = 1024  # parsed issuer keys, a few kB each; the least recently used goes first
CACHED_SUITES = 256  # RSA-PSS suites, by the bytes of their parameters


@dataclass(frozen=True, slots=True)
class Suite:
    """A signature algorithm: the keys that can make it, its hash, and the length of the salt of RSA-PSS."""

    families: tuple[KeyFamily, ...]
    hash: hashes.HashAlgorithm
    salt: int | None = None  # bytes; None for all but RSA-PSS


_RSA = "2a864886f70d0101"  # 1.2.840.113549.1.1
_ECDSA = "2a8648ce3d0403"  # 1.2.840.10045.4.3
_ED25519 = bytes.fromhex("300506032b6570")  # 1.3.101.112, whole: without parameters

SUITES: dict[bytes, Suite] = {
    identifier: suite
    for oid, suite in {
        _RSA + "05": Suite(("rsa",), hashes.SHA1()),  # noqa: S303 -- of the past; `weak_hash` marks it
        _RSA + "0b": Suite(("rsa",), hashes.SHA256()),
        _RSA + "0c": Suite(("rsa",), hashes.SHA384()),
        _RSA + "0d": Suite(("rsa",), hashes.SHA512()),
        _ECDSA + "02": Suite(("ec",), hashes.SHA256()),
        _ECDSA + "03": Suite(("ec",), hashes.SHA384()),
        _ECDSA + "04": Suite(("ec",), hashes.SHA512()),
        "2a811ccf55018375": Suite(("sm2",), hashes.SM3()),  # 1.2.156.10197.1.501, SM2-with-SM3
    }.items()
    for identifier in pss.identifiers(oid)
} | {_ED25519: Suite(("ed25519",), hashes.SHA512())}  # PureEdDSA; its hash is part of it (RFC 8032 section 5.1)
_SCHEMES = {suite.hash.name: ec.ECDSA(suite.hash) for suite in SUITES.values() if "ec" in suite.families}
_MD5 = pss.identifiers(_RSA + "04")

# Said by name, because a submitter will ask for them.
_NAMED = {
    bytes.fromhex("06032b6570"): "Ed25519 with parameters, which RFC 8410 forbids",
    bytes.fromhex("06032b6571"): "Ed448 is not supported",
}

_RSA_ENCRYPTION = b"\x06\x09" + bytes.fromhex(_RSA + "01")

# id-ecPublicKey with a SEQUENCE instead of a curve's OID. `cryptography` would read those that spell out
# one of its curves; which curve a key is on must not be for the certificate to say.
_EXPLICIT_CURVE = bytes.fromhex("06072a8648ce3d020130")


@lru_cache(CACHED_SUITES)
def weak_hash(algorithm: bytes) -> bool:
    """Say whether a signature of this AlgorithmIdentifier (DER) rests on SHA-1."""
    try:
        return isinstance(suite_of(algorithm).hash, hashes.SHA1)
    except Refused:
        return False


def suite_of(algorithm: bytes) -> Suite:
    """Return the suite of an AlgorithmIdentifier; raise `Refused`, reason `md5`, `pss-parameters` or
    `unsupported-suite`.
    """
    suite = SUITES.get(algorithm)
    if suite is not None:
        return suite
    if algorithm in _MD5:
        raise Refused("signed with MD5, which proves nothing", "md5")
    if algorithm.startswith(pss.OID, 2) and algorithm[0] == 0x30 and algorithm[1] == len(algorithm) - 2:
        return _pss_suite(algorithm)
    named = next((text for oid, text in _NAMED.items() if algorithm.startswith(oid, 2)), algorithm[:32].hex())
    raise Refused(f"signature algorithm not supported: {named}", "unsupported-suite")


@lru_cache(CACHED_SUITES)
def _pss_suite(algorithm: bytes) -> Suite:
    parameters = pss.read(algorithm[2 + len(pss.OID) :])
    return Suite(("rsa", "rsa-pss"), parameters.hash, parameters.salt)


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key that signs certificates. May be shared by threads; verifying releases the GIL."""

    spki: bytes  # SubjectPublicKeyInfo, DER
    family: KeyFamily
    bits: int
    _check: Callable[[Suite, bytes, bytes], None]

    def verify(self, algorithm: bytes, tbs: bytes, signature: bytes) -> None:
        """Check an issuer's signature over a TBSCertificate.

        `algorithm` is the AlgorithmIdentifier, DER; `signature` the content of the BIT STRING. Raises
        `Refused` for a suite that is not verified here, `BadSignature` for a signature that is not this
        key's.
        """
        self.verify_by(suite_of(algorithm), tbs, signature)

    def verify_by(self, suite: Suite, message: bytes, signature: bytes) -> None:
        """Check a signature over whatever message; raises as `verify` does."""
        if self.family not in suite.families:
            raise BadSignature(f"the signature is of another kind than the issuer's {self.family} key")
        try:
            self._check(suite, message, signature)
        except (InvalidSignature, ValueError) as e:  # ValueError: of a key that cannot verify this hash
            raise BadSignature(f"the issuer's {self.family} signature does not verify") from e
        except UnsupportedAlgorithm as e:
            raise SuiteUnavailable(f"this machine's OpenSSL refuses {suite.hash.name}") from e


def load_issuer_key(spki: bytes, limits: Limits = DEFAULT_LIMITS) -> IssuerKey:
    """Return the key in a SubjectPublicKeyInfo (DER), parsed once while it is among those used last.

    Raises `Refused`, reason `issuer-key`, for bytes that are no key, explicit curve parameters and RSA over
    the limit; `pss-parameters` for a key restricted to what `log.crypto.pss` does not read;
    `unsupported-suite` for keys of other kinds; `SuiteUnavailable` for SM2 without libcrypto.
    """
    return _load(spki, limits)


@lru_cache(CACHED_KEYS)
def _load(spki: bytes, limits: Limits) -> IssuerKey:
    if spki.startswith(SM2_PREFIX):
        return _sm2(spki)
    if _EXPLICIT_CURVE in spki[:24]:
        raise Refused("the issuer's key spells out its curve instead of naming it", "issuer-key")
    try:
        key = load_der_public_key(spki)
    except UnsupportedAlgorithm as e:
        raise Refused("the issuer's key is of a kind that is not supported", "unsupported-suite") from e
    except ValueError as e:
        raise Refused("the issuer's key cannot be read", "issuer-key") from e
    if isinstance(key, rsa.RSAPublicKey):
        return _rsa(spki, key, limits)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _ec(spki, key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return IssuerKey(spki, "ed25519", 256, lambda _, tbs, signature: key.verify(signature, tbs))
    raise Refused(f"issuer keys of the kind {type(key).__name__} are not supported", "unsupported-suite")


def _sm2(spki: bytes) -> IssuerKey:
    try:
        key = Sm2Key.from_spki(spki)
    except Malformed as e:
        raise Refused("the issuer's SM2 key cannot be read", "issuer-key") from e
    return IssuerKey(spki, "sm2", 256, lambda _, tbs, signature: key.verify(tbs, signature))


def _rsa(spki: bytes, key: rsa.RSAPublicKey, limits: Limits) -> IssuerKey:
    if key.key_size > limits.rsa_bits:
        raise Refused(f"the issuer's RSA key is over rsa_bits = {limits.rsa_bits}", "issuer-key")
    algorithm = _key_algorithm(spki)
    if algorithm.startswith(_RSA_ENCRYPTION):
        return IssuerKey(spki, "rsa", key.key_size, partial(_check_rsa, key))
    restriction = algorithm.removeprefix(pss.OID)
    least = pss.read(restriction) if restriction else None  # without parameters the key signs with any
    return IssuerKey(spki, "rsa-pss", key.key_size, partial(_check_restricted, key, least))


def _key_algorithm(spki: bytes) -> bytes:
    """Return the content of the AlgorithmIdentifier in an RSA key, which `cryptography` has read, as strict DER."""
    start = 2 + (spki[1] & 0x7F if spki[1] & 0x80 else 0)
    return spki[start + 2 : start + 2 + spki[start + 1]]


def _check_restricted(
    key: rsa.RSAPublicKey, least: pss.Parameters | None, suite: Suite, tbs: bytes, signature: bytes
) -> None:
    """Check a signature by a key that may name hash, mask and least salt (RFC 4055 section 3.3)."""
    if least is not None and (suite.hash.name != least.hash.name or (suite.salt or 0) < least.salt):
        raise BadSignature(f"the issuer's key signs with {least.hash.name} and a salt of {least.salt} bytes or more")
    _check_rsa(key, suite, tbs, signature)


def _check_rsa(key: rsa.RSAPublicKey, suite: Suite, tbs: bytes, signature: bytes) -> None:
    if suite.salt is None:
        key.verify(signature, tbs, padding.PKCS1v15(), suite.hash)
    else:
        key.verify(signature, tbs, padding.PSS(padding.MGF1(suite.hash), suite.salt), suite.hash)


def _ec(spki: bytes, key: ec.EllipticCurvePublicKey) -> IssuerKey:
    if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
        raise Refused(f"issuer keys on {key.curve.name} are not supported", "unsupported-suite")
    return IssuerKey(
        spki,
        "ec",
        key.key_size,
        lambda suite, tbs, signature: key.verify(signature, tbs, _SCHEMES[suite.hash.name]),
    )
