"""A log in memory, as its readers see it: a `LogReader` over rows, and every byte of it can be changed.

It keeps the rules of the protocol (ranges, partial widths, absent blobs), so that what passes here and fails
against a real log is the real log's fault.
"""

from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.notes import NoteSigner, sign_note
from log.errors import NotFound
from log.formats.checkpoint import Checkpoint
from log.formats.family import Family, Parts, x509_parts
from log.formats.note import KeyType, VKey
from log.merkle.hashing import HASH_SIZE, leaf_hash
from log.merkle.tiles import Edge

ORIGIN = "log.example/test"
START_MS = 1_700_000_000_123  # the time of the first entry; each next one is a millisecond younger
TREE_HEAD = NoteSigner.make(ORIGIN, KeyType.TREE_HEAD, EcdsaSigner(derive_private_key(0x7717, SECP256R1())))
ED25519 = NoteSigner.make(ORIGIN, KeyType.ED25519, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)))
COSIGNATURE = NoteSigner.make(
    ORIGIN, KeyType.COSIGNATURE, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(b"\x04" * 32))
)
ISSUERS = (b"an issuer's certificate", b"a root's certificate")


def certificates(count: int, size: int = 100) -> list[Parts]:
    """Return entries of `count` different certificates of about `size` bytes, under `ISSUERS`."""
    chain = [sha256(issuer).digest() for issuer in ISSUERS]
    return [x509_parts(b"certificate %d " % i + bytes(size), chain) for i in range(count)]


class MemoryLog:
    """Rows, tile levels, blobs and a note. Tests write to all four."""

    def __init__(self, family: Family, entries: Sequence[Parts]) -> None:
        placed = [family.place(parts, i, START_MS + i) for i, parts in enumerate(entries)]
        self.family = family
        self.rows = [each.row for each in placed]
        self.blobs = {sha256(issuer).digest(): issuer for issuer in ISSUERS}
        self.note = b""
        self.reads: list[tuple[int, int]] = []  # (level, tile number) of every read of hashes
        self.blob_reads = 0
        self.levels: list[bytearray] = []
        self.rebuild([leaf_hash(each.leaf) for each in placed])

    def rebuild(self, leaf_hashes: Sequence[bytes]) -> bytes:
        """Make all tile levels follow from leaf hashes, and return the root."""
        edge, full = Edge().grow(leaf_hashes)
        self.levels = [bytearray() for _ in edge.levels]
        for level, _, data in full:
            self.levels[level] += data
        for level, data in enumerate(edge.levels):
            self.levels[level] += data
        return edge.root()

    @property
    def size(self) -> int:
        return len(self.rows)

    def root(self) -> bytes:
        """Return the root of the rows as they are."""
        edge, _ = Edge().grow([leaf_hash(self.family.leaf_input(row)) for row in self.rows])
        return edge.root()

    async def sign(
        self,
        *,
        root: bytes | None = None,
        timestamp_ms: int | None = None,
        signers: Sequence[NoteSigner] = (TREE_HEAD,),
    ) -> tuple[VKey, ...]:
        """Sign a head over the rows as they are, or over another root; return the keys that verify it."""
        text = Checkpoint(ORIGIN, self.size, self.root() if root is None else root).encode()
        newest = START_MS + max(self.size - 1, 0) if timestamp_ms is None else timestamp_ms
        self.note = (await sign_note(text, newest, signers)).encode()
        return tuple(signer.vkey for signer in signers)

    # --- LogReader ----------------------------------------------------------------------------------------

    async def checkpoint(self) -> bytes:
        return self.note

    async def witnessed(self) -> bytes | None:
        return None

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        if not 0 <= start <= end <= size:
            raise AssertionError(f"entries {start} to {end} of {size}")
        if end > self.size:
            raise NotFound(f"entries {start} to {end}")
        return self.rows[start:end]

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        if not 0 <= start < end <= size >> 8 * level:
            raise AssertionError(f"hashes {start} to {end} of level {level} of {size}")
        if level >= len(self.levels) or HASH_SIZE * end > len(self.levels[level]):
            raise NotFound(f"level {level}, hashes {start} to {end}")
        self.reads += [(level, n) for n in range(start // 256, (end - 1) // 256 + 1)]
        return bytes(self.levels[level][HASH_SIZE * start : HASH_SIZE * end])

    async def blob(self, digest: bytes) -> bytes | None:
        self.blob_reads += 1
        return self.blobs.get(digest)
