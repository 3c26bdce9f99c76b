"""After a fork every head of the branch that we do not follow is kept, shown, and read for certificates of its own."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from log.formats.family import Parts, x509_parts
from log.formats.tile_leaf import TileLeaf
from monitor import settings, status
from monitor.alert import Class
from monitor.store import Store
from monitor.store import database as database_
from monitor.store.schema import MIGRATIONS
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.monitor.rules.cases import world
from tests.monitor.test_charges import Mirror
from tests.monitor.test_egress import View, once
from tests.support.lying_log import ISSUER, Fault, LyingLog


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


# --- certificates that stand on the other branch alone --------------------------------------------------------


def certificate(serial: int) -> Parts:
    made = world()
    return x509_parts(made.hk.issue(replace(made.profile(), serial=serial)), [sha256(made.hk.certificate).digest()])


async def judge(monitor: Monitor) -> None:
    assert monitor.assembled is not None
    while await monitor.assembled.judging.pass_over(monitor.assembled.to_judge()):
        pass


async def forked(honest: LyingLog, at: int, serials: Sequence[int], more: int = 120) -> LyingLog:
    """Return another branch, with these certificates at its end, and before them one that is on both."""
    fork = await honest.branch(at, 0)
    fill(fork, more)
    await put(fork, serials)
    return fork


def fill(log: LyingLog, count: int) -> None:
    """Append a certificate that is on our branch, again and again: other leaves, and nothing to mark."""
    same = certificate(1)
    for _ in range(count):
        log.put(same)


async def put(log: LyingLog, serials: Sequence[int]) -> None:
    for serial in serials:
        log.put(certificate(serial))
    await log.sign()


async def known(monitor: Monitor) -> LyingLog:
    """Let our branch hold certificates 1 and 2, and two signed trees of it be known."""
    honest = monitor.world.hk_x509
    await healthy(monitor)
    await put(honest, [1, 2])
    await healthy(monitor)
    await judge(monitor)
    return honest


def marks(monitor: Monitor) -> list[tuple[int, int, bytes]]:
    """Return index, size and root of all marks."""
    assert monitor.store is not None
    found = []
    for kept in monitor.store.findings(code="BRANCH"):
        finding, place = kept.finding, kept.finding.place
        assert place is not None
        assert (place.origin, finding.cls) == (monitor.world.hk_x509.origin, Class.PROVEN)
        found.append((place.index, finding.evidence["size"], bytes.fromhex(finding.evidence["root"])))
    return sorted(found)


def alerts(monitor: Monitor) -> list[str]:
    assert monitor.store is not None
    return [kept.alert.key for kept in monitor.store.alerts() if kept.alert.code == "other-branch"]


async def test_certificates_that_stand_on_the_other_branch_alone_are_marked_once(monitor: Monitor) -> None:
    node, honest = monitor.world.hk, await known(monitor)
    fork = await forked(honest, 200, [1, 7, 8])
    node.logs["x509"] = fork
    await monitor.once()
    node.logs["x509"] = honest
    await judge(monitor)
    found = [(index, fork.size, fork.root_at(fork.size)) for index in (321, 322)]
    for _ in range(3):
        await grow(honest)
        await monitor.once()
        assert marks(monitor) == found
        assert alerts(monitor) == [f"other-branch {honest.origin} {fork.size} {fork.root_at(fork.size).hex()[:16]}"]
    assert monitor.store is not None
    kept = monitor.store.findings(code="BRANCH")
    digests = {sha256(TileLeaf.parse(fork.rows[index]).signed_entry).digest() for index in (321, 322)}
    assert {each.finding.fingerprint for each in kept} == digests

    await put(honest, [7])
    await healthy(monitor)
    await judge(monitor)
    await monitor.once()
    assert monitor.store.findings(code="BRANCH") == kept, "the mark stays, with its time"
    verified = monitor.store.verified(honest.origin)
    assert verified is not None
    assert verified.head.size == honest.size
    assert (honest.size, honest.root_at(honest.size)) in monitor.cosigned(honest)
    assert (fork.size, fork.root_at(fork.size)) not in monitor.cosigned(fork)


async def test_nothing_is_marked_before_our_own_branch_was_judged_as_far(monitor: Monitor) -> None:
    honest = monitor.world.hk_x509
    await healthy(monitor)
    await put(honest, [1, 2])
    await healthy(monitor)
    monitor.world.hk.logs["x509"] = await forked(honest, 200, [1, 7])
    await monitor.once()
    monitor.world.hk.logs["x509"] = honest
    await monitor.once()
    assert marks(monitor) == []
    await judge(monitor)
    await monitor.once()
    assert [index for index, _, _ in marks(monitor)] == [321]


@pytest.mark.parametrize("fault", [Fault.FLIP, Fault.TILE_SIZE])
async def test_data_that_do_not_lead_to_the_signed_root_mark_nothing(monitor: Monitor, fault: Fault) -> None:
    honest = await known(monitor)
    monitor.world.hk.logs["x509"] = fork = await forked(honest, 200, [7])
    fork.fault = fault
    await monitor.once()
    _, findings = await monitor.once()
    assert marks(monitor) == []
    assert alerts(monitor) == []
    assert {each.code for each in findings} == {"fork"}, "what is not had of the other branch is no finding"
    fork.fault = None
    await monitor.once()
    assert [index for index, _, _ in marks(monitor)] == [320]


async def test_a_long_branch_is_read_over_several_looks_and_restarts(monitor: Monitor) -> None:
    monitor.path.write_text(monitor.path.read_text() + "branch_entries = 100\n")
    honest = await known(monitor)
    monitor.world.hk.logs["x509"] = fork = await forked(honest, 200, [7], more=700)
    assert honest.size < fork.size
    seen = []
    for _ in range(11):
        await monitor.once()
        assert monitor.store is not None
        seen.append([each.read for each in monitor.store.branches_to_read(honest.origin, 9)])
        assert bool(marks(monitor)) == (seen[-1] == [])
    assert seen == [[100 * n] for n in range(1, 10)] + [[], []]
    assert [index for index, _, _ in marks(monitor)] == [900]


async def test_a_branch_that_grows_is_read_on_and_is_one_alert(monitor: Monitor) -> None:
    monitor.path.write_text(monitor.path.read_text() + "branch_entries = 250\n")
    node, honest = monitor.world.hk, await known(monitor)
    node.logs["x509"] = fork = await forked(honest, 300, [7], more=300)
    await monitor.once()
    assert alerts(monitor) == []
    await monitor.once()  # it begins at 300, where both agree
    [alert] = alerts(monitor)
    fill(fork, 200)
    await put(fork, [8])
    await monitor.once()  # and here where that branch was read before
    assert [index for index, _, _ in marks(monitor)] == [600, 801]
    assert alerts(monitor) == [alert]
    fork.remembered, fork.fault = (await fork.branch(590, 0)).note, Fault.OLD_HEAD
    await monitor.once()  # a smaller tree of it is not read again
    assert monitor.store is not None
    assert (590, True) in [(each.size, each.refuted) for each in monitor.store.apart(honest.origin, 9)]
    assert monitor.store.branches_to_read(honest.origin, 9) == []
    assert len(marks(monitor)) == 2
    assert alerts(monitor) == [alert]


async def test_a_head_that_nobody_gives_keeps_no_other_waiting(monitor: Monitor) -> None:
    monitor.path.write_text(monitor.path.read_text() + "branch_heads = 1\n")
    node, honest = monitor.world.hk, await known(monitor)
    gone = await forked(honest, 100, [9], more=900)
    gone.fault = Fault.FLIP
    for fork in (gone, await forked(honest, 200, [7])):
        node.logs["x509"] = fork
        await monitor.once()
    await monitor.once()
    assert [index for index, _, _ in marks(monitor)] == [320]
    assert monitor.store is not None
    assert [each.size for each in monitor.store.branches_to_read(honest.origin, 9)] == [gone.size]


async def test_no_more_is_marked_than_the_limit_says(monitor: Monitor) -> None:
    monitor.path.write_text(monitor.path.read_text() + "branch_marks = 2\n")
    honest = await known(monitor)
    monitor.world.hk.logs["x509"] = await forked(honest, 300, [5, 6, 7, 8, 9], more=3)
    for _ in range(8):
        await monitor.once()
    assert len(marks(monitor)) == 2


async def test_a_branch_that_another_egress_is_shown_is_read_there(monitor: Monitor) -> None:
    honest = await known(monitor)
    fork = await forked(honest, 200, [7], more=101)
    assert fork.size == honest.size
    view = View(monitor)
    view.logs[honest.origin] = fork
    await once(monitor, view)
    assert [index for index, _, _ in marks(monitor)] == [301]


async def test_a_branch_that_a_source_holds_is_read_there(monitor: Monitor) -> None:
    honest = await known(monitor)
    fork = await forked(honest, 200, [7])
    monitor.world.hk.logs["x509"], fork.fault = fork, Fault.FLIP
    await monitor.once()
    monitor.world.hk.logs["x509"] = honest
    await monitor.once()
    assert marks(monitor) == []
    held = Mirror(fork)
    monitor.further = lambda origin: [held] if origin == honest.origin else []
    await monitor.once()
    assert [index for index, _, _ in marks(monitor)] == [320]


async def test_the_marks_stand_on_the_page_for_who_is_let_in(monitor: Monitor) -> None:
    monitor.path.write_text(monitor.path.read_text().replace("[limits]", "[page]\nopen = true\n[limits]"))
    honest = await known(monitor)
    monitor.world.hk.logs["x509"] = await forked(honest, 200, [7])
    await monitor.once()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(monitor.app), base_url="http://m") as client:
        assert "only on the branch" in (await client.get("/?code=BRANCH")).text
        [found] = (await client.get("/findings.json?code=BRANCH")).json()["findings"]
    assert (found["index"], found["severity"], found["class"]) == (320, "critical", "proven")


async def test_what_cannot_be_read_as_a_certificate_is_marked_too(monitor: Monitor) -> None:
    """Unless our branch has the same bytes. The entries that a log in these tests begins with are no certificates."""
    node, honest = monitor.world.hk, await known(monitor)
    both = x509_parts(b"no certificate, and on both branches", [sha256(ISSUER).digest()])
    honest.put(both)
    await honest.sign()
    await healthy(monitor)
    await judge(monitor)
    fork = await honest.branch(200, 100, salt="")  # the same entries once more: at other indexes they are other leaves
    fork.put(both)
    alone = [b"no certificate, and on this branch alone", b"0\x03\x02\x01\x01"]
    for data in alone:
        fork.put(x509_parts(data, [sha256(ISSUER).digest()]))
    await fork.sign()
    node.logs["x509"] = fork
    await monitor.once()
    node.logs["x509"] = honest
    await monitor.once()
    assert [index for index, _, _ in marks(monitor)] == [301, 302]
    assert monitor.store is not None
    found = {each.finding.fingerprint for each in monitor.store.findings(code="BRANCH")}
    assert found == {sha256(data).digest() for data in alone}


def test_what_was_unreadable_before_it_was_indexed_marks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state of before: findings say that something is unreadable, and not in which logs it stands."""
    path = tmp_path / "old.sqlite"
    [step] = [number for number, script in enumerate(MIGRATIONS) if "CREATE TABLE unreadable" in script]
    monkeypatch.setattr(database_, "MIGRATIONS", MIGRATIONS[:step])
    Store.create(path, "witness")
    monkeypatch.undo()
    with sqlite3.connect(path) as database:
        for origin in ("hk.example/x509", "gd.example/x509"):
            database.execute("INSERT INTO judged VALUES (?, 9, 9, 9)", (origin,))
        row = ("medium", "proven", b"", b"", "hk.example/x509", 1, 1, "", "{}", 1)
        for digest, evidence in ((b"1" * 32, '{"begins": "30"}'), (b"2" * 32, '{"parts": ["subject"]}')):
            database.execute(
                "INSERT INTO finding (code, about, severity, class, fingerprint, issuer, origin, idx, leaf_ms, text,"
                " evidence, produced, found_ms) VALUES ('UNPARSABLE', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (digest, *row[:8], evidence, *row[8:]),
            )
    store = Store.open(path, "witness", 10)
    try:
        with store.judging() as index:
            assert index.unreadable_in("hk.example/x509", b"1" * 32)
            assert index.unreadable_in("gd.example/x509", b"1" * 32)
            assert not index.unreadable_in("hk.example/x509", b"2" * 32)
            assert not index.unreadable_in("other.example/x509", b"1" * 32)
    finally:
        store.close()
