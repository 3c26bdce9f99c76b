"""A fault at any write of a request with events loses nothing that was answered, and nothing twice."""

import asyncio
import copy
import itertools
from dataclasses import replace

import pytest

from log.errors import LogError, StorageError, Unavailable
from log.formats.tlog_proof import EntryExtra
from log.service.events import EventAnswer
from tests.service.desk import PLATFORM, Desk, engine_of, receipts, send
from tests.support.engine import MemoryPlace
from tests.support.faults import Faults
from tests.support.members import batch, event


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


@pytest.mark.parametrize("kept", ["record", "plan", "outcome"])
async def test_what_was_kept_of_a_request_and_cannot_be_read_is_no_fault_of_its_sender(desk: Desk, kept: str) -> None:
    name, body = (PLATFORM.member, 1), batch(PLATFORM.member, 1, [event()])
    await send(desk.intake(), 1, [], body=body)
    filed = desk.disk.records[name]
    match kept:
        case "record":
            desk.disk.records[name] = replace(filed, record=b"{}")
        case "plan":
            desk.disk.records[name] = replace(filed, plan=b"{}")
        case _:
            desk.disk.outcomes[name] = b"{}"
    with pytest.raises(StorageError):
        await send(desk.intake(), 1, [], body=body)
