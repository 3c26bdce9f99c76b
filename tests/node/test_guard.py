"""A restored image cannot fork (promise 3): a node signs when a guard has shown what it signed last."""

import pytest

from log.crypto.notes import cosign, sign_note
from log.errors import Conflict, Denied, Malformed, StateRefused, StoreFailed, Unavailable
from log.formats.checkpoint import Checkpoint
from log.formats.note import Note, Signature
from log.node.halts import Halts
from log.storage import Swap
from log.storage.memory import Disk, MemoryHeads
from tests.support.engine import ORIGIN, witness_signer
from tests.support.side import (
    GOVERNANCE_ORIGIN,
    GUARD,
    PEER,
    PEER_WITNESS,
    PUSH,
    SIGNERS,
    WITNESS,
    Side,
    line_of,
    opened,
)

NAME = f"log/{ORIGIN}"


async def test_an_unguarded_node_serves_reads_and_signs_nothing() -> None:
    side = await opened(3)
    await side.restart()
    head = side.heads.heads[NAME]
    with pytest.raises(Unavailable, match="guard"):
        await side.submit(9)
    with pytest.raises(Unavailable, match="guard"):
        await side.submit(1)
    with pytest.raises(Unavailable, match="guard"):
        await side.ask(0, await side.peer_head(4))
    assert side.heads.heads[NAME] == head
    assert f"witness/{PEER}" not in side.heads.heads
    assert not side.x509.status().guarded
    await side.audited()


async def test_a_fresh_note_of_a_guard_opens_what_it_speaks_of() -> None:
    side = await opened(2)
    await side.restart()
    side.clock.advance(1_000)
    note = await side.cosigned(await side.x509.checkpoint())
    answer = await side.push(note, peers=False)
    assert answer == {
        "guarded": False,
        "origins": {ORIGIN: "ok", GOVERNANCE_ORIGIN: "unguarded"},
        "peers": {PEER: "unguarded"},
    }
    assert await side.submit(2) == 2
    with pytest.raises(Unavailable):
        await side.ask(0, await side.peer_head(4))
    assert (await side.open())["guarded"]
    line_of(await side.ask(0, await side.peer_head(4)))
    await side.audited()


async def test_a_push_from_before_the_start_is_refused() -> None:
    side = await opened(1)
    side.clock.advance(1_000)
    own = await side.own_notes()
    started_s = side.clock.wall_ms() // 1000 + 1
    await side.restart()
    assert side.clock.wall_ms() // 1000 == started_s
    with pytest.raises(Conflict):
        await side.push(*own)  # in the very second of the start
    side.clock.advance(1_000)
    with pytest.raises(Conflict):
        await side.push(*own, peers=False)  # a fresh push around notes that were cosigned before
    with pytest.raises(Conflict):
        await side.push(*await side.own_notes(), peers=False, time_s=started_s)  # and the other way round
    with pytest.raises(Conflict):
        await side.push(time_s=started_s)
    with pytest.raises(Unavailable):
        await side.submit(1)
    await side.push(*await side.own_notes())
    await side.submit(1)


async def test_only_the_configured_guard_for_this_node_is_heard() -> None:
    side = await opened()
    await side.restart()
    side.clock.advance(1_000)
    own = await side.own_notes()
    stranger = witness_signer("hk.example/stranger", 60)
    with pytest.raises(Conflict):
        await side.push(*own, node="gd")
    with pytest.raises(Denied):
        await side.push(*own, signer=SIGNERS[ORIGIN][0])
    with pytest.raises(Denied):
        await side.push(*own, signer=type(PUSH)(PUSH.vkey, SIGNERS[ORIGIN][0].signer))
    with pytest.raises(Denied):
        await side.push(await side.cosigned(await side.x509.checkpoint(), by=stranger))
    with pytest.raises(Denied):
        await side.push(await side.x509.checkpoint())
    with pytest.raises(Denied):  # nobody's tree: our signature is not on it
        await side.push(await side.cosigned(await side.peer_head(3)))
    text = Checkpoint(ORIGIN, 9, b"\x01" * 32).encode()
    alone = Note(text, (await cosign(text, side.clock.wall_ms() // 1000, GUARD),))
    with pytest.raises(Denied):  # our origin, but the guard's word alone
        await side.push(alone.encode())
    with pytest.raises(Malformed):
        await side.running.hear_guard(b"nonsense")
    assert not side.running.health()[0]
    with pytest.raises(Unavailable):
        await side.submit(0)
    assert side.running.health()[1]["problems"] != []


async def signed_elsewhere(side: Side, size: int, root: bytes) -> bytes:
    """A head with our own keys that this process did not sign."""
    text = Checkpoint(ORIGIN, size, root).encode()
    return (await sign_note(text, side.clock.wall_ms(), SIGNERS[ORIGIN])).encode()


@pytest.mark.parametrize("size", [5, 3, 2, 0])
async def test_a_head_of_ours_that_our_tree_does_not_bear_out_halts_until_cleared(size: int) -> None:
    side = await opened(3)
    side.clock.advance(1_000)
    foreign = await side.cosigned(await signed_elsewhere(side, size, b"\x07" * 32))
    answer = await side.push(foreign)
    assert answer["origins"][ORIGIN].startswith("halted: ")
    assert not answer["guarded"]
    for _ in range(2):
        head = side.heads.heads[NAME]
        with pytest.raises(Unavailable, match="stopped"):
            await side.submit(9)
        assert side.heads.heads[NAME] == head
        ok, body = side.running.health()
        assert not ok
        assert any(ORIGIN in problem for problem in body["problems"])
        await side.restart()
        assert (await side.open())["origins"][ORIGIN].startswith("halted: ")
    assert side.halts is not None
    (halted,) = side.halts.all()
    assert halted.theirs == foreign
    await side.halts.clear(ORIGIN)
    await side.restart()
    assert (await side.open())["guarded"]
    assert await side.submit(3) == 3
    await side.audited()


async def test_a_head_that_speaks_against_us_halts_however_old_its_cosignature_is() -> None:
    side = await opened(3)
    foreign = await side.cosigned(await signed_elsewhere(side, 3, b"\x07" * 32))
    await side.restart()
    side.clock.advance(1_000)
    assert (await side.push(foreign))["origins"][ORIGIN].startswith("halted: ")


async def test_a_smaller_or_equal_head_of_ours_opens() -> None:
    side = await opened(2)
    old = await side.x509.checkpoint()
    await side.submit(2)
    await side.restart()
    side.clock.advance(1_000)
    answer = await side.push(await side.cosigned(old))
    assert answer["origins"][ORIGIN] == "ok"


# --- restored copies --------------------------------------------------------------------------------------


async def test_the_data_folder_alone_from_an_old_copy_is_refused_at_the_start() -> None:
    side = await opened(3)
    old, _ = side.image()
    await side.submit(3)
    await side.crash()
    side.disks = old
    with pytest.raises(StateRefused):
        await side.start()


async def test_data_and_heads_from_an_old_copy_are_caught_by_the_guard() -> None:
    side = await opened(3)
    old = side.image()
    for number in (3, 4):
        await side.submit(number)
    held = await side.x509.checkpoint()  # what the guard has seen
    await side.crash()
    side.disks, side.heads = old
    side.record.times.clear()  # stored times begin anew with the old copy; roots do not
    await side.start()
    with pytest.raises(Unavailable):
        await side.submit(77)
    side.clock.advance(1_000)
    answer = await side.push(await side.cosigned(held))
    assert answer["origins"][ORIGIN].startswith("halted: ")
    with pytest.raises(Unavailable):
        await side.submit(77)
    assert side.x509.size == 3
    await side.audited()


async def test_a_witnessed_head_that_outlived_an_old_copy_of_the_log_halts_it() -> None:
    side = await opened(3)
    disks, heads = side.image()
    await side.submit(3)
    await side.x509.add_cosignatures(await side.cosigned(await side.x509.checkpoint(), by=PEER_WITNESS))
    await side.crash()
    heads.heads[f"witnessed/{ORIGIN}"] = side.heads.heads[f"witnessed/{ORIGIN}"]
    side.disks, side.heads = disks, heads
    side.record.times.clear()
    await side.start()
    assert (await side.open())["origins"][ORIGIN].startswith("halted: ")


async def test_witness_rows_alone_from_an_old_copy_are_repaired_by_the_guard() -> None:
    side = await opened()
    await side.ask(0, await side.peer_head(4))
    _, old = side.image()
    line_of(await side.ask(4, await side.peer_head(9)))
    shown = side.heads.heads[f"witness/{PEER}"]
    await side.crash()
    side.heads.heads[f"witness/{PEER}"] = old.heads[f"witness/{PEER}"]
    await side.start()
    with pytest.raises(Unavailable):  # the fork that the old state would have allowed
        await side.ask(4, await side.peer_head(4))
    assert (await side.open(peer=shown))["peers"] == {PEER: "ok"}
    assert (await side.ask(4, await side.peer_head(9))).status == 409
    line_of(await side.ask(9, await side.peer_head(11)))


async def test_a_lost_witness_state_is_never_taken_for_an_empty_one() -> None:
    side = await opened()
    await side.crash()
    del side.heads.heads["witness"]
    with pytest.raises(StateRefused, match="witness"):
        await side.start()


async def test_a_witness_state_that_does_not_verify_is_refused_at_the_start() -> None:
    side = await opened()
    await side.ask(0, await side.peer_head(4))
    await side.crash()
    row = f"witness/{PEER}"
    side.heads.heads[row] = side.heads.heads[row].replace(b"\n4\n", b"\n5\n")
    with pytest.raises(StateRefused):
        await side.start()


# --- peers ------------------------------------------------------------------------------------------------


async def test_none_opens_a_peer_that_was_never_cosigned() -> None:
    side = await opened()
    line_of(await side.ask(0, await side.peer_head(2)))


async def test_a_larger_head_with_our_witness_line_is_taken_over_without_foreign_lines() -> None:
    side = await opened()
    note = Note.parse(await side.witnessed(6))
    junk = Signature("junk.example", b"junk", b"x" * 64)
    assert (await side.open(peer=note.with_signatures([*note.signatures, junk]).encode()))["guarded"]
    stored = side.heads.heads[f"witness/{PEER}"]
    assert Checkpoint.parse(Note.parse(stored).text).size == 6
    assert b"junk.example" not in stored
    assert (await side.ask(0, await side.peer_head(6))).status == 409


async def test_an_older_head_with_our_witness_line_changes_nothing() -> None:
    side = await opened()
    old = await side.witnessed(3)
    await side.ask(0, await side.peer_head(6))
    stored = side.heads.heads[f"witness/{PEER}"]
    assert (await side.open(peer=old))["peers"] == {PEER: "ok"}
    assert side.heads.heads[f"witness/{PEER}"] == stored


async def test_two_roots_of_one_size_under_our_witness_line_halt_that_peer_alone() -> None:
    side = await opened()
    await side.ask(0, await side.peer_head(6))
    fork = Note.parse(await side.peer_head(6, fork=True))
    line = await cosign(fork.text, side.clock.wall_ms() // 1000, WITNESS)
    shown = fork.with_signatures([*fork.signatures, line]).encode()
    for _ in range(2):
        assert (await side.open(peer=shown))["peers"][PEER].startswith("halted: ")
        with pytest.raises(Unavailable):
            await side.ask(6, await side.peer_head(8))
        await side.submit(len(side.disks[ORIGIN].entries))
        await side.restart()
    assert side.halts is not None
    await side.halts.clear(PEER)
    await side.restart()
    await side.open()
    line_of(await side.ask(6, await side.peer_head(8)))


@pytest.mark.parametrize("whose", ["log alone", "witness alone"])
async def test_a_peers_head_needs_the_logs_line_and_our_own(whose: str) -> None:
    side = await opened()
    note = Note.parse(await side.witnessed(6))
    kept = note.signatures[:-1] if whose == "log alone" else note.signatures[-1:]
    with pytest.raises(Denied):
        await side.open(peer=note.with_signatures(kept).encode())
    assert f"witness/{PEER}" not in side.heads.heads


# --- room, halts ------------------------------------------------------------------------------------------


async def test_below_the_disk_watermark_heads_are_signed_and_known_entries_answered() -> None:
    side = await opened(2)
    side.room = False
    assert await side.submit(1) == 1
    with pytest.raises(Unavailable, match="free"):
        await side.submit(2)
    assert not side.running.health()[0]
    await side.restart()
    await side.open()
    head = side.heads.heads[NAME]
    side.clock.advance(20_000)
    await side.x509.sequencer._committer.heartbeat()
    assert side.heads.heads[NAME] != head
    side.room = True
    assert await side.submit(2) == 2


@pytest.mark.parametrize("row", [b"", b"why\n", b"why\nAA=\nAA==\n", b"why\nAA==\nAA==\nmore\n", b"\xff\n"])
async def test_a_halt_that_cannot_be_read_is_refused(row: bytes) -> None:
    disk = Disk()
    disk.heads[f"halt/{ORIGIN}"] = row
    with pytest.raises(StateRefused):
        await Halts(MemoryHeads(disk)).load()


async def test_a_halt_that_cannot_be_written_stops_signing_all_the_same() -> None:
    class Broken(MemoryHeads):
        async def replace(self, name: str, old: bytes | None, new: bytes) -> Swap:
            if name.startswith("halt/"):
                raise StoreFailed("told by the test")
            return await super().replace(name, old, new)

    side = Side()
    await side.create()
    await side.start(Broken(side.heads))
    await side.open()
    side.clock.advance(1_000)
    foreign = await side.cosigned(await signed_elsewhere(side, 9, b"\x07" * 32))
    with pytest.raises(Unavailable):
        await side.push(foreign)
    assert isinstance(side.running.failure, StoreFailed)
    with pytest.raises(Unavailable):
        await side.submit(1)
