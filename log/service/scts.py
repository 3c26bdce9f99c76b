"""SCTs of one log: signed when an entry is placed, and signed again, to the same bytes, whenever asked.

The signature input of an SCT is byte for byte the MerkleTreeLeaf (RFC 6962 sections 3.2 and 3.4), so a stored
row is all that is needed. Deterministic ECDSA (RFC 6979) makes the repeated answer identical.
"""

from log.crypto import Signer
from log.errors import SettingsError
from log.formats.family import X509
from log.formats.sct import SCT, digitally_signed, sct_message
from log.formats.tile_leaf import TileLeaf
from log.formats.tlog_proof import X509Extra


class SctIssuer:
    """The SCT key of one certificate log."""

    def __init__(self, log_id: bytes, signer: Signer) -> None:
        if not signer.deterministic:
            raise SettingsError("an SCT key must sign deterministically, or a repeated answer would differ")
        self.log_id = log_id
        self.signed = 0  # SCTs so far, repeated ones and those in proofs too
        self._signer = signer

    async def sign(self, leaf: bytes, index: int, timestamp_ms: int) -> SCT:
        """Return the SCT for MerkleTreeLeaf bytes that stand at `index`."""
        (der,) = await self._signer.sign([sct_message(leaf)])
        self.signed += 1
        return SCT(self.log_id, timestamp_ms, index, digitally_signed(der))

    async def extra(self, row: bytes, index: int) -> bytes:
        """Return what a verifier of this entry needs beside the certificate: its SCT and entry type."""
        entry = TileLeaf.parse(row)
        sct = await self.sign(X509.leaf_input(row), index, entry.timestamp_ms)
        return X509Extra(entry.entry_type, entry.issuer_key_hash, sct.encode()).encode()
