"""A node in memory: what `log.api.served` asks for, kept honestly over lists of rows, and nothing else.

Tiles, bundles and proofs are computed from the rows by the pure packages. Signatures are not: the lines on
notes and SCTs hold a hash where a signature belongs, for HTTP looks into none of them. A test that wants a
refusal puts the error into `refusal`, and the next call raises it.
"""

import asyncio
import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from log.access import Bodies
from log.client.prover import inclusion
from log.errors import Conflict, Denied, LogError, Malformed, NotFound, NotYet
from log.formats.bundle import encode_bundle
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.event_batch import EventBatch, EventResults, Result
from log.formats.family import EVENTS, GOVERNANCE, TILES, X509, Family, Parts, raw_parts, x509_parts
from log.formats.note import KeyType, Note, Signature, VKey
from log.formats.sct import SCT, digitally_signed
from log.formats.submission import Submission
from log.formats.tlog_proof import TlogProof
from log.formats.tree_head import encode_tree_head_signature
from log.formats.witness_request import AddCheckpoint
from log.governance.chains import Signed
from log.governance.ledger import Ledger
from log.merkle.hashing import leaf_hash
from log.merkle.proof import fold_inclusion, inclusion_spans
from log.merkle.tiles import TILE_HEIGHT, TILE_WIDTH, Edge, fold
from log.node.reading import NodeReading
from log.service.events import EventAnswer
from log.service.reading import LogReading
from log.service.rfc6962 import CertificateReads, RangeLimits
from tests.support.authorities import genesis

START_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class FakeStatus:
    name: str
    origin: str
    size: int
    head_age_ms: int
    witnessed_size: int | None
    witnessed_age_ms: int | None
    vouched_by: tuple[str, ...]
    pool: int
    is_open: bool
    guarded: bool
    last_error: str
    closed: str


@dataclass(frozen=True, slots=True)
class FakeAnswer:
    status: int
    body: bytes
    content_type: str


class Refusing:
    """Something that raises `refusal` at its next call, if one is set."""

    refusal: Exception | None = None

    def refuse(self) -> None:
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal


class FakeLog(Refusing):
    """A log whose every submission is published at once."""

    def __init__(self, name: str, family: Family) -> None:
        self.name = name
        self.origin = f"fake.example/{name}"
        self.family = family
        self.rows: list[bytes] = []
        self.blobs: dict[bytes, bytes] = {}
        self.cosigned: tuple[int, bytes] | None = None  # size and note of the witnessed head
        self.guarded = True
        self.last_error = ""
        self.closed = ""
        self.bodies = Bodies.PUBLIC
        self.compressed = 0  # how often a tile was asked for as gzip
        self.vkey = VKey.make(self.origin, KeyType.TREE_HEAD, b"a key of " + name.encode())
        self.certificates = self.reads() if family is X509 else None

    def append(self, parts: Parts) -> tuple[int, int]:
        """Add an entry; return its index and its time."""
        index = len(self.rows)
        self.rows.append(self.family.place(parts, index, START_MS + index).row)
        return index, START_MS + index

    def fill(self, count: int) -> None:
        """Add entries of a hundred bytes or so."""
        for number in range(count):
            body = b"entry %d " % number * 10
            self.append(
                x509_parts(body, [sha256(b"issuer").digest()]) if self.family is X509 else Parts(b"KG\x00\x10", body)
            )

    def note(self, size: int) -> bytes:
        text = Checkpoint(self.origin, size, Edge().grow(self._hashes(size))[0].root()).encode()
        line = encode_tree_head_signature(START_MS + size, sha256(text).digest())
        return Note(text, (Signature(self.origin, self.vkey.key_id, line),)).encode()

    def reads(self, limits: RangeLimits | None = None) -> CertificateReads:
        """The shipped RFC 6962 reads over this log; they ask for what the next four give."""
        return CertificateReads(self, self.vkey, limits or RangeLimits())

    @property
    def size(self) -> int:
        return len(self.rows)

    async def index_of(self, leaf: bytes) -> int:
        for index, row in enumerate(self.rows):
            if leaf_hash(self.family.leaf_input(row)) == leaf:
                return index
        raise NotFound("not in this log")

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        return await inclusion(self, index, size)

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        self.refuse()
        if end > size or size > len(self.rows):
            raise NotFound("beyond the published tree")
        return self.rows[start:end]

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        height = TILE_HEIGHT * level
        if end << height > size or size > len(self.rows):
            raise NotFound("beyond the published tree")
        leaves = self._hashes(end << height)
        return b"".join(fold(leaves[i << height : (i + 1) << height]) for i in range(start, end))

    async def checkpoint(self) -> bytes:
        self.refuse()
        return self.note(len(self.rows))

    async def witnessed(self) -> bytes | None:
        return None if self.cosigned is None else self.cosigned[1]

    async def blob(self, digest: bytes) -> bytes | None:
        return self.blobs.get(digest)

    @property
    def tiles(self) -> Self:
        return self

    async def hash_tile(self, level: int, n: int, width: int) -> bytes:
        self.refuse()
        height = TILE_HEIGHT * level
        first = n * TILE_WIDTH
        if first + width > len(self.rows) >> height:
            raise NotFound("beyond the published tree")
        runs = [self._hashes((i + 1) << height)[i << height :] for i in range(first, first + width)]
        return b"".join(fold(run) for run in runs)

    async def entry_tile(self, kind: str, n: int, width: int) -> bytes:
        self.refuse()
        rows = self.rows[n * TILE_WIDTH : n * TILE_WIDTH + width]
        if kind not in ("entries", self.family.tile) or len(rows) < width:
            raise NotFound("beyond the published tree")
        if kind == self.family.tile:
            return self.family.join(rows)
        return encode_bundle([self.family.leaf_input(row) for row in rows])

    async def entry_tile_gzip(self, kind: str, n: int) -> bytes:
        self.compressed += 1
        return gzip.compress(await self.entry_tile(kind, n, TILE_WIDTH), mtime=0)

    async def tlog_proof(self, *, leaf: bytes | None = None, fingerprint: bytes | None = None, newest: bool) -> bytes:
        self.refuse()
        return await self._proof(b"l" + leaf if leaf is not None else b"f" + (fingerprint or b""), newest)

    async def event_proof(self, sig_digest: bytes, *, newest: bool) -> bytes:
        self.refuse()
        return await self._proof(b"s" + sig_digest, newest)

    async def _proof(self, key: bytes, newest: bool) -> bytes:
        index = next((i for i, row in enumerate(self.rows) if key in self.family.keys(row)), None)
        if index is None:
            raise NotFound("not in this log")
        size, note = self.cosigned or (0, b"")
        if newest:
            size, note = len(self.rows), await self.checkpoint()
        if index >= size:
            raise NotYet("no witnessed head covers the leaf yet", retry_after_s=2)
        leaves = self._hashes(size)
        hashes = [fold(leaves[span.start : span.end]) for span in inclusion_spans(index, size)]
        return TlogProof(index, tuple(fold_inclusion(index, size, hashes)), note).encode()

    async def add_cosignatures(self, raw: bytes) -> None:
        self.refuse()
        note, checkpoint = parse_signed(raw)
        if checkpoint.size > len(self.rows) or note.text != Note.parse(self.note(checkpoint.size)).text:
            raise Conflict("this log has another tree at that size")
        if len(note.signatures) < 2:
            raise Denied("no line of a configured witness verifies")
        self.cosigned = checkpoint.size, raw

    def status(self) -> FakeStatus:
        size = None if self.cosigned is None else self.cosigned[0]
        vouched_by = () if size is None else ("witness.example",)
        age_ms = None if size is None else 90_000
        error = self.last_error
        return FakeStatus(
            self.name,
            self.origin,
            len(self.rows),
            2_500,
            size,
            age_ms,
            vouched_by,
            3,
            self.family is TILES,
            self.guarded,
            error,
            self.closed,
        )

    def reading(self) -> LogReading:
        return LogReading(cosignatures={"witness": 0})

    def _hashes(self, size: int) -> list[bytes]:
        return [leaf_hash(self.family.leaf_input(row)) for row in self.rows[:size]]


class FakeIntake(Refusing):
    """Takes any chain whose certificates begin like DER."""

    def __init__(self, hosted: FakeLog) -> None:
        self.log = hosted
        self.seen: list[tuple[tuple[bytes, ...], bool]] = []
        self.clients: list[str] = []  # of each call
        self.turned_away: LogError | None = None  # raised when the next client arrives
        self.hold: asyncio.Event | None = None  # submissions wait for it
        self.arrivals: asyncio.Queue[None] = asyncio.Queue()  # one item for each call that began

    def arrive(self, client: str) -> None:
        self.clients.append(client)
        refusal, self.turned_away = self.turned_away, None
        if refusal is not None:
            raise refusal

    async def add_chain(self, chain: Sequence[bytes], precert: bool, client: str) -> SCT:
        self.arrivals.put_nowait(None)
        if self.hold is not None:
            await self.hold.wait()
        self.refuse()
        if not all(certificate.startswith(b"\x30") for certificate in chain):
            raise Malformed("not a certificate")
        self.seen.append((tuple(chain), precert))
        index, timestamp_ms = self.log.append(x509_parts(chain[0], [sha256(above).digest() for above in chain[1:]]))
        signature = digitally_signed(sha256(chain[0]).digest())
        return SCT(sha256(self.log.origin.encode()).digest(), timestamp_ms, index, signature)

    def roots(self) -> Sequence[bytes]:
        return (b"\x30root one", b"\x30root two")


class FakeOpenIntake(Refusing):
    """Takes any bytes."""

    def __init__(self, hosted: FakeLog) -> None:
        self.log = hosted

    async def add(self, entry: bytes) -> int:
        self.refuse()
        return self.log.append(raw_parts(entry))[0]


class FakeActions(Refusing):
    """Holds what it is brought if the ledger takes it; its receipts are the actions themselves."""

    def __init__(self) -> None:
        self.ledger = Ledger(genesis())

    async def add(self, raw: bytes) -> bytes:
        self.refuse()
        signed = Signed.parse(raw)
        if self.ledger.find(signed.hash) is None:
            self.ledger.take(signed, self.ledger.examine(signed))
        return raw

    async def proof(self, action_hash: bytes) -> bytes:
        signed = self.ledger.find(action_hash)
        if signed is None:
            raise NotFound("no action with that hash")
        return signed.note.encode()


class FakeEvents(Refusing):
    """Refuses each event of a batch, which is an answer too."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def arrive(self, client: str) -> None:
        self.refuse()

    async def add(self, signed: Submission, body: bytes, client: str) -> EventAnswer:
        self.records[signed.hash] = signed.encode()
        refused = tuple(Result(None, "not here") for _ in EventBatch.parse(body).events)
        return EventAnswer(EventResults(refused).encode(), ("reference",) * len(refused))

    async def record(self, digest: bytes) -> bytes | None:
        return self.records.get(digest)


class FakeWitness(Refusing):
    """Remembers the size and note of each origin; checks no proof."""

    def __init__(self) -> None:
        self.notes: dict[str, tuple[int, bytes]] = {}

    async def add_checkpoint(self, raw: bytes) -> FakeAnswer:
        self.refuse()
        request = AddCheckpoint.parse(raw)
        note, checkpoint = parse_signed(request.note)
        size = self.notes.get(checkpoint.origin, (0, b""))[0]
        if request.old != size:
            return FakeAnswer(409, b"%d\n" % size, "text/x.tlog.size")
        self.notes[checkpoint.origin] = checkpoint.size, request.note
        return FakeAnswer(200, note.encode()[len(note.text) + 1 :], "text/plain; charset=utf-8")

    async def latest(self, origin_hash: str) -> bytes | None:
        known = {sha256(origin.encode()).hexdigest(): note for origin, (_, note) in self.notes.items()}
        return known.get(origin_hash)


@dataclass
class FakeNode(Refusing):
    """Four logs, `x509`, `events`, `governance` and `open`, and a witness."""

    name: str = "Test node (synthetic)"
    logs: dict[str, FakeLog] = field(
        default_factory=lambda: {
            hosted.name: hosted
            for hosted in (
                FakeLog("x509", X509),
                FakeLog("events", EVENTS),
                FakeLog("governance", GOVERNANCE),
                FakeLog("open", TILES),
            )
        }
    )
    witness: FakeWitness = field(default_factory=FakeWitness)
    guards: tuple[str, ...] = ()
    ok: bool = True
    refusal: LogError | None = None

    def __post_init__(self) -> None:
        self.intakes = {"x509": FakeIntake(self.logs["x509"])}
        self.open_intakes = {"open": FakeOpenIntake(self.logs["open"])}
        self.actions = {"governance": FakeActions()}
        self.events = {"events": FakeEvents()}

    @property
    def x509(self) -> FakeLog:
        return self.logs["x509"]

    def well_known(self) -> dict[str, Any]:
        return {"node": self.name, "logs": [{"name": name} for name in self.logs]}

    def log_list_entry(self, name: str) -> dict[str, Any]:
        if name not in self.intakes:
            raise NotFound("this node has no log of certificates of that name")
        return {"description": f"{self.name} {name}"}

    async def reading(self) -> NodeReading:
        return NodeReading()

    def health(self) -> tuple[bool, dict[str, Any]]:
        return self.ok, {"ok": self.ok}

    async def hear_guard(self, raw: bytes) -> dict[str, Any]:
        self.refuse()
        if not raw.endswith(b"\n"):
            raise Malformed("not a note")
        return {"guarded": True, "origins": {hosted.origin: "ok" for hosted in self.logs.values()}, "peers": {}}
