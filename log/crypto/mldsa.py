"""ML-DSA-44 (FIPS 204, pure, empty context): the key of timestamped cosignatures 0x06.

`cryptography` has it where the OpenSSL below it does: its own wheels from 48 on, a system's library from
OpenSSL 3.5 on. Elsewhere everything here raises `SuiteUnavailable`, and `mldsa_available` says so beforehand.

Signing is hedged, as FIPS 204 recommends: the same message gets another signature each time.
"""

import asyncio
from collections.abc import Sequence
from functools import cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from log.errors import BadSignature, Malformed, SuiteUnavailable

_ABSENT = "this machine's OpenSSL has no ML-DSA-44"


@cache
def mldsa_available() -> bool:
    """Say whether this machine can sign and verify."""
    try:
        MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    except UnsupportedAlgorithm:
        return False
    return True


def generate() -> MLDSA44PrivateKey:
    """Return a new private key, or raise `SuiteUnavailable`."""
    try:
        return MLDSA44PrivateKey.generate()
    except UnsupportedAlgorithm as e:
        raise SuiteUnavailable(_ABSENT) from e


class MldsaSigner:
    """An ML-DSA-44 private key in memory; `public` is its 1312 bytes."""

    deterministic = False

    def __init__(self, private: MLDSA44PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def sign_now(self, message: bytes) -> bytes:
        """Return a 2420-byte signature over the message, about 2 ms."""
        return self._private.sign(message)

    async def sign(self, messages: Sequence[bytes]) -> list[bytes]:
        """Return the 2420-byte signatures, made in a thread: each takes as long as sixty of Ed25519."""
        return await asyncio.to_thread(lambda: [self.sign_now(message) for message in messages])


class MldsaVerifier:
    """An ML-DSA-44 public key. Verifying takes about 0.4 ms."""

    def __init__(self, public: bytes) -> None:
        """Take the 1312 bytes of the key; raise `Malformed` for another length, else `SuiteUnavailable`."""
        try:
            self._key = MLDSA44PublicKey.from_public_bytes(public)
        except ValueError as e:
            raise Malformed("not an ML-DSA-44 public key") from e
        except UnsupportedAlgorithm as e:
            raise SuiteUnavailable(_ABSENT) from e

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a 2420-byte signature; raise `BadSignature`."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature as e:
            raise BadSignature("the ML-DSA-44 signature does not verify") from e
