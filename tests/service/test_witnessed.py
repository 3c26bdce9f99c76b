"""The two published heads of a log, and how cosignatures make the second (design.md section 3)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from log.client.verifier import verify_checkpoint, verify_leaf
from log.crypto.notes import NoteSigner, cosign, open_note, sign_note
from log.errors import Conflict, Denied, LogError, Malformed, NotYet, StateRefused, StoreFailed, Unavailable
from log.formats.checkpoint import Checkpoint
from log.formats.family import X509
from log.formats.note import Note, Signature
from log.formats.policy import Policy, PolicyGroup, PolicyLog
from log.formats.tlog_proof import TlogProof
from log.merkle.hashing import leaf_hash
from log.service.witnessed import PENDING_TEXTS
from log.storage import DataStore, HeadStore, Index, Swap
from log.storage.memory import MemoryHeads
from tests.support.engine import (
    ORIGIN,
    Engine,
    MemoryPlace,
    log_signers,
    mldsa_signer,
    policy_of,
    witness_signer,
)
from tests.support.faults import Faults

ONE, TWO = witness_signer("gd.example/witness", 40), witness_signer("outside.example/witness", 41)
ONE_MLDSA = mldsa_signer("gd.example/witness", 40)
STRANGER = witness_signer("stranger.example/witness", 42)
ROW = f"witnessed/{ORIGIN}"


@dataclass(slots=True)
class Halts:
    """What was halted, and why."""

    seen: list[tuple[str, bytes, bytes]] = field(default_factory=list)

    async def halt(self, origin: str, why: str, ours: bytes, theirs: bytes) -> None:
        self.seen.append((origin, ours, theirs))


@pytest.fixture
def halts() -> Halts:
    return Halts()


@pytest.fixture
async def engine(halts: Halts) -> AsyncIterator[Engine]:
    """A log of three entries whose policy wants both witnesses."""
    engine = Engine(MemoryPlace(), policy=policy_of(ONE, TWO), halt=halts.halt)
    await engine.create()
    await engine.start()
    await engine.submit_some(3)
    yield engine
    await engine.audited()
    await engine.stop()


async def cosigned(engine: Engine, note: bytes, *witnesses: NoteSigner, ms: int = 0) -> bytes:
    parsed = Note.parse(note)
    time_s = (engine.clock.wall_ms() + ms) // 1000
    lines = [await cosign(parsed.text, time_s, witness) for witness in witnesses]
    return parsed.with_signatures([*parsed.signatures, *lines]).encode()


def size_of(note: bytes | None) -> int | None:
    return None if note is None else Checkpoint.parse(Note.parse(note).text).size


def signers_of(note: bytes | None) -> set[str]:
    assert note is not None
    return {line.name for line in Note.parse(note).signatures}


async def take(engine: Engine, *witnesses: NoteSigner, ms: int = 0) -> bytes:
    """Add cosignatures to the newest head and return that head as it was."""
    note = engine.running.published.head.note
    await engine.running.add_cosignatures(await cosigned(engine, note, *witnesses, ms=ms))
    return note


async def test_before_the_first_cosignatures_there_is_no_witnessed_head(engine: Engine) -> None:
    assert await engine.running.witnessed() is None
    assert engine.running.status().witnessed_size is None
    row = (await engine.running.entries(0, 1, 3))[0]
    with pytest.raises(NotYet):
        await engine.running.tlog_proof(leaf=leaf_hash(X509.leaf_input(row)), newest=False)


async def test_cosignatures_that_arrive_apart_are_merged(engine: Engine) -> None:
    await take(engine, ONE)
    assert await engine.running.witnessed() is None
    assert ONE.vkey.name in signers_of(await engine.running.checkpoint())
    await take(engine, TWO)
    witnessed = await engine.running.witnessed()
    assert witnessed is not None
    logs = tuple(PolicyLog(signer.vkey) for signer in log_signers())
    policy = policy_of(ONE, TWO)
    vouched = verify_checkpoint(witnessed, Policy(logs, policy.witnesses, policy.groups, policy.quorum))
    assert vouched.satisfied
    assert vouched.checkpoint.size == 3
    assert len(vouched.vkeys) == 3, "all our own lines are on it"
    status = engine.running.status()
    assert status.vouched_by == (ONE.vkey.name, TWO.vkey.name)
    assert status.witnessed_size == 3
    row = (await engine.running.entries(0, 1, 3))[0]
    await engine.running.tlog_proof(leaf=leaf_hash(X509.leaf_input(row)), newest=False)


async def test_a_witness_with_two_keys_counts_by_each_and_both_lines_are_kept() -> None:
    engine = Engine(MemoryPlace(), policy=policy_of(ONE, ONE_MLDSA))
    await engine.create()
    await engine.start()
    await engine.submit_some(3)
    await take(engine, ONE)
    assert await engine.running.witnessed() is None, "the policy asks for both"
    await take(engine, ONE_MLDSA)
    witnessed = await engine.running.witnessed()
    assert witnessed is not None
    assert [line.vkey for line in open_note(witnessed, [ONE.vkey, ONE_MLDSA.vkey]).verified] == [
        ONE.vkey,
        ONE_MLDSA.vkey,
    ]
    assert engine.running.status().vouched_by == (ONE.vkey.name,), "one witness, whatever its keys"
    await engine.stop()
    await engine.start()
    assert await engine.running.witnessed() == witnessed
    row = (await engine.running.entries(0, 1, 3))[0]
    leaf = X509.leaf_input(row)
    proof = TlogProof.parse(await engine.running.tlog_proof(leaf=leaf_hash(leaf), newest=False))
    logs = tuple(PolicyLog(signer.vkey) for signer in log_signers())
    for witnesses in ((ONE, ONE_MLDSA), (ONE,), (ONE_MLDSA,)):
        policy = policy_of(*witnesses)
        vouched = verify_leaf(proof, leaf, Policy(logs, policy.witnesses, policy.groups, policy.quorum))
        assert vouched.satisfied
        assert len(vouched.witnesses) == len(witnesses)
    await engine.stop()


@pytest.mark.parametrize("witness", [ONE, ONE_MLDSA])
async def test_a_line_without_a_time_is_nobodys_word(witness: NoteSigner) -> None:
    engine = Engine(MemoryPlace(), policy=policy_of(witness))
    await engine.create()
    await engine.start()
    head = Note.parse(engine.running.published.head.note)
    timeless = await sign_note(head.text, 0, [witness])
    with pytest.raises(Denied, match="no line of a configured witness"):
        await engine.running.add_cosignatures(head.with_signatures([*head.signatures, *timeless.signatures]).encode())
    assert await engine.running.witnessed() is None
    await engine.stop()


async def test_cosignatures_over_heartbeats_of_one_tree_count_together(engine: Engine) -> None:
    await take(engine, ONE)
    engine.clock.advance(10_000)
    await engine.running.sequencer._committer.heartbeat()
    await take(engine, TWO)
    assert size_of(await engine.running.witnessed()) == 3


async def test_a_heartbeat_refreshes_the_witnessed_head(engine: Engine) -> None:
    await take(engine, ONE, TWO)
    first = engine.running.status()
    engine.clock.advance(10_000)
    await engine.running.sequencer._committer.heartbeat()
    await take(engine, ONE)
    again = engine.running.status()
    assert again.witnessed_age_ms == 0
    assert again.vouched_by == first.vouched_by, "the other witness's older line still stands"


async def test_an_older_line_of_a_witness_does_not_replace_its_newer_one(engine: Engine) -> None:
    await take(engine, ONE, TWO)
    newest = await engine.running.witnessed()
    await take(engine, ONE, TWO, ms=-60_000)
    assert await engine.running.witnessed() == newest


async def test_a_smaller_head_replaces_nothing_but_is_taken(engine: Engine) -> None:
    old = engine.running.published.head.note
    await engine.submit_some(1)
    await take(engine, ONE, TWO)
    await engine.running.add_cosignatures(await cosigned(engine, old, ONE, TWO))
    assert size_of(await engine.running.witnessed()) == 4


async def test_an_older_own_head_may_become_the_witnessed_one(engine: Engine) -> None:
    old = engine.running.published.head.note
    await engine.submit_some(2)
    await engine.running.add_cosignatures(await cosigned(engine, old, ONE, TWO))
    assert size_of(await engine.running.witnessed()) == 3
    assert size_of(await engine.running.checkpoint()) == 5


async def test_without_a_configured_witness_it_is_denied(engine: Engine, halts: Halts) -> None:
    with pytest.raises(Denied):
        await engine.running.add_cosignatures(engine.running.published.head.note)
    with pytest.raises(Denied):
        await take(engine, STRANGER)
    assert not halts.seen


async def test_a_line_of_a_witness_that_does_not_verify_is_denied(engine: Engine) -> None:
    note = Note.parse(engine.running.published.head.note)
    good = await cosign(note.text, 1_800_000_000, ONE)
    bad = Signature(good.name, good.key_id, good.data[:-1] + bytes([good.data[-1] ^ 1]))
    with pytest.raises(Denied):
        await engine.running.add_cosignatures(note.with_signatures([*note.signatures, bad]).encode())
    assert ONE.vkey.name not in signers_of(await engine.running.checkpoint())


async def test_without_our_own_line_it_is_denied(engine: Engine, halts: Halts) -> None:
    note = Note.parse(engine.running.published.head.note)
    alone = note.with_signatures([await cosign(note.text, 1_800_000_000, ONE)])
    with pytest.raises(Denied):
        await engine.running.add_cosignatures(alone.encode())
    forged = Checkpoint(ORIGIN, 9, b"\x01" * 32).encode()
    with pytest.raises(Denied):
        await engine.running.add_cosignatures(Note(forged, (await cosign(forged, 1_800_000_000, ONE),)).encode())
    assert not halts.seen, "anybody could halt a log"


async def test_what_is_no_note_is_malformed(engine: Engine) -> None:
    with pytest.raises(Malformed):
        await engine.running.add_cosignatures(b"nonsense\n")


async def test_lines_of_strangers_are_not_passed_on(engine: Engine) -> None:
    await take(engine, ONE, TWO, STRANGER)
    assert STRANGER.vkey.name not in signers_of(await engine.running.witnessed())
    assert STRANGER.vkey.name not in signers_of(await engine.running.checkpoint())


@pytest.mark.parametrize("size", [0, 2, 3, 7])
@pytest.mark.parametrize("cosigner", [True, False])
async def test_a_head_of_ours_that_our_tree_does_not_bear_out_halts(
    engine: Engine, halts: Halts, size: int, cosigner: bool
) -> None:
    text = Checkpoint(ORIGIN, size, b"\x05" * 32).encode()
    note = (await sign_note(text, engine.clock.wall_ms(), log_signers()[:1])).encode()
    if cosigner:
        note = await cosigned(engine, note, ONE)
    with pytest.raises(Conflict):
        await engine.running.add_cosignatures(note)
    assert halts.seen == [(ORIGIN, engine.running.published.head.note, note)]


async def test_the_witnessed_head_is_there_after_a_restart_and_takes_further_lines(engine: Engine) -> None:
    await take(engine, ONE, TWO)
    before = await engine.running.witnessed()
    await engine.restart()
    assert await engine.running.witnessed() == before
    assert engine.running.status().vouched_by == (ONE.vkey.name, TWO.vkey.name)
    await take(engine, ONE, ms=5_000)
    assert engine.running.status().vouched_by == (ONE.vkey.name, TWO.vkey.name)
    assert signers_of(await engine.running.witnessed()) >= {ONE.vkey.name, TWO.vkey.name}


async def test_fewer_witnesses_after_a_restart_do_not_take_the_others_away() -> None:
    either = policy_of(ONE, TWO)
    policy = Policy(either.logs, either.witnesses, (PolicyGroup("any", 1, ("w0", "w1")),), "any")
    engine = Engine(MemoryPlace(), policy=policy)
    await engine.create()
    await engine.start()
    await take(engine, ONE, TWO)
    await engine.restart()
    await take(engine, ONE)
    assert engine.running.status().vouched_by == (ONE.vkey.name, TWO.vkey.name)
    await engine.stop()


async def test_a_witnessed_head_bears_all_our_own_lines(engine: Engine) -> None:
    note = Note.parse(engine.running.published.head.note)
    fewer = note.with_signatures(note.signatures[:1]).encode()
    await engine.running.add_cosignatures(await cosigned(engine, fewer, ONE, TWO))
    assert await engine.running.witnessed() is None
    await take(engine, ONE)
    assert len(Note.parse(await engine.running.witnessed() or b"").signatures) == 5


async def test_a_stored_head_that_no_longer_meets_the_policy_is_not_served(engine: Engine) -> None:
    await take(engine, ONE, TWO)
    await engine.crash()
    engine.policy = policy_of(ONE, TWO, STRANGER)
    await engine.start()
    assert await engine.running.witnessed() is None


async def test_a_stored_head_that_does_not_verify_is_refused() -> None:
    place = MemoryPlace()
    engine = Engine(place, policy=policy_of(ONE))
    await engine.create()
    await engine.start()
    await take(engine, ONE)
    await engine.crash()
    place.disk.heads[ROW] = place.disk.heads[ROW].replace(b"\n0\n", b"\n1\n")
    with pytest.raises(StateRefused):
        await engine.start()
    await engine.crash()


async def test_what_is_gathered_is_bounded_and_old_heads_push_nothing_out(engine: Engine) -> None:
    old = []
    for _ in range(PENDING_TEXTS + 2):
        await engine.submit_some(1)
        old.append(engine.running.published.head.note)
    for note in old[:2]:
        await engine.running.add_cosignatures(await cosigned(engine, note, ONE))
    await engine.running.add_cosignatures(await cosigned(engine, old[1], TWO))
    assert size_of(await engine.running.witnessed()) == 5
    await take(engine, ONE)
    for _ in range(2):
        for note in old[:2]:  # replayed by anyone who kept them
            await engine.running.add_cosignatures(await cosigned(engine, note, ONE, TWO))
    for note in old[3:]:
        await engine.running.add_cosignatures(await cosigned(engine, note, ONE))
    assert len(engine.running._head._gathered) <= PENDING_TEXTS
    await take(engine, TWO)
    assert size_of(await engine.running.witnessed()) == engine.size


@pytest.mark.parametrize("swap", [Swap.UNKNOWN, Swap.STALE, None])
async def test_a_head_store_that_fails_ends_the_process(swap: Swap | None) -> None:
    class Heads(MemoryHeads):
        async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
            if name != ROW:
                return await super().replace(name, old, new)
            if swap is None:
                raise StoreFailed("told by the test")
            return swap

    class Place(MemoryPlace):
        def open(self, faults: Faults) -> tuple[DataStore, HeadStore, Index]:
            data, _, index = super().open(faults)
            return data, Heads(self.disk), index

    engine = Engine(Place(), policy=policy_of(ONE))
    await engine.create()
    await engine.start()
    await engine.submit_some(1)
    with pytest.raises(Unavailable):
        await take(engine, ONE)
    kinds: type[LogError] = StateRefused if swap is Swap.STALE else StoreFailed
    assert [type(error) for error in engine.failures] == [kinds]
    await engine.crash()


async def test_a_policy_that_changes_while_a_witnessed_head_is_stored_harms_no_store() -> None:
    class Heads(MemoryHeads):
        async def load(self, name: str) -> bytes | None:
            if name == ROW and size_of(await hosting.running.witnessed()) == 4:
                hosting.running.follow(policy_of(ONE, TWO))
            return await super().load(name)

    class Place(MemoryPlace):
        def open(self, faults: Faults) -> tuple[DataStore, HeadStore, Index]:
            data, _, index = super().open(faults)
            return data, Heads(self.disk), index

    place = Place()
    hosting = Engine(place, policy=policy_of(ONE))
    await hosting.create()
    await hosting.start()
    await hosting.submit_some(3)
    await take(hosting, ONE)
    await hosting.submit_some(1)
    await take(hosting, ONE)
    assert await hosting.running.witnessed() is None
    assert size_of(place.disk.heads[ROW]) == 3
    await hosting.stop()


async def test_whoever_replays_the_published_head_costs_no_write(engine: Engine) -> None:
    await take(engine, ONE, TWO)
    published = await engine.running.witnessed()
    assert published is not None
    heads = engine.running._head._heads
    writes: list[str] = []

    async def counted(name: str, old: bytes | None, new: bytes) -> Swap:
        writes.append(name)
        return await type(heads).replace(heads, name, old, new)

    heads.replace = counted  # type: ignore[method-assign]
    for _ in range(5):
        await engine.running.add_cosignatures(published)
    assert writes == []
    engine.clock.advance(2_000)
    await take(engine, ONE)
    assert writes == [ROW]


async def test_our_own_heads_verify_under_every_key(engine: Engine) -> None:
    opened = open_note(await engine.running.checkpoint(), [signer.vkey for signer in log_signers()])
    assert len(opened.verified) == 3
    times = {line.timestamp_ms for line in opened.verified if line.timestamp_ms is not None}
    newest_ms = engine.running.published.head.timestamp_ms
    assert times == {newest_ms, newest_ms // 1000 * 1000}


async def test_without_a_quorum_the_newest_head_is_the_witnessed_one() -> None:
    engine = Engine(MemoryPlace(), policy=Policy((), (), (), "none"))
    await engine.create()
    await engine.start()
    await engine.submit_some(3)
    note = await engine.running.witnessed()
    assert note == await engine.running.checkpoint()
    assert engine.running.status().witnessed_size == 3
    await engine.submit_some(1)
    assert engine.running.status().witnessed_size == 4
    await engine.stop()
