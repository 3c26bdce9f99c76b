"""Whom a monitor follows: what the settings pin and what governance says, while it runs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from log.evidence.heads import Kind
from log.formats.action import JOINT
from log.formats.checkpoint import parse_signed
from log.formats.note import KeyType, VKey
from log.formats.policy import Policy
from log.formats.text import b64encode
from monitor import keyring, settings
from monitor.alert import Class
from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor
from tests.monitor.test_branches import certificate, fill, judge, marks
from tests.monitor.test_carrier import frozen, healthy, monitors
from tests.monitor.test_charges import Mirror
from tests.monitor.test_unread import FORBIDDEN
from tests.support.action_log import GovernedWorld, log_added, node_added
from tests.support.authorities import Chainer
from tests.support.lying_log import Fault, LyingLog, signers_of
from tests.support.lying_node import LyingNode

WAIT_S = 60.0
BECAUSE = {"reason": "a test"}


@pytest.fixture
async def world() -> GovernedWorld:
    made = GovernedWorld()
    await made.begin({followed.origin: 20 for followed in made.logs})
    return made


@pytest.fixture
async def monitor(tmp_path: Path, world: GovernedWorld) -> AsyncIterator[Monitor]:
    async for made in monitors(tmp_path, world):
        yield made


def policy(world: GovernedWorld, cosigner: VKey, home: LyingNode) -> Policy:
    others = [node for node in world.reachable if node is not home]
    lines = "".join(f"witness {node.name} {node.witness.signer.vkey.encode()}\n" for node in others)
    names = " ".join(["mon", *(node.name for node in others)])
    return Policy.parse(f"{lines}witness mon {cosigner.encode()}\ngroup all all {names}\nquorum all\n")


def join(world: GovernedWorld, monitor: Monitor, joint: Chainer) -> None:
    join_by(world, monitor.path, joint, "http://sd")


def join_by(world: GovernedWorld, path: Path, joint: Chainer, url: str) -> None:
    """Write the actions by which Shandong joins, and let the nodes take them up as real ones do."""
    keys = keyring.load(settings.load(path))
    cosigner = keys.witness.vkey
    for node in world.reachable:
        for followed in node.logs.values():
            followed.policy = policy(world, cosigner, node)
            for other in world.reachable:
                if other is not node:
                    other.witness.known[followed.origin] = followed.vkeys
    joint.say(*node_added(world.sd, url))
    for followed in world.sd.logs.values():
        joint.say(*log_added(world.sd, followed))
    guard = {"node": "sd", "name": "m", "cosigner": cosigner.encode(), "push": keys.guard.vkey.encode()}
    joint.say("guard-add", guard)
    for node in world.reachable:
        for followed in node.logs.values():
            joint.say("policy", {"origin": followed.origin, "policy": followed.policy.encode()})


def vouched(world: GovernedWorld) -> bool:
    """Say whether every log of all three has a witnessed head over all its entries."""
    logs = [followed for node in world.reachable for followed in node.logs.values()]
    return all(each.witnessed and parse_signed(each.witnessed)[1].size == each.size for each in logs)


async def until(what: str, check: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not check():
            await asyncio.sleep(0.01)


async def test_a_node_that_joins_by_actions_is_followed_guarded_and_witnessed_in_the_same_round(
    monitor: Monitor, world: GovernedWorld
) -> None:
    await healthy(monitor)
    assert world.sd.seen == []
    joint = world.pen(JOINT)
    join(world, monitor, joint)
    await world.hk_governance.submit(*joint.written)
    await healthy(monitor)
    own = {followed.origin for followed in world.sd.logs.values()}
    others = {followed.origin for followed in world.logs}
    assert world.sd.guarded
    assert {parse_signed(raw)[1].origin for raw in world.sd.pushes[-1].own} == own
    assert {origin for origin, _ in world.sd.pushes[-1].peers} == others
    assert {checkpoint.origin for checkpoint in world.sd.witness.cosigned} == others
    await healthy(monitor)  # governance logs have grown when they were brought the actions
    assert vouched(world)
    assert set(world.sd_governance.held) == {signed.hash for signed in joint.written}


async def test_a_node_that_joins_is_followed_by_a_monitor_that_goes_on_running(
    monitor: Monitor, world: GovernedWorld
) -> None:
    monitor.path.write_text(monitor.path.read_text().replace("[governance]", "poll_s = 0.02\n[governance]"))
    joint = world.pen(JOINT)
    monitor.start()
    assert monitor.assembled is not None
    crew = monitor.assembled.crew
    running = asyncio.ensure_future(monitor.assembled.standing.run())
    try:
        await until("two nodes", lambda: all(followed.witnessed for followed in world.logs))
        before = {watch.log.origin: watch for watch in crew.watches}
        join(world, monitor, joint)
        await world.gd_governance.submit(*joint.written)
        await until("three nodes", lambda: vouched(world) and world.sd.guarded)
        assert all(watch is before.get(watch.log.origin, watch) for watch in crew.watches), "what stays goes on"
        assert {watch.log.origin for watch in crew.watches} - before.keys() == {
            followed.origin for followed in world.sd.logs.values()
        }
        # and a head that Shandong signs now reaches the others, and theirs reach Shandong
        for followed in (world.sd_x509, world.hk_x509):
            followed.add(3)
            await followed.sign()
        await until("three nodes again", lambda: vouched(world))

        joint.say("node-remove", {"name": "sd", "reason": "a test"})
        await world.hk_governance.submit(joint.written[-1])
        await until("two nodes again", lambda: len(crew.watches) == len(world.logs))
        await until("nobody guards it", lambda: [guard.node.name for guard in crew.guards] == ["hk", "gd"])
        await until("its loops have ended", lambda: not any("sd." in name or name == "guard sd" for name in tasks()))
        count, pushes = len(world.sd.seen), len(world.sd.pushes)
        seen = len(world.hk.seen)
        await until("a few rounds", lambda: len(world.hk.seen) > seen + 50)
        assert (len(world.sd.seen), len(world.sd.pushes)) == (count, pushes)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (running.exception() if not running.cancelled() else None) is None


def tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if not task.done()}


async def test_a_restarted_monitor_knows_whom_to_follow_before_it_has_asked_anybody(
    monitor: Monitor, world: GovernedWorld
) -> None:
    joint = world.pen(JOINT)
    join(world, monitor, joint)
    await world.hk_governance.submit(*joint.written)
    await healthy(monitor)
    monitor.stop()
    world.hk.fault = world.gd.fault = Fault.SILENT
    monitor.start()
    assert {watch.log.origin for watch in monitor.crew.watches} == {
        followed.origin for node in world.reachable for followed in node.logs.values()
    }


async def test_a_log_that_is_closed_is_followed_to_its_end_and_no_further(
    monitor: Monitor, world: GovernedWorld
) -> None:
    await healthy(monitor)
    followed = world.hk_x509
    followed.add(5)
    await followed.sign()
    text = parse_signed(followed.note)[1]
    pen = world.pen("hk")
    closing = pen.say("log-close", {"origin": text.origin, "size": text.size, "root": b64encode(text.root), **BECAUSE})
    await world.gd_governance.submit(closing)
    await healthy(monitor)
    assert monitor.store is not None
    verified = monitor.store.verified(followed.origin)
    assert verified is not None
    assert verified.head.size == 25
    world.time_ms += 10_000
    await followed.sign()  # a heartbeat, as of any closed log
    world.hk.seen.clear()
    await healthy(monitor)
    assert {each for each in world.hk.seen if "/x509/" in each} == {"GET /x509/checkpoint"}
    assert followed.origin in {parse_signed(raw)[1].origin for raw in world.hk.pushes[-1].own}, "its guard speaks of it"

    followed.add(1)
    await followed.sign()
    for _ in range(2):
        _, findings = await monitor.once()
        assert (Outcome.UNVERIFIED, "after-final") in [(each.outcome, each.code) for each in findings]
    assert followed.note in monitor.store.raw_notes(followed.origin), "refused, and kept"
    assert [kept.alert.cls for kept in monitor.store.alerts(lasting=True)] == [Class.SUSPECTED]
    assert {size for size, _ in monitor.cosigned(followed)} == {20, 25}


async def test_a_fork_of_a_closed_log_is_proven_and_read_for_certificates_of_its_own(
    monitor: Monitor, world: GovernedWorld
) -> None:
    """Also where nobody has to look at it any more, and where its sizes are others than the final one."""
    await healthy(monitor)
    followed = world.hk_x509
    followed.put(certificate(1))
    await followed.sign()
    text = parse_signed(followed.note)[1]
    final = {"origin": text.origin, "size": text.size, "root": b64encode(text.root), **BECAUSE}
    await world.gd_governance.submit(world.pen("hk").say("log-close", final))
    await healthy(monitor)
    await judge(monitor)
    fork = await followed.branch(10, 0)
    fill(fork, 5)
    for serial in (1, 7):
        fork.put(certificate(serial))
    await fork.sign(time_ms=followed._time_ms - 1_500)  # between its heads: no time contradicts it
    world.hk.logs[followed.name] = fork
    monitor.further = lambda origin: [Mirror(followed)] if origin == followed.origin else []
    assert fork.size < followed.size
    for _ in range(2):
        world.time_ms += 1_000
        await monitor.once()
    assert monitor.store is not None
    assert Kind.CROSS_SIZE in {each.kind for each in monitor.store.evidence(followed.origin)}
    assert marks(monitor) == [(16, fork.size, fork.root_at(fork.size))]


async def test_a_log_whose_entries_are_not_for_us_is_one_by_governance_too(
    monitor: Monitor, world: GovernedWorld
) -> None:
    """Its keys come from there, and what we may not read from our settings; the origin may be named before the log."""
    followed = world.hk_x509
    monitor.path.write_text(f'unread = ["{followed.origin}", "later.example/x509"]\n{monitor.path.read_text()}')
    followed.reply = lambda path: FORBIDDEN if path.startswith("tile/data/") else None
    await healthy(monitor)
    assert [watch.log.origin for watch in monitor.crew.watches if watch.log.unread] == [followed.origin]
    assert max(monitor.cosigned(followed)) == (followed.size, followed.root_at(followed.size))


async def test_the_keys_of_a_log_are_those_of_governance(monitor: Monitor, world: GovernedWorld) -> None:
    """What the settings have pinned was right once: a log rotates its keys by an action of its side."""
    await healthy(monitor)
    followed = world.hk_x509
    old = followed.signers
    fresh = signers_of("other.example/x509", followed.family)
    followed.signers = tuple(type(each).make(followed.origin, each.vkey.type, each.signer) for each in fresh)
    world.gd.witness.known[followed.origin] = followed.vkeys
    followed.add(1)
    await followed.sign()
    outcome, _ = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    await world.hk_governance.submit(world.pen("hk").say(*log_added(world.hk, followed)))
    _, findings = await monitor.once()
    assert {finding.code for finding in findings} <= {"witness", "witnessed"}, "their last heads are under the old keys"
    await healthy(monitor)
    assert monitor.rounds is not None
    assert set(monitor.watch(followed).log.vkeys) == set(followed.vkeys) != {signer.vkey for signer in old}


async def test_a_log_to_which_two_chains_give_different_keys_is_none(monitor: Monitor, world: GovernedWorld) -> None:
    await healthy(monitor)
    others = tuple(signer.vkey for signer in world.hk_x509.signers if signer.vkey.type is not KeyType.COSIGNATURE)
    await world.gd_governance.submit(world.pen("gd").say(*log_added(world.hk, world.hk_x509, others)))
    await healthy(monitor)
    assert monitor.rounds is not None
    assert world.hk_x509.origin not in {watch.log.origin for watch in monitor.crew.watches}
    world.hk.seen.clear()
    await healthy(monitor)
    assert not [each for each in world.hk.seen if "/x509/" in each]


async def test_a_log_of_a_family_that_we_do_not_know_is_told_and_stops_nothing(
    monitor: Monitor, world: GovernedWorld
) -> None:
    kind, payload = log_added(world.gd, LyingLog("later", "gd.example/later", world.gd_x509.family, world.clock))
    await world.gd_governance.submit(world.pen("gd").say(kind, {**payload, "family": "later"}))
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert [(finding.subject, finding.code) for finding in findings] == [("gd.example/later", "unfollowed")]


async def test_what_relaxes_is_followed_from_its_date_on(monitor: Monitor, world: GovernedWorld) -> None:
    joint = world.pen(JOINT)
    join(world, monitor, joint)
    later = world.pen(JOINT)
    for signed in joint.written:
        later.say(signed.action.type, signed.action.payload, world.time_ms // 1000 * 1000 + 60_000)
    await world.hk_governance.submit(*later.written)
    await monitor.once()
    assert world.sd.seen == []
    world.time_ms += 60_000
    assert monitor.rounds is not None
    await monitor.rounds.once()  # the same process: nobody has told it anything new
    await monitor.rounds.once()
    assert vouched(world)


async def test_a_node_of_the_settings_that_governance_has_removed_is_gone(
    monitor: Monitor, world: GovernedWorld
) -> None:
    await healthy(monitor)
    removal = world.pen(JOINT).say("node-remove", {"name": "gd", **BECAUSE})
    await world.hk_governance.submit(removal)
    await monitor.once()
    world.gd.seen.clear()
    _, findings = await monitor.once()
    assert world.gd.seen == []
    assert {finding.code for finding in findings} == {"unvouched"}, "its witness stands in the policies still"
    assert monitor.rounds is not None
    assert {watch.log.node for watch in monitor.crew.watches} == {"hk"}
    assert not any(watch.feeders for watch in monitor.crew.watches)


async def test_a_guard_says_none_for_a_new_node_only_when_its_witness_was_asked(
    monitor: Monitor, world: GovernedWorld
) -> None:
    """Its witness has cosigned a head already, by way of another monitor; `none` would let it forget that."""
    await healthy(monitor)
    joint = world.pen(JOINT)
    join(world, monitor, joint)
    await world.sd.witness.cosign(world.hk_x509.note)
    assert monitor.rounds is not None
    await world.hk_governance.submit(*joint.written)
    await monitor.rounds._learn()
    await monitor.rounds._pass(guard=True)
    shown = dict(world.sd.pushes[0].peers)
    assert shown[world.hk_x509.origin] is not None
    assert shown[world.gd_x509.origin] is None


async def test_an_outside_witness_that_governance_names_is_fed(monitor: Monitor, world: GovernedWorld) -> None:
    outside = LyingNode("out", [], world.clock)
    outside.guarded = True
    for followed in world.logs:
        outside.witness.known[followed.origin] = followed.vkeys
    world.outside = outside
    entry = {"name": "out", "vkeys": [outside.witness.signer.vkey.encode()], "url": "http://out/witness/"}
    joint = world.pen(JOINT)
    await world.hk_governance.submit(joint.say("witness-add", entry))
    await healthy(monitor)
    assert {each.origin for each in outside.witness.cosigned} == {followed.origin for followed in world.logs}
    await world.hk_governance.submit(joint.say("witness-remove", {"name": "out", **BECAUSE}))
    await monitor.once()
    outside.seen.clear()
    await healthy(monitor)
    assert outside.seen == []


async def test_a_freeze_changes_nothing_about_following(monitor: Monitor, world: GovernedWorld) -> None:
    await world.hk_governance.submit(world.pen("hk").say("log-freeze", frozen(world.hk_x509)))
    await healthy(monitor)
    assert monitor.watch(world.hk_x509).vouch is not None


async def test_a_mirror_of_a_log_that_nobody_names_is_told_of_once_governance_had_time_to_name_it(
    monitor: Monitor, world: GovernedWorld
) -> None:
    table = '[[sources]]\nurl = "http://out/mirror"\norigin = "{}"\n'
    text, origin = monitor.path.read_text(), "hk.example/x5O9"
    rows = table.format(origin) + table.format(world.hk_x509.origin)
    monitor.path.write_text(text.replace("[limits]\n", f"{rows}[limits]\n", 1))
    for seconds in (1, 1, 60):
        world.time_ms += seconds * 1_000
        _, findings = await monitor.once()
        assert [(each.outcome, each.subject) for each in findings] == [(Outcome.OWN, origin)]
        assert monitor.store is not None
        told = [kept.alert.code for kept in monitor.store.alerts(lasting=True)]
        assert told == (["source"] if seconds == 60 else [])
