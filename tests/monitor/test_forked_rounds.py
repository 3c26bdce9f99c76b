"""Whole rounds against logs that sign two histories, or go back: proven, and nothing is cosigned."""

import pytest

from log.evidence import objects as evidence
from log.formats.checkpoint import Checkpoint, parse_signed
from monitor.logs import read_head
from monitor.outcome import Finding, Outcome
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy, serves_again


@pytest.mark.parametrize(
    ("at", "more"), [(299, 1), (300, 1), (256, 49), (128, 400), (0, 301), (299, 500), (305 - 1, 1)]
)
async def test_a_fork_is_proven_and_the_proof_stands_alone(monitor: Monitor, at: int, more: int) -> None:
    world, honest = monitor.world, monitor.world.hk_x509
    await grow(honest, 5)
    await healthy(monitor)
    held, cosigned = monitor.held(honest), set(monitor.cosigned(honest))
    world.hk.logs["x509"] = fork = await honest.branch(at, more)
    witnessed = len(world.gd.witness.cosigned)

    for _ in range(2):
        outcome, findings = await monitor.once()
        assert outcome is Outcome.PROVEN, findings
        assert monitor.held(honest) == held
        assert set(monitor.cosigned(honest)) <= cosigned
        assert fork.handed == []
        assert honest.origin not in {each.origin for each in world.gd.witness.cosigned[witnessed:]}

    assert monitor.store is not None
    [found] = monitor.store.evidence(honest.origin)
    assert found.kind.value == {305: "E1"}.get(fork.size, "E3" if fork.size < 305 else "E2")
    followed = monitor.watch(honest).log
    assert evidence.check(found.object, lambda raw: read_head(raw, followed)[0]) is found.kind
    assert fork.note in [raw[: len(fork.note)] for raw in monitor.store.raw_notes(honest.origin)]

    await serves_again(monitor, honest)


async def test_a_fork_shown_to_the_other_side_only_is_proven(monitor: Monitor) -> None:
    world, honest = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    fork = await honest.branch(200, 100)
    await world.gd.witness.cosign(fork.note)
    await grow(honest)
    held = monitor.held(honest)
    honest.handed.clear()
    outcome, findings = await monitor.once()
    assert outcome is Outcome.PROVEN, findings
    assert monitor.held(honest)[1] == held[1], "nothing was cosigned"
    assert honest.handed == []


async def test_a_larger_fork_at_the_other_side_blocks_us_until_the_log_refutes_it(monitor: Monitor) -> None:
    world, honest = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    held = monitor.held(honest)
    fork = await honest.branch(200, 150)
    await world.gd.witness.cosign(fork.note)
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert "unreconciled" in {finding.code for finding in findings}
    assert monitor.held(honest) == held
    await grow(honest, 100)
    outcome, findings = await monitor.once()
    assert outcome is Outcome.PROVEN, findings
    assert monitor.store is not None
    assert [found.kind.value for found in monitor.store.evidence(honest.origin)] == ["E2"]


async def test_more_open_heads_than_one_look_settles_block_us_until_the_last_is_settled(monitor: Monitor) -> None:
    honest = monitor.world.hk_x509
    monitor.path.write_text(monitor.path.read_text() + "open_heads = 1\n")
    await healthy(monitor)
    held = monitor.held(honest)
    assert monitor.store is not None
    for other in (await honest.branch(100, 0), await honest.branch(150, 50)):  # the second is not ours
        head, _ = read_head(other.note, monitor.watch(honest).log)
        monitor.store.observe(head, "another monitor", monitor.world.time_ms)
    honest.handed.clear()
    seen = [await monitor.once() for _ in range(2)]
    assert seen[-1][0] is Outcome.PROVEN, seen
    assert honest.handed == []
    assert monitor.held(honest) == held


async def test_a_lie_that_is_proven_while_we_are_about_to_cosign_stops_us(monitor: Monitor) -> None:
    honest = monitor.world.hk_x509
    await healthy(monitor)
    held = monitor.held(honest)
    await grow(honest)
    watch = monitor.watch(honest)
    asked = watch._own.held

    calls: list[str] = []

    async def slow(origin: str) -> Checkpoint | None:
        calls.append(origin)
        if len(calls) == 2:  # the look is done: what follows is to be cosigned
            watch._contest("survey", [Finding(Outcome.PROVEN, origin, "fork", "shown to another")])
        return await asked(origin)

    watch._own.held = slow  # type: ignore[method-assign]
    assert await watch.look() == []
    assert len(calls) >= 2
    assert watch.vouch is None
    assert monitor.held(honest)[1] == held[1]


async def test_a_rollback_on_record_does_not_keep_the_log_from_being_vouched_again(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    early = await followed.branch(300, 0)
    await grow(followed)
    await healthy(monitor)
    world.time_ms += 5_000
    await early.sign()
    world.hk.logs["x509"] = early
    for _ in range(2):
        outcome, _ = await monitor.once()
        assert outcome is Outcome.PROVEN
    await serves_again(monitor, followed)


async def test_a_log_that_goes_back_and_signs_anew_is_proven_to_roll_back(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    early = await followed.branch(300, 0)
    await grow(followed)
    await healthy(monitor)
    world.time_ms += 5_000
    await early.sign()
    world.hk.logs["x509"] = early
    outcome, _ = await monitor.once()
    assert outcome is Outcome.PROVEN
    assert monitor.store is not None
    assert [found.kind.value for found in monitor.store.evidence(followed.origin)] == ["E3"]
    assert parse_signed(world.hk.pushes[-1].own[0])[1].size == followed.size, "the guard still shows what we hold"
