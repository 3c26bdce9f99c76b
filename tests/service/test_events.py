"""Events in, receipts out: one request, one answer, whatever falls between its writes."""

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from log.client.records import verify_event
from log.client.verifier import verify_leaf
from log.crypto.notes import cosign, sign_note
from log.errors import Closed, Conflict, Denied, LogError, Malformed, RateLimited, TooLarge, Unavailable
from log.formats.checkpoint import Checkpoint
from log.formats.event_batch import EventResults, Submitted
from log.formats.event_codes import EventType, Standing
from log.formats.family import EVENTS, X509, x509_parts
from log.formats.policy import Policy
from log.formats.ref import Ref
from log.formats.tlog_proof import EntryExtra, TlogProof
from log.merkle.hashing import leaf_hash, node_hash
from log.sequencer.loop import SequencerConfig
from log.sequencer.pool import PoolLimits
from log.service.admission import Admission, AdmissionLimits
from log.service.event_names import Known
from log.service.event_plan import Outcome, Refusal, encode_plan, parse_plan
from log.service.events import EventAnswer, EventIntake, EventLimits
from log.service.log import Log
from log.service.references import References
from log.storage.memory import Disk, MemoryRecords
from tests.support.engine import (
    AT_ONCE,
    ORIGIN,
    Engine,
    MemoryPlace,
    log_signers,
    witness_signer,
)
from tests.support.faults import Faults
from tests.support.members import Sender, batch, event, members, of_certificate

PLATFORM, CA, BANK = Sender(), Sender("hk/hongkong-post", "ca"), Sender("hk/bank", "relying-party")
MEMBERS = members(PLATFORM, CA, BANK)
WITNESS = witness_signer("hk.example/witness", 30)
FOREIGN = "gd.example/x509"
FOREIGN_SIGNERS = log_signers(FOREIGN, 3)
KNOWN = Known(
    {"hongkong-post"},
    {"organisational"},
    {ORIGIN, "hk.example/certificates", FOREIGN, "sd.example/x509"},
    lambda member: MEMBERS.role(member, 0) is not None,
)
CERTIFICATE = b"\x30 a certificate"
POLICY = Policy.parse("".join(f"log {s.vkey.encode()}\n" for s in log_signers()) + "quorum none\n")


@dataclass(slots=True)
class Desk:
    """A log of events with its records, over processes; beside it a log of certificates on the same node."""

    engine: Engine
    disk: Disk = field(default_factory=Disk)  # of the records
    limits: EventLimits = field(default_factory=EventLimits)
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    others: dict[str, Log] = field(default_factory=dict)
    failures: list[LogError] = field(default_factory=list)
    opened: list[EventIntake] = field(default_factory=list)

    def intake(self, faults: Faults | None = None) -> EventIntake:
        """Open the records anew, as a process does when it starts."""
        clock = self.engine.clock
        logs = {**self.others, ORIGIN: self.engine.running}
        made = EventIntake(
            self.engine.running,
            MemoryRecords(self.disk, (faults or Faults(0, written=False)).carry),
            References(lambda: logs, lambda: (WITNESS.vkey,)),
            MEMBERS,
            lambda: KNOWN,
            Admission(self.admission, clock.mono_ms),
            clock,
            self.limits,
            self.failures.append,
        )
        self.opened.append(made)
        return made

    async def crash(self) -> None:
        await self.engine.crash()
        await self.close()

    async def close(self) -> None:
        while self.opened:
            await self.opened.pop().close()

    @property
    def now_s(self) -> int:
        return self.engine.clock.wall_ms() // 1000


def engine_of(place: MemoryPlace | None = None, config: SequencerConfig = AT_ONCE) -> Engine:
    return Engine(place or MemoryPlace(), family=EVENTS, config=config)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    engine = engine_of()
    await engine.create()
    await engine.start()
    made = Desk(engine)
    yield made
    await made.close()
    await engine.audited()
    await engine.stop()


async def send(
    intake: EventIntake,
    seq: int,
    events: Sequence[object],
    sender: Sender = PLATFORM,
    *,
    created_s: int = 1_800_000_000,
    body: bytes | None = None,
) -> EventAnswer:
    body = body or batch(sender.member, seq, events)  # type: ignore[arg-type]
    return await intake.add(sender.submission(body, created_s), body, "client")


def receipts(answer: EventAnswer) -> list[TlogProof]:
    return [TlogProof.parse(each.receipt) for each in EventResults.parse(answer.body).results if each.receipt]


def reasons(answer: EventAnswer) -> list[str]:
    return [each.refused for each in EventResults.parse(answer.body).results if each.refused]


def standing(answer: EventAnswer) -> Standing:
    [proof] = receipts(answer)
    return EntryExtra.parse(proof.extra or b"").entry.logged_event().certificate_standing


async def test_each_event_gets_a_receipt_that_proves_its_leaf_and_names_its_record(desk: Desk) -> None:
    events = [event(number) for number in range(5)]
    body = batch(PLATFORM.member, 7, events)
    answer = await send(desk.intake(), 7, events, body=body)
    record = PLATFORM.submission(body, 1_800_000_000)
    for line, proof in enumerate(receipts(answer)):
        entry = EntryExtra.parse(proof.extra or b"").entry
        verify_leaf(proof, entry.encode(), POLICY)
        logged = entry.logged_event()
        assert (entry.submitter, logged.event, logged.line) == (PLATFORM.member.encode(), events[line], line)
        assert (logged.seq, logged.record, logged.certificate_standing) == (7, record.hash, Standing.NOT_LOGGED)
        verify_event(logged, PLATFORM.member, record.encode(), [PLATFORM.key.vkey], body)
    assert len(receipts(answer)) == desk.engine.size == 5
    assert await desk.intake().record(record.hash) == record.encode()


async def test_the_same_body_gets_the_same_answer_to_the_byte_whenever_it_comes(desk: Desk) -> None:
    body = batch(PLATFORM.member, 1, [event(n) for n in range(40)])
    intake = desk.intake()
    at_once = await asyncio.gather(*(send(intake, 1, [], body=body) for _ in range(4)))
    await send(intake, 2, [event(99)])
    desk.engine.clock.advance(60_000)
    later = await send(intake, 1, [], body=body, created_s=1_800_000_060)  # signed anew
    await desk.crash()
    await desk.engine.start()
    desk.engine.gate.full = True
    again = await send(desk.intake(), 1, [], body=body, created_s=1_800_000_090)
    assert {answer.body for answer in (*at_once, later, again)} == {at_once[0].body}
    assert desk.engine.size == 41
    first = PLATFORM.submission(body, 1_800_000_000)
    assert {EntryExtra.parse(p.extra or b"").entry.logged_event().record for p in receipts(again)} == {first.hash}


async def test_another_body_under_a_known_number_is_a_conflict_and_adds_nothing(desk: Desk) -> None:
    intake = desk.intake()
    await send(intake, 1, [event(1)])
    with pytest.raises(Conflict, match="number 1"):
        await send(intake, 1, [event(2)])
    await send(intake, 1, [event(1, commitments={"document": bytes(32), "certificate": bytes(32)})], CA)
    assert desk.engine.size == 1  # of another member, whose role does not send it: refused, and no conflict


async def test_two_bodies_of_one_number_at_once_are_one_answer_and_one_conflict(desk: Desk) -> None:
    intake = desk.intake()
    both = await asyncio.gather(send(intake, 1, [event(1)]), send(intake, 1, [event(2)]), return_exceptions=True)
    assert sorted(type(each).__name__ for each in both) == ["Conflict", "EventAnswer"]
    assert desk.engine.size == 1


async def test_a_member_sends_its_own_events_only(desk: Desk) -> None:
    intake = desk.intake()
    body = batch(CA.member, 1, [event()])
    with pytest.raises(Denied):
        await send(intake, 1, [], PLATFORM, body=body)
    assert (desk.engine.size, desk.disk.records) == (0, {})


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"format":"twinlog/events@v1"}'])
async def test_a_body_that_is_no_batch_leaves_nothing(desk: Desk, body: bytes) -> None:
    with pytest.raises(Malformed):
        await desk.intake().add(PLATFORM.submission(body, desk.now_s), body)
    assert desk.disk.records == {}


async def test_a_role_sends_its_own_types_and_the_others_are_refused_one_by_one(desk: Desk) -> None:
    personal = event(type=EventType.PERSONAL_CERTIFICATE, commitments={"certificate": bytes(32)})
    personal = replace(
        personal, signature_algorithm=None, sig_digest=None, container=None, document_algorithm=None, platform=None
    )
    intake = desk.intake()
    by_platform = await send(intake, 1, [event(1), personal])
    by_ca = await send(intake, 1, [event(2), personal], CA)
    body = batch(BANK.member, 1, [event(3)])
    by_bank = await send(intake, 1, [], BANK, body=body)
    for answer, taken in ((by_platform, 1), (by_ca, 1), (by_bank, 0)):
        assert len(receipts(answer)) == taken
        assert all("of this role" in reason for reason in reasons(answer))
        assert set(answer.refused) == {"role"}
    again = await send(intake, 1, [], BANK, body=body)
    assert (again.body, again.refused) == (by_bank.body, ())  # told again, counted once
    assert desk.engine.size == 2


# --- references -----------------------------------------------------------------------------------------------


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
        desk.limits = EventLimits(refused_standings=frozenset({kind}))
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
    desk.limits = EventLimits(refused_standings=frozenset(Standing))
    assert len(receipts(await send(desk.intake(), 1, [], body=body))) == 1
    assert desk.engine.size == 1


# --- limits ---------------------------------------------------------------------------------------------------


async def test_a_member_has_a_rate_and_gets_back_what_came_to_nothing(desk: Desk) -> None:
    desk.admission = AdmissionLimits(max_member_rate_per_s=10)
    intake = desk.intake()
    desk.engine.gate.full = True
    with pytest.raises(Unavailable):
        await send(intake, 1, [event(n) for n in range(10)])
    desk.engine.gate.full = False
    await send(intake, 1, [event(n) for n in range(6)])
    with pytest.raises(RateLimited, match="max_member_rate_per_s"):
        await send(intake, 2, [event(n) for n in range(5)])
    await send(intake, 1, [event(n) for n in range(5)], CA)  # another's
    desk.engine.clock.advance(200)
    await send(intake, 2, [event(n) for n in range(5)])
    assert set(desk.disk.records) == {(PLATFORM.member, 1), (PLATFORM.member, 2), (CA.member, 1)}


async def test_a_member_has_a_share_and_pays_nothing_for_what_is_over_it(desk: Desk) -> None:
    desk.admission = AdmissionLimits(max_member_rate_per_s=10, submissions=8)
    intake = desk.intake()
    with pytest.raises(RateLimited, match="in progress at once"):
        await send(intake, 1, [event(n) for n in range(10)])
    assert len(receipts(await send(intake, 1, [event(n) for n in range(8)]))) == 8


async def test_a_request_has_so_many_events_at_most(desk: Desk) -> None:
    desk.limits = EventLimits(max_events=3)
    with pytest.raises(TooLarge, match="max_events = 3"):
        await send(desk.intake(), 1, [event(n) for n in range(4)])
    assert desk.disk.records == {}


async def test_a_log_that_is_closed_or_takes_nothing_now_files_nothing(desk: Desk) -> None:
    intake = desk.intake()
    for shut in ("closed", "full"):
        setattr(desk.engine.gate, shut, True)
        with pytest.raises(Unavailable):
            await send(intake, 1, [event()])
        setattr(desk.engine.gate, shut, False)
    desk.engine.running.closed = "its time is over"
    with pytest.raises(Closed):
        intake.arrive("client")
    with pytest.raises(Closed):
        await send(intake, 1, [event()])
    assert desk.disk.records == {}


async def test_a_client_has_a_rate_before_anything_is_read(desk: Desk) -> None:
    desk.admission = AdmissionLimits(max_client_rate_per_s=2)
    intake = desk.intake()
    for _ in range(2):
        intake.arrive("client")
    with pytest.raises(RateLimited, match="max_client_rate_per_s"):
        intake.arrive("client")
    intake.arrive("another")


async def test_a_client_that_goes_away_at_any_moment_cuts_off_no_write(desk: Desk) -> None:
    intake = desk.intake()
    for seq in range(1, 60):
        body = batch(PLATFORM.member, seq, [event(seq)])
        asking = asyncio.create_task(send(intake, seq, [], body=body))
        while (PLATFORM.member, seq) not in intake._busy:
            await asyncio.sleep(0)
        for _ in range(seq // 2):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert len(receipts(await send(intake, seq, [], body=body))) == 1
    assert desk.engine.size == 59
    assert desk.failures == []


async def test_a_full_pool_is_no_verdict(desk: Desk) -> None:
    engine = engine_of(config=SequencerConfig(pool=PoolLimits(pool_entries=4, batch_entries=4)))
    await engine.create()
    await engine.start()
    small = Desk(engine)
    intake = small.intake()
    body = batch(PLATFORM.member, 1, [event(n) for n in range(60)])
    why: set[str] = set()
    for _ in range(60):
        try:
            answer = await send(intake, 1, [], body=body)
            break
        except Unavailable as error:
            why.add(error.reason)
    assert why == {"pool-full"}
    assert len(receipts(answer)) == engine.size == 60
    await small.close()
    await engine.stop()


# --- faults ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [False, True])
async def test_a_fault_at_every_write_of_the_records_ends_the_process_and_loses_nothing(written: bool) -> None:
    engine = engine_of()
    await engine.create()
    body = batch(PLATFORM.member, 1, [event(n) for n in range(5)])
    hits = 0
    for at in itertools.count(1):
        place = MemoryPlace(copy.deepcopy(engine.place.disk))  # type: ignore[attr-defined]
        run = engine_of(place)
        await run.start()
        desk = Desk(run)
        faults = Faults(at, written=written)
        intake = desk.intake(faults)
        [first] = await asyncio.gather(send(intake, 1, [], body=body), return_exceptions=True)
        assert isinstance(first, EventAnswer) or (isinstance(first, Unavailable) and first.reason == "store-failed")
        assert bool(desk.failures) == faults.hit
        if faults.hit:
            count = faults.count
            with pytest.raises(Unavailable):
                await send(intake, 2, [event(9)])
            assert faults.count == count, "a store was written to after it failed"
        await desk.crash()
        await run.start()
        again = await send(desk.intake(), 1, [], body=body, created_s=1_800_000_060)
        assert len(receipts(again)) == run.size == 5
        assert not isinstance(first, EventAnswer) or first.body == again.body
        records = {EntryExtra.parse(p.extra or b"").entry.logged_event().record for p in receipts(again)}
        assert len(records) == 1
        assert await desk.intake().record(records.pop()) is not None
        await desk.close()
        await run.audited()
        await run.stop()
        if not faults.hit:
            break
        hits += 1
    assert hits == 2  # the record, the outcome


@pytest.mark.parametrize("written", [False, True])
async def test_a_fault_at_every_write_of_the_log_is_made_good_by_the_same_body(written: bool) -> None:
    engine = engine_of()
    await engine.create()
    body = batch(PLATFORM.member, 1, [event(n) for n in range(3)])
    for at in itertools.count(1):
        run = engine_of(MemoryPlace(copy.deepcopy(engine.place.disk)))  # type: ignore[attr-defined]
        faults = Faults(at, written=written)
        desk = Desk(run)
        try:
            await run.start(faults)
            await send(desk.intake(), 1, [], body=body)
        except LogError:
            pass
        await desk.crash()
        await run.start()
        again = await send(desk.intake(), 1, [], body=body, created_s=1_800_000_060)
        assert len(receipts(again)) == run.size == 3
        await desk.close()
        await run.audited()
        await run.stop()
        if not faults.hit:
            break
    assert at > 4


def test_plans_and_outcomes_are_read_as_they_are_written() -> None:
    verdicts = (Standing.OWN_LOG, Refusal("why", "word"), Standing.NOT_LOGGED)
    assert parse_plan(encode_plan(verdicts)) == (Standing.OWN_LOG, Refusal("why"), Standing.NOT_LOGGED)
    assert len(parse_plan(encode_plan([Refusal("x" * 900)]))[0].reason) == 500  # type: ignore[union-attr]
    for data in (b'["best"]', b"[1]", b'[{"why":"x"}]', b"{}", b"["):
        with pytest.raises(Malformed):
            parse_plan(data)
    outcome = Outcome(b"note", (1, 5))
    assert Outcome.parse(outcome.encode()) == outcome
    for data in (b"{}", b'{"head":"AA==","indices":["1"]}', b'{"head":"A","indices":[]}'):
        with pytest.raises(Malformed):
            Outcome.parse(data)
