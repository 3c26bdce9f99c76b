"""Judging over logs in memory: positions, one finding for one thing, crashes, first uses, what watchers are told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from log.certs import certificate as certs
from log.certs.precert import defang
from log.demo import issuing
from log.errors import StoreFailed, Unreachable
from log.formats.event import event_entry
from log.formats.event_codes import Standing
from log.formats.family import EVENTS, X509, Parts, precert_parts, x509_parts
from log.formats.logged_event import LoggedEvent
from log.formats.ref import Ref
from log.formats.signature_event import Event
from monitor.alert import Class
from monitor.judging import Judging, Source
from monitor.limits import Limits
from monitor.rules.case import Case, FixedLists, of_row
from monitor.rules.engine import Engine
from monitor.rules.limits import Limits as RuleLimits
from monitor.rules.watchlist import Watched, WatchList
from monitor.store import Looked, Position, Store
from tests.monitor.rules.cases import World, extended, usual, world
from tests.support.members import of_certificate
from tests.support.memory_log import START_MS, MemoryLog

HK, GD, SIGNED = "hk.example/x509", "gd.example/x509", "hk.example/events"
MINUTE_MS = 60_000
FIRST_MINUTE = START_MS // MINUTE_MS * MINUTE_MS  # of the first entry of a log in memory


@dataclass
class Bench:
    """A state, and what judges."""

    store: Store
    limits: Limits = field(default_factory=lambda: Limits(judge_entries=2))
    watchlist: WatchList = field(default_factory=WatchList)
    engine: Engine = field(default_factory=lambda: Engine(RuleLimits.usual()))
    sources: dict[str, Source] = field(default_factory=dict)

    def add(self, origin: str, entries: list[Parts], time_ms: int = START_MS + 1_000) -> MemoryLog:
        family = EVENTS if origin == SIGNED else X509
        held = MemoryLog(family, entries)
        for issuer in (world().hk, world().gd):
            held.blobs[sha256(issuer.certificate).digest()] = issuer.certificate
        self.sources[origin] = Source(origin, family, held, held.size, time_ms)
        return held

    def judging(self) -> Judging:
        lists = FixedLists({"hk": world().base, "gd": world().base})
        return Judging(self.store, self.engine, lists, lambda: self.watchlist, self.limits, lambda: 7)

    async def judge(self, *origins: str) -> None:
        """Judge all there is, in this order of logs."""
        judging = self.judging()
        sources = [self.sources[origin] for origin in origins or self.sources]
        while await judging.pass_over(sources):
            pass

    def found(self) -> list[tuple[str, str, int]]:
        found = []
        for kept in self.store.findings():
            assert kept.finding.place is not None
            found.append((kept.finding.code, kept.finding.place.origin, kept.finding.place.index))
        return sorted(found)

    def codes(self) -> list[str]:
        return sorted(kept.alert.code for kept in self.store.alerts())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    Store.create(tmp_path / "state", "key")
    bench = Bench(Store.open(tmp_path / "state", "key", 10))
    yield bench
    bench.store.close()


def entry(build: Callable[[World], bytes]) -> Parts:
    return x509_parts(build(world()), [sha256(world().hk.certificate).digest()])


def pair(serial: int, **changes: object) -> tuple[Parts, Parts]:
    """A precertificate's entry, and that of its certificate."""
    w = world()
    profile = replace(w.profile(), serial=serial, **changes)  # type: ignore[arg-type]
    poisoned = w.hk.issue(replace(profile, extensions=(*profile.extensions, issuing.POISON_EXTENSION)))
    digest = sha256(w.hk.certificate).digest()
    key_hash, tbs = defang(certs.parse(poisoned), [certs.parse(w.hk.certificate)])
    return precert_parts(key_hash, tbs, poisoned, [digest]), x509_parts(w.hk.issue(profile), [digest])


def use(certificate: bytes, at_ms: int, ref: Ref | None = None) -> Parts:
    event = replace(of_certificate(certificate, ref), at_ms=at_ms)
    return _logged(event, Standing.NOT_LOGGED if ref is None else Standing.OWN_LOG)


def _logged(event: Event, standing: Standing) -> Parts:
    row = event_entry(START_MS, "hk/a", LoggedEvent(event, b"r" * 32, 1, 0, standing)).encode()
    return EVENTS.parts(row)[0]


async def test_each_log_has_a_position_and_each_thing_one_finding(bench: Bench) -> None:
    before, after = pair(0)  # P16: a serial of zero
    bench.add(HK, [entry(usual()), before, after, x509_parts(b"\x30\x03abc", [])])
    bench.add(GD, [after])
    await bench.judge()
    assert (bench.store.judged(HK).size, bench.store.judged(GD).size) == (4, 1)
    assert bench.store.judged(HK).time_ms == START_MS + 1_000
    assert bench.found() == [("P16", HK, 1), ("UNPARSABLE", HK, 3)]
    assert bench.codes() == ["P16", "UNPARSABLE"]
    assert "rule UNPARSABLE" in {kept.alert.key for kept in bench.store.alerts()}  # a key that can be typed
    [kept] = bench.store.findings(code="P16")
    there = bench.store.sightings(kept.finding.about)
    assert [(place.origin, place.index) for place in there] == [(GD, 0), (HK, 1), (HK, 2)]  # by time
    assert kept.finding.cls is Class.PROVEN
    assert kept.finding.produced["lists"] == {"gd": 3, "hk": 3}


async def test_a_serial_twice(bench: Bench) -> None:
    before, after = pair(1 << 80)
    _, other = pair(1 << 80, not_after_ms=1_767_225_600_000 + 86_400_000)
    _, elsewhere = pair(1 << 81)
    bench.add(HK, [before, after, elsewhere])
    await bench.judge()
    assert bench.found() == []
    bench.add(GD, [other])
    await bench.judge()
    assert bench.found() == [("P15", GD, 0)]
    [kept] = bench.store.findings()
    assert kept.finding.evidence["other"]["origin"] == HK


@pytest.mark.parametrize("entries", [1, 2, 10])
async def test_a_serial_twice_in_one_batch_or_in_two_is_one_finding(bench: Bench, entries: int) -> None:
    bench.limits = Limits(judge_entries=entries)
    _, one = pair(1 << 80)
    _, other = pair(1 << 80, not_after_ms=1_767_225_600_000 + 86_400_000)
    bench.add(HK, [one, other, *pair(1 << 82)])
    await bench.judge()
    assert bench.found() == [("P15", HK, 1)]
    [kept] = bench.store.findings()
    assert (kept.finding.evidence["other"]["index"], len(bench.store.sightings(kept.finding.about))) == (0, 1)


async def test_a_crash_repeats_a_batch_and_finds_nothing_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(HK, [pair(0)[1], pair(-1)[1], pair(1)[1]])
    advance = Looked.advance

    def crash(self: Looked, *arguments: object) -> None:
        raise RuntimeError("struck")

    monkeypatch.setattr(Looked, "advance", crash)
    with pytest.raises(RuntimeError):
        await bench.judge()
    assert bench.store.judged(HK).size == 0
    assert bench.store.findings() == []
    assert bench.store.alerts() == []
    monkeypatch.setattr(Looked, "advance", advance)
    await bench.judge()
    assert [code for code, _, _ in bench.found()] == ["P16"] * 3
    assert bench.codes() == ["P16"]  # one issuer, one alert of a rule of medium severity


async def test_what_cannot_be_read_stops_no_other_log(bench: Bench) -> None:
    held = bench.add(HK, [pair(0)[1]])

    async def silent(start: int, end: int, size: int) -> list[bytes]:
        raise Unreachable("no answer")

    served, held.entries = held.entries, silent  # type: ignore[method-assign]
    bench.add(GD, [pair(0)[1]])
    await bench.judge()
    assert bench.found() == [("P16", GD, 0)]
    held.entries = served  # type: ignore[method-assign]
    await bench.judge()
    assert bench.store.judged(HK).size == 1


async def test_a_full_disk_ends_the_monitor(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(HK, [pair(0)[1]])

    def full(self: Looked, *arguments: object) -> None:
        raise StoreFailed("no space")

    monkeypatch.setattr(Looked, "advance", full)
    with pytest.raises(StoreFailed):
        await bench.judge()


@pytest.mark.parametrize(("served", "codes"), [("own", ["P09"]), ("another's", []), ("none", [])])
async def test_an_issuer_counts_by_the_bytes_that_the_entry_names(bench: Bench, served: str, codes: list[str]) -> None:
    w, day_ms = world(), 86_400_000
    late = replace(w.profile(w.old), not_after_ms=w.profile().not_before_ms + 31 * day_ms)  # P09: beyond `old`
    plain = replace(late, extensions=late.extensions[:3])
    digest = sha256(w.old.certificate).digest()
    held = bench.add(HK, [x509_parts(w.old.issue(plain), [digest])])
    short = replace(w.profile(w.old), not_after_ms=w.profile().not_before_ms + day_ms, extensions=())
    # Another certificate of that name and key, within which this one is not: only the digest tells.
    another = w.old.issue(replace(short, spki=w.old.key.spki))
    blobs = {"own": w.old.certificate, "another's": another}
    if served in blobs:
        held.blobs[digest] = blobs[served]
    await bench.judge()
    assert [code for code, _, _ in bench.found()] == codes


async def test_a_rule_that_fails_is_told_of(bench: Bench) -> None:
    def broken(_: object) -> list[object]:
        raise KeyError("bug")

    bench.engine = replace(bench.engine, by_itself={**bench.engine.by_itself, "P09": broken})  # type: ignore[dict-item]
    bench.add(HK, [pair(0)[1], pair(-1)[1]])
    await bench.judge()
    assert bench.codes() == ["P16", "rule-disabled"]
    assert bench.store.judged(HK).size == 2


# --- first uses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(HK, SIGNED), (SIGNED, HK)], ids=["certificate first", "event first"])
@pytest.mark.parametrize(("minutes", "codes"), [(-1, ["S11"]), (0, []), (1, [])])
async def test_logged_after_use(bench: Bench, order: tuple[str, str], minutes: int, codes: list[str]) -> None:
    certificate = usual()(world())
    bench.add(HK, [entry(usual())])
    bench.add(HK, [x509_parts(certificate, [sha256(world().hk.certificate).digest()])])
    bench.add(SIGNED, [use(certificate, FIRST_MINUTE + minutes * MINUTE_MS)])
    for origin in order:
        await bench.judge(origin)
    assert [code for code, _, _ in bench.found()] == codes


async def test_a_certificate_twice_in_one_batch_was_logged_when_it_was_first(bench: Bench) -> None:
    certificate = usual()(world())
    logged = x509_parts(certificate, [sha256(world().hk.certificate).digest()])
    bench.add(SIGNED, [use(certificate, FIRST_MINUTE - MINUTE_MS)])
    bench.add(HK, [logged, logged])
    await bench.judge(SIGNED)
    await bench.judge(HK)
    assert bench.found() == [("S11", HK, 0)]
    assert bench.store.judged(HK).size == 2


async def test_what_a_transaction_has_added_can_be_looked_up_in_it(bench: Bench) -> None:
    row = bench.add(HK, [pair(1)[1]]).rows[0]
    case = of_row(row, HK, {}, FixedLists({}), bench.engine.limits)
    assert isinstance(case, Case)
    with bench.store.judging() as index:
        index.expect([case])
        assert index.logged(case.fingerprint) is None
        index.add(case)
        assert index.logged(case.fingerprint) == index.logged_at(HK, 0) == index.same_serial(case.serial_key, bytes(32))


async def test_never_logged_is_said_when_all_logs_are_past_it(bench: Bench) -> None:
    certificate = usual()(world())
    grace_ms = int(bench.limits.use_grace_s * 1_000)
    bench.add(SIGNED, [use(certificate, FIRST_MINUTE - MINUTE_MS)])
    bench.add(HK, [pair(1 << 80)[1]], START_MS + grace_ms)
    bench.add(GD, [pair(1 << 80)[1]], START_MS + 10 * grace_ms)
    await bench.judge()
    assert bench.found() == []
    bench.sources[HK] = replace(bench.sources[HK], time_ms=START_MS + grace_ms + 1)
    await bench.judge()
    assert bench.found() == [("S11", SIGNED, 0)]
    await bench.judge()
    assert bench.codes() == ["S11"]
    bench.add(HK, [pair(1 << 80)[1], x509_parts(certificate, [])], START_MS + 20 * grace_ms)
    await bench.judge()  # it is logged after all, and the same is not found again
    assert bench.found() == [("S11", SIGNED, 0)]


async def test_a_precertificate_that_the_event_names_is_enough(bench: Bench) -> None:
    before, after = pair(1 << 80)
    certificate = after.head[5:]
    ref = Ref(HK, 0, b"h" * 32)
    bench.add(HK, [before], START_MS + 10**9)
    bench.add(SIGNED, [use(certificate, FIRST_MINUTE + MINUTE_MS, ref)])
    await bench.judge()
    bench.add(HK, [before, after], START_MS + 10**9)
    await bench.judge()
    assert bench.found() == []


async def test_a_signature_under_a_certificate_for_encryption(bench: Bench) -> None:
    certificate = extended(0, 2, 3, 4, more=(issuing.key_usage(0x38),))(world())
    bench.add(HK, [x509_parts(certificate, [])])
    bench.add(SIGNED, [use(certificate, FIRST_MINUTE)])
    await bench.judge()
    assert [(kept.finding.code, kept.finding.severity) for kept in bench.store.findings()] == [
        ("P13", "high"),
        ("P13", "low"),
    ]


async def test_entries_that_are_no_events_are_passed_over(bench: Bench) -> None:
    bench.add(SIGNED, [Parts(b"\x77\x01\x00\x09", b"nothing"), use(usual()(world()), FIRST_MINUTE)])
    await bench.judge()
    assert bench.store.judged(SIGNED).size == 2


# --- watchers --------------------------------------------------------------------------------------------------


async def test_a_watcher_is_told_once_of_a_precertificate_and_its_certificate(bench: Bench) -> None:
    bench.watchlist = WatchList((Watched("us", organisations=("sample trading limited",)),))
    bench.add(HK, [*pair(1 << 80), pair(1 << 81)[1]])
    await bench.judge()
    found = [kept.alert for kept in bench.store.alerts()]
    assert [alert.code for alert in found] == ["watch", "watch"]
    assert sorted(alert.detail["index"] for alert in found) == ["0", "2"]


async def test_a_watchlist_holds_from_the_next_batch_on(bench: Bench) -> None:
    bench.add(HK, [pair(1 << 80)[1]])
    await bench.judge()
    bench.watchlist = WatchList((Watched("us", organisations=("sample trading limited",)),))
    bench.add(HK, [pair(1 << 80)[1], pair(1 << 81)[1]])
    await bench.judge()
    [kept] = bench.store.alerts()
    assert kept.alert.detail["index"] == "1"


@pytest.mark.parametrize(("held", "reads"), [(16 << 20, 3), (700, 4), (100, 6)])
async def test_issuers_are_remembered_as_far_as_their_bytes_go(bench: Bench, held: int, reads: int) -> None:
    """Of three issuers of 300 bytes; the one that was used last stays longest."""
    issuers = [bytes([i]) * 300 for i in range(3)]
    digests = [sha256(issuer).digest() for issuer in issuers]
    made = bench.add(
        HK, [x509_parts(usual(serial=90 + n)(world()), [digests[i]]) for n, i in enumerate([0, 1, 0, 2, 0, 1])]
    )
    made.blobs |= dict(zip(digests, issuers, strict=True))
    bench.limits = Limits(judge_entries=1, judge_issuer_bytes=held)
    await bench.judge()
    assert bench.store.judged(HK).size == 6
    assert made.blob_reads == reads


@pytest.mark.parametrize(("room", "batches"), [(1 << 20, [6]), (700, [2, 4, 6]), (1, [1, 2, 3, 4, 5, 6])])
async def test_a_batch_ends_before_its_issuers_are_too_many_and_nothing_is_skipped(
    bench: Bench, room: int, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six issuers of 300 bytes. One entry is judged at the least, whatever its issuers weigh."""
    issuers = [bytes([i]) * 300 for i in range(6)]
    digests = [sha256(issuer).digest() for issuer in issuers]
    made = bench.add(HK, [x509_parts(usual(serial=90 + n)(world()), [digest]) for n, digest in enumerate(digests)])
    made.blobs |= dict(zip(digests, issuers, strict=True))
    bench.limits = Limits(judge_entries=10, judge_batch_bytes=room)
    reached, held = list[int](), list[int]()
    advance, judge = Looked.advance, Judging._judge

    def advanced(self: Looked, origin: str, position: Position) -> None:
        reached.append(position.size)
        advance(self, origin, position)

    def judged(self: Judging, origin: str, start: int, rows: Sequence[bytes], known: dict[bytes, bytes]) -> list[Any]:
        held.append(sum(map(len, known.values())))
        return cast(list[Any], judge(self, origin, start, rows, known))

    monkeypatch.setattr(Looked, "advance", advanced)
    monkeypatch.setattr(Judging, "_judge", judged)
    await bench.judge()
    assert reached == batches
    assert all(each <= max(room, 300) for each in held)
    assert made.blob_reads == 6
