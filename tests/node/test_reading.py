"""What a node tells of itself for its metrics."""

import asyncio
from contextlib import AsyncExitStack

from log.service.admission import AdmissionLimits
from tests.support.engine import until
from tests.support.side import Side

STORM = "client", b"storm"


async def test_submissions_that_are_held_back_are_counted() -> None:
    side = Side()
    await side.create()
    node = await side.start()
    admission = side.admission
    assert admission is not None

    async def submit() -> None:
        async with admission.abreast(*STORM):
            pass

    admission.entered("client", b"other")
    async with AsyncExitStack() as under_way:
        for _ in range(AdmissionLimits().issuer_abreast):
            await under_way.enter_async_context(admission.abreast(*STORM))
        assert (await node.reading()).held == 0
        rest = [asyncio.create_task(submit()) for _ in range(3)]
        await until(lambda: admission.held > 0)
        assert (await node.reading()).held == 3
    await asyncio.gather(*rest)
    assert (await node.reading()).held == 0
    await side.crash()
