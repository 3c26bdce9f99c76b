"""What events name: certificates and events in logs of this node and of others, and names on lists."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from log.crypto.notes import cosign, sign_note
from log.errors import Unavailable
from log.formats.checkpoint import Checkpoint
from log.formats.event_batch import EventResults, Submitted
from log.formats.event_codes import EventType, Standing
from log.formats.family import X509, x509_parts
from log.formats.ref import Ref
from log.formats.tlog_proof import TlogProof
from log.merkle.hashing import leaf_hash, node_hash
from tests.service.desk import (
    CERTIFICATE,
    FOREIGN,
    FOREIGN_SIGNERS,
    PLATFORM,
    WITNESS,
    Desk,
    reasons,
    receipts,
    send,
    standing,
)
from tests.support.engine import ORIGIN, Engine, MemoryPlace, witness_signer
from tests.support.faults import Faults
from tests.support.members import batch, event, of_certificate


@pytest.fixture
async def certificates(desk: Desk) -> AsyncIterator[Engine]:
    """A log of certificates on the same node, with three entries."""
    engine = Engine(MemoryPlace())
    await engine.create()
    await engine.start()
    for der in (b"\x30 first", CERTIFICATE, b"\x30 third"):
        await engine.running.submit(x509_parts(der, []))
    desk.others["hk.example/certificates"] = engine.running
    yield engine
    await engine.stop()


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ({"ca": "chan-tai-man"}, "ca is on no trust list"),
        ({"certificate_type": "a123456-7"}, "certificate_type is on no trust list"),
        ({"platform": "chan-tai-man"}, "platform is no member"),
        ({"platform": "yue-qi-qian"}, "platform is no member"),  # of the other side
        ({"type": EventType.COUNTERSIGN, "events": (Ref("chan/tai-man", 1, bytes(32)),)}, "log that is not known"),
    ],
)
async def test_what_no_list_knows_is_not_logged(desk: Desk, named: dict[str, object], why: str) -> None:
    intake = desk.intake()
    right = event(2, ca="hongkong-post", certificate_type="organisational", platform="bank")
    answer = await send(intake, 1, [event(1, **named), right])
    (reason,) = reasons(answer)
    assert why in reason
    assert answer.refused == ("unknown-name",)
    assert len(receipts(answer)) == 1
    [row] = await desk.engine.running.entries(0, 1, 1)
    for name in ("chan-tai-man", "a123456-7", "chan/tai-man"):
        assert name not in reason
        assert name.encode() not in row


async def ref_of(engine: Engine, index: int, origin: str = "hk.example/certificates") -> Ref:
    [row] = await engine.running.entries(index, index + 1, engine.size)
    return Ref(origin, index, leaf_hash(X509.leaf_input(row)))


async def test_a_certificate_in_an_own_log_is_found_there(desk: Desk, certificates: Engine) -> None:
    answer = await send(desk.intake(), 1, [of_certificate(CERTIFICATE, await ref_of(certificates, 1))])
    assert standing(answer) is Standing.OWN_LOG


async def test_a_wrong_reference_to_an_own_log_is_refused(desk: Desk, certificates: Engine) -> None:
    right = await ref_of(certificates, 1)
    wrong = [
        of_certificate(CERTIFICATE, replace(right, index=0)),
        of_certificate(CERTIFICATE, replace(right, index=3)),
        of_certificate(CERTIFICATE, replace(right, index=2**53 - 1)),
        of_certificate(CERTIFICATE, replace(right, leaf_hash=bytes(32))),
        of_certificate(b"\x30 another", right),
        of_certificate(CERTIFICATE, replace(right, origin=ORIGIN, index=0)),
        replace(event(7), type=EventType.COUNTERSIGN, events=(Ref(ORIGIN, 7, bytes(32)),)),
    ]
    answer = await send(desk.intake(), 1, [*wrong, of_certificate(CERTIFICATE, right)])
    assert len(reasons(answer)) == len(wrong)
    assert set(answer.refused) == {"reference"}
    assert standing(answer) is Standing.OWN_LOG


async def test_an_event_is_no_certificate(desk: Desk) -> None:
    intake = desk.intake()
    [proof] = receipts(await send(intake, 1, [event(1)]))
    ref = Ref(ORIGIN, proof.index, leaf_hash((proof.extra or b"")[1:]))
    assert reasons(await send(intake, 2, [of_certificate(CERTIFICATE, ref)])) == [f"{ORIGIN} is no log of certificates"]


async def test_an_earlier_event_of_this_log_is_found_there(desk: Desk) -> None:
    intake = desk.intake()
    [proof] = receipts(await send(intake, 1, [event(1)]))
    earlier = Ref(ORIGIN, proof.index, leaf_hash((proof.extra or b"")[1:]))
    again = replace(event(2), type=EventType.COUNTERSIGN, events=(earlier,))
    assert len(receipts(await send(intake, 2, [again]))) == 1


LEAVES = [leaf_hash(b"leaf %d" % n) for n in range(2)]
ROOT = node_hash(*LEAVES)


async def foreign_proof(*signers: object, index: int = 1, root: bytes = ROOT, origin: str = FOREIGN) -> bytes:
    """Return the proof of a leaf of the other side's log, on a head cosigned by these."""
    text = Checkpoint(origin, 2, root).encode()
    note = await sign_note(text, 1_800_000_000_000, FOREIGN_SIGNERS if origin == FOREIGN else ())
    lines = [await cosign(text, 1_800_000_000, signer) for signer in signers]  # type: ignore[arg-type]
    note = note.with_signatures((*note.signatures, *lines))
    return TlogProof(index, (LEAVES[1 - index],), note.encode()).encode()


REF = Ref(FOREIGN, 1, LEAVES[1])


async def test_a_foreign_certificate_is_proven_by_a_head_that_our_witness_cosigned(desk: Desk) -> None:
    other = witness_signer("hk.example/monitor", 31)
    cases = [
        (await foreign_proof(WITNESS), Standing.FOREIGN_PROVEN),
        (await foreign_proof(other, WITNESS), Standing.FOREIGN_PROVEN),
        (await foreign_proof(other), Standing.FOREIGN_UNPROVEN),
        (await foreign_proof(), Standing.FOREIGN_UNPROVEN),
        (None, Standing.FOREIGN_UNPROVEN),
    ]
    intake = desk.intake()
    for seq, (proof, expected) in enumerate(cases, 1):
        answer = await send(intake, seq, [Submitted(of_certificate(CERTIFICATE, REF), proof)])
        assert standing(answer) is expected, seq


async def test_a_forged_cosignature_proves_nothing(desk: Desk) -> None:
    proof = TlogProof.parse(await foreign_proof(WITNESS))
    impostor = replace(witness_signer("hk.example/witness", 99), vkey=WITNESS.vkey)
    text = Checkpoint(FOREIGN, 2, ROOT).encode()
    note = (await sign_note(text, 1_800_000_000_000, FOREIGN_SIGNERS)).with_signatures(
        [await cosign(text, 1_800_000_000, impostor)]
    )
    forged = replace(proof, checkpoint=note.encode()).encode()
    answer = await send(desk.intake(), 1, [Submitted(of_certificate(CERTIFICATE, REF), forged)])
    assert standing(answer) is Standing.FOREIGN_UNPROVEN


async def test_a_proof_of_something_else_is_refused(desk: Desk) -> None:
    wrong = [
        Submitted(of_certificate(CERTIFICATE, REF), await foreign_proof(WITNESS, index=0)),
        Submitted(of_certificate(CERTIFICATE, REF), await foreign_proof(WITNESS, root=bytes(32))),
        Submitted(of_certificate(CERTIFICATE, replace(REF, leaf_hash=bytes(32))), await foreign_proof(WITNESS)),
        Submitted(of_certificate(CERTIFICATE, replace(REF, origin="sd.example/x509")), await foreign_proof(WITNESS)),
        Submitted(of_certificate(CERTIFICATE, None), await foreign_proof(WITNESS)),
    ]
    answer = await send(desk.intake(), 1, wrong)
    assert len(reasons(answer)) == len(wrong)
    assert all("proof" in reason for reason in reasons(answer))
    assert desk.engine.size == 0


async def test_a_policy_refuses_standings(desk: Desk, certificates: Engine) -> None:
    own = of_certificate(CERTIFICATE, await ref_of(certificates, 1))
    foreign = of_certificate(CERTIFICATE, REF)
    events = [own, event(), foreign, Submitted(foreign, await foreign_proof(WITNESS))]
    kinds = [Standing.OWN_LOG, Standing.NOT_LOGGED, Standing.FOREIGN_UNPROVEN, Standing.FOREIGN_PROVEN]
    for seq, kind in enumerate(kinds, 1):
        desk.refused = frozenset({kind})
        answer = await send(desk.intake(), seq, events)
        assert [each.refused is None for each in EventResults.parse(answer.body).results] == [k != kind for k in kinds]
        assert answer.refused == ("standing",)


async def test_what_was_judged_once_stays_so(desk: Desk) -> None:
    """A request that was cut off goes on under the verdicts that it had, whatever is true by then."""
    body = batch(PLATFORM.member, 1, [event(1)])
    desk.engine.gate.full = False
    faults = Faults(2, written=False)  # the outcome
    with pytest.raises(Unavailable):
        await send(desk.intake(faults), 1, [], body=body)
    await desk.crash()
    await desk.engine.start()
    desk.refused = frozenset(Standing)
    assert len(receipts(await send(desk.intake(), 1, [], body=body))) == 1
    assert desk.engine.size == 1
