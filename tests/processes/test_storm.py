"""A storm of one issuer on a real node: whoever else submits, from the same address, is answered as if it were calm."""

import asyncio
import time
from pathlib import Path

import httpx

from log.demo.ca import MassIssuer
from log.demo.deployment import Anchors, Deployment
from tests.support.nodes import Promises, World, client, monitor, unguard

CALM = 60  # submissions of the others' issuer
STORM = 64  # at once, over and over


async def test_in_a_storm_of_one_issuer_every_submission_of_another_is_taken(tmp_path: Path) -> None:
    """The limits are small, so that the storm alone would fill every queue of the node, and its rate is bounded."""
    now_ms = int(time.time()) * 1000
    storm, calm = MassIssuer("p256", now_ms=now_ms), MassIssuer("rsa2048", now_ms=now_ms)
    anchors = Anchors((storm.issuers[-1], calm.issuers[-1]))
    limits = {"max_submissions": 16, "max_checking": 16, "pool_entries": 16, "max_issuer_rate_per_s": 200}
    deployment = Deployment(tmp_path / "d", {}, limits, run_monitor=monitor)
    await deployment.create({"hk": anchors, "gd": anchors})
    w = World(deployment, Promises(calm))
    raging = Promises(storm)
    unguard(w.site())
    node = await w.start()
    try:
        async with client() as http, client() as stormy:
            await w.submits(http, 1)
            assert await raging.submit(stormy, w.site().url) == httpx.codes.OK
            over = asyncio.Event()
            load = asyncio.create_task(raging.load(stormy, w.site().url, over, STORM))
            for _ in range(CALM):
                assert await w.promises.submit(http, w.site().url) == httpx.codes.OK, w.promises.refused
            over.set()
            await load
            assert {status for _, status, _ in raging.refused} == {httpx.codes.TOO_MANY_REQUESTS}
            assert len(w.promises.scts) == CALM + 1
            report = await w.reckon(http)
            assert report.entries == len(w.promises.scts) + len(raging.scts)
    finally:
        await node.stop()
