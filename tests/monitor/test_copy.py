"""The verified copy: in step with the verified head over faults, crashes and losses, and served as a log is."""

import shutil
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from log.client.audit import audit
from log.client.bearer import BearerTokens
from log.client.http import HttpLog
from log.errors import LogError, Malformed, Mismatch, NotFound, StorageError
from log.merkle.tiles import numbered
from log.storage import Batch
from log.storage.edge import held_rows
from log.storage.leveldb import LevelData
from monitor import settings
from monitor.copy.folder import Copies
from monitor.copy.reader import CopyReader
from monitor.outcome import COPY, COPY_BEHIND, DISK, Outcome
from monitor.store import Store
from tests.monitor.conftest import Monitor
from tests.support.lying_log import ISSUER, Fault, LyingLog

TOKEN = "a-token-of-a-member"


class Copying:
    """A monitor that copies, each round as a process of its own would."""

    def __init__(self, monitor: Monitor, folder: Path) -> None:
        self.monitor, self.folder = monitor, folder
        self.x509 = next(each for each in monitor.world.logs if each.name == "x509")
        self.write("", "free_bytes = 1\n")  # however full the disk of whoever runs this is

    def write(self, text: str, limits: str = "") -> None:
        """Add to the settings."""
        path = self.monitor.path
        path.write_text(path.read_text().replace("[limits]\n", f"{text}[limits]\n{limits}", 1))

    async def round(self) -> set[tuple[Outcome, str, str]]:
        """Stop, start and go round once."""
        await self.stop()
        loaded = settings.load(self.monitor.path)
        self.monitor.copies = Copies(self.folder, loaded.bounds())
        _, findings = await self.monitor.once()
        return {(each.outcome, each.code, each.subject) for each in findings}

    async def stop(self) -> None:
        if self.monitor.copies is not None:
            await self.monitor.copies.close()

    async def grow(self, count: int, salt: str = "") -> None:
        self.x509.add(count, salt)
        self.monitor.world.time_ms += 1_000
        await self.x509.sign()

    async def holds(self) -> int:
        """Stop, and count the rows on the disk."""
        await self.stop()
        data = LevelData(self.path)
        try:
            return await held_rows(data)
        finally:
            await data.close()

    @property
    def path(self) -> Path:
        return self.folder / sha256(self.x509.origin.encode()).hexdigest()

    @property
    def reader(self) -> CopyReader:
        assert self.monitor.copies is not None
        assert self.monitor.rounds is not None
        return CopyReader(self.monitor.copies.of(self.monitor.watch(self.x509).log))

    async def equals(self, log: LyingLog) -> None:
        """The copy holds what the log serves, and that is in order."""
        reader = self.reader
        assert await reader.entries(0, log.size, log.size) == log.rows
        report = await audit(reader, log.family, log.vkeys)
        assert (report.size, report.root) == (log.size, log.root_at(log.size))

    def client(self, token: str = "") -> httpx.AsyncClient:
        """Somebody who asks this monitor."""
        auth = BearerTokens({"http://mon": token}) if token else None
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.monitor.app), base_url=self.url, auth=auth)

    @property
    def url(self) -> str:
        return f"http://mon/{sha256(self.x509.origin.encode()).hexdigest()}"


@pytest.fixture
async def copying(monitor: Monitor, tmp_path: Path) -> AsyncIterator[Copying]:
    made = Copying(monitor, tmp_path / "copies")
    yield made
    await made.stop()


async def test_what_is_served_is_what_the_log_serves(copying: Copying) -> None:
    copying.write(f'[copies]\ntokens = ["{sha256(TOKEN.encode()).hexdigest()}"]\n')
    x509 = copying.x509
    assert await copying.round() == set()
    await copying.grow(307)
    assert await copying.round() == set()
    await copying.equals(x509)

    async with copying.client(TOKEN) as client:
        for n, widths in enumerate([(1, 255, 256), (1, 256), (1, 94, 95)]):
            for width in widths:
                for kind in ("data", "0"):
                    found = await client.get(f"tile/{kind}/{numbered(n, width)}")
                    assert found.content == await x509.get(f"tile/{kind}/{numbered(n, width)}")
                    kept = "private, no-store" if kind == "data" else "public, max-age=31536000, immutable"
                    assert found.headers["cache-control"] == kept
        assert (await client.get("tile/1/000.p/2")).content == x509.hashes(1)
        assert (await client.get(f"issuer/{sha256(ISSUER).hexdigest()}")).content == ISSUER
        for beyond in (
            "tile/0/002.p/96",
            "tile/data/003",
            "tile/1/000.p/3",
            "tile/9/000",
            "tile/names/000",
            "issuer/00",
        ):
            assert (await client.get(beyond)).status_code in {400, 404}, beyond
        assert (await audit(HttpLog(copying.url, x509.family, client), x509.family, x509.vkeys)).entries == 607
        assert (await client.get("checkpoint/newest")).content == x509.note

    for token, kind, status in (("", "data", 401), ("guessed", "data", 401), ("", "0", 200)):
        async with copying.client(token) as client:
            found = await client.get(f"tile/{kind}/000")
            assert (found.status_code, found.headers.get("www-authenticate")) == (
                status, "Bearer" if status == 401 else None,
            )  # fmt: skip


@pytest.mark.parametrize(("public", "status"), [(False, 403), (True, 200)])
async def test_entries_are_shown_where_the_settings_say_so(copying: Copying, public: bool, status: int) -> None:
    if public:
        copying.write(f'[copies]\npublic = ["{copying.x509.origin}"]\n')
    await copying.round()
    async with copying.client() as client:
        assert (await client.get("tile/data/000")).status_code == status


async def test_a_copy_that_is_lost_is_filled_again_and_serves_nothing_before(copying: Copying) -> None:
    copying.write("", "chunk_entries = 256\ncopy_chunks = 1\n")
    await copying.grow(500)  # 800
    assert await copying.round() == set()
    await copying.stop()
    shutil.rmtree(copying.folder)
    behind = (Outcome.VOUCHED, COPY_BEHIND, copying.x509.origin)
    for _ in range(3):
        found = await copying.round()  # following goes on meanwhile
        assert behind in found
        assert copying.reader.size == 0
        await copying.grow(1)
    found = await copying.round()
    assert behind not in found, found
    await copying.equals(copying.x509)


async def test_rows_that_no_verified_head_covers_are_dropped(copying: Copying, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash after the copy was written and before the verified head moved."""
    x509 = copying.x509
    await copying.round()

    def crash(*_: object) -> None:
        raise StorageError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "advance", crash)
        await copying.grow(500)
        with pytest.raises(StorageError):
            await copying.round()
    assert await copying.holds() == 800  # the copy is the first to know

    x509.fault = Fault.SILENT
    await copying.round()
    assert copying.reader.size == 300
    with pytest.raises(NotFound):
        await copying.reader.entries(0, 301, 301)
    assert await copying.holds() == 300

    x509.fault = None
    await copying.round()
    await copying.equals(x509)


async def test_a_refused_head_leaves_nothing_in_the_copy(copying: Copying) -> None:
    await copying.round()
    await copying.grow(500)
    copying.x509.fault = Fault.FLIP
    assert (Outcome.UNVERIFIED, "data", copying.x509.origin) in await copying.round()
    assert copying.reader.size == 300
    copying.x509.fault = None
    assert await copying.round() == set()
    await copying.equals(copying.x509)


async def test_an_issuer_that_is_withheld_holds_back_the_copy_alone(copying: Copying) -> None:
    x509 = copying.x509
    x509.withholds_issuers = True
    await copying.grow(10)
    found = await copying.round()
    assert {each for each in found if each[1] == COPY_BEHIND} == {(Outcome.VOUCHED, COPY_BEHIND, x509.origin)}
    assert Outcome.OWN not in {outcome for outcome, _, _ in found}
    assert copying.reader.size == 0
    x509.withholds_issuers = False
    await copying.round()
    await copying.equals(x509)


async def test_a_byte_that_changed_on_the_disk_is_found(copying: Copying) -> None:
    x509 = copying.x509
    await copying.round()
    await copying.stop()
    data = LevelData(copying.path)
    await data.commit(Batch(7, (x509.rows[7][:-50] + b"!" + x509.rows[7][-49:],), ()))
    await data.close()
    await copying.round()
    with pytest.raises((Mismatch, Malformed)) as caught:
        await audit(copying.reader, x509.family, x509.vkeys)
    assert "tile/data/000" in str(caught.value)
    # in what the root is rebuilt from at start it is noticed there, and read from the log again
    await copying.stop()
    data = LevelData(copying.path)
    await data.commit(Batch(290, (x509.rows[289],), ()))
    await data.close()
    await copying.round()
    await copying.equals(x509)


async def test_a_copy_that_cannot_be_written_stops_nothing(copying: Copying) -> None:
    await copying.round()
    await copying.stop()
    holder = LevelData(copying.path)
    await copying.grow(10)
    found = await copying.round()
    assert (Outcome.OWN, COPY, copying.x509.origin) in found
    assert copying.monitor.store is not None
    verified = copying.monitor.store.verified(copying.x509.origin)
    assert verified is not None
    assert verified.head.size == 310
    with pytest.raises(LogError):
        await copying.reader.checkpoint()
    await holder.close()
    assert await copying.round() == set()
    await copying.equals(copying.x509)


async def test_a_disk_without_room_takes_no_more_and_the_log_is_followed(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is free the limit stays free; the disk has room again later, and the copy catches up."""
    x509, usage = copying.x509, shutil.disk_usage
    assert await copying.round() == set()
    held = x509.size
    asked = copying.monitor.world.hk.seen

    def full(folder: Path) -> tuple[int, int, int]:
        return usage(folder)._replace(free=settings.load(copying.monitor.path).bounds().free_bytes - 1)

    monkeypatch.setattr("monitor.copy.folder.shutil.disk_usage", full)
    await copying.grow(300)
    for _ in range(2):
        asked.clear()
        told = {each for each in await copying.round() if each[2] == x509.origin}
        assert told == {(Outcome.OWN, DISK, x509.origin)}
        assert copying.monitor.store is not None
        verified = copying.monitor.store.verified(x509.origin)
        assert verified is not None
        assert verified.head.size == x509.size
        assert (x509.size, x509.root_at(x509.size)) in copying.monitor.cosigned(x509)
        assert await copying.holds() == held
    assert not [each for each in asked if "tile/data" in each], "nothing is read that there is no room for"
    monkeypatch.undo()
    assert await copying.round() == set()
    await copying.equals(x509)
