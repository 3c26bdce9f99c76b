"""A node's governance log over HTTP, in memory: the routes of actions, kept as real ones keep them, until told to lie.

`GovernedWorld` is a `World` whose two nodes have one each under one genesis, and a third node, Shandong, that stands
ready and that nobody has been told of.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from log.client.entries import verify_entry
from log.errors import Denied, LogError, Malformed, OutOfTurn
from log.formats.action import JOINT, SEQ_CONTENT_TYPE
from log.formats.event import Entry, action_entry
from log.formats.family import GOVERNANCE, X509
from log.formats.genesis import Genesis, Initial
from log.formats.note import VKey
from log.formats.text import b64encode
from log.formats.tlog_proof import PROOF_HEADER, EntryExtra, TlogProof
from log.governance.chains import Signed
from log.governance.ledger import Ledger
from log.merkle.hashing import leaf_hash
from log.merkle.proof import fold_inclusion, inclusion_spans
from log.merkle.tiles import fold
from tests.support.authorities import CREATED_MS, Chainer, authorities, signers
from tests.support.lying_log import LyingLog
from tests.support.lying_node import LyingNode
from tests.support.lying_world import World

TEXT = "text/plain; charset=utf-8"
Posted = tuple[int, str, bytes]


class ActionLog(LyingLog):
    """A governance log: `take` is its add-action."""

    def __init__(self, origin: str, clock: Callable[[], int]) -> None:
        super().__init__("governance", origin, GOVERNANCE, clock)
        self.genesis = Genesis(CREATED_MS, 0, {}, {JOINT: ()})
        self.peers: dict[str, tuple[VKey, ...]] = {}  # governance logs of others, whose proofs count here
        self.held: dict[bytes, tuple[Signed, int]] = {}  # by hash, with the index of the entry
        self.posted: list[bytes] = []  # every body that came to add-action
        self.answers: dict[bytes, Posted] = {}  # by hash of an action: what to say instead of taking it
        self.spoil: Callable[[bytes], bytes] = lambda raw: raw  # what becomes of every proof of an action
        self.shown: Callable[[bytes], bytes] = lambda raw: raw  # what becomes of every list of actions

    async def get(self, path: str) -> bytes | None:
        match path.split("/"):
            case ["genesis"]:
                return self.genesis.encode()
            case ["actions"]:
                ledger = self.ledger
                summary = {"genesis": b64encode(self.genesis.hash), "digest": ledger.digest.hex(), "next": ledger.next}
                return self.shown(json.dumps(summary).encode())
            case ["actions", chain]:
                rows = [(signed.action.seq, signed.hash.hex()) for signed in self.ledger.held(chain)]
                return self.shown(json.dumps(rows).encode())
            case ["action", text]:
                found = self.held.get(bytes.fromhex(text))
                return None if found is None else self.spoil(await self.proof(found[1]))
        return await super().get(path)

    async def post(self, path: str, body: bytes) -> Posted | None:
        return await self.take(body) if path == "add-action" else None

    def signed(self) -> list[Signed]:
        return [signed for signed, _ in self.held.values()]

    async def proof(self, index: int) -> bytes:
        """Return the proof of an entry on the newest head, with the entry in it."""
        hashes = [fold(self.leaves[span.start : span.end]) for span in inclusion_spans(index, self.size)]
        path = tuple(fold_inclusion(index, self.size, hashes))
        return TlogProof(index, path, self.note, EntryExtra(Entry.parse(self.rows[index])).encode()).encode()

    async def take(self, body: bytes) -> Posted:
        """Take an action in, or say why not."""
        self.posted.append(body)
        try:
            signed, carried = self._read(body)
        except LogError as e:
            return 400, TEXT, f"Bad Request\n{e}\n".encode()
        if signed.hash in self.answers:
            return self.answers[signed.hash]
        if signed.hash not in self.held:
            refused = self._refused(signed, carried)
            if refused is not None:
                return refused
            self._add(signed)
            await self.sign()
        return 200, TEXT, self.spoil(await self.proof(self.held[signed.hash][1]))

    def _read(self, body: bytes) -> tuple[Signed, bool]:
        if not body.startswith(PROOF_HEADER):
            return Signed.parse(body), False
        _, _, entry = verify_entry(body, lambda origin: {**self.peers, self.origin: self.vkeys}.get(origin, ()))
        return Signed.parse(entry.content), True

    @property
    def ledger(self) -> Ledger:
        made = Ledger(self.genesis)
        made.load(self.signed())
        return made

    def _refused(self, signed: Signed, carried: bool) -> Posted | None:
        ledger = self.ledger
        try:
            ledger.examine(signed)
            if not carried:
                ledger.check_notice(signed, self._clock())
        except Malformed as e:
            return 400, TEXT, f"Bad Request\n{e}\n".encode()
        except Denied as e:
            return 403, TEXT, f"Forbidden\n{e}\n".encode()
        except OutOfTurn as e:
            return 409, SEQ_CONTENT_TYPE, b"%d\n" % e.next_seq
        return None

    def _add(self, signed: Signed) -> None:
        parts, _, _ = GOVERNANCE.parts(action_entry(0, b"x", signed.note).encode())
        placed = GOVERNANCE.place(parts, self.size, self._clock())
        self._append([placed.row], [leaf_hash(placed.leaf)])
        self.held[signed.hash] = signed, self.size - 1

    async def submit(self, *actions: Signed) -> None:
        """Have actions taken in that an authority brings."""
        for signed in actions:
            status, _, body = await self.take(signed.note.encode())
            assert status == 200, body
        self.posted.clear()


class GovernedWorld(World):
    """Hong Kong and Guangdong under one genesis, and Shandong, which nobody knows yet."""

    hk_governance: ActionLog

    def __init__(self, clock: Callable[[], int] | None = None, notice_s: int = 0) -> None:
        super().__init__(clock)
        self.hk_governance = ActionLog("hk.example/governance", self.clock)
        self.gd_governance = ActionLog("gd.example/governance", self.clock)
        self.sd_governance = ActionLog("sd.example/governance", self.clock)
        self.sd_x509 = LyingLog("x509", "sd.example/x509", X509, self.clock)
        self.hk = LyingNode("hk", [self.hk_x509, self.hk_governance], self.clock)
        self.gd = LyingNode("gd", [self.gd_x509, self.gd_governance], self.clock)
        self.sd = LyingNode("sd", [self.sd_x509, self.sd_governance], self.clock)
        self.nodes = (self.hk, self.gd)
        self.notice_s = notice_s

    @property
    def governances(self) -> tuple[ActionLog, ...]:
        return self.hk_governance, self.gd_governance, self.sd_governance

    async def begin(self, sizes: Mapping[str, int] | None = None) -> None:
        await super().begin(sizes)
        for followed in (self.sd_x509, self.sd_governance):
            followed.add(20)
            await followed.sign()

    def write(self, folder: Path, urls: Mapping[str, str], extra: str = "", limits: str = "") -> Path:
        initial = {
            "hk": [log_added(self.hk, followed) for followed in self.hk.logs.values()],
            "gd": [log_added(self.gd, followed) for followed in self.gd.logs.values()],
            JOINT: [node_added(node, urls[node.name]) for node in self.nodes],
        }
        rows = {chain: tuple(Initial(*row) for row in given) for chain, given in initial.items()}
        sides = {side: authorities(signers(side)) for side in ("hk", "gd")}
        genesis = Genesis(CREATED_MS, self.notice_s, sides, rows)
        for governance in self.governances:
            governance.genesis = genesis
            governance.peers = {other.origin: other.vkeys for other in self.governances}
        (folder / "genesis.json").write_bytes(genesis.encode())
        pin = f'[governance]\ngenesis = "genesis.json"\nsha256 = "{genesis.hash.hex()}"\n'
        path = super().write(folder, urls, extra + pin, limits)
        path.write_text(path.read_text().replace('near = ["hk", "gd"]', 'near = ["hk", "gd", "sd"]'))
        self.sd.push_key = self.hk.push_key
        return path

    def pen(self, chain: str) -> Chainer:
        """Return whoever signs a chain's actions."""
        return Chainer(self.hk_governance.genesis, chain)

    @property
    def reachable(self) -> Sequence[LyingNode]:
        return (*self.nodes, self.sd)


def node_added(node: LyingNode, url: str) -> tuple[str, dict[str, Any]]:
    """Return the action that names a node."""
    witness = node.witness.signer.vkey.encode()
    payload = {"name": node.name, "side": "", "url": url, "authority": f"{node.name}.example", "witness": witness}
    return "node-add", payload


def log_added(node: LyingNode, followed: LyingLog, vkeys: Sequence[VKey] = ()) -> tuple[str, dict[str, Any]]:
    """Return the action that names a log and its keys."""
    return "log-add", {
        "origin": followed.origin,
        "node": node.name,
        "name": followed.name,
        "family": followed.family.name,
        "vkeys": [vkey.encode() for vkey in vkeys or followed.vkeys],
        "window": None,
    }
