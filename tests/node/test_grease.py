"""Every reader of heads ignores lines that it does not know, in any order, up to 100 lines (signed-note, section 2).

Row 11 of formats.md section 24: two unknown lines and more are what deployed logs serve. A verifier, an auditor, a
node's witness, its guard, its intake of cosignatures and a proof are shown greased heads here; the monitor below.
"""

from collections.abc import AsyncIterator

import pytest

from log.client.audit import audit
from log.client.verifier import verify_checkpoint, verify_extends, verify_leaf
from log.crypto.notes import NoteSigner, open_head, open_note, sign_note
from log.errors import Malformed
from log.formats.checkpoint import Checkpoint
from log.formats.family import X509
from log.formats.guard_push import GuardPush
from log.formats.note import LIMITS, Note
from log.formats.policy import Policy, PolicyLog, PolicyWitness
from log.formats.tlog_proof import TlogProof
from log.formats.witness_request import AddCheckpoint
from log.merkle.hashing import EMPTY_ROOT, leaf_hash
from tests.client.heads import VKEYS, consistency, head, leaves
from tests.support.engine import ORIGIN, mldsa_signer, policy_of
from tests.support.grease import GreasedReader, greased
from tests.support.side import NODE, PEER, PEER_SIGNERS, PEER_WITNESS, PUSH, SIGNERS, WITNESS, WITNESS_MLDSA, Side

PEER_MLDSA = mldsa_signer(PEER_WITNESS.vkey.name, 40)
COUNTS = pytest.mark.parametrize("total", [16, LIMITS.max_signatures])
SHORT = (1, 64, 72)  # bytes: a hundred lines of 0x06 are more than a request may hold
ROW = f"witness/{PEER}"


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    """A guarded node with three entries, whose policy asks for both keys of the other side's witness."""
    side = Side(policy=policy_of(PEER_WITNESS, PEER_MLDSA), witness_keys=(WITNESS, WITNESS_MLDSA))
    await side.create()
    await side.start()
    await side.open()
    for number in range(3):
        await side.submit(number)
    yield side
    await side.crash()


def policy(*witnesses: NoteSigner) -> Policy:
    known = tuple(PolicyWitness(f"w{i}", witness.vkey) for i, witness in enumerate(witnesses))
    asked = policy_of(*witnesses)
    return Policy(tuple(PolicyLog(signer.vkey) for signer in SIGNERS[ORIGIN]), known, asked.groups, asked.quorum)


def own_lines_only(raw: bytes, *signers: NoteSigner) -> bool:
    return all(any(signer.vkey.owns(line) for signer in signers) for line in Note.parse(raw).signatures)


def test_grease_is_grease() -> None:
    raw = Note(b"o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", Note.parse(_signed()).signatures).encode()
    made = Note.parse(greased(raw, 100))
    assert len(made.signatures) == 100
    assert set(Note.parse(raw).signatures) < set(made.signatures)
    assert {line.name for line in made.signatures} > {"o", "grease.invalid"}
    assert greased(raw, 100, 1) != greased(raw, 100, 2)


def _signed() -> bytes:
    return b"o\n\n\xe2\x80\x94 o AAAAAWZm\n"


@COUNTS
async def test_a_verifier_follows_greased_heads(total: int) -> None:
    last = Checkpoint(VKEYS[0].name, 0, EMPTY_ROOT)
    relied_on = Policy.parse("".join(f"log {vkey.encode()}\n" for vkey in VKEYS) + "quorum none\n")
    for seed, size in enumerate((1, 3, 3, 9)):
        raw = await head(leaves(9)[:size])
        note = greased(raw, total, seed)
        opened = open_head(note, VKEYS)
        path = consistency(last.size, leaves(9)[:size]) if last.size not in (0, size) else ()
        verify_extends(last, opened.checkpoint, path)
        last = opened.checkpoint
        assert set(opened.reduced().signatures) == set(Note.parse(raw).signatures)
        assert set(verify_checkpoint(note, relied_on).vkeys) == set(VKEYS)


@COUNTS
async def test_add_cosignatures_takes_them_out(side: Side, total: int) -> None:
    raw = side.x509.published.head.note
    note = await side.cosigned(await side.cosigned(raw, by=PEER_WITNESS), by=PEER_MLDSA)
    await side.x509.add_cosignatures(greased(note, total))
    witnessed = await side.x509.witnessed()
    assert witnessed is not None
    assert own_lines_only(witnessed, *SIGNERS[ORIGIN], PEER_WITNESS, PEER_MLDSA)
    assert verify_checkpoint(greased(witnessed, total), policy(PEER_WITNESS, PEER_MLDSA)).satisfied
    assert own_lines_only(await side.x509.checkpoint(), *SIGNERS[ORIGIN], PEER_WITNESS, PEER_MLDSA)


@COUNTS
async def test_a_proof_on_a_greased_head_verifies(side: Side, total: int) -> None:
    raw = side.x509.published.head.note
    await side.x509.add_cosignatures(await side.cosigned(await side.cosigned(raw, by=PEER_WITNESS), by=PEER_MLDSA))
    leaf = X509.leaf_input((await side.x509.entries(1, 2, 3))[0])
    made = TlogProof.parse(await side.x509.tlog_proof(leaf=leaf_hash(leaf), newest=False))
    proof = TlogProof(made.index, made.hashes, greased(made.checkpoint, total), made.extra)
    assert TlogProof.parse(proof.encode()) == proof
    assert verify_leaf(proof, leaf, policy(PEER_WITNESS, PEER_MLDSA)).satisfied


async def test_an_audit_reads_greased_heads(side: Side) -> None:
    report = await audit(GreasedReader(side.x509), X509, side.x509.identity.vkeys)
    assert (report.size, report.entries) == (3, 3)


@COUNTS
async def test_the_witness_cosigns_a_greased_head_and_keeps_only_what_verified(side: Side, total: int) -> None:
    answer = await side.ask(0, greased(await side.peer_head(3), total, lengths=SHORT))
    assert answer.status == 200, answer.body
    assert own_lines_only(b"t\n\n" + answer.body, WITNESS, WITNESS_MLDSA)
    assert own_lines_only(side.heads.heads[ROW], *PEER_SIGNERS, WITNESS, WITNESS_MLDSA)
    assert (await side.ask(3, greased(await side.peer_head(5), total, 2, SHORT))).status == 200


@COUNTS
async def test_a_guards_notes_and_its_push_may_be_greased(side: Side, total: int) -> None:
    await side.restart()
    side.clock.advance(1_000)
    notes = tuple(greased(note, total, seed, SHORT) for seed, note in enumerate(await side.own_notes()))
    shown = greased(await side.witnessed(4), total, 9, SHORT)
    text = GuardPush(NODE, side.clock.wall_ms() // 1000, notes, ((PEER, shown),)).encode()
    answer = await side.running.hear_guard(greased((await sign_note(text, 0, [PUSH])).encode(), total, 10, SHORT))
    assert answer["guarded"], answer
    assert open_note(side.heads.heads[ROW], [WITNESS.vkey]).checkpoint.size == 4
    assert own_lines_only(side.heads.heads[ROW], *PEER_SIGNERS, WITNESS, WITNESS_MLDSA)


# --- one line too many ----------------------------------------------------------------------------------------


def too_many(raw: bytes) -> bytes:
    return greased(raw, LIMITS.max_signatures + 1, lengths=SHORT)


async def test_101_lines_are_refused_by_everyone(side: Side) -> None:
    raw = side.x509.published.head.note
    with pytest.raises(Malformed, match="101 signature lines"):
        open_note(too_many(raw), side.x509.identity.vkeys)
    with pytest.raises(Malformed):
        verify_checkpoint(too_many(raw), policy())
    with pytest.raises(Malformed):
        await side.x509.add_cosignatures(too_many(await side.cosigned(raw, by=PEER_WITNESS)))
    with pytest.raises(Malformed):
        TlogProof.parse(TlogProof(0, (), too_many(raw)).encode())
    with pytest.raises(Malformed):
        AddCheckpoint.parse(AddCheckpoint(0, (), too_many(await side.peer_head(3))).encode())
    request = AddCheckpoint(0, (), too_many(await side.peer_head(3))).encode()
    assert (await side.running.witness.add_checkpoint(request)).status == 400
    text = GuardPush(NODE, side.clock.wall_ms() // 1000, (too_many((await side.own_notes())[0]),), ()).encode()
    with pytest.raises(Malformed):
        await side.running.hear_guard((await sign_note(text, 0, [PUSH])).encode())
    assert await side.x509.witnessed() is None
    assert ROW not in side.heads.heads
