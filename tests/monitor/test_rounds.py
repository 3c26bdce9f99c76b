"""Whole rounds against nodes that tell the truth, and against nodes that lie (contract.md, exit codes)."""

import json

import pytest

from log.crypto.notes import open_note
from log.evidence import objects as evidence
from log.formats.checkpoint import Checkpoint, parse_signed
from monitor import journal
from monitor.logs import read_head
from monitor.outcome import Finding, Outcome
from tests.monitor.conftest import Monitor
from tests.support.lying_log import Fault, LyingLog


async def grow(followed: LyingLog, count: int = 7) -> None:
    followed.add(count)
    await followed.sign()


async def healthy(monitor: Monitor) -> None:
    outcome, findings = await monitor.once()
    assert (outcome, findings) == (Outcome.VOUCHED, [])


# --- the truth ------------------------------------------------------------------------------------------------


async def test_a_first_round_verifies_guards_and_gets_every_log_vouched(monitor: Monitor) -> None:
    await healthy(monitor)
    for followed in monitor.world.logs:
        assert followed.witnessed is not None
        opened = open_note(followed.witnessed, [*followed.vkeys, *(w.vkey for w in followed.policy.witnesses)])
        assert opened.checkpoint.size == followed.size
        assert len(opened.verified) == len(followed.vkeys) + 2
        assert followed.refused == []


async def test_every_node_is_guarded_before_any_is_fed(monitor: Monitor) -> None:
    order: list[str] = []
    for node in monitor.world.nodes:
        node.on_request = lambda _, node=node: order.append(node.seen[-1])
    await healthy(monitor)
    guards = [i for i, each in enumerate(order) if each == "POST /guard"]
    feeds = [i for i, each in enumerate(order) if each == "POST /witness/add-checkpoint"]
    assert len(guards) == 2
    assert len(feeds) == 3
    assert max(guards) < min(feeds)


async def test_a_round_goes_on_from_the_verified_frontier_and_asks_for_no_earlier_tile(monitor: Monitor) -> None:
    await healthy(monitor)
    await grow(monitor.world.hk_x509, 600)
    monitor.world.hk.seen.clear()
    await healthy(monitor)
    tiles = [each for each in monitor.world.hk.seen if "/x509/tile/data/" in each]
    assert tiles == [
        "GET /x509/tile/data/001",
        "GET /x509/tile/data/002",
        "GET /x509/tile/data/003.p/132",
    ]  # the proofs to both witnesses came from these


async def test_a_heartbeat_is_cosigned_again(monitor: Monitor) -> None:
    await healthy(monitor)
    followed = monitor.world.hk_x509
    monitor.world.time_ms += 10_000
    note = await followed.sign()
    await healthy(monitor)
    assert followed.witnessed is not None
    assert followed.witnessed.startswith(note)


async def test_the_guard_shows_what_the_nodes_own_witness_cosigned_and_what_we_did(monitor: Monitor) -> None:
    await healthy(monitor)
    await healthy(monitor)
    push = monitor.world.hk.pushes[-1]
    assert push.node == "hk"
    assert push.time_s == monitor.world.time_ms // 1000
    assert {parse_signed(raw)[1].origin for raw in push.own} == {"hk.example/x509", "hk.example/governance"}
    for raw in push.own:
        opened = open_note(raw, [monitor.key])
        assert opened.verified[0].timestamp_ms == monitor.world.time_ms // 1000 * 1000
    [(origin, shown)] = push.peers
    assert origin == "gd.example/x509"
    assert shown is not None
    assert open_note(shown, [monitor.world.hk.witness.signer.vkey]).checkpoint.size == 300


async def test_before_its_witness_cosigned_anything_the_guard_says_none(monitor: Monitor) -> None:
    await healthy(monitor)
    assert monitor.world.hk.pushes[0].peers == (("gd.example/x509", None),)


async def test_a_push_within_the_second_of_the_nodes_start_is_made_again(monitor: Monitor) -> None:
    monitor.world.hk.since_s = monitor.world.time_ms // 1000 + 1
    await healthy(monitor)
    assert monitor.world.hk.seen.count("POST /guard") == 2


async def test_a_witness_at_another_size_is_fed_from_there(monitor: Monitor) -> None:
    await healthy(monitor)
    followed, witness = monitor.world.hk_x509, monitor.world.gd.witness
    await grow(followed)
    await witness.cosign(followed.note)  # another monitor was faster
    await grow(followed, 300)
    assert monitor.store is not None
    await healthy(monitor)
    cosigned = [checkpoint for checkpoint in witness.cosigned if checkpoint.origin == followed.origin]
    assert cosigned[-1].size == followed.size


async def test_a_witness_that_has_seen_a_little_more_is_no_fault_when_the_log_bears_it_out(monitor: Monitor) -> None:
    await healthy(monitor)
    followed, witness = monitor.world.hk_x509, monitor.world.gd.witness
    await grow(followed)
    followed.remember()
    followed.grows_by = 3
    await followed.get("checkpoint")
    await witness.cosign(followed.note)
    await healthy(monitor)


async def test_an_empty_log_is_vouched(monitor: Monitor) -> None:
    followed = LyingLog("x509", monitor.world.gd_x509.origin, monitor.world.gd_x509.family, monitor.world.clock)
    followed.policy = monitor.world.gd_x509.policy
    await followed.sign()
    monitor.world.gd.logs["x509"] = followed
    await healthy(monitor)
    assert followed.witnessed is not None
    await grow(followed)
    await healthy(monitor)


# --- faults: the right code, nothing cosigned, nothing moved, and then it catches up -----------------------------


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

    world.hk.logs["x509"] = honest
    await grow(honest)
    await healthy(monitor)
    assert honest.witnessed is not None
    assert parse_signed(honest.witnessed)[1].size == honest.size


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
    world.hk.logs["x509"] = followed
    await grow(followed)
    await healthy(monitor)
    assert followed.witnessed is not None
    assert parse_signed(followed.witnessed)[1].size == followed.size


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


# --- the first meeting, and a state from a backup -----------------------------------------------------------------


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


# --- the parts that `run` calls in no fixed order -------------------------------------------------------------------


async def test_a_look_before_any_survey_asks_the_witnesses_before_it_signs(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    fork = await followed.branch(250, 50)
    await world.gd.witness.cosign(fork.note)
    monitor.start()
    watch = monitor.watch(followed)
    findings = await watch.look()
    assert Outcome.PROVEN in {finding.outcome for finding in findings}
    assert watch.vouch is None
    assert monitor.held(followed)[1] is None


async def test_after_a_restart_the_first_look_asks_whether_somebody_knows_better(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    monitor.stop()
    monitor.start()
    fork = await followed.branch(250, 50)
    await world.gd.witness.cosign(fork.note)
    await grow(followed)
    watch = monitor.watch(followed)
    await watch.look()
    assert watch.vouch is None


async def test_a_witness_that_is_ahead_of_the_head_on_its_way_gets_nothing(monitor: Monitor) -> None:
    world, followed = monitor.world, monitor.world.hk_x509
    await healthy(monitor)
    watch = monitor.watch(followed)
    [feeder] = watch.feeders
    await grow(followed)
    await world.gd.witness.cosign(followed.note)
    assert await feeder.survey() == []
    requests = world.gd.witness.requests
    found = [(finding.code, finding.subject) for finding in await watch.feed(feeder)]
    assert found == [("behind", followed.origin)], "the log has signed what the witness has"
    assert world.gd.witness.requests == requests
