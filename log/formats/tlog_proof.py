"""Proofs that can be checked offline, and what an x509 proof says besides (C2SP tlog-proof).

    c2sp.org/tlog-proof@v1
    [extra <base64>]
    index <decimal>
    <base64 of a hash>         inclusion proof, the leaf's sibling first, at most 63

    <checkpoint as a signed note, with its cosignatures>

The leaf itself is not in the proof: the verifier rebuilds it from the document and from `extra`, whose
first byte says what it is. `extra` is not authenticated, but a leaf rebuilt from wrong bytes does not lead
to the root.
"""

from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats import text as txt
from log.formats.checkpoint import parse_signed
from log.formats.commitment import Opening, encode_openings, parse_openings
from log.formats.event import Entry, parse_event
from log.formats.names import EXTRA_ENTRY, EXTRA_EVENT, EXTRA_X509
from log.formats.sct import SCT
from log.formats.tile_leaf import PRECERT_ENTRY, X509_ENTRY
from log.formats.wire import Reader, opaque16, u8, u16

MAX_PROOF_HASHES = 63  # no tree of under 2**63 leaves needs more
HASH_SIZE = 32

PROOF_HEADER = b"c2sp.org/tlog-proof@v1\n"  # by which a proof is told from a note

_HEADER = PROOF_HEADER.decode().rstrip()
_BLANK_LINE = b"\n\n"


@dataclass(frozen=True, slots=True)
class ProofLimits:
    """What a reader takes, in bytes: a note of the largest size and as much again for `extra`."""

    max_bytes: int = 2 << 20


LIMITS = ProofLimits()


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A leaf's place in a log, the way from it to a root, and the checkpoint that bears the root."""

    index: int  # 0 <= index < 2**63; whether it lies below the checkpoint's size is for the proof to show
    hashes: tuple[bytes, ...]
    checkpoint: bytes  # a signed note, byte for byte as the log published it
    extra: bytes | None = None  # never empty: without data there is no line

    @classmethod
    def parse(cls, raw: bytes, limits: ProofLimits = LIMITS) -> Self:
        """Read a proof, or raise `Malformed`. Nothing is verified but the form of the note."""
        if len(raw) > limits.max_bytes:
            raise Malformed(f"proof over {limits.max_bytes} bytes")
        head, _, checkpoint = raw.partition(_BLANK_LINE)
        lines = txt.decode_text(head).split("\n")
        if lines.pop(0) != _HEADER:
            raise Malformed("not a tlog-proof of version 1")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = txt.b64decode(lines.pop(0).removeprefix("extra "))
        if not lines or not lines[0].startswith("index "):
            raise Malformed("tlog-proof without index")
        index = txt.decimal(lines.pop(0).removeprefix("index "))
        if len(lines) > MAX_PROOF_HASHES:
            raise Malformed(f"proof of more than {MAX_PROOF_HASHES} hashes")
        parse_signed(checkpoint)
        proof = cls(index, tuple(txt.b64decode(line, HASH_SIZE) for line in lines), checkpoint, extra)
        if proof.encode() != raw:
            raise Malformed("tlog-proof with another spelling than the canonical one")
        return proof

    def encode(self) -> bytes:
        extra = [f"extra {txt.b64encode(self.extra)}"] if self.extra else []
        lines = [_HEADER, *extra, f"index {self.index}", *map(txt.b64encode, self.hashes), ""]
        return txt.encode_lines(lines) + self.checkpoint


@dataclass(frozen=True, slots=True)
class X509Extra:
    """What a verifier who holds the certificate needs to rebuild its MerkleTreeLeaf.

        u8 tag = 1 || u16 entry_type || [issuer_key_hash[32]] || opaque16 SCT

    For a precertificate entry the verifier takes the SCT list out of the certificate's TBSCertificate.
    """

    entry_type: int  # X509_ENTRY or PRECERT_ENTRY
    issuer_key_hash: bytes  # 32 bytes; b"" in an x509 entry
    sct: bytes  # serialised, of this log (`log.formats.sct.SCT`)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the `extra` of an x509 proof, or raise `Malformed`, also for a tag of another meaning."""
        reader = Reader(data)
        if reader.u8() != EXTRA_X509:
            raise Malformed("extra data with an unknown tag")
        entry_type = reader.u16()
        if entry_type not in {X509_ENTRY, PRECERT_ENTRY}:
            raise Malformed("extra data of an unknown entry type")
        issuer_key_hash = reader.take(HASH_SIZE) if entry_type == PRECERT_ENTRY else b""
        sct = reader.opaque16()
        reader.done()
        SCT.parse(sct)
        return cls(entry_type, issuer_key_hash, sct)

    def encode(self) -> bytes:
        return u8(EXTRA_X509) + u16(self.entry_type) + self.issuer_key_hash + opaque16(self.sct)


@dataclass(frozen=True, slots=True)
class EntryExtra:
    """An entry whole, where the verifier has nothing to rebuild it from: a receipt as the node gives it.

    u8 tag = 3 || entry
    """

    entry: Entry

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the `extra` of an entry's proof, or raise `Malformed`, also for a tag of another meaning."""
        reader = Reader(data)
        if reader.u8() != EXTRA_ENTRY:
            raise Malformed("extra data with an unknown tag")
        return cls(Entry.parse(reader.rest()))

    def encode(self) -> bytes:
        return u8(EXTRA_ENTRY) + self.entry.encode()


@dataclass(frozen=True, slots=True)
class EventExtra:
    """The entry of an event and openings of its commitments, as the submitter keeps them beside its document.

        u8 tag = 2 || opaque16 entry || openings

    Some openings may be left out, for a reader who need not know all; one of another commitment is no opening.
    """

    entry: Entry  # of an event
    openings: tuple[Opening, ...]  # sorted by field, each field once

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the `extra` of an event's proof, or raise `Malformed`, also for a tag of another meaning."""
        reader = Reader(data)
        if reader.u8() != EXTRA_EVENT:
            raise Malformed("extra data with an unknown tag")
        entry, logged = parse_event(reader.opaque16())
        openings = parse_openings(reader.rest())
        if any(logged.event.commitments.get(opening.name) != opening.commitment for opening in openings):
            raise Malformed("an opening of something that the event does not commit to")
        return cls(entry, openings)

    def encode(self) -> bytes:
        return u8(EXTRA_EVENT) + opaque16(self.entry.encode()) + encode_openings(self.openings)
