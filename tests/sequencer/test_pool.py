"""Answering a batch: a few at once, all in the end, each with its own place."""

import asyncio

from log.errors import Unavailable
from log.formats.family import raw_parts
from log.sequencer.plan import Submission
from log.sequencer.pool import ANSWERED_AT_ONCE, Placement, Pool, PoolLimits


async def test_a_batch_is_answered_a_few_at_a_time_and_each_with_its_own_place() -> None:
    pool = Pool(PoolLimits())
    count = 3 * ANSWERED_AT_ONCE + 1
    futures = [pool.add(Submission(raw_parts(b"%d" % n), b"%032d" % n, ())) for n in range(count)]
    batch = pool.take()
    assert len(batch) == count
    pool.answer(batch, 100, 7)
    answered = []
    for _ in range(4):
        answered.append(sum(future.done() for future in futures))
        pool.refuse_all(Unavailable("a store failed", reason="store-failed"))  # the batch is published
        assert pool.join(b"%032d" % (count - 1)) is None  # and found in the index
        await asyncio.sleep(0)
    assert answered == [ANSWERED_AT_ONCE, 2 * ANSWERED_AT_ONCE, 3 * ANSWERED_AT_ONCE, count]
    assert await asyncio.gather(*futures) == [Placement(100 + n, 7) for n in range(count)]
