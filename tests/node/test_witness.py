"""The node's witness: state before signature, one request at a time (c2sp.org/tlog-witness)."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from log.crypto.notes import cosign_all, open_note
from log.errors import Denied, StateRefused, StoreFailed, Unavailable
from log.formats.checkpoint import Checkpoint
from log.formats.note import Note, parse_signature_lines
from log.node.halts import Halted
from log.node.witness import NodeWitness
from log.storage import Swap
from log.storage.memory import MemoryHeads
from tests.support.side import PEER, WITNESS, WITNESS_MLDSA, Side, line_of

ROW = f"witness/{PEER}"


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    side = Side()
    await side.create()
    await side.start()
    await side.open()
    yield side
    await side.crash()


def size_of(side: Side) -> int:
    return Checkpoint.parse(Note.parse(side.heads.heads[ROW]).text).size


async def test_a_cosignature_verifies_and_the_state_holds_it(side: Side) -> None:
    note = await side.peer_head(3)
    line = line_of(await side.ask(0, note))
    opened = open_note(note + line, [WITNESS.vkey])
    assert opened.verified[0].timestamp_ms == side.clock.wall_ms() // 1000 * 1000
    assert side.heads.heads[ROW].endswith(line)
    name = sha256(PEER.encode()).hexdigest()
    assert await side.running.witness.latest(name) == side.heads.heads[ROW]
    assert await side.running.witness.latest("00" * 32) is None


async def test_of_two_racing_requests_one_wins_and_the_other_is_told_the_size(side: Side) -> None:
    one, two = await side.peer_head(3), await side.peer_head(5)
    answers = await asyncio.gather(side.ask(0, one), side.ask(0, two))
    assert [answer.status for answer in answers] == [200, 409]
    assert answers[1].body == b"3\n"
    assert size_of(side) == 3


async def test_racing_forks_get_one_signature(side: Side) -> None:
    one, two = await side.peer_head(3), await side.peer_head(3, fork=True)
    answers = await asyncio.gather(*(side.ask(0, note) for note in (one, two, one, two)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert [answer.status for answer in answers].count(200) == 1


async def test_a_fork_of_the_peer_is_kept_as_evidence(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    await side.ask(0, await side.peer_head(3))
    assert side.running.witness.reading().forked == {PEER: False}
    state = side.heads.heads[ROW]
    answer = await side.ask(3, await side.peer_head(3, fork=True))
    assert answer.status == 422
    first = side.heads.heads[f"fork/{PEER}"]
    side.clock.advance(5_000)
    await side.ask(3, await side.peer_head(3, fork=True))
    assert side.heads.heads[f"fork/{PEER}"] == first
    assert side.heads.heads[ROW] == state
    assert [vars(record)["fields"] for record in caplog.records if "two roots" in record.getMessage()] == [
        {"origin": PEER}
    ]
    kept = Halted.parse(PEER, first)
    assert kept.ours == state
    assert Checkpoint.parse(Note.parse(kept.theirs).text).size == 3
    assert side.running.witness.reading().forked == {PEER: True}
    await side.crash()
    await side.start()
    assert side.running.witness.reading().forked == {PEER: True}


@pytest.mark.parametrize("swap", [Swap.UNKNOWN, Swap.STALE, None])
@pytest.mark.parametrize("written", [False, True])
async def test_nothing_leaves_unless_the_state_surely_holds_it(swap: Swap | None, written: bool) -> None:
    class Heads(MemoryHeads):
        async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
            if name != ROW:
                return await super().replace(name, old, new)
            if written:
                await super().replace(name, old, new)
            if swap is None:
                raise StoreFailed("told by the test")
            return swap

    side = Side()
    await side.create()
    await side.start(Heads(side.heads))
    await side.open()
    with pytest.raises(Unavailable):
        await side.ask(0, await side.peer_head(3))
    (failure,) = side.failures
    assert isinstance(failure, StateRefused if swap is Swap.STALE else StoreFailed)
    assert side.running.failure is failure


async def test_the_line_leaves_after_the_swap(side: Side) -> None:
    swapping, go = asyncio.Event(), asyncio.Event()

    class Slow(MemoryHeads):
        async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
            if name == ROW:
                swapping.set()
                await go.wait()
            return await super().replace(name, old, new)

    await side.crash()
    await side.start(Slow(side.heads))
    await side.open()
    asked = asyncio.create_task(side.ask(0, await side.peer_head(3)))
    await swapping.wait()
    assert not asked.done()
    assert ROW not in side.heads.heads
    go.set()
    line_of(await asked)
    assert size_of(side) == 3


async def test_a_refused_permit_leaves_the_state_unmoved(side: Side) -> None:
    await side.ask(0, await side.peer_head(3))
    await side.restart()
    with pytest.raises(Unavailable):
        await side.ask(3, await side.peer_head(5))
    assert size_of(side) == 3


def time_of(note: bytes) -> int:
    return open_note(note, [WITNESS.vkey]).verified[0].timestamp_ms or 0


async def test_cosignature_times_never_fall_with_growing_size(side: Side) -> None:
    await side.ask(0, await side.peer_head(3))
    first = time_of(side.heads.heads[ROW])
    side.clock.jump(-900)
    assert side.clock.wall_ms() < first
    line_of(await side.ask(3, await side.peer_head(5)))
    assert time_of(side.heads.heads[ROW]) == first
    side.clock.jump(-1_900)
    with pytest.raises(Unavailable, match="clock"):
        await side.ask(5, await side.peer_head(7))
    assert size_of(side) == 5


async def test_what_is_not_a_request_or_not_known_is_answered_by_the_table(side: Side) -> None:
    witness = side.running.witness
    assert (await witness.add_checkpoint(b"nonsense")).status == 400
    note = (await side.peer_head(3)).replace(PEER.encode(), b"other.example/x")
    assert (await side.ask(0, note)).status == 404
    unsigned = Note.parse(await side.peer_head(3))
    assert (await side.ask(0, unsigned.with_signatures(unsigned.signatures[:1]).encode())).status == 403
    assert (await side.ask(4, await side.peer_head(3))).status == 400
    assert ROW not in side.heads.heads


# --- a witness with two keys ----------------------------------------------------------------------------------


async def two_keys() -> Side:
    side = Side(witness_keys=(WITNESS, WITNESS_MLDSA))
    await side.create()
    await side.start()
    await side.open()
    return side


async def test_a_witness_with_two_keys_answers_with_both_lines_and_keeps_them() -> None:
    side = await two_keys()
    note = await side.peer_head(3)
    answer = await side.ask(0, note)
    assert answer.status == 200
    opened = open_note(note + answer.body, [WITNESS.vkey, WITNESS_MLDSA.vkey])
    assert [line.vkey for line in opened.verified] == [WITNESS.vkey, WITNESS_MLDSA.vkey]
    assert {line.timestamp_ms for line in opened.verified} == {side.clock.wall_ms() // 1000 * 1000}
    assert side.heads.heads[ROW].endswith(answer.body)
    assert await side.running.witness.latest(sha256(PEER.encode()).hexdigest()) == side.heads.heads[ROW]
    named = side.running.well_known()["witness"]
    assert named["vkey"] == WITNESS.vkey.encode()
    assert named["vkeys"] == [WITNESS.vkey.encode(), WITNESS_MLDSA.vkey.encode()]
    await side.crash()


async def test_the_second_key_may_come_and_go_between_starts() -> None:
    side = Side()
    await side.create()
    for keys, size in (((WITNESS,), 3), ((WITNESS, WITNESS_MLDSA), 5), ((WITNESS,), 7)):
        side.witness_keys = keys
        await side.start()
        await side.open(side.heads.heads.get(ROW))
        answer = await side.ask(size - 2 if size > 3 else 0, await side.peer_head(size))
        assert answer.status == 200, answer.body
        assert len(parse_signature_lines(answer.body)) == len(keys)
        await side.crash()


async def test_a_guard_shows_a_head_with_both_lines_and_it_is_taken_over() -> None:
    side = await two_keys()
    await side.ask(0, await side.peer_head(3))
    note = Note.parse(await side.peer_head(5))
    lines = await cosign_all(note.text, side.clock.wall_ms() // 1000, [WITNESS, WITNESS_MLDSA])
    shown = note.with_signatures([*lines, *note.signatures]).encode()
    assert (await side.open(shown))["peers"] == {PEER: "ok"}
    assert size_of(side) == 5
    assert set(Note.parse(side.heads.heads[ROW]).signatures) == {*lines, *note.signatures}
    alone = note.with_signatures(lines).encode()  # our own lines do not make it the peer's head
    with pytest.raises(Denied):
        await side.open(alone)
    await side.crash()


def test_a_witness_is_one_0x04_key_and_at_most_one_0x06_key() -> None:
    for keys in ((), (WITNESS_MLDSA,), (WITNESS_MLDSA, WITNESS), (WITNESS, WITNESS)):
        with pytest.raises(AssertionError):
            NodeWitness(keys, {}, *[None] * 5)  # type: ignore[arg-type]
