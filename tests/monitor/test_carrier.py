"""Governance actions carried across between nodes, and what is not believed on the way."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from log.errors import BadProof, BadSignature, PolicyNotMet, SettingsError
from log.evidence import actions
from log.evidence.heads import Kind
from log.formats import jcs
from log.formats.action import JOINT
from log.formats.event import Entry
from log.formats.text import b64decode
from log.formats.tlog_proof import TlogProof
from log.governance import fold
from log.governance.chains import Signed, arrange
from monitor import keyring, main, settings, status
from monitor.outcome import Outcome
from monitor.store import Store
from tests.monitor.conftest import Monitor
from tests.support.action_log import ActionLog, GovernedWorld
from tests.support.authorities import authorities, signers
from tests.support.lying_log import Fault, LyingLog

MEMBER = {"id": "ca-1", "name": "A CA (synthetic)", "role": "ca", "keys": []}
SUSPEND = {"id": "ca-1", "reason": "a test"}
NOTICE_S = 600


@pytest.fixture
async def world() -> GovernedWorld:
    made = GovernedWorld()
    await made.begin({followed.origin: 20 for followed in made.logs})
    return made


@pytest.fixture
async def monitor(tmp_path: Path, world: GovernedWorld) -> AsyncIterator[Monitor]:
    async for made in monitors(tmp_path, world):
        yield made


async def monitors(folder: Path, world: GovernedWorld, limits: str = "") -> AsyncIterator[Monitor]:
    urls = {node.name: f"http://{node.name}" for node in world.reachable}
    path = world.write(folder, urls, limits=f"request_s = 60\n{limits}")
    main.create_state(settings.load(path))
    async with world.client() as client:
        made = Monitor(world, path, client)
        yield made
        made.stop()


async def healthy(monitor: Monitor) -> None:
    outcome, findings = await monitor.once()
    assert (outcome, findings) == (Outcome.VOUCHED, [])


def held(governance: ActionLog) -> set[bytes]:
    return set(governance.held)


# --- the truth ------------------------------------------------------------------------------------------------


async def test_each_node_gets_the_actions_that_it_lacks_in_order_of_seq(monitor: Monitor, world: GovernedWorld) -> None:
    hk, gd, joint = world.pen("hk"), world.pen("gd"), world.pen(JOINT)
    there = [hk.say("member-admit", MEMBER), hk.say("member-suspend", SUSPEND), hk.say("member-resume", SUSPEND)]
    both = joint.say("policy", {"origin": "*", "policy": "quorum none\n"})
    here = [gd.say("member-admit", MEMBER), gd.say("member-suspend", SUSPEND)]
    await world.hk_governance.submit(*there, both)
    await world.gd_governance.submit(*here)
    await healthy(monitor)
    everything = {signed.hash for signed in (*there, *here, both)}
    assert held(world.hk_governance) == held(world.gd_governance) == everything
    brought = [Signed.parse(row.content) for row in entries(world.gd_governance, 2)]
    assert [(s.action.chain, s.action.seq) for s in brought] == [(JOINT, 1), ("hk", 1), ("hk", 2), ("hk", 3)]
    world.hk.seen.clear()
    await healthy(monitor)
    assert [each for each in world.hk.seen if "action" in each] == ["GET /governance/actions"]


def entries(governance: ActionLog, skip: int = 0) -> list[Entry]:
    return [Entry.parse(governance.rows[index]) for _, index in list(governance.held.values())[skip:]]


async def test_an_action_is_brought_under_the_proof_of_the_log_that_took_it_in(
    tmp_path: Path,
) -> None:
    world = GovernedWorld(notice_s=NOTICE_S)
    await world.begin({followed.origin: 20 for followed in world.logs})
    async for monitor in monitors(tmp_path, world):
        effective_ms = world.time_ms + 1000 * NOTICE_S
        admitted = world.pen("hk").say("member-admit", MEMBER, effective_ms)
        await world.hk_governance.submit(admitted)
        world.time_ms += 700_000  # too late for the notice, were it to be looked at again
        await healthy(monitor)
        assert held(world.gd_governance) == {admitted.hash}
        [body] = world.gd_governance.posted
        assert TlogProof.parse(body).checkpoint.startswith(b"hk.example/governance\n")


async def test_a_partition_delays_relaxations_and_never_restrictions_of_a_side_on_its_own_node(
    monitor: Monitor, world: GovernedWorld
) -> None:
    hk, joint = world.pen("hk"), world.pen(JOINT)
    await world.hk_governance.submit(hk.say("member-admit", MEMBER), hk.say("log-unfreeze", frozen(world.gd_x509)))
    await healthy(monitor)
    world.gd.fault = Fault.SILENT
    await world.hk_governance.submit(hk.say("member-suspend", SUSPEND), hk.say("log-freeze", frozen(world.gd_x509)))
    relaxed = joint.say("log-unfreeze", frozen(world.hk_x509))
    await world.hk_governance.submit(relaxed)
    outcome, _ = await monitor.once()
    assert outcome is Outcome.UNREACHED
    assert state(world, world.hk_governance).suspended_members == {"hk/ca-1"}
    assert state(world, world.gd_governance).suspended_members == frozenset()
    assert relaxed.hash not in world.gd_governance.held
    own = world.pen("gd").say("log-freeze", frozen(world.gd_x509))  # Guangdong restricts on its own node
    await world.gd_governance.submit(own)
    assert state(world, world.gd_governance).frozen_logs == {world.gd_x509.origin}
    world.gd.fault = None
    await healthy(monitor)
    assert held(world.hk_governance) == held(world.gd_governance)
    assert state(world, world.hk_governance) == state(world, world.gd_governance)


def frozen(followed: LyingLog) -> dict[str, str]:
    return {"origin": followed.origin, "reason": "a test"}


def state(world: GovernedWorld, governance: ActionLog) -> fold.State:
    return fold.at(arrange(governance.genesis, governance.signed()), world.time_ms)


async def test_keys_given_by_both_sides_come_first(monitor: Monitor, world: GovernedWorld) -> None:
    joint, hk = world.pen(JOINT), world.pen("hk")
    fresh = signers("hk", 1)
    given = authorities(fresh).value()
    rotation = joint.say("authority-keys", {"side": "hk", "from_seq": 1, **given})
    hk.keys = fresh[:2]
    await world.hk_governance.submit(rotation, hk.say("member-admit", MEMBER))
    await healthy(monitor)
    assert held(world.gd_governance) == held(world.hk_governance)


async def test_a_node_that_expects_an_earlier_seq_gets_it_from_there_on(monitor: Monitor, world: GovernedWorld) -> None:
    hk = world.pen("hk")
    await world.hk_governance.submit(hk.say("member-admit", MEMBER), hk.say("member-suspend", SUSPEND))
    await healthy(monitor)
    kept, world.gd_governance.held = world.gd_governance.held, {}
    listed = json.dumps([[s.action.seq, s.hash.hex()] for s, _ in kept.values()]).encode()
    world.gd_governance.shown = lambda raw: listed if raw == b"[]" else raw  # it lists what it has lost
    await world.hk_governance.submit(hk.say("member-resume", SUSPEND))
    await healthy(monitor)
    assert held(world.gd_governance) == held(world.hk_governance)


async def test_a_round_carries_no_more_than_it_may_and_the_next_goes_on(tmp_path: Path) -> None:
    world = GovernedWorld()
    await world.begin({followed.origin: 20 for followed in world.logs})
    async for monitor in monitors(tmp_path, world, limits="actions_per_round = 2\n"):
        hk = world.pen("hk")
        said = [hk.say(kind, SUSPEND) for kind in ("member-suspend", "member-resume") for _ in range(3)]
        await world.hk_governance.submit(*said)
        sizes = []
        for _ in range(4):
            await monitor.once()
            sizes.append(len(world.gd_governance.held))
        assert sizes == [2, 4, 6, 6]


async def test_actions_that_were_taken_over_outlive_the_process_and_their_source(
    monitor: Monitor, world: GovernedWorld
) -> None:
    world.gd.fault = Fault.SILENT
    action = world.pen("hk").say("member-admit", MEMBER)
    await world.hk_governance.submit(action)
    await monitor.once()
    world.gd.fault, world.hk.fault = None, Fault.SILENT
    await monitor.once()
    assert held(world.gd_governance) == {action.hash}


# --- lies -----------------------------------------------------------------------------------------------------


async def test_what_does_not_count_from_the_pinned_genesis_is_neither_kept_nor_carried(
    monitor: Monitor, world: GovernedWorld
) -> None:
    pen = world.pen("hk")
    pen.keys = signers("hk")[:1]  # one of three, where two must sign
    forged = pen.say("member-admit", MEMBER)
    world.hk_governance._add(forged)
    await world.hk_governance.sign()
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert [(f.subject, f.code) for f in findings] == [("hk.example/governance hk/1", "action")]
    assert world.gd_governance.posted == []
    assert monitor.store is not None
    assert monitor.store.actions(world.hk_governance.genesis.hash) == []


async def test_actions_that_do_not_count_hold_up_none_that_do(tmp_path: Path) -> None:
    world = GovernedWorld()
    await world.begin({followed.origin: 20 for followed in world.logs})
    async for monitor in monitors(tmp_path, world, limits="actions_per_round = 2\n"):
        for number in range(5):
            pen = world.pen("hk")
            pen.keys = signers("gd")[:2]
            world.hk_governance._add(pen.say("member-suspend", {"id": f"ca-{number}", "reason": ""}))
        await world.hk_governance.submit(good := world.pen("gd").say("member-admit", MEMBER))
        outcome, _ = await monitor.once()
        assert outcome is Outcome.UNVERIFIED
        assert monitor.rounds is not None
        for _ in range(4):
            for carrier in monitor.crew.carriers:
                await carrier.pull()
                await carrier.push()
        assert set(world.gd_governance.held) == {good.hash}
        world.hk.seen.clear()
        for carrier in monitor.crew.carriers:
            findings = [*await carrier.pull(), *await carrier.push()]
            assert all(finding.code == "action" for finding in findings)
        assert not [each for each in world.hk.seen if "/action/" in each], "they are not fetched again and again"


@pytest.mark.parametrize("what", ["garbage", "other", "flipped", "unsigned"])
async def test_a_proof_that_does_not_hold_brings_nothing(monitor: Monitor, world: GovernedWorld, what: str) -> None:
    hk = world.pen("hk")
    one, two = hk.say("member-admit", MEMBER), hk.say("member-suspend", SUSPEND)
    await world.hk_governance.submit(one, two)
    world.hk_governance.spoil = {
        "garbage": lambda _: b"no proof\n",
        "other": lambda raw: raw.replace(b"index 21", b"index 20"),
        "flipped": lambda raw: raw.replace(b"extra A0tHABA", b"extra A0tHABB"),
        "unsigned": lambda raw: raw.partition(b"\n\n")[0] + b"\n\n" + world.hk_x509.note,
    }[what]
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert {finding.code for finding in findings} == {"action"}
    assert two.hash not in world.gd_governance.held


async def test_a_head_that_bears_an_action_is_kept_as_any_other(monitor: Monitor, world: GovernedWorld) -> None:
    governance = world.hk_governance
    await governance.submit(world.pen("hk").say("member-admit", MEMBER))
    shown, note = await governance.proof(20), governance.note
    await governance.sign(time_ms=world.time_ms + 5_000)
    governance.spoil = lambda _: shown  # on an older head than the one that is served
    await healthy(monitor)
    assert monitor.store is not None
    assert note in monitor.store.raw_notes(governance.origin)


@pytest.mark.parametrize(
    "raw", [b"{}", b"[", b"[[1]]", b'{"genesis": "", "digest": ""}', b'[["1", "00"]]', b"[" * 100_000]
)
async def test_lists_in_no_known_form_are_told(monitor: Monitor, world: GovernedWorld, raw: bytes) -> None:
    world.hk_governance.shown = lambda _: raw
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert [(f.subject, f.code) for f in findings] == [("hk.example/governance", "actions")]


async def test_a_log_of_another_genesis_gets_and_gives_nothing(monitor: Monitor, world: GovernedWorld) -> None:
    await world.hk_governance.submit(world.pen("hk").say("member-admit", MEMBER))
    other = GovernedWorld(notice_s=1)
    other.write(monitor.path.parent / "..", {"hk": "http://hk", "gd": "http://gd"})
    world.gd_governance.genesis = other.gd_governance.genesis
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert [(f.subject, f.code) for f in findings] == [("gd.example/governance", "actions")]
    assert "genesis" in findings[0].text
    assert world.gd_governance.posted == []


async def test_a_refusal_is_told_and_stops_nothing(monitor: Monitor, world: GovernedWorld) -> None:
    one = world.pen("hk").say("member-admit", MEMBER)
    two = world.pen("gd").say("member-admit", MEMBER)
    await world.hk_governance.submit(one)
    await world.gd_governance.submit(two)
    world.gd_governance.answers[one.hash] = 403, "text/plain", b"Forbidden\nnot signed enough\n"
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNREACHED
    [refused] = findings
    assert (refused.subject, refused.code) == ("gd.example/governance hk/1", "refused")
    assert two.hash in world.hk_governance.held
    assert monitor.rounds is not None
    [carrier] = [each for each in monitor.crew.carriers if each.log.origin == "gd.example/governance"]
    assert [*await carrier.pull(), *await carrier.push()] == [refused]
    posted = len(world.gd_governance.posted)
    assert [*await carrier.pull(), *await carrier.push()] == [refused]
    assert len(world.gd_governance.posted) == posted, "it is not tried again until something has changed"
    world.time_ms += 31_000
    del world.gd_governance.answers[one.hash]
    assert [*await carrier.pull(), *await carrier.push()] == []
    assert one.hash in world.gd_governance.held


@pytest.mark.parametrize(
    "answer",
    [
        (409, "text/x.twinlog.seq", b"1\n"),
        (409, "text/x.twinlog.seq", b"7\n"),
        (409, "text/x.twinlog.seq", b"0\n"),
        (409, "text/x.twinlog.seq", b"one\n"),
        (409, "text/plain", b"1\n"),
        (413, "text/plain", b"Content Too Large\n"),
    ],
)
async def test_a_node_that_names_no_seq_that_helps_is_not_asked_for_ever(
    monitor: Monitor, world: GovernedWorld, answer: tuple[int, str, bytes]
) -> None:
    hk = world.pen("hk")
    said = [hk.say("member-admit", MEMBER), hk.say("member-suspend", SUSPEND), hk.say("member-resume", SUSPEND)]
    await world.hk_governance.submit(*said)
    world.gd_governance.answers = {signed.hash: answer for signed in said}
    _, findings = await monitor.once()
    assert findings
    assert {finding.outcome for finding in findings} == {Outcome.UNVERIFIED}
    assert len(world.gd_governance.posted) <= 4


async def test_a_receipt_is_checked(monitor: Monitor, world: GovernedWorld) -> None:
    await world.hk_governance.submit(world.pen("hk").say("member-admit", MEMBER))
    world.gd_governance.spoil = lambda raw: raw.replace(b"index 20", b"index 19")
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert [(f.subject, f.code) for f in findings] == [("gd.example/governance hk/1", "receipt")]


async def test_a_receipt_of_another_action_is_none(monitor: Monitor, world: GovernedWorld) -> None:
    hk = world.pen("hk")
    one, two = hk.say("member-admit", MEMBER), hk.say("member-suspend", SUSPEND)
    await world.hk_governance.submit(one, two)
    await world.gd_governance.submit(one)
    shown = await world.gd_governance.proof(20)
    world.gd_governance.answers[two.hash] = 200, "text/plain", shown
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert [(f.subject, f.code) for f in findings] == [("gd.example/governance hk/2", "receipt")]
    assert monitor.store is not None
    holding = monitor.store.holding("gd.example/governance")
    assert holding is not None
    assert (holding.count, holding.carried) == (1, 0)


async def test_a_busy_node_is_asked_again(monitor: Monitor, world: GovernedWorld) -> None:
    action = world.pen("hk").say("member-admit", MEMBER)
    await world.hk_governance.submit(action)
    world.gd_governance.answers[action.hash] = 503, "text/plain", b"Service Unavailable\nunguarded\n"
    outcome, findings = await monitor.once()
    assert (outcome, [finding.code for finding in findings]) == (Outcome.UNREACHED, ["carry"])
    world.gd_governance.answers.clear()
    await healthy(monitor)
    assert action.hash in world.gd_governance.held


# --- E9 -------------------------------------------------------------------------------------------------------


async def test_a_seq_signed_twice_is_carried_twice_and_proven_once(monitor: Monitor, world: GovernedWorld) -> None:
    hk = world.pen("hk")
    first = hk.say("member-admit", MEMBER)
    other = hk.branch()
    one, two = hk.say("member-suspend", SUSPEND), other.say("log-freeze", frozen(world.hk_x509))
    await world.hk_governance.submit(first, one)
    await world.gd_governance.submit(first, two)
    for _ in range(2):
        outcome, findings = await monitor.once()
        assert outcome is Outcome.PROVEN
        assert [(f.subject, f.code) for f in findings] == [("chain hk seq 2", "double-signed")]
    assert held(world.hk_governance) == held(world.gd_governance) == {first.hash, one.hash, two.hash}
    assert monitor.store is not None
    [proof] = monitor.store.evidence_of(Kind.SAME_SEQ)
    [kept] = monitor.store.alerts()
    assert (kept.alert.code, kept.alert.detail) == ("double-signed", {"evidence": proof.id.hex()})
    assert actions.check(proof.object, world.hk_governance.genesis.hash) == ("hk", 2)
    value = jcs.parse(proof.object)
    assert isinstance(value, dict)
    assert {Signed.parse(b64decode(text)).hash for text in value["actions"]} == {one.hash, two.hash}  # type: ignore[arg-type,union-attr]
    with pytest.raises(BadProof, match="another genesis"):
        actions.check(proof.object, bytes(32))


async def test_evidence_under_keys_that_came_later_brings_the_chain_that_gave_them(
    monitor: Monitor, world: GovernedWorld
) -> None:
    joint, hk = world.pen(JOINT), world.pen("hk")
    fresh = signers("hk", 1)
    rotation = joint.say("authority-keys", {"side": "hk", "from_seq": 1, **authorities(fresh).value()})
    hk.keys = fresh[:2]
    other = hk.branch()
    one, two = hk.say("member-admit", MEMBER), other.say("member-suspend", SUSPEND)
    await world.hk_governance.submit(rotation, one, two)
    await monitor.once()
    assert monitor.store is not None
    [proof] = monitor.store.evidence_of(Kind.SAME_SEQ)
    genesis = world.hk_governance.genesis
    assert actions.check(proof.object, genesis.hash) == ("hk", 1)
    value = jcs.parse(proof.object)
    assert isinstance(value, dict)
    with pytest.raises((BadSignature, PolicyNotMet)):
        actions.check(jcs.encode({**value, "joint": []}), genesis.hash)
    same = {**value, "actions": [value["actions"][0], value["actions"][0]]}  # type: ignore[index]
    with pytest.raises(BadProof):
        actions.check(jcs.encode(same), genesis.hash)


# --- settings and status --------------------------------------------------------------------------------------


async def test_the_genesis_is_pinned(monitor: Monitor) -> None:
    path = monitor.path.parent / "genesis.json"
    path.write_bytes(path.read_bytes().replace(b'"notice_s":0', b'"notice_s":1'))
    with pytest.raises(SettingsError, match="not the pinned one"):
        monitor.start()
    monitor.stop()
    path.unlink()
    with pytest.raises(SettingsError, match=r"cannot read genesis\.json"):
        monitor.start()
    monitor.stop()


async def test_status_says_who_holds_how_much_and_what_was_carried(monitor: Monitor, world: GovernedWorld) -> None:
    hk = world.pen("hk")
    await world.hk_governance.submit(hk.say("member-admit", MEMBER), hk.say("member-suspend", SUSPEND))
    await healthy(monitor)
    monitor.stop()
    loaded = settings.load(monitor.path)
    store = Store.read(loaded.state)
    governed = main.governed_of(loaded, store, world.clock)
    assert governed is not None
    nodes = main.look_of(loaded, keyring.load(loaded), store, governed)().nodes
    lines = list(status.governance(store, governed, [followed for node in nodes for followed in node.logs]))
    store.close()
    assert lines[0] == "chain hk: 2 actions count."
    assert any(line.startswith("hk.example/governance: held 2 of 2 actions") and "0 of them" in line for line in lines)
    assert any(line.startswith("gd.example/governance: held 2 of 2 actions") and "2 of them" in line for line in lines)
