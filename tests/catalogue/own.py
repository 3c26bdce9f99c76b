"""What happens to the monitor itself, and what others try with it (rows 33, 34, 36 to 38, 40)."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest

from log.errors import StateRefused, StoreFailed, StoreLocked
from log.evidence import objects, prefix
from log.evidence.heads import Kind, read_head
from log.formats.checkpoint import parse_signed
from log.formats.note import Note
from log.formats.text import b64encode
from log.merkle.frontier import Frontier
from monitor import keyring, settings
from monitor.store import Store
from tests.catalogue.harness import ROUNDS, Case, M, P, Theme
from tests.catalogue.people import post
from tests.monitor.test_feedback import POLLINATION

OWN = Theme()
HOUR_MS = 3_600_000
FLOOD = 400  # requests of each kind


@OWN.row(33, "a flood of heads: unsigned ones, then old ones with signatures", None, moves=True)
async def flood(case: Case) -> AsyncIterator[None]:
    before = case.store.counts(case.truth.origin).observations
    unsigned = Note.parse(case.truth.note).with_signatures(Note.parse(case.truth.note).signatures[:0])
    old = [await (await case.truth.branch(at, 0)).sign(time_ms=1_000 + at) for at in range(100)]
    for kind in ([unsigned.text + b"\n"] * 2, old):
        codes = []
        for number in range(FLOOD):
            body = {"notes": [b64encode(kind[number % len(kind)])]}
            codes.append((await post(case, POLLINATION, body, f"203.0.113.{number % 3}")).status_code)
        assert codes.count(429) > FLOOD // 2, "each sender has a rate"
        assert set(codes) <= ({429, 400} if kind is not old else {429, 200})
        yield
    assert case.store.counts(case.truth.origin).observations - before < 100, "what is known is not kept twice"
    await case.grow()
    yield
    told = await post(case, POLLINATION, {"notes": []}, "203.0.113.9")
    assert max(sth["tree_size"] for sth in told.json()["sths"]) == case.truth.size, "and the newest is told of"


@OWN.row(34, "framing: corrupted nodes, swapped roles, foreign keys", None, moves=True)
async def framing(case: Case) -> AsyncIterator[None]:
    truth, origin, vkeys = case.truth, case.truth.origin, case.truth.vkeys
    one = read_head(truth.note, origin, vkeys)[0]
    early = await truth.branch(100, 0)
    two = read_head(await early.sign(time_ms=case.now_ms() - HOUR_MS), origin, vkeys)[0]
    left, right = prefix.cover(two.size, one.size)
    hashes = [root_of(truth.leaves[span.start : span.end]) for span in (*left, *right)]
    made = [objects.encode(kind, origin, vkeys, (two, one)) for kind in (Kind.SAME_SIZE, Kind.ROLLBACK, Kind.SAME_TIME)]
    made.append(objects.encode(Kind.CROSS_SIZE, origin, vkeys, (two, one), hashes))  # the truth is no lie
    for at in range(len(hashes)):
        spoiled = [*hashes[:at], hashes[at][:-1] + bytes([hashes[at][-1] ^ 1]), *hashes[at + 1 :]]
        made.append(objects.encode(Kind.CROSS_SIZE, origin, vkeys, (two, one), spoiled))
    other = case.world.gd_x509
    forked = read_head((await other.branch(other.size - 1, 1)).note, other.origin, other.vkeys)[0]
    true = read_head(other.note, other.origin, other.vkeys)[0]
    made.append(objects.encode(Kind.SAME_SIZE, origin, vkeys, (true, forked)))  # of one log, told of another
    lie = objects.encode(Kind.SAME_SIZE, other.origin, other.vkeys, (true, forked))
    made += [lie[:at] + bytes([lie[at] ^ 1]) + lie[at + 1 :] for at in case.chance.sample(range(len(lie)), 30)]
    codes = [(await post(case, "/gossip/v1/evidence", data)).status_code for data in made]
    assert set(codes) <= {400, 403}, codes
    assert case.store.all_evidence() == []
    yield


def root_of(leaves: list[bytes]) -> bytes:
    made = Frontier.empty()
    made.extend(leaves)
    return made.root()


@OWN.row(36, "our clock jumps an hour, back an hour, eight hours", M, "clock", step_ms=5_000, moves=True, signs=False)
async def clock_jumps(case: Case) -> AsyncIterator[None]:
    """Only our own clock jumps, for far longer than a clock settles: the world's goes on."""
    off_ms = 0
    world = case.world
    case.monitor.wall = lambda: world.time_ms + off_ms
    for off_ms in (HOUR_MS, -HOUR_MS, 8 * HOUR_MS):  # noqa: B007 - `wall` reads it
        for _ in range(5):
            yield
            assert {(each.outcome.name, each.code) for each in case.found} <= {("OWN", "clock")}, case.found
        case.world.time_ms += 60_000
    off_ms = 0


class Crash(BaseException):
    """The process dies here."""


@OWN.row(37, "a crash, or a disk that fails, at every write", P, "fork", kinds=(Kind.SAME_SIZE,), signs=False)
async def crashes(case: Case) -> AsyncIterator[None]:
    """`tests/syscalls` and `tests/monitor/test_process.py` kill real processes."""
    fork = await case.truth.branch(case.truth.size - 1, 1)
    case.serve(fork)
    fold = Store._fold
    death: type[BaseException] = Crash
    with pytest.MonkeyPatch.context() as patch:
        for at in range(1, 200):
            left = [at]

            def burn(store: Store, left: list[int] = left, death: type[BaseException] = death) -> None:
                fold(store)
                left[0] -= 1
                if left[0] == 0:
                    raise death

            patch.setattr(Store, "_fold", burn)
            case.rounds = 0
            try:
                await case.round()
            except (Crash, StoreFailed):
                others = asyncio.all_tasks() - {asyncio.current_task()}
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
                death = StoreFailed if death is Crash else Crash
                continue
            if left[0] > 0:
                break  # else it struck a write that a thread of the round before had left behind
        else:
            raise AssertionError("no round was whole")
    assert at > 10, "it died at each write of a round"
    yield
    case.serve(case.truth)


@OWN.row(38, "our state torn, deleted, set back", M, "restored", moves=True)
async def old_state(case: Case) -> AsyncIterator[None]:
    loaded = settings.load(case.monitor.path)
    key = keyring.load(loaded).witness.vkey.encode()
    case.monitor.stop()
    backup = case.monitor.path.parent / "backup"
    shutil.copytree(loaded.state.parent, backup)
    torn = loaded.state.read_bytes()
    loaded.state.write_bytes(torn[: len(torn) // 2] + bytes(len(torn) // 4))
    with pytest.raises((StateRefused, StoreFailed)):
        Store.open(loaded.state, key, 10_000)
    for file in loaded.state.parent.glob(f"{loaded.state.name}*"):
        file.unlink()
    with pytest.raises(StateRefused, match="init"):
        Store.open(loaded.state, key, 10_000)
    shutil.copytree(backup, loaded.state.parent, dirs_exist_ok=True)
    await case.grow()
    await case.round()
    assert case.alerts() == []
    cosigned = max(size for size, _ in case.monitor.cosigned(case.truth))
    case.monitor.stop()
    shutil.rmtree(loaded.state.parent)
    shutil.copytree(backup, loaded.state.parent)
    case.truth.handed.clear()
    yield
    sizes = [parse_signed(raw)[1].size for raw in case.truth.handed]
    assert sizes, "it has gone on"
    assert min(sizes) >= cosigned, "from there, and not from where its copy stood"
    yield


@OWN.row(40, "two monitors on one state", None, moves=True)
async def two_processes(case: Case) -> AsyncIterator[None]:
    loaded = settings.load(case.monitor.path)
    key = keyring.load(loaded).witness.vkey.encode()
    case.restarts = False
    for _ in ROUNDS:
        yield
        with pytest.raises(StoreLocked):
            Store.open(loaded.state, key, 10_000)
