"""ECDSA on P-256 with SHA-256: the key of SCTs and RFC 6962 tree heads (RFC 6962 section 2.1.4).

Signing is deterministic (RFC 6979): one leaf has one SCT, to the byte, however often it is asked for.
"""

import asyncio
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from log.errors import BadSignature, Malformed

# A signature takes about 20 microseconds, a hop to a thread about 100: below this many messages stay here.
THREAD_FROM = 32

_SIGN = ec.ECDSA(SHA256(), deterministic_signing=True)
_VERIFY = ec.ECDSA(SHA256())


class EcdsaSigner:
    """A P-256 private key in memory."""

    deterministic = True

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        """Hold `private`; raise `Malformed` for a key on another curve."""
        if not isinstance(private.curve, ec.SECP256R1):
            raise Malformed("not a P-256 key")
        self._private = private
        self.public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign_now(self, message: bytes) -> bytes:
        """Return the DER signature over the message: the path of a single SCT, about 20 microseconds."""
        return self._private.sign(message, _SIGN)

    async def sign(self, messages: Sequence[bytes]) -> list[bytes]:
        """Return the DER signatures; a long batch is made in a thread, where signing releases the GIL."""
        if len(messages) < THREAD_FROM:
            return [self.sign_now(message) for message in messages]
        return await asyncio.to_thread(lambda: [self.sign_now(message) for message in messages])


class EcdsaVerifier:
    """A P-256 public key."""

    def __init__(self, spki: bytes) -> None:
        """Load a SubjectPublicKeyInfo, DER; raise `Malformed` for all but P-256 in its usual form."""
        try:
            key = load_der_public_key(spki)
        except (ValueError, UnsupportedAlgorithm) as e:
            raise Malformed("not a public key") from e
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise Malformed("not a P-256 key")
        # A log's ID is the hash of these bytes, so a second spelling would be a second log.
        if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki:
            raise Malformed("a P-256 key in an unusual encoding")
        self._key = key

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a DER signature; raise `BadSignature`."""
        try:
            self._key.verify(signature, message, _VERIFY)
        except InvalidSignature as e:
            raise BadSignature("the ECDSA signature does not verify") from e
