"""Events in, receipts out: one request, one answer."""

import asyncio
from dataclasses import replace

import pytest

from log.client.records import verify_event
from log.client.verifier import verify_leaf
from log.errors import Conflict, Denied, Malformed
from log.formats.event_codes import EventType, Standing
from log.formats.tlog_proof import EntryExtra
from log.service.event_plan import Outcome, Refusal, encode_plan, parse_plan
from tests.service.desk import BANK, CA, PLATFORM, POLICY, Desk, reasons, receipts, send
from tests.support.members import batch, event


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
