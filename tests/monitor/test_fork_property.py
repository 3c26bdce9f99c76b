"""Whatever is signed, shown, withheld, spoiled and crashed: two heads that exclude each other end as evidence.

And nothing else does. Trees part at random places; heads reach the monitor from the log and from others in any order;
at the end somebody has every tree's tiles, and what the monitor holds is judged by what is known of the trees.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from log.client import LogReader
from log.crypto.notes import NoteSigner, sign_note
from log.errors import NotFound, Unreachable
from log.evidence.check import Pinned, check
from log.evidence.heads import Head, Kind, contradiction
from log.formats.checkpoint import Checkpoint
from log.formats.family import X509, Placed, x509_parts
from log.formats.identity import Identity
from log.formats.note import KeyType
from log.formats.policy import Policy
from log.merkle.hashing import HASH_SIZE, leaf_hash
from log.merkle.tiles import Edge
from monitor.charges import Charges
from monitor.clock import Clock
from monitor.follower import Follower
from monitor.hash_tiles import HashTiles
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.own_witness import OwnWitness
from monitor.peer import Peer
from monitor.store import Store
from monitor.watch import Watch
from tests.support.lying_log import ed25519
from tests.support.memory_log import COSIGNATURE, ED25519, ORIGIN, START_MS, TREE_HEAD

SIGNERS = (TREE_HEAD, ED25519, COSIGNATURE)
LOG = FollowedLog("", "x509", X509, ORIGIN, "", tuple(s.vkey for s in SIGNERS), Policy((), (), (), "none"), ())
PINNED = Pinned([Identity.make(ORIGIN, LOG.vkeys)])
OURS = NoteSigner.make("monitor.example/m", KeyType.COSIGNATURE, ed25519("monitor"))
CHUNK = 64
BEGIN_MS = START_MS + 10_000_000  # later than every leaf

Tree = tuple[str, ...]  # a word for each leaf


class Crash(BaseException):
    """The process dies here."""


@dataclass(frozen=True)
class Signed:
    """A head, and the tree that it was signed over."""

    tree: Tree
    time_ms: int
    note: bytes


@cache
def placed(word: str, index: int) -> Placed:
    return X509.place(x509_parts(word.encode(), [bytes(32)]), index, START_MS + index)


@cache
def levels(tree: Tree) -> tuple[list[bytes], bytes]:
    """Return the hashes of each tile level, and the root."""
    edge, full = Edge().grow([leaf_hash(placed(word, i).leaf) for i, word in enumerate(tree)])
    found = [b""] * len(edge.levels)
    for level, _, data in full:
        found[level] += data
    return [data + rest for data, rest in zip(found, edge.levels, strict=True)], edge.root()


class Reader:
    """What somebody serves of a tree; it may keep things back, or spoil them."""

    def __init__(self, tree: Tree, note: bytes = b"", fault: str = "") -> None:
        self.tree, self.note, self.fault = tree, note, fault

    async def checkpoint(self) -> bytes:
        if self.fault == "silent":
            raise Unreachable("silent")
        return self.note

    async def witnessed(self) -> bytes | None:
        return None

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        if self.fault in {"silent", "no entries"} or end > len(self.tree):
            raise NotFound("not here")
        words = ["spoiled"] * (end - start) if self.fault == "other entries" else self.tree[start:end]
        return [placed(word, start + i).row for i, word in enumerate(words)]

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        found = levels(self.tree)[0]
        if self.fault in {"silent", "no hashes"} or level >= len(found) or HASH_SIZE * end > len(found[level]):
            raise NotFound("not here")
        data = found[level][HASH_SIZE * start : HASH_SIZE * end]
        return bytes(len(data)) if self.fault == "other hashes" else data

    async def blob(self, digest: bytes) -> bytes | None:
        return None


FAULTS = ("", "silent", "no entries", "other entries", "no hashes", "other hashes")


@dataclass
class World:
    """A log that does what it likes, and a monitor on a state that survives it."""

    path: Path
    trees: list[Tree]
    signed: list[Signed] = field(default_factory=list)
    served: Reader = field(default_factory=lambda: Reader(()))
    mirrors: list[Reader] = field(default_factory=list)
    now_ms: int = BEGIN_MS
    fuse: int = 0  # writes until the process dies; 0 for none

    def start(self) -> None:
        limits = Limits(chunk_entries=256)
        self.store = Store.open(self.path, OURS.vkey.encode(), 1_000)
        clock = Clock(limits, lambda: self.now_ms, lambda: self.now_ms / 1000)

        def further(origin: str) -> Sequence[LogReader]:
            return self.mirrors

        ledger = Ledger(self.store, limits, clock.now_ms, further)
        charges = Charges(self.store, limits, clock.now_ms, "here", further)
        follower = Follower(LOG, self.served, self.store, ledger, charges, limits, clock)
        own = OwnWitness((OURS,), self.store, clock.now_ms, clock.fit_to_sign)
        self.ledger = ledger
        self.watch = Watch(
            LOG, self.served, follower, HashTiles(LOG, self.served, self.store, charges, limits), cast(Any, None), own,
            ledger, charges, self.store, cast(Peer, None), 1, limits, clock,
        )  # fmt: skip
        fold = self.store._fold

        def burn() -> None:
            fold()
            self.fuse -= 1
            if self.fuse == 0:
                raise Crash

        self.store._fold = burn  # type: ignore[method-assign]

    async def sign(self, branch: int, more: int, back_ms: int) -> None:
        tree = self.trees[branch] = self.trees[branch] + tuple(f"{branch}" for _ in range(more))
        self.now_ms += 700
        time_ms = self.now_ms - back_ms
        text = Checkpoint(ORIGIN, len(tree), levels(tree)[1]).encode()
        self.signed.append(Signed(tree, time_ms, (await sign_note(text, time_ms, SIGNERS)).encode()))

    async def do(self, act: tuple[Any, ...]) -> None:
        match act:
            case ("sign", int(branch), int(more), int(back_ms), bool(shown)):
                await self.sign(branch % len(self.trees), more, back_ms)
                if shown:
                    await self.ledger.take(LOG, self.signed[-1].note, "somebody")
            case ("branch", int(branch), int(fewer)):
                tree = self.trees[branch % len(self.trees)]
                self.trees.append(tree[: max(0, len(tree) - fewer)])
            case ("show", int(which)) if self.signed:
                await self.ledger.take(LOG, self.signed[which % len(self.signed)].note, "somebody")
            case ("serve", int(which), str(fault)) if self.signed:
                head = self.signed[which % len(self.signed)]
                self.served.tree, self.served.note, self.served.fault = head.tree, head.note, fault
            case ("die", int(fuse), int(which)) if self.signed:  # while a head is taken in
                self.fuse = fuse
                await self.ledger.take(LOG, self.signed[which % len(self.signed)].note, "somebody")
            case ("look", int(fuse)):
                self.fuse = fuse
                await self.watch.look()

    async def act(self, act: tuple[Any, ...]) -> None:
        """Do one thing; after a crash the next process goes on with the state."""
        try:
            await self.do(act)
        except* Crash:
            self.store.close()
            self.start()
        finally:
            self.fuse = 0

    def observed(self) -> list[Signed]:
        """Return what the monitor has met, with what only we know of it."""
        notes = set(self.store.raw_notes(ORIGIN))
        return [each for each in self.signed if each.note in notes]


def exclude(one: Signed, two: Signed) -> bool:
    """Say whether no honest log signs both: by what the trees are and when they were signed."""
    small, large = sorted((one, two), key=lambda each: len(each.tree))
    if large.tree[: len(small.tree)] != small.tree:
        return True
    if len(small.tree) == len(large.tree):
        return False
    return small.time_ms >= large.time_ms


ACTS = st.one_of(
    st.tuples(
        st.just("sign"), st.integers(0, 3), st.integers(0, 3), st.sampled_from([0, 0, 700, 2_000]), st.booleans()
    ),
    st.tuples(st.just("branch"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("show"), st.integers(0, 9)),
    st.tuples(st.just("serve"), st.integers(0, 9), st.sampled_from(FAULTS)),
    st.tuples(st.just("look"), st.integers(0, 6)),
    st.tuples(st.just("die"), st.integers(1, 2), st.integers(0, 9)),
)


async def play(folder: Path, trunk: int, acts: list[tuple[Any, ...]], last: str) -> None:
    path = folder / "state.sqlite"
    Store.create(path, OURS.vkey.encode())
    world = World(path, [("0",) * trunk])
    world.start()
    try:
        await world.act(("sign", 0, 0, 0, False))
        for act in acts:
            await world.act(act)
        # at the end the log serves what it signed last, or not, and somebody has the tiles of every head
        world.mirrors = [Reader(each.tree) for each in world.signed]
        await world.act(("serve", len(world.signed) - 1, last))
        for _ in range(3):
            await world.act(("look", 0))
        kept = [each for each in world.store.evidence(ORIGIN) if each.kind is not Kind.UNREPRODUCIBLE]
        assert all(check(each.object, PINNED).proven for each in kept)
        assert all(each.subject == ORIGIN for each in (check(each.object, PINNED) for each in kept))
        lied = any(exclude(one, two) for one, two in combinations(world.observed(), 2))
        assert bool(kept) == lied
    finally:
        world.store.close()


@settings(max_examples=100)
@given(st.sampled_from([0, 1, 5, 254]), st.lists(ACTS, max_size=14), st.sampled_from(["", "silent"]))
def test_heads_that_exclude_each_other_are_proven_and_nothing_else_is(
    trunk: int, acts: list[tuple[Any, ...]], last: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), trunk, acts, last))


async def test_two_heads_beyond_all_that_the_log_serves_are_proven_and_stay_open(tmp_path: Path) -> None:
    """Both go on from our own tree, each in its way, and the log is silent: others have the larger one's tiles."""
    path = tmp_path / "state.sqlite"
    Store.create(path, OURS.vkey.encode())
    world = World(path, [("0",) * 5] * 3)
    world.start()
    for act in (("sign", 0, 0, 0, False), ("serve", 0, ""), ("look", 0), ("serve", 0, "silent")):
        await world.act(act)
    for branch, more in ((1, 2), (2, 9), (0, 20)):  # 7, 14 and 25 leaves, no two of one history
        await world.act(("sign", branch, more, 0, branch != 0))
    await world.watch.look()
    assert world.store.evidence(ORIGIN) == []
    world.mirrors = [Reader(world.signed[1].tree), Reader(world.signed[3].tree)]
    await world.watch.look()
    assert world.store.evidence(ORIGIN) == [], "tiles of the smaller, and of another tree"
    world.mirrors.append(Reader(world.signed[2].tree))
    found = await world.watch.look()
    [kept] = world.store.evidence(ORIGIN)
    assert (check(kept.object, PINNED).kind, [each.evidence for each in found if each.evidence]) == (
        Kind.CROSS_SIZE,
        [kept.id.hex()],
    )
    assert [head.size for head in world.store.open_heads(ORIGIN, 9)] == [7, 14]
    assert [each.code for each in await world.watch.look()] == ["silent"], "it is said once"
    world.store.close()


# --- an honest log --------------------------------------------------------------------------------------------


def test_a_hundred_thousand_commits_at_full_speed_never_exclude_each_other() -> None:
    """Several a second, several a heartbeat, at the edge of a millisecond: neighbours and heads farther apart."""
    made: list[Head] = []
    now_ms = BEGIN_MS
    size = 0
    for number in range(100_000):
        now_ms = max(now_ms + 1, now_ms + (0, 0, 1, 7, 999, 10_000)[number * 7 % 6])
        size += (1, 0, 250, 1, 3)[number % 5]  # 0 is a heartbeat
        times = ((KeyType.COSIGNATURE, now_ms // 1000 * 1000), (KeyType.TREE_HEAD, now_ms))
        made.append(Head("o", size, size.to_bytes(32), times, b"", b""))
    for distance in (1, 2, 3, 64, 50_000):
        assert not any(contradiction(one, two) for one, two in zip(made, made[distance:], strict=False))


async def test_an_honest_log_at_full_speed_leaves_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    Store.create(path, OURS.vkey.encode())
    world = World(path, [("0",) * 200])
    world.start()
    for number in range(60):
        await world.act(("sign", 0, (1, 0, 2)[number % 3], 699, False))  # a millisecond after the one before
        world.now_ms -= 699
        shown = number // 2 if number % 2 else number
        await world.act(("show", shown))
        await world.act(("serve", number if number % 5 else shown, FAULTS[number % 7] if number % 7 < 6 else ""))
        await world.act(("look", 0))
    assert all(each.kind is Kind.UNREPRODUCIBLE for each in world.store.evidence(ORIGIN))
    await world.act(("serve", 59, ""))
    assert await world.watch.look() == []
    assert world.store.open_heads(ORIGIN, 100) == []
    world.store.close()
