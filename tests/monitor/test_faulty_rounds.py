"""Whole rounds against nodes that fail: the right code, nothing cosigned, nothing moved; then it catches up."""

import json

import pytest

from log.formats.checkpoint import parse_signed
from monitor import journal
from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.support.lying_log import Fault, LyingLog


@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        (Fault.FLIP, Outcome.UNVERIFIED, "data"),
        (Fault.TILE_SIZE, Outcome.UNVERIFIED, "data"),
        (Fault.OLD_HEAD, Outcome.UNVERIFIED, "stale"),
        (Fault.GARBAGE, Outcome.UNVERIFIED, "garbled"),
        (Fault.BAD_LINE, Outcome.UNVERIFIED, "checkpoint"),
        (Fault.NO_LINE, Outcome.UNVERIFIED, "signature"),
        (Fault.SILENT, Outcome.UNREACHED, "silent"),
    ],
)
@pytest.mark.parametrize("name", ["hk_x509", "hk_governance"])
async def test_a_fault_of_one_log_stops_that_log_alone_until_it_ends(
    monitor: Monitor, fault: Fault, outcome: Outcome, code: str, name: str
) -> None:
    followed: LyingLog = getattr(monitor.world, name)
    followed.remember()
    await grow(followed)
    await healthy(monitor)
    held, cosigned = monitor.held(followed), set(monitor.cosigned(followed))
    witnessed = list(monitor.world.gd.witness.cosigned)
    await grow(followed)
    followed.handed.clear()
    followed.fault = fault

    for _ in range(2):
        found, findings = await monitor.once()
        assert found is outcome, findings
        assert code in {finding.code for finding in findings if finding.subject == followed.origin}
        assert monitor.held(followed) == held
        assert set(monitor.cosigned(followed)) <= cosigned
        assert followed.handed == []
        origins = {each.origin for each in monitor.world.gd.witness.cosigned[len(witnessed) :]}
        assert followed.origin not in origins
        assert monitor.world.gd_x509.handed, "the other logs go on"
        monitor.world.gd_x509.handed.clear()

    followed.fault = None
    await healthy(monitor)
    assert followed.witnessed is not None
    assert parse_signed(followed.witnessed)[1].size == followed.size


async def test_a_fault_at_the_first_meeting_leaves_no_trace_of_trust(monitor: Monitor) -> None:
    followed = monitor.world.hk_x509
    followed.fault = Fault.FLIP
    outcome, _ = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert monitor.held(followed) == (None, None)
    assert monitor.cosigned(followed) == []
    followed.fault = None
    await healthy(monitor)


async def test_lying_hash_tiles_frame_nobody(monitor: Monitor) -> None:
    """A fork and bad data look alike from the entries; only hashes that fold to the signed root tell them apart."""
    followed = monitor.world.hk_x509
    await healthy(monitor)
    monitor.world.hk.logs["x509"] = fork = await followed.branch(200, 300)
    fork.fault = Fault.HASH_FLIP
    outcome, _ = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert monitor.store is not None
    assert [found.kind.value for found in monitor.store.evidence(followed.origin)] == ["E8"], "suspected, no more"


async def test_a_bad_consistency_proof_is_never_sent(monitor: Monitor) -> None:
    await healthy(monitor)
    followed, witness = monitor.world.hk_x509, monitor.world.gd.witness
    await grow(followed)
    await witness.cosign(followed.note)
    await grow(followed, 300)
    followed.fault = Fault.HASH_FLIP
    requests = witness.requests
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED, findings
    # hk's two logs; the survey told us where the witness stands, so nothing was tried from a wrong size
    assert witness.requests - requests == 1


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.ERROR, Fault.LONG])
async def test_a_whole_node_that_fails_delays_nobody(monitor: Monitor, fault: Fault) -> None:
    await healthy(monitor)
    hk = monitor.world.hk_governance
    held = monitor.held(hk)
    monitor.world.gd.fault = fault
    await grow(hk)
    outcome, findings = await monitor.once()
    assert outcome is (Outcome.UNVERIFIED if fault is Fault.LONG else Outcome.UNREACHED), findings
    assert monitor.held(hk) != held, "hk is followed and cosigned by us"
    assert hk.size in {size for size, _ in monitor.cosigned(hk)}
    monitor.world.gd.fault = None
    await healthy(monitor)


async def test_a_node_that_has_stopped_counts_as_one_that_does_not_verify(monitor: Monitor) -> None:
    monitor.world.hk.answers["hk.example/x509"] = "halted: a guard holds more"
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert [finding.code for finding in findings] == ["halted"]


async def test_a_node_that_says_too_much_is_cut_short(monitor: Monitor) -> None:
    """A megabyte of JSON names ten thousand origins: only ours are spoken of, and in one printable line."""
    hk = monitor.world.hk
    hk.foreign_answers = {f"stranger.example/{n}": "halted: no" for n in range(10_000)}
    hk.answers["hk.example/x509"] = "halted: \n\ud800" + 1_000 * "x"
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    [finding] = findings
    assert (finding.subject, finding.code) == ("hk.example/x509", "halted")
    assert len(finding.text) < 300
    assert finding.text.isprintable()


async def test_a_node_that_does_not_know_us_as_guard_is_a_matter_of_settings(monitor: Monitor) -> None:
    monitor.world.gd.push_key = None
    monitor.world.gd.guarded = True
    outcome, findings = await monitor.once()
    assert outcome is Outcome.OWN
    assert [(finding.code, finding.subject) for finding in findings] == [("guard", "gd")]


async def test_raw_bytes_of_refused_heads_are_kept(monitor: Monitor) -> None:
    followed = monitor.world.hk_x509
    await healthy(monitor)
    await grow(followed)
    followed.fault = Fault.FLIP
    await monitor.once()
    assert monitor.store is not None
    assert followed.note in monitor.store.raw_notes(followed.origin)


async def test_findings_are_told_as_structured_lines(monitor: Monitor, capsys: pytest.CaptureFixture[str]) -> None:

    journal.write_lines()
    monitor.world.hk_x509.fault = Fault.GARBAGE
    await monitor.once()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"event": "finding", "class": "operational", "code": "garbled", "subject": "hk.example/x509"}.items() <= (
        lines[0].items()
    )
