"""Whole rounds against nodes that tell the truth (contract.md, exit codes), and parts of a round in any order."""

from log.crypto.notes import open_note
from log.formats.checkpoint import parse_signed
from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor
from tests.monitor.honest import grow, healthy
from tests.support.lying_log import LyingLog


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
