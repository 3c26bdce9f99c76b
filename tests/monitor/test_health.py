"""GET /healthz: what is our own trouble is 503 with the reason, what others do is not."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from log.errors import StoreFailed
from monitor import keyring, main, settings
from monitor.store import Store
from tests.monitor.conftest import Monitor
from tests.support.lying_log import Fault


@dataclass
class Looked:
    """A monitor whose clocks are apart."""

    monitor: Monitor
    made: main.Monitor
    store: Store
    monotonic_s: float = 0.0

    async def health(self) -> tuple[int, dict[str, Any]]:
        transport = httpx.ASGITransport(self.made.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
            found = await client.get("/healthz")
        assert found.headers["cache-control"] == "no-store"
        return found.status_code, found.json()

    def go(self, seconds: float) -> None:
        """Both clocks go on."""
        self.monotonic_s += seconds
        self.monitor.world.time_ms += round(seconds * 1000)


@pytest.fixture
def looked(monitor: Monitor) -> Looked:
    monitor.path.write_text(monitor.path.read_text() + "chunk_entries = 256\n")
    loaded = settings.load(monitor.path)
    signing = keyring.load(loaded)
    monitor.store = Store.open(loaded.state, signing.witness.vkey.encode(), 10_000)
    found: list[Looked] = []
    made = main.assemble(
        loaded,
        signing,
        monitor.store,
        monitor.client,
        monitor.world.clock,
        lambda: found[0].monotonic_s if found else 0,
    )
    found.append(Looked(monitor, made, monitor.store))
    return found[0]


async def test_a_monitor_that_looks_is_well_whatever_it_sees(looked: Looked) -> None:
    status, report = await looked.health()
    assert (status, report["ok"], report["problems"]) == (200, True, [])
    assert [row["looked_s"] for row in report["logs"]] == [None] * 3
    looked.go(1)
    await looked.made.rounds.once()
    looked.go(7)
    looked.monitor.world.hk_x509.fault = Fault.GARBAGE
    looked.monitor.world.gd.fault = Fault.ERROR
    await looked.made.rounds.once()
    status, report = await looked.health()
    assert (status, report["monitor"], report["clock_trusted"]) == (200, "monitor.example/m", True)
    row = next(each for each in report["logs"] if each["origin"] == "hk.example/x509")
    assert (row["announced"], row["verified"], row["open"], row["looked_s"]) == (300, 300, 0, 0.0)
    assert row["head_age_s"] == 8


async def test_who_has_not_looked_for_long_is_not_well_until_he_has(looked: Looked) -> None:
    looked.go(301)
    status, report = await looked.health()
    assert status == 503
    assert report["problems"][0] == "hk.example/x509: no look has ended or gone on for 301 s"
    await looked.made.rounds.once()
    assert (await looked.health())[0] == 200
    looked.go(299)
    assert (await looked.health())[0] == 200
    looked.go(2)
    assert (await looked.health())[0] == 503


async def test_a_log_that_is_new_is_waited_for_from_then_on(looked: Looked) -> None:
    """As governance may name one at any time."""
    looked.go(301)
    crew = looked.made.crew
    crew._watches.clear()
    crew._call(crew._nodes)
    assert (await looked.health())[0] == 200
    looked.go(301)
    assert (await looked.health())[0] == 503


async def test_who_has_much_to_read_is_well_while_it_comes(looked: Looked) -> None:
    """Or else whoever restarts what is not well would let a large log never be read to its end."""
    world, hangs = looked.monitor.world, asyncio.Event()
    world.hk_x509.add(300)
    await world.hk_x509.sign()
    looked.go(299)

    def stop_at_the_third_tile(_: int) -> None:
        if sum("/x509/tile/data/" in each for each in world.hk.seen) == 3:
            world.hk.fault = Fault.SILENT
            hangs.set()

    world.hk.on_request = stop_at_the_third_tile
    looking = asyncio.create_task(looked.made.rounds.once())
    await hangs.wait()
    looked.go(2)
    _, report = await looked.health()
    assert "hk.example/x509" not in " ".join(report["problems"])
    for _ in range(2):  # the second tile may be taken in only after the first of these moves; then nothing is
        looked.go(301)
        _, report = await looked.health()
        if "hk.example/x509" in " ".join(report["problems"]):
            break
    else:
        pytest.fail("a look that stands still for ever is well")
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_who_does_not_know_what_time_it_is_says_so(looked: Looked) -> None:
    looked.monitor.world.time_ms += 3_600_000  # set by hand
    status, report = await looked.health()
    assert (status, report["clock_trusted"]) == (503, False)
    assert report["problems"] == ["our clock is not trusted: no verdict rests on time"]


async def test_who_writes_no_more_says_so(looked: Looked) -> None:
    looked.store._database.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreFailed):
        looked.store.keep_clock("boot", 1, 1)
    status, report = await looked.health()
    assert (status, report["state_writable"]) == (503, False)
    assert "not written any more" in report["problems"][0]
