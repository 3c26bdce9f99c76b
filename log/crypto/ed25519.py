"""Ed25519 (RFC 8032): the key of note signatures 0x01 and of cosignatures 0x04."""

import asyncio
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from log.errors import BadSignature, Malformed

THREAD_FROM = 32  # messages; see log.crypto.ecdsa


class Ed25519Signer:
    """An Ed25519 private key in memory; `public` is its 32 bytes."""

    deterministic = True

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def sign_now(self, message: bytes) -> bytes:
        """Return the 64-byte signature over the message, about 30 microseconds."""
        return self._private.sign(message)

    async def sign(self, messages: Sequence[bytes]) -> list[bytes]:
        """Return the 64-byte signatures; a long batch is made in a thread."""
        if len(messages) < THREAD_FROM:
            return [self.sign_now(message) for message in messages]
        return await asyncio.to_thread(lambda: [self.sign_now(message) for message in messages])


class Ed25519Verifier:
    """An Ed25519 public key."""

    def __init__(self, public: bytes) -> None:
        """Take the 32 bytes of the key; raise `Malformed` for another length or a point that is none."""
        try:
            self._key = Ed25519PublicKey.from_public_bytes(public)
        except ValueError as e:
            raise Malformed("not an Ed25519 public key") from e

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a 64-byte signature; raise `BadSignature`."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature as e:
            raise BadSignature("the Ed25519 signature does not verify") from e
