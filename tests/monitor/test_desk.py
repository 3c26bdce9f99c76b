"""Findings become alerts: each class by a table, once while it lasts, after the patience its code is given."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.alert import SEVERITIES, Class
from monitor.clock import Clock
from monitor.desk import Desk
from monitor.limits import Limits
from monitor.outcome import Finding, Outcome, alert_of, class_of, severity_of
from monitor.store import Store

LIMITS = Limits()


def test_each_finding_has_a_class() -> None:
    table = [
        (Outcome.PROVEN, "fork", Class.PROVEN, "critical"),
        (Outcome.PROVEN, "stale", Class.PROVEN, "critical"),
        (Outcome.OWN, "restored", Class.OWN, "error"),
        (Outcome.OWN, "stale", Class.OWN, "error"),
        (Outcome.UNREACHED, "silent", Class.OPERATIONAL, "warning"),
        (Outcome.UNREACHED, "not-cross-witnessed", Class.DEGRADED, "error"),
        (Outcome.UNREACHED, "head-old", Class.OPERATIONAL, "error"),
        (Outcome.UNVERIFIED, "data", Class.SUSPECTED, "warning"),
        (Outcome.UNVERIFIED, "split", Class.SUSPECTED, "error"),
        (Outcome.UNVERIFIED, "future-head", Class.SUSPECTED, "error"),
        (Outcome.UNVERIFIED, "stale", Class.OPERATIONAL, "warning"),
    ]
    for outcome, code, cls, severity in table:
        assert (class_of(outcome, code), severity_of(outcome, code)) == (cls, severity), code
    for outcome in Outcome:
        assert severity_of(outcome, "any") in SEVERITIES
    alert = alert_of(Finding(Outcome.PROVEN, "hk", "fork", "two heads", "w", "ab"))
    assert (alert.key, alert.detail) == ("fork hk w", {"evidence": "ab"})


class Hall:
    """A desk over a real state, that can be closed and opened again, and a clock moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state"
        self.time_s = 1_800_000_000.0
        Store.create(self.path, "key")
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.path, "key", 10)
        self.desk = Desk(self.store, LIMITS, Clock(LIMITS, lambda: round(self.time_s * 1000), lambda: self.time_s))

    def restart(self) -> None:
        self.store.close()
        self.open()

    @property
    def lasting(self) -> list[str]:
        return [kept.alert.key for kept in self.store.alerts(lasting=True)]


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path)
    yield made
    made.store.close()


DATA = Finding(Outcome.UNVERIFIED, "hk", "data", "entries lead elsewhere")
SILENT = Finding(Outcome.UNREACHED, "hk", "silent", "no answer")
STALE = Finding(Outcome.UNVERIFIED, "hk", "stale", "an older head")
BAD = Finding(Outcome.UNVERIFIED, "hk", "checkpoint", "not a head of this log")


async def test_it_is_told_once_while_it_lasts_also_over_a_restart(hall: Hall) -> None:
    for _ in range(3):
        for _ in range(2):
            await hall.desk.report("look", [DATA])
        hall.restart()
        assert hall.lasting == ["data hk"]
    assert len(hall.store.alerts()) == 1
    await hall.desk.report("look", [])
    assert hall.lasting == []
    assert hall.store.faults() == []
    await hall.desk.report("look", [DATA])
    assert len(hall.store.alerts()) == 2


async def test_what_is_over_while_we_restart_ends_when_its_source_says_so(hall: Hall) -> None:
    await hall.desk.report("look", [DATA])
    hall.restart()
    await hall.desk.report("survey", [])
    assert hall.lasting == ["data hk"], "another source says nothing of it"
    await hall.desk.report("look", [])
    assert hall.lasting == []


async def test_it_ends_when_no_source_finds_it(hall: Hall) -> None:
    await hall.desk.report("look", [DATA])
    await hall.desk.report("survey", [DATA])
    await hall.desk.report("look", [])
    assert hall.lasting == ["data hk"]
    await hall.desk.keep_only({"look"})
    assert hall.lasting == []


@pytest.mark.parametrize("finding", [SILENT, BAD])
async def test_once_or_twice_is_no_alarm(hall: Hall, finding: Finding) -> None:
    for _ in range(5):
        await hall.desk.report("look", [finding])
        await hall.desk.report("look", [finding])
        await hall.desk.report("look", [])
    assert hall.store.alerts() == []
    for _ in range(2):
        await hall.desk.report("look", [finding])
        hall.restart()
    assert hall.lasting == []
    await hall.desk.report("look", [finding])
    assert hall.lasting == [finding.key]


async def test_a_stale_replica_is_an_alarm_after_a_minute(hall: Hall) -> None:
    for _ in range(60):
        await hall.desk.report("look", [STALE])
        hall.time_s += 1
    assert hall.lasting == []
    hall.restart()
    await hall.desk.report("look", [STALE])
    assert hall.lasting == ["stale hk"]


async def test_a_clock_that_jumped_begins_the_minute_anew(hall: Hall) -> None:
    await hall.desk.report("look", [STALE])
    hall.time_s += 59
    hall.desk.settle()
    hall.time_s += 59
    await hall.desk.report("look", [STALE])
    assert hall.lasting == []
    hall.time_s += 1
    await hall.desk.report("look", [STALE])
    assert hall.lasting == ["stale hk"]


async def test_two_witnesses_that_are_silent_are_two_alerts(hall: Hall) -> None:
    both = [Finding(Outcome.UNREACHED, "hk", "witness-silent", "no answer", name) for name in ("one", "two")]
    for _ in range(3):
        await hall.desk.report("feed one", both[:1])
        await hall.desk.report("feed two", both[1:])
    assert sorted(hall.lasting) == ["witness-silent hk one", "witness-silent hk two"]
    await hall.desk.report("feed one", [])
    assert hall.lasting == ["witness-silent hk two"]
