"""What a log signs as RFC 6962 has it: tree heads and SCTs, by the one key whose hash is its log id.

Our logs sign with P-256. Logs of others may have an RSA key (RFC 6962 section 2.1.4: at least 2048 bits, PKCS #1 v1.5,
SHA-256), and the heads that they signed are judged all the same. Of SCTs only those by P-256 are read.
"""

from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from log.crypto.ecdsa import EcdsaVerifier
from log.errors import BadSignature, Malformed
from log.formats.note import KeyType, VKey
from log.formats.sct import SCT, extensions, sct_message, split_digitally_signed
from log.formats.wire import u64

MIN_RSA_BITS = 2048


class TreeHeadVerifier:
    """The key of a log, whichever of the two kinds it is."""

    def __init__(self, spki: bytes) -> None:
        """Load a SubjectPublicKeyInfo, DER; raise `Malformed` for all but P-256 and RSA in their usual form."""
        self._rsa = _rsa(spki)
        self._ecdsa = EcdsaVerifier(spki) if self._rsa is None else None

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a DigitallySigned; raise `BadSignature`, or `Malformed` when it is none by a key of this kind."""
        if self._ecdsa is not None:
            self._ecdsa.verify(message, split_digitally_signed(signature))
        elif self._rsa is not None:
            try:
                self._rsa.verify(split_digitally_signed(signature, rsa=True), message, PKCS1v15(), SHA256())
            except InvalidSignature as e:
                raise BadSignature("the RSA signature does not verify") from e


def _rsa(spki: bytes) -> RSAPublicKey | None:
    """Return an RSA key, or None for a key of another kind."""
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise Malformed("not a public key") from e
    if not isinstance(key, RSAPublicKey):
        return None
    if key.key_size < MIN_RSA_BITS or key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki:
        raise Malformed(f"an RSA key of fewer than {MIN_RSA_BITS} bits, or in an unusual encoding")
    return key


def verify_sct(sct: bytes, leaf: bytes, vkey: VKey) -> SCT:
    """Verify an SCT for a MerkleTreeLeaf by the log's 0x05 key, and return it.

    Raises `Malformed`, also for an RSA key, and `BadSignature` when it is another log's, speaks of another time or
    index than the leaf does, or does not verify.
    """
    if vkey.type is not KeyType.TREE_HEAD:
        raise AssertionError("SCTs are signed by a 0x05 key")
    parsed = SCT.parse(sct)
    if parsed.log_id != sha256(vkey.key).digest():
        raise BadSignature(f"the SCT is not by {vkey.name}")
    # The signature covers the leaf alone: what the SCT says beside it must be what the leaf says.
    if leaf[2:10] != u64(parsed.timestamp_ms) or not leaf.endswith(extensions(parsed.index)):
        raise BadSignature("the SCT speaks of another leaf")
    EcdsaVerifier(vkey.key).verify(sct_message(leaf), split_digitally_signed(parsed.signature))
    return parsed
