"""How much a member and a client may send, and what is not taken now."""

import asyncio

import pytest

from log.errors import Closed, RateLimited, TooLarge, Unavailable
from log.sequencer.loop import SequencerConfig
from log.sequencer.pool import PoolLimits
from log.service.admission import AdmissionLimits
from log.service.events import EventLimits
from tests.service.desk import CA, PLATFORM, Desk, engine_of, receipts, send
from tests.support.members import batch, event


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


async def test_a_member_over_its_rate_or_its_share_takes_none_of_the_others_rate(desk: Desk) -> None:
    desk.limits = EventLimits(max_rate_per_s=18)
    desk.admission = AdmissionLimits(max_member_rate_per_s=10, submissions=9)
    intake = desk.intake()
    await send(intake, 1, [event(n) for n in range(9)])
    for seq in range(2, 5):
        with pytest.raises(RateLimited, match="max_member_rate_per_s"):
            await send(intake, seq, [event(n) for n in range(9)])
    with pytest.raises(RateLimited, match="in progress at once"):
        await send(intake, 1, [event(n) for n in range(10)], CA)
    judged = await send(intake, 1, [event(n) for n in range(9)], CA)
    assert judged.refused == ("role",) * 9  # so it came through


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
