"""After a fork every head of the branch that we do not follow is kept, and shown as what the log has signed too."""

import httpx

from monitor import settings, status
from tests.monitor.conftest import Monitor
from tests.monitor.test_rounds import grow, healthy


async def test_what_a_log_has_signed_too_stands_in_status_and_on_the_page(monitor: Monitor) -> None:
    world = monitor.world
    honest = world.hk_x509
    await healthy(monitor)
    forks = []
    for count in (100, 110):
        fork = await honest.branch(200, count)
        forks.append((fork.size, fork.root_at(fork.size)))
        world.hk.logs["x509"] = fork
        await monitor.once()
        world.hk.logs["x509"] = honest
        await grow(honest, 20)
        await monitor.once()
    assert monitor.store is not None
    assert monitor.app is not None
    found = monitor.store.apart(honest.origin, 10)
    assert [(each.size, each.root) for each in found] == forks[::-1]
    assert all(each.refuted for each in found)
    assert monitor.store.apart(honest.origin, 1) == found[:1]
    assert monitor.store.apart(world.gd_x509.origin, 10) == []

    limits = settings.load(monitor.path).bounds()
    said = list(status.sentences(monitor.store, monitor.crew.logs, limits, monitor.world.time_ms))
    also = [each for each in said if "also signed" in each]
    assert [each.partition(":")[0] for each in also] == [honest.origin] * 2
    assert f"310 entries, root {forks[1][1].hex()}, refuted, from log at " in also[0]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(monitor.app), base_url="http://m") as client:
        page = (await client.get("/")).text
    assert page.count("also signed") == 2
    assert all(root.hex() in page for _, root in forks)
    verified = monitor.store.verified(honest.origin)
    assert verified is not None
    assert verified.head.size == honest.size, "the branch that we follow goes on"
