"""A node that tells the truth until it is told to lie: real keys, real tiles, a real witness, over ASGI.

It is made of `formats`, `merkle` and `crypto` only, so that a monitor that passes here has met nothing of the real
node's code. Everything that a monitor sends to it is recorded. `World` is two such nodes and a monitor's settings.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from log.client.witness import Answer, decide
from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.notes import NoteSigner, cosign, open_note, sign_note, verify_note
from log.errors import LogError
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.event import Entry
from log.formats.family import GOVERNANCE, X509, Family, Parts, x509_parts
from log.formats.guard_push import GuardPush
from log.formats.names import CONTENT_JCS, EntryType
from log.formats.note import KeyType, Note, Signature, VKey, signature_line
from log.formats.policy import Policy
from log.formats.witness_request import AddCheckpoint
from log.merkle.hashing import HASH_SIZE, leaf_hash
from log.merkle.tiles import TILE_WIDTH, Edge, parse_numbered
from tests.support import plain
from tests.support.grease import greased
from tests.support.hostile import IN_PROCESS, Reply

ISSUER = b"the certificate of an issuer"  # of every certificate
HEARTBEAT_MS = 10_000  # an unchanged head is signed anew after this time

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Listen = Callable[[], tuple[socket.socket, str]]  # a bound socket, and its URL


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
        self.rows += rows
        self.leaves += leaves
        self._edge, full = self._edge.grow(leaves)
        for level, _, data in full:
            while len(self._tiles) <= level:
                self._tiles.append(bytearray())
            self._tiles[level] += data

    def hashes(self, level: int) -> bytes:
        """Return all hashes of a tile level."""
        full = bytes(self._tiles[level]) if level < len(self._tiles) else b""
        return full + (self._edge.levels[level] if level < len(self._edge.levels) else b"")

    async def sign(self, *, time_ms: int | None = None, root: bytes | None = None) -> bytes:
        """Sign the tree as it is, or another root, now or at another time."""
        text = Checkpoint(self.origin, self.size, self._edge.root() if root is None else root).encode()
        self._time_ms = max(self._clock(), self._time_ms + 1) if time_ms is None else time_ms
        self.note = (await sign_note(text, self._time_ms, self.signers)).encode()
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


@dataclass(slots=True)
class LyingWitness:
    """A node's witness; its state can be changed by hand."""

    signer: NoteSigner
    clock: Callable[[], int]
    known: dict[str, tuple[VKey, ...]] = field(default_factory=dict)
    state: dict[str, bytes] = field(default_factory=dict)  # origin -> note with our own line
    cosigned: list[Checkpoint] = field(default_factory=list)
    requests: int = 0
    answers: Callable[[bytes], Awaitable[Answer]] | None = None  # to add-checkpoint, where it does not say the truth

    async def add_checkpoint(self, raw: bytes) -> Answer:
        """Answer, as tlog-witness has it where it says the truth."""
        self.requests += 1
        return await (self.answers or self.truth)(raw)

    async def truth(self, raw: bytes) -> Answer:
        """Answer as tlog-witness has it."""
        request = AddCheckpoint.parse(raw)
        origin = parse_signed(request.note)[1].origin
        last = parse_signed(self.state[origin])[1] if origin in self.state else None
        decision = decide(request, self.known, last)
        if isinstance(decision, Answer):
            return decision
        line = await self.cosign(decision.note)
        return Answer(200, signature_line(line), "text/plain; charset=utf-8")

    async def cosign(self, raw: bytes) -> Signature:
        """Cosign a head, whatever it is, and keep it as the last one."""
        note, checkpoint = parse_signed(raw)
        line = await cosign(note.text, self.clock() // 1000, self.signer)
        self.state[checkpoint.origin] = note.with_signatures([*note.signatures, line]).encode()
        self.cosigned.append(checkpoint)
        return line


class LyingNode:
    """An ASGI application: logs, a witness, a guard's ear."""

    def __init__(self, name: str, logs: Sequence[LyingLog], clock: Callable[[], int]) -> None:
        self.name = name
        self.logs = {followed.name: followed for followed in logs}
        self.witness = LyingWitness(
            NoteSigner.make(f"{name}.example/witness", KeyType.COSIGNATURE, ed25519(f"witness {name}")), clock
        )
        self.fault: Fault | None = None
        self.push_key: VKey | None = None  # of the guard
        self.pushes: list[GuardPush] = []
        self.answers: dict[str, str] = {}  # origin -> what to say instead of ok
        self.foreign_answers: dict[str, str] = {}  # what to say of origins that are not ours
        self.guarded = False
        self.named: set[str] = set()  # origins that a push has named: they stay guarded
        self.since_s = 0  # pushes of this second and before are answered 409
        self.seen: list[str] = []  # "METHOD path" of every request
        self.on_request: Callable[[int], None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.seen.append(f"{scope['method']} {scope['path']}")
        if self.on_request is not None:
            self.on_request(len(self.seen))
        if self.fault is Fault.SILENT:
            await silence(scope)
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # the other end died before it had said everything
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        followed = self.logs.get(scope["path"].split("/")[1])
        if scope["method"] == "GET" and followed is not None and followed.fault is Fault.SILENT:
            await silence(scope)
        reply = None if followed is None else followed.reply(scope["path"].partition(f"/{followed.name}/")[2])
        if scope["method"] == "GET" and reply is not None:
            await reply.send(scope, send)
            return
        status, kind, answer = await self._answer(scope["method"], scope["path"], body)
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(answer))]
        headers.append((b"date", formatdate(self.witness.clock() / 1000, usegmt=True).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:  # noqa: PLR0911, PLR0912
        text = "text/plain; charset=utf-8"
        if self.fault is Fault.ERROR:
            return 500, text, b"Internal Server Error\n"
        if self.fault is Fault.LONG:
            return 200, text, bytes(3 << 20)
        match method, path.lstrip("/").split("/", 1):
            case "POST", ["guard"]:
                return await self._guard(body)
            case "POST", ["witness", "add-checkpoint"]:
                if not self.guarded:
                    return 503, text, b"Service Unavailable\nunguarded\n"
                answer = await self.witness.add_checkpoint(body)
                return answer.status, answer.content_type, answer.body
            case "GET", ["witness", rest]:
                for origin, note in self.witness.state.items():
                    if rest == f"{sha256(origin.encode()).hexdigest()}/checkpoint":
                        return 200, text, note
            case "POST", [name, "add-cosignatures"] if name in self.logs:
                status = await self.logs[name].add_cosignatures(body)
                return status, text, b"" if status == 200 else self.logs[name].refused[-1].encode()
            case "POST", [name, rest] if name in self.logs:
                posted = await self.logs[name].post(rest, body)
                if posted is not None:
                    return posted
            case "GET", [name, rest] if name in self.logs:
                followed = self.logs[name]
                found = await followed.get(rest)
                if found is not None:
                    return 200, "application/octet-stream", found
        return 404, text, b"Not Found\n"

    async def _guard(self, body: bytes) -> tuple[int, str, bytes]:
        note = Note.parse(body)
        if self.push_key is None:
            return 403, "text/plain", b"Forbidden\nno guard\n"
        verify_note(note, [self.push_key])
        push = GuardPush.parse(note.text)
        if push.time_s <= self.since_s:
            self.named.clear()
            self.since_s -= 1  # a second later the same push would be heard
            return 409, "text/plain", b"Conflict\nbefore this start\n"
        self.pushes.append(push)
        self.named |= {parse_signed(raw)[1].origin for raw in push.own}
        peers = {origin for origin, _ in push.peers}
        self.guarded = True
        origins = {
            followed.origin: "ok" if followed.origin in self.named else "unguarded" for followed in self.logs.values()
        }
        answer = {
            "guarded": all(state == "ok" for state in origins.values()),
            "origins": origins | {o: say for o, say in self.answers.items() if o in origins} | self.foreign_answers,
            "peers": {origin: "ok" if origin in peers else "unguarded" for origin in self.witness.known},
        }
        return 200, "application/json", json.dumps(answer).encode()


class World:
    """Two nodes, `hk` with two logs and `gd` with one, and a monitor that is guard and outside witness of both."""

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self.time_ms = 1_800_000_000_000
        self.clock = clock or (lambda: self.time_ms)
        self.hk_x509 = LyingLog("x509", "hk.example/x509", X509, self.clock)
        self.hk_governance = LyingLog("governance", "hk.example/governance", GOVERNANCE, self.clock)
        self.gd_x509 = LyingLog("x509", "gd.example/x509", X509, self.clock)
        self.hk = LyingNode("hk", [self.hk_x509, self.hk_governance], self.clock)
        self.gd = LyingNode("gd", [self.gd_x509], self.clock)
        self.nodes = (self.hk, self.gd)
        self.outside: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None  # whoever is at http://out

    @property
    def logs(self) -> list[LyingLog]:
        return [followed for node in self.nodes for followed in node.logs.values()]

    async def begin(self, sizes: Mapping[str, int] | None = None) -> None:
        """Give every log its first entries and head."""
        for followed in self.logs:
            followed.add((sizes or {}).get(followed.origin, 300))
            await followed.sign()

    def write(self, folder: Path, urls: Mapping[str, str], extra: str = "", limits: str = "") -> Path:
        """Write the monitor's settings, keys and policies into a folder; return the settings file."""
        from monitor import keyring
        from monitor import settings as monitor_settings

        path = folder / "monitor.toml"
        head = 'name = "monitor.example/m"\nstate = "state/monitor.sqlite"\nkeys = "keys"\n'
        path.write_text(head)
        made = keyring.make(monitor_settings.load(path))
        lines = [head, 'near = ["hk", "gd"]\n', extra]
        for node in self.nodes:
            node.push_key = made.guard.vkey
            url = urls[node.name]
            lines.append(f'[[nodes]]\nname = "{node.name}"\nurl = "{url}"\n')
            lines.append(f'[nodes.witness]\nname = "{node.name}"\nvkey = "{node.witness.signer.vkey.encode()}"\n')
            lines.append(f'url = "{url}/witness"\n')
            peers = [other for other in self.nodes if other is not node]
            for followed in node.logs.values():
                policy = "".join(f"witness {peer.name} {peer.witness.signer.vkey.encode()}\n" for peer in peers)
                policy += f"witness mon {made.witness.vkey.encode()}\n"
                policy += f"group all all mon {' '.join(peer.name for peer in peers)}\nquorum all\n"
                followed.policy = Policy.parse(policy)
                (folder / f"{node.name}-{followed.name}.policy").write_text(policy)
                lines.append(f'[[nodes.logs]]\nname = "{followed.name}"\nfamily = "{followed.family.name}"\n')
                lines.append(f'origin = "{followed.origin}"\nurl = "{url}/{followed.name}"\n')
                lines.append(f"vkeys = {json.dumps([vkey.encode() for vkey in followed.vkeys])}\n")
                lines.append(f'policy = "{node.name}-{followed.name}.policy"\n')
                for peer in peers:
                    peer.witness.known[followed.origin] = followed.vkeys
        path.write_text("".join([*lines, f"[limits]\n{limits}"]))
        return path

    @property
    def reachable(self) -> Sequence[LyingNode]:
        """The nodes that there are, whether or not the settings name them."""
        return self.nodes

    def client(self) -> httpx.AsyncClient:
        """Return a client that reaches the nodes at http://hk and http://gd, in this process, and http://out."""
        mounts = {f"http://{node.name}": httpx.ASGITransport(app=node, client=IN_PROCESS) for node in self.reachable}
        return plain.client(mounts={**mounts, "http://out": httpx.ASGITransport(app=self._out, client=IN_PROCESS)})

    async def _out(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.outside is not None, "nobody is there"
        await self.outside(scope, receive, send)


@contextmanager
def served(nodes: Sequence[LyingNode], listen: Mapping[str, Listen] | None = None) -> Iterator[dict[str, str]]:
    """Serve nodes on real sockets, in a thread with a loop of its own; yield their URLs by name.

    `listen` gives the socket of a node, and its URL, by the node's name.
    """
    servers, threads, urls = [], [], {}
    for node in nodes:
        sock, urls[node.name] = (listen or {}).get(node.name, _listen)()
        config = uvicorn.Config(
            node, log_config=None, lifespan="off", ws="none", date_header=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        servers.append(server)
        threads.append(thread)
    try:
        while not all(server.started for server in servers):
            time.sleep(0.01)
        yield urls
    finally:
        for server in servers:
            server.should_exit = True
        for thread in threads:
            thread.join(5)


def _listen() -> tuple[socket.socket, str]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"
