"""Two ways out see one log: what it shows to one place only is found out (rows 7 and 43)."""

from collections.abc import Sequence

import httpx
import pytest

from monitor import connections, keyring, main, settings
from monitor.egress import Way
from monitor.limits import Limits
from monitor.outcome import Finding
from monitor.store import Store
from tests.monitor.conftest import Monitor
from tests.support import plain
from tests.support.hostile import IN_PROCESS
from tests.support.lying_log import Fault, LyingLog
from tests.support.lying_node import LyingNode

GD = '[[egresses]]\nname = "gd"\nlocal_address = "192.0.2.7"\n'


class View:
    """The same nodes as somebody else sees them: some logs are other ones there."""

    def __init__(self, monitor: Monitor) -> None:
        self.world = monitor.world
        self.logs: dict[str, LyingLog] = {}  # by origin
        self.fault: Fault | None = None

    def client(self) -> httpx.AsyncClient:
        made = {}
        for node in self.world.nodes:
            other = LyingNode(node.name, [self._log(each) for each in node.logs.values()], self.world.clock)
            other.fault = self.fault
            made[f"http://{node.name}"] = httpx.ASGITransport(app=other, client=IN_PROCESS)
        return plain.client(mounts=made)

    def _log(self, each: LyingLog) -> LyingLog:
        return self.logs.get(each.origin, each)


async def once(monitor: Monitor, view: View, more: str = GD, ways: Sequence[str] = ("gd",)) -> list[Finding]:
    """One round of a monitor with another way out."""
    monitor.stop()
    monitor.world.time_ms += 1_000
    text = monitor.path.read_text()
    if more not in text:
        monitor.path.write_text(text + more)
    loaded = settings.load(monitor.path)
    signing = keyring.load(loaded)
    monitor.store = Store.open(loaded.state, signing.witness.vkey.encode(), 10_000)
    async with view.client() as outside:
        made = main.assemble(
            loaded, signing, monitor.store, monitor.client, monitor.world.clock, outside=dict.fromkeys(ways, outside)
        )
        return await made.rounds.once()


async def test_a_view_that_is_behind_is_stale_and_no_lie(monitor: Monitor) -> None:
    honest, view = monitor.world.hk_x509, View(monitor)
    view.logs[honest.origin] = old = await honest.branch(honest.size, 0)
    honest.add(7)
    monitor.world.time_ms += 1_000
    await honest.sign()
    await once(monitor, view)
    found = await once(monitor, view)
    assert {(finding.code, finding.about) for finding in found} == {("stale", "egress gd")}
    assert old.size < honest.size
    view.logs.clear()
    assert await once(monitor, view) == []


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.ERROR])
async def test_a_way_that_is_cut_is_told_and_stops_nothing(monitor: Monitor, fault: Fault) -> None:
    view = View(monitor)
    view.fault = fault
    found = await once(monitor, view)
    assert {finding.code for finding in found} == {"egress-silent"}
    assert all(followed.witnessed for followed in monitor.world.logs)


@pytest.mark.parametrize(
    ("tables", "ways"),
    [
        ('[[egresses]]\nname = "gd"\n', ("gd",)),
        (GD + GD.replace('"gd"', '"again"'), ("gd", "again")),
    ],
)
async def test_two_ways_that_are_one_are_told_of(monitor: Monitor, tables: str, ways: Sequence[str]) -> None:
    found = await once(monitor, View(monitor), tables, ways)
    assert {finding.code for finding in found} == {"one-path"}


async def test_a_way_has_a_transport_of_its_own() -> None:
    limits = Limits()
    async with connections.http_client(limits, way=Way("gd", proxy="http://127.0.0.1:1")) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://192.0.2.1/")  # nobody is asked but the proxy, and there is none
    async with connections.http_client(limits, way=Way("gd", local_address="192.0.2.7")) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")
