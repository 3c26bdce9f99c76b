"""The first meeting with a log, a state from a backup, and a node that was set back."""

from log.formats.checkpoint import parse_signed
from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.support.lying_log import Fault


async def test_at_the_first_meeting_a_larger_head_at_a_witness_means_no_guard_note(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    early = await followed.branch(250, 0)
    world.time_ms += 1_000
    await followed.sign()
    await world.gd.witness.cosign(followed.note)
    world.hk.logs["x509"] = early
    early.policy = followed.policy
    outcome, _ = await monitor.once()
    assert outcome is not Outcome.VOUCHED
    assert monitor.cosigned(followed) == []
    assert monitor.held(followed)[1] is None
    world.hk.logs["x509"] = followed
    await followed.sign()
    await healthy(monitor)


async def test_at_the_first_meeting_another_root_at_a_witness_means_no_guard_note(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    fork = await followed.branch(250, 50)
    await world.gd.witness.cosign(fork.note)
    for _ in range(2):
        outcome, findings = await monitor.once()
        assert outcome is Outcome.PROVEN, findings
        assert monitor.cosigned(followed) == []


async def test_at_the_first_meeting_a_silent_witness_stops_nothing(monitor: Monitor) -> None:
    world = monitor.world
    world.gd.fault = Fault.SILENT
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNREACHED
    assert "witness-silent" in {finding.code for finding in findings}
    assert {parse_signed(raw)[1].size for raw in world.hk.pushes[-1].own} == {300}


async def test_a_state_from_a_backup_signs_nothing_below_what_it_signed(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    monitor.stop()
    state = monitor.path.parent / "state" / "monitor.sqlite"
    backup = state.read_bytes()
    early = await followed.branch(300, 0)
    world.time_ms += 1_000
    await grow(followed)
    await healthy(monitor)
    monitor.stop()
    state.write_bytes(backup)
    for leftover in state.parent.glob("monitor.sqlite-*"):
        leftover.unlink()
    early.policy, early.witnessed = followed.policy, followed.witnessed
    world.hk.logs["x509"] = early
    outcome, findings = await monitor.once()
    assert outcome in {Outcome.OWN, Outcome.PROVEN}
    assert "restored" in {finding.code for finding in findings}
    assert early.handed == []
    world.hk.logs["x509"] = followed
    await grow(followed)
    await monitor.once()
    await healthy(monitor)


async def test_a_node_set_back_between_two_heads_that_we_know_gets_no_guard_note(monitor: Monitor) -> None:
    """We cosigned 300; the log signed 307, which the other side holds; an old image of 303 asks to be guarded."""
    world, followed = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    await grow(followed, 3)
    early = await followed.branch(303, 0)
    early.policy = followed.policy
    world.time_ms += 1_000
    await grow(followed, 4)
    await world.gd.witness.cosign(followed.note)  # another monitor was faster than we
    world.hk.logs["x509"] = early
    world.hk.pushes.clear()
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED, findings
    assert world.hk.pushes
    for push in world.hk.pushes:
        assert {parse_signed(raw)[1].origin for raw in push.own} == {"hk.example/governance"}
    world.hk.logs["x509"] = followed
    await healthy(monitor)
    assert {parse_signed(raw)[1].size for raw in world.hk.pushes[-1].own} == {300, 307}
