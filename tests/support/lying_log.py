"""A log that tells the truth until it is told to lie: real keys, real tiles, real heads.

It is made of `formats`, `merkle` and `crypto` only, so that a monitor that passes here has met nothing of the real
node's code. `lying_node` serves it, `lying_world` has two such nodes and a monitor's settings.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.notes import NoteSigner, open_note, sign_note
from log.errors import LogError
from log.formats.checkpoint import Checkpoint
from log.formats.event import Entry
from log.formats.family import GOVERNANCE, X509, Family, Parts, x509_parts
from log.formats.names import CONTENT_JCS, EntryType
from log.formats.note import KeyType, Note, Signature, VKey
from log.formats.policy import Policy
from log.merkle.hashing import HASH_SIZE, leaf_hash
from log.merkle.tiles import TILE_WIDTH, Edge, parse_numbered
from tests.support.grease import greased
from tests.support.hostile import IN_PROCESS, Reply

ISSUER = b"the certificate of an issuer"  # of every certificate
HEARTBEAT_MS = 10_000  # an unchanged head is signed anew after this time

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Fault(Enum):
    """How a node, or one of its logs, misbehaves over HTTP."""

    FLIP = "one byte of every data tile is another"
    TILE_SIZE = "every data tile has one row less than its path says"
    HASH_FLIP = "one byte of every hash tile is another"
    OLD_HEAD = "the checkpoint is the one that was remembered"
    SILENT = "never answers"
    ERROR = "answers 500"
    GARBAGE = "the checkpoint is no note"
    BAD_LINE = "the 0x05 line of the checkpoint does not verify"
    NO_LINE = "the checkpoint has lost its 0x01 line"
    LONG = "answers without end"


async def silence(scope: Scope) -> None:
    """Never answer. In this process the deadline is over at once: how long it is, is tried over sockets."""
    if tuple(scope["client"]) == IN_PROCESS:
        raise httpx.ReadTimeout("never answers")
    await asyncio.Event().wait()


def ed25519(seed: str) -> Ed25519Signer:
    """Return the same key for the same word."""
    return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()).digest()))


def signers_of(origin: str, family: Family) -> tuple[NoteSigner, ...]:
    """Return the keys of a log: 0x05 first, where the family has it, then 0x01 and 0x04."""
    found = [
        NoteSigner.make(origin, KeyType.ED25519, ed25519(f"note {origin}")),
        NoteSigner.make(origin, KeyType.COSIGNATURE, ed25519(f"own {origin}")),
    ]
    if family is X509:
        number = int.from_bytes(sha256(f"p256 {origin}".encode()).digest()[:16])
        found.insert(
            0, NoteSigner.make(origin, KeyType.TREE_HEAD, EcdsaSigner(derive_private_key(number, SECP256R1())))
        )
    return tuple(found)


class LyingLog:
    """One log: rows, the tiles that follow from them, and a signed head."""

    def __init__(self, name: str, origin: str, family: Family, clock: Callable[[], int]) -> None:
        self.name = name
        self.origin = origin
        self.family = family
        self.signers = signers_of(origin, family)
        self.rows: list[bytes] = []
        self.leaves: list[bytes] = []
        self.note = b""
        self.remembered = b""
        self.witnessed: bytes | None = None
        self.handed: list[bytes] = []  # every note that came to add-cosignatures
        self.refused: list[str] = []  # why add-cosignatures said no
        self.fault: Fault | None = None
        self.frozen = False  # whether the head is left as it is, however old it gets
        self.grows_by = 0  # entries that every request for the checkpoint adds
        self.withholds_issuers = False
        self.alter: Callable[[str, bytes | None], bytes | None] = lambda _, answer: answer  # of a path below the log
        self.reply: Callable[[str], Reply | None] = lambda _: None  # to a path, in the place of what is there
        self.grease = 0  # lines on every head that is served, unknown ones among them; 0 for none of those
        self._served = 0
        self.policy = Policy((), (), (), "none")
        self._clock = clock
        self._edge = Edge()
        self._signing = threading.Lock()  # a test and the thread of a server may sign at once
        self._tiles: list[bytearray] = []
        self._time_ms = 0

    @property
    def vkeys(self) -> tuple[VKey, ...]:
        return tuple(signer.vkey for signer in self.signers)

    @property
    def size(self) -> int:
        return len(self.rows)

    def root_at(self, size: int) -> bytes:
        """Return the root over the first `size` leaves, by the other path than the monitor's."""
        edge, _ = Edge().grow(self.leaves[:size])
        return edge.root()

    def add(self, count: int, salt: str = "") -> None:
        """Append entries; `salt` makes them others."""
        places = range(self.size, self.size + count)
        placed = [self.family.place(self._parts(i, salt), i, 1_700_000_000_000 + i) for i in places]
        self._append([each.row for each in placed], [leaf_hash(each.leaf) for each in placed])

    def put(self, parts: Parts) -> None:
        """Append one entry."""
        placed = self.family.place(parts, self.size, 1_700_000_000_000 + self.size)
        self._append([placed.row], [leaf_hash(placed.leaf)])

    def _parts(self, index: int, salt: str) -> Parts:
        if self.family is X509:
            return x509_parts(f"certificate {index} {salt}".encode() + bytes(40), [sha256(ISSUER).digest()])
        entry = Entry(EntryType.GOVERNANCE_ACTION, 0, b"hk", (), CONTENT_JCS, json.dumps([index, salt]).encode())
        parts, _, _ = GOVERNANCE.parts(entry.encode())
        return parts

    def _append(self, rows: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        """Take in rows; the edge comes last, as a head may be signed over it in the thread of a server meanwhile."""
        self.rows += rows
        self.leaves += leaves
        edge, full = self._edge.grow(leaves)
        for level, _, data in full:
            while len(self._tiles) <= level:
                self._tiles.append(bytearray())
            self._tiles[level] += data
        self._edge = edge

    def hashes(self, level: int) -> bytes:
        """Return all hashes of a tile level."""
        full = bytes(self._tiles[level]) if level < len(self._tiles) else b""
        return full + (self._edge.levels[level] if level < len(self._edge.levels) else b"")

    async def sign(self, *, time_ms: int | None = None, root: bytes | None = None) -> bytes:
        """Sign the tree as it is, or another root, now or at another time."""
        with self._signing:  # or a smaller tree got the later time
            edge = self._edge
            self._time_ms = at_ms = max(self._clock(), self._time_ms + 1) if time_ms is None else time_ms
        text = Checkpoint(self.origin, edge.size, edge.root() if root is None else root).encode()
        self.note = (await sign_note(text, at_ms, self.signers)).encode()
        return self.note

    def remember(self) -> None:
        """Keep the head that is served now for `Fault.OLD_HEAD`."""
        self.remembered = self.note

    async def branch(self, at: int, count: int, salt: str = "other") -> "LyingLog":
        """Return a log under the same keys that parts from this one after `at` entries, signed."""
        other = LyingLog(self.name, self.origin, self.family, self._clock)
        other._append(self.rows[:at], self.leaves[:at])
        other.add(count, salt)
        other.policy = self.policy
        other._time_ms = self._time_ms
        await other.sign()
        return other

    async def get(self, path: str) -> bytes | None:
        """Return what a path below the log serves, or None."""
        return self.alter(path, await self._get(path))

    async def _get(self, path: str) -> bytes | None:
        match path.split("/"):
            case ["checkpoint"]:
                if self.grows_by:
                    self.add(self.grows_by)
                    await self.sign()
                elif not self.frozen and self.fault is None and self._clock() - self._time_ms >= HEARTBEAT_MS:
                    await self.sign()
                return self._greased(self._checkpoint())
            case ["issuer", name] if name == sha256(ISSUER).hexdigest() and not self.withholds_issuers:
                return ISSUER
            case ["checkpoint", "witnessed"]:
                return None if self.witnessed is None else self._greased(self.witnessed)
            case ["tile", kind, *number] if kind == self.family.tile:
                return self._entries(*parse_numbered("/".join(number)))
            case ["tile", level, *number] if level.isdecimal():
                return self._hashes(int(level), *parse_numbered("/".join(number)))
        return None

    async def post(self, path: str, body: bytes) -> tuple[int, str, bytes] | None:
        """Answer what is posted below the log: status, content type and body, or None."""
        return None

    def _greased(self, raw: bytes) -> bytes:
        self._served += 1
        return greased(raw, self.grease, self._served) if self.grease else raw

    def _checkpoint(self) -> bytes:
        note = Note.parse(self.note)
        match self.fault:
            case Fault.OLD_HEAD:
                return self.remembered
            case Fault.GARBAGE:
                return b"this is no note\n"
            case Fault.BAD_LINE:
                first, *rest = note.signatures
                bad = Signature(first.name, first.key_id, bytes([first.data[0] ^ 1]) + first.data[1:])
                return note.with_signatures([bad, *rest]).encode()
            case Fault.NO_LINE:
                [lost] = [signer.vkey for signer in self.signers if signer.vkey.type is KeyType.ED25519]
                return note.with_signatures(line for line in note.signatures if not lost.owns(line)).encode()
        return self.note

    def _entries(self, n: int, width: int) -> bytes | None:
        rows = self.rows[n * TILE_WIDTH : n * TILE_WIDTH + width]
        if len(rows) != width:
            return None
        if self.fault is Fault.TILE_SIZE:
            rows = rows[:-1]
        data = bytearray(self.family.join(rows))
        if self.fault is Fault.FLIP:
            data[len(data) // 2] ^= 1
        return bytes(data)

    def _hashes(self, level: int, n: int, width: int) -> bytes | None:
        start = HASH_SIZE * TILE_WIDTH * n
        data = bytearray(self.hashes(level)[start : start + HASH_SIZE * width])
        if len(data) != HASH_SIZE * width:
            return None
        if self.fault is Fault.HASH_FLIP:
            data[7] ^= 1
        return bytes(data)

    async def add_cosignatures(self, raw: bytes) -> int:
        """Take cosignatures as a log does; return the status."""
        self.handed.append(raw)
        try:
            witnesses = [witness.vkey for witness in self.policy.witnesses]
            opened = open_note(raw, [*self.vkeys, *witnesses])
        except LogError as e:
            self.refused.append(str(e))
            return 403
        checkpoint = opened.checkpoint
        if checkpoint.size > self.size or self.root_at(checkpoint.size) != checkpoint.root:
            self.refused.append(f"no such tree of size {checkpoint.size}")
            return 409
        cosigned = [line.vkey for line in opened.verified if line.vkey in witnesses]
        if not cosigned:
            self.refused.append("no line of a witness")
            return 403
        if self.policy.satisfied(cosigned):
            self.witnessed = raw
        return 200
