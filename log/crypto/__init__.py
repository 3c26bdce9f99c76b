"""Keys and signatures: what a signer and a verifier are, for every suite.

One file a suite: `ecdsa` (P-256), `ed25519`, `mldsa` (ML-DSA-44), `sm2` (the only file that knows libcrypto). On top of
them stand `suites`, the signatures that issuers make over certificates; `documents`, those that anybody makes over
documents; `notes`, signature lines of signed notes, and under them `tree_heads`, what RFC 6962 has a log sign; and
`keys`, the files in which a node keeps what it signs with. `member_keys` and `signed_requests` are what members sign.
"""

from collections.abc import Sequence
from typing import Protocol


class Signer(Protocol):
    """One private key, wherever it lives: in memory here, in an HSM or a remote signer elsewhere."""

    @property
    def public(self) -> bytes:
        """The public key as a verifier key spells it: 32 bytes for Ed25519, 1312 for ML-DSA-44, SPKI DER for ECDSA."""
        ...

    @property
    def deterministic(self) -> bool:
        """True when signing a message again gives the same bytes, so that no signature need be stored."""
        ...

    async def sign(self, messages: Sequence[bytes]) -> list[bytes]:
        """Sign each message, in their order. A batch, because a remote signer pays by the call."""
        ...


class KeyVerifier(Protocol):
    """One public key."""

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when the signature is this key's over the message, else raise `BadSignature`."""
        ...
