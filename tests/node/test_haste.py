"""A node as it is built: while submissions of a storm are held back, no commit waits for company."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from log import main
from log.checking.pool import Checked, Pool
from log.demo.ca import MassIssuer
from log.sequencer.clock import SystemClock
from tests.bench.node import LOG, LoneNode
from tests.support.engine import kill, until

# Two in company would wait for an hour. However slow the machine is, the storm gets no more room, and is not alone.
LIMITS = "[limits]\nissuer_abreast = 2\nissuer_most_abreast = 2\nissuer_alone_ms = 3600000\nlinger_ms = 3600000\n"


async def test_beside_a_storm_no_commit_waits_for_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storm, other = MassIssuer(), MassIssuer("rsa2048")
    lone = LoneNode(tmp_path / "node")
    await lone.create(storm.issuers[-1], other.issuers[-1])
    with (lone.folder / "twinlog.toml").open("a", encoding="utf-8") as settings:
        settings.write(LIMITS)
    going, begun = asyncio.Event(), 0
    check = Pool.check

    async def held(
        pool: Pool, log_name: str, chain: Sequence[bytes], precert: bool, client: str = "", issuer: bytes = b""
    ) -> Checked:
        nonlocal begun
        begun += 1
        await going.wait()
        return await check(pool, log_name, chain, precert, client, issuer)

    node = await main.build(lone.settings, SystemClock(), "http://127.0.0.1")
    await node.start()
    intake = node.intakes[LOG]
    try:
        for issuer in (storm, other):
            await intake.add_chain(issuer.chain(0), precert=False)  # from here on its claim is known
        monkeypatch.setattr(Pool, "check", held)
        raging = [asyncio.create_task(intake.add_chain(storm.chain(n), precert=False)) for n in range(1, 6)]
        await until(lambda: begun == 2)
        assert (await node.reading()).held == 3
        beside = asyncio.create_task(intake.add_chain(other.chain(1), precert=False))
        await until(lambda: begun == 3)
        going.set()
        async with asyncio.timeout(60):
            await beside
        for task in raging:
            task.cancel()
        await asyncio.gather(*raging, return_exceptions=True)
    finally:
        await kill("sequencer ")  # what is left of the storm may wait for company
        await node.stop()
