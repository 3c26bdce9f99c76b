"""What a log withholds or spoils is had from others whom the settings name, held against its signed root."""

from hashlib import sha256

import pytest

from log.errors import SettingsError
from log.evidence.heads import Kind
from monitor import keyring, pinned, settings
from monitor.outcome import BUSY, Outcome
from monitor.store import AGREED
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.monitor.test_charges import evidence
from tests.support.hostile import busy
from tests.support.lying_log import Fault, LyingLog, Receive, Scope, Send


class Elsewhere:
    """What answers at http://out: one log at each path."""

    def __init__(self) -> None:
        self.logs: dict[str, LyingLog] = {}
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        place, _, rest = scope["path"].lstrip("/").partition("/")
        found = await self.logs[place].get(rest) if place in self.logs else None
        status, body = (404, b"Not Found\n") if found is None else (200, found)
        headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def elsewhere(monitor: Monitor) -> Elsewhere:
    made = Elsewhere()
    monitor.world.outside = made
    return made


def name(monitor: Monitor, *tables: str) -> None:
    """Write sources into the settings."""
    rows = "".join(f"[[sources]]\n{table}\n" for table in tables)
    monitor.path.write_text(monitor.path.read_text().replace("[limits]\n", f"{rows}[limits]\n", 1))


COPIES = 'url = "http://out/"'


@pytest.mark.parametrize("fault", [Fault.FLIP, Fault.TILE_SIZE])
@pytest.mark.parametrize("mirrored", [True, False], ids=["a mirror", "another monitor's copies"])
async def test_what_a_log_does_not_give_is_had_from_others(
    monitor: Monitor, elsewhere: Elsewhere, fault: Fault, mirrored: bool
) -> None:
    followed = monitor.world.hk_x509
    name(monitor, f'url = "http://out/mirror"\norigin = "{followed.origin}"' if mirrored else COPIES)
    await healthy(monitor)
    await grow(followed, 40)
    place = "mirror" if mirrored else sha256(followed.origin.encode()).hexdigest()
    elsewhere.logs[place] = await followed.branch(followed.size, 0)
    followed.fault = fault
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    [found] = [each for each in findings if each.subject == followed.origin]
    assert (found.code, found.outcome) == ("data", Outcome.UNVERIFIED)
    assert "had from others" in found.text
    [shown] = evidence(monitor, followed.origin, Kind.UNREPRODUCIBLE)
    assert found.evidence == shown.id.hex()
    assert max(monitor.cosigned(followed)) == (followed.size, followed.root_at(followed.size))
    assert monitor.store is not None
    assert monitor.store.state(followed.origin, followed.size, followed.root_at(followed.size)) == AGREED


@pytest.mark.parametrize("fault", [Fault.FLIP, Fault.TILE_SIZE])
async def test_what_a_log_owes_is_told_of_until_it_gives_it(
    monitor: Monitor, elsewhere: Elsewhere, fault: Fault
) -> None:
    """Also by looks at a head that has not changed, and when it gives all that came later."""
    followed = monitor.world.hk_x509
    name(monitor, f'url = "http://out/mirror"\norigin = "{followed.origin}"')
    await healthy(monitor)
    await grow(followed, 40)
    elsewhere.logs["mirror"] = await followed.branch(followed.size, 0)
    followed.fault = fault
    monitor.stop()
    monitor.start()
    rounds = monitor.rounds
    assert rounds is not None

    async def codes(seconds: int) -> set[str]:
        monitor.world.time_ms += seconds * 1_000
        return {each.code for each in await rounds.once() if each.subject == followed.origin}

    assert await codes(1) == await codes(1) == await codes(40) == {"data"}
    assert len(evidence(monitor, followed.origin, Kind.UNREPRODUCIBLE)) == 1
    followed.fault = None
    await grow(followed, 300)
    assert await codes(1) == {"data"}
    assert monitor.store is not None
    assert monitor.store.state(followed.origin, followed.size, followed.root_at(followed.size)) == AGREED
    assert await codes(40) == set()


async def test_a_busy_log_is_not_asked_for_what_it_owes(monitor: Monitor, elsewhere: Elsewhere) -> None:
    followed = monitor.world.hk_x509
    name(monitor, f'url = "http://out/mirror"\norigin = "{followed.origin}"')
    await healthy(monitor)
    await grow(followed, 40)
    elsewhere.logs["mirror"] = await followed.branch(followed.size, 0)
    followed.fault = Fault.FLIP
    rounds = monitor.rounds
    assert rounds is not None

    async def codes(seconds: int) -> set[str]:
        monitor.world.time_ms += seconds * 1_000
        return {each.code for each in await rounds.once() if each.subject == followed.origin}

    assert await codes(1) == {"data"}
    followed.reply = lambda _: busy(503, 300)
    assert await codes(1) == {"data", BUSY}
    monitor.world.hk.seen.clear()
    assert await codes(40) == {"data", BUSY}
    assert [each for each in monitor.world.hk.seen if each.startswith("GET /x509/")] == []


async def test_others_are_not_believed_and_not_asked_without_need(monitor: Monitor, elsewhere: Elsewhere) -> None:
    followed = monitor.world.hk_x509
    name(monitor, f'url = "http://out/mirror"\norigin = "{followed.origin}"')
    await healthy(monitor)
    before = monitor.held(followed)
    await grow(followed, 40)
    await healthy(monitor)
    assert elsewhere.asked == []
    elsewhere.logs["mirror"] = await followed.branch(followed.size, 40, "of another")
    await grow(followed, 40)
    followed.fault = Fault.FLIP
    held = monitor.held(followed)
    assert held != before
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert monitor.held(followed) == held
    assert all("had from others" not in each.text for each in findings)
    assert elsewhere.asked


async def test_a_mirror_of_a_log_that_nobody_follows_is_an_error(monitor: Monitor) -> None:
    name(monitor, 'url = "http://out/mirror"\norigin = "hk.example/x5O9"')
    with pytest.raises(SettingsError, match=r"hk\.example/x5O9, a log that is not followed"):
        monitor.start()


async def test_a_log_of_one_side_alone_is_brought_to_no_other_witness(monitor: Monitor) -> None:
    followed = monitor.world.hk_governance
    text = monitor.path.read_text()
    place = f'origin = "{followed.origin}"\n'
    monitor.path.write_text(text.replace(place, f"{place}witnesses = []\n"))
    (monitor.path.parent / "hk-governance.policy").write_text(f"witness mon {monitor.key.encode()}\nquorum mon\n")
    del monitor.world.gd.witness.known[followed.origin]
    assert await monitor.once() == (Outcome.VOUCHED, [])
    assert monitor.watch(followed).feeders == ()
    assert max(monitor.cosigned(followed)) == (followed.size, followed.root_at(followed.size))
    assert followed.origin not in monitor.world.gd.witness.state

    monitor.path.write_text(text.replace(place, f'{place}witnesses = ["hk"]\n'))
    loaded = settings.load(monitor.path)
    with pytest.raises(SettingsError, match="no other node with a witness is called hk"):
        pinned.nodes(loaded, keyring.load(loaded).witness.vkey)
