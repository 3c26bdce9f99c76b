"""Misfortune (monitoring.md §5.5): partitions, keys of witnesses, old states. Single faults: `tests/catalogue`."""

import shutil
from pathlib import Path

import pytest

from log.client.witness import Answer
from log.crypto.notes import NoteSigner
from log.formats.note import Note
from log.formats.policy import Policy
from monitor import settings
from monitor.alert import Class
from monitor.clock import Clock
from monitor.limits import Limits
from monitor.outcome import NOT_FOLLOWED, Finding, Outcome
from monitor.store import KeptAlert
from tests.monitor.conftest import Monitor
from tests.support.lying_log import Fault, LyingLog, ed25519
from tests.support.lying_node import LyingWitness


async def grow(followed: LyingLog, count: int = 7) -> None:
    followed.add(count)
    await followed.sign()


async def rounds(monitor: Monitor, count: int, step_ms: int = 1_000) -> list[Finding]:
    """Do some rounds, each so much later than the one before; return what the last one found."""
    findings: list[Finding] = []
    for _ in range(count):
        monitor.world.time_ms += step_ms - 1_000
        _, findings = await monitor.once()
    return findings


def lasting(monitor: Monitor) -> dict[str, Class]:
    assert monitor.store is not None
    return {kept.alert.code: kept.alert.cls for kept in monitor.store.alerts(lasting=True)}


def raised(monitor: Monitor) -> list[KeptAlert]:
    assert monitor.store is not None
    return monitor.store.alerts()


async def well(monitor: Monitor) -> None:
    assert await rounds(monitor, 1) == []
    assert lasting(monitor) == {}


# --- a proven lie -------------------------------------------------------------------------------------------------


async def test_a_fork_is_told_once_however_often_we_restart_and_until_somebody_has_seen_it(monitor: Monitor) -> None:
    await well(monitor)
    honest = monitor.world.hk_x509
    await grow(honest)
    await well(monitor)
    forked = await honest.branch(honest.size - 1, 1)
    monitor.world.hk.logs["x509"] = forked
    for _ in range(3):
        await monitor.once()
    [kept] = raised(monitor)
    assert (kept.alert.cls, kept.alert.severity, kept.alert.code) == (Class.PROVEN, "critical", "fork")
    assert monitor.store is not None
    [evidence] = monitor.store.evidence(honest.origin)
    assert kept.alert.detail == {"evidence": evidence.id.hex()}
    monitor.world.hk.logs["x509"] = honest
    honest._time_ms = forked._time_ms
    await grow(honest)
    await rounds(monitor, 1)
    assert lasting(monitor) == {"fork": Class.PROVEN}
    assert monitor.store.acknowledge(kept.alert.key, "Ms Chan", 1)
    await well(monitor)


@pytest.mark.parametrize("name", ["monitor.ledger.contradiction", "monitor.store.Store.convict"])
async def test_a_crash_after_a_head_was_kept_still_ends_in_evidence_and_an_alert(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The log was set back once, and never again: no later head contradicts that one, only what was kept can tell."""
    honest = monitor.world.hk_x509
    await well(monitor)
    await grow(honest)
    await well(monitor)
    back = await honest.branch(300, 0)
    monitor.world.hk.logs["x509"] = back

    class Crash(BaseException):
        pass

    def crash(*_: object) -> object:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(name, crash)
        with pytest.raises(Crash):
            await monitor.once()
    monitor.world.hk.logs["x509"] = honest
    honest._time_ms = back._time_ms
    await grow(honest)
    outcome, _ = await monitor.once()
    assert outcome is Outcome.PROVEN
    assert lasting(monitor) == {"fork": Class.PROVEN}
    assert len(raised(monitor)) == 1
    await rounds(monitor, 1)
    assert len(raised(monitor)) == 1


async def test_evidence_is_never_without_its_alert(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    await well(monitor)
    honest = monitor.world.hk_x509
    forked = await honest.branch(honest.size - 1, 1)
    monitor.world.hk.logs["x509"] = forked

    class Crash(BaseException):
        pass

    def crash(*_: object) -> object:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("monitor.store.Store.raise_alerts", crash)
        with pytest.raises(Crash):
            await monitor.once()
    monitor.stop()
    monitor.start()
    assert monitor.store is not None
    assert monitor.store.evidence(honest.origin) == [], "neither was written"
    await monitor.once()
    assert len(monitor.store.evidence(honest.origin)) == len(raised(monitor)) == 1


# --- partitions ---------------------------------------------------------------------------------------------------


async def test_a_silent_witness_is_operational_then_degraded_and_what_it_missed_is_audited_again(
    monitor: Monitor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await well(monitor)
    world, followed = monitor.world, monitor.world.hk_x509
    at = followed.size
    monkeypatch.setattr(LyingWitness, "add_checkpoint", _refuse)
    await rounds(monitor, 3)
    assert set(lasting(monitor).values()) == {Class.OPERATIONAL}
    for _ in range(7):
        await grow(followed, 40)
        await rounds(monitor, 1, 100_000)
    assert lasting(monitor)["not-cross-witnessed"] is Class.DEGRADED
    subjects = [kept for kept in raised(monitor) if kept.alert.code == "not-cross-witnessed"]
    assert {kept.alert.subject for kept in subjects} == {each.origin for each in world.logs}
    assert all("witness since 2027-01-15 08:00:0" in kept.alert.text for kept in subjects)

    monkeypatch.undo()
    world.hk.seen.clear()
    caplog.set_level("INFO", "monitor")
    await well(monitor)
    tiles = [each for each in world.hk.seen if "/x509/tile/data/" in each]
    assert tiles == ["GET /x509/tile/data/001", f"GET /x509/tile/data/002.p/{followed.size - 512}"]
    fields = [record.__dict__["fields"] for record in caplog.records if "fields" in record.__dict__]
    audited = [each for each in fields if each["event"] == "audited-again" and each["subject"] == followed.origin]
    assert [(each["from"], each["to"]) for each in audited] == [(at, followed.size)]


async def _refuse(_: LyingWitness, raw: bytes) -> Answer:
    return Answer(503, b"Service Unavailable\n", "text/plain")


async def test_a_log_that_no_longer_serves_what_it_served_in_a_partition_is_found_out(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await well(monitor)
    followed = monitor.world.hk_x509
    monkeypatch.setattr(LyingWitness, "add_checkpoint", _refuse)
    await grow(followed, 40)
    await rounds(monitor, 1)
    await rounds(monitor, 1, 700_000)
    other = await followed.branch(followed.size - 40, 40)
    followed.rows = other.rows  # the entries of the partition are others now; head and hash tiles as before
    monkeypatch.undo()
    findings = await rounds(monitor, 1)
    assert [(each.code, each.outcome) for each in findings] == [("data", Outcome.UNVERIFIED)]
    assert "audited again" in findings[0].text


async def test_a_silent_side_is_silent_and_the_other_goes_on(monitor: Monitor) -> None:
    await well(monitor)
    monitor.world.gd.fault = Fault.SILENT
    await rounds(monitor, 3)
    codes = lasting(monitor)
    assert set(codes.values()) == {Class.OPERATIONAL}
    assert {"silent", "witness-silent", "guard"} <= codes.keys()
    monitor.world.gd.fault = None
    await well(monitor)


async def test_a_quiet_log_that_fails_once_is_not_called_unfollowed_since_its_last_change(monitor: Monitor) -> None:
    quiet = monitor.world.hk_x509
    quiet.frozen = True

    async def codes(seconds: int) -> set[str]:
        monitor.world.time_ms += seconds * 1_000
        return {each.code for each in (await monitor.once())[1] if each.subject == quiet.origin}

    await codes(0)
    for _ in range(4):
        assert NOT_FOLLOWED not in await codes(200)
    quiet.fault = Fault.GARBAGE
    assert NOT_FOLLOWED not in await codes(200)
    assert NOT_FOLLOWED in await codes(500)


async def test_a_log_that_was_never_followed_is_told_of_too(monitor: Monitor) -> None:
    never = monitor.world.hk_x509
    never.fault = Fault.GARBAGE
    monitor.start()
    assert monitor.rounds is not None
    told = []
    for _ in range(3):
        found = await monitor.rounds.once()
        told.append(NOT_FOLLOWED in {each.code for each in found if each.subject == never.origin})
        monitor.world.time_ms += 301_000
    assert told == [False, False, True]


# --- keys of witnesses ----------------------------------------------------------------------------------------


async def test_a_witness_that_rotates_its_key_is_heard_by_both_until_the_date(monitor: Monitor) -> None:
    """The settings name a new key; the witness goes on with the old one."""
    await well(monitor)
    world, followed = monitor.world, monitor.world.hk_x509
    old = world.gd.witness.signer
    new = NoteSigner.make(old.vkey.name, old.vkey.type, ed25519("witness gd, new"))
    text = monitor.path.read_text().replace(
        f'vkey = "{old.vkey.encode()}"',
        f'vkey = "{new.vkey.encode()}"\nretiring = "{old.vkey.encode()}"\nuntil = 2027-01-15T08:10:00Z',
    )
    monitor.path.write_text(text)
    await grow(followed)
    await well(monitor)
    assert followed.witnessed is not None, "the log's policy still names the old key"

    world.time_ms += 600_000
    await grow(followed)
    codes = {each.code for each in await rounds(monitor, 3) if each.subject == followed.origin}
    assert "retired-key" in codes
    assert lasting(monitor)["retired-key"] is Class.OPERATIONAL

    world.gd.witness.signer = new
    names = [path for path in monitor.path.parent.glob("*.policy") if path.name.startswith("hk-")]
    for path in names:
        path.write_text(path.read_text().replace(old.vkey.encode(), new.vkey.encode()))
    for each in (followed, world.hk_governance):
        each.policy = Policy.parse((monitor.path.parent / f"hk-{each.name}.policy").read_bytes())
        await grow(each)
    await rounds(monitor, 2)
    await well(monitor)


# --- our own state --------------------------------------------------------------------------------------------


async def test_a_state_that_was_set_back_is_noticed_also_when_only_a_witness_shows_our_line(
    monitor: Monitor, tmp_path: Path
) -> None:
    await well(monitor)
    monitor.stop()
    state = settings.load(monitor.path).state
    shutil.copytree(state.parent, tmp_path / "backup")
    followed, witness = monitor.world.hk_x509, monitor.world.gd.witness
    await grow(followed)
    await well(monitor)
    assert followed.witnessed is not None
    note, shown = Note.parse(followed.witnessed), Note.parse(witness.state[followed.origin])
    ours = [line for line in note.signatures if monitor.key.owns(line)]
    witness.state[followed.origin] = shown.with_signatures([*shown.signatures, *ours]).encode()
    followed.witnessed = None
    followed.remember()
    size = followed.size
    monitor.stop()
    shutil.rmtree(state.parent)
    shutil.copytree(tmp_path / "backup", state.parent)

    await grow(followed, 1)
    followed.rows, followed.leaves = followed.rows[:300], followed.leaves[:300]  # and the log shows less
    cosigned = len(monitor.cosigned(followed))
    outcome, findings = await monitor.once()
    assert outcome is Outcome.OWN
    [restored] = [each for each in findings if each.code == "restored"]
    assert (restored.subject, f"size {size}" in restored.text) == (followed.origin, True)
    assert len(monitor.cosigned(followed)) == cosigned, "nothing is signed before its entries lead there"
    assert lasting(monitor)["restored"] is Class.OWN


def test_limits_of_time_are_in_order() -> None:
    limits = Limits()
    assert limits.head_warn_s < limits.head_alarm_s
    assert limits.lag_s < limits.degraded_s
    assert Clock(limits, lambda: 0, lambda: 0.0).trusted()
