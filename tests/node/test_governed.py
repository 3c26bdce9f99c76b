"""What a node makes of governance: guards, logs to witness, what is frozen; and nothing is signed before that."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from log.errors import Unavailable
from log.formats.action import JOINT
from log.formats.note import KeyType
from log.governance.chains import Signed, arrange
from log.governance.fold import at
from log.node import witness as witness_state
from log.node.governed import Governed, Pinned
from log.node.guard import Guard, GuardKey, GuardLimits
from log.node.halts import Halts
from log.node.witness import NodeWitness
from log.storage.memory import Disk, MemoryHeads
from tests.support.authorities import CREATED_MS, Chainer, genesis
from tests.support.engine import FakeClock, log_signers, witness_signer

NODE, OWN, PEER = "HK", "hk.example/x509", "gd.example/x509"
PUSH, WITNESS = witness_signer("monitor.example/m", 3), witness_signer("hk.example/witness", 4)
SETTINGS_GUARD = GuardKey("ours", witness_signer("ours.example/m", 5).vkey, log_signers("ours.example/m", 6)[0].vkey)
FINGERPRINT = "ab" * 32


def log_add(node: str, origin: str, seed: int) -> tuple[str, dict[str, Any]]:
    vkeys = [signer.vkey.encode() for signer in log_signers(origin, seed)]
    entry = {"origin": origin, "node": node, "name": "x509", "family": "x509", "vkeys": vkeys, "window": None}
    return "log-add", entry


@dataclass
class Stand:
    """A node's parts without its logs."""

    side: str = "hk"
    brought: list[Signed] = field(default_factory=list)
    admitted: int = 0

    async def begin(self) -> None:
        self.clock = FakeClock()
        heads = MemoryHeads(Disk())
        await witness_state.create(heads)
        self.halts = Halts(heads)
        self.guard = Guard(self.clock, (SETTINGS_GUARD,), self.halts, lambda _: None, GuardLimits())
        self.guard.seal()
        self.witness = NodeWitness([WITNESS], {}, heads, self.guard, self.halts, self.clock, lambda _: None)
        self.governed = Governed(
            Pinned(NODE, self.side, (SETTINGS_GUARD,)),
            lambda now_ms: at(arrange(genesis(), self.brought), now_ms),
            lambda: (),
            self.guard,
            self.witness,
            heads,
            self.clock,
            self._admit,
            lambda: None,
        )

    def _admit(self) -> None:
        self.admitted += 1


@pytest.fixture
async def stand() -> Stand:
    made = Stand()
    await made.begin()
    return made


async def test_nothing_is_signed_before_the_first_look(stand: Stand) -> None:
    for signs in (stand.guard.permit, stand.guard.permit_witness, stand.guard.admit):
        with pytest.raises(Unavailable, match="governance has not been read"):
            signs(OWN)
    assert not stand.guard.guarded(OWN)
    await stand.governed.look()
    with pytest.raises(Unavailable, match="no guard has spoken"):
        stand.guard.permit(OWN)


async def test_guards_are_added_to_those_of_the_settings_and_go_again(stand: Stand) -> None:
    push = next(signer.vkey for signer in log_signers("monitor.example/m", 7) if signer.vkey.type is KeyType.ED25519)
    named = {"cosigner": PUSH.vkey.encode(), "push": push.encode()}
    joint = Chainer(genesis(), JOINT)
    stand.brought = [
        joint.say("guard-add", {"node": NODE, "name": "monitor", **named}),
        joint.say("guard-add", {"node": "GD", "name": "another", **named}),
        joint.say("guard-add", {"node": NODE, "name": "ours", **named}),  # whoever runs the machine chose this one
    ]
    await stand.governed.look()
    assert list(stand.guard.keys) == [SETTINGS_GUARD, GuardKey("monitor", PUSH.vkey, push)]
    stand.brought.append(joint.say("guard-remove", {"node": NODE, "name": "monitor", "reason": ""}))
    await stand.governed.look()
    assert list(stand.guard.keys) == [SETTINGS_GUARD]


async def test_the_witness_follows_the_logs_of_others_and_their_new_keys(stand: Stand) -> None:
    joint = Chainer(genesis(), JOINT)
    stand.brought = [joint.say(*log_add("GD", PEER, 1)), joint.say(*log_add(NODE, OWN, 2))]
    await stand.governed.look()
    assert stand.witness.origins == (PEER,)
    first = stand.witness._known[PEER]
    stand.brought.append(joint.say(*log_add("GD", PEER, 3)))
    await stand.governed.look()
    assert stand.witness.origins == (PEER,)
    assert set(stand.witness._known[PEER]).isdisjoint(first)


@pytest.mark.parametrize(
    ("chain", "side", "frozen"),
    [("hk", "hk", True), ("gd", "hk", False), (JOINT, "hk", True), ("gd", "", True), ("hk", "gd", False)],
)
async def test_an_issuer_is_frozen_by_the_nodes_own_side_or_by_both(chain: str, side: str, frozen: bool) -> None:
    stand = Stand(side)
    await stand.begin()
    stand.brought = [Chainer(genesis(), chain).say("issuer-freeze", {"fingerprint": FINGERPRINT, "reason": ""})]
    await stand.governed.look()
    assert (bytes.fromhex(FINGERPRINT) in stand.governed.frozen_issuers) is frozen


async def test_who_admits_is_said_anew_when_a_list_changes_and_at_its_time(stand: Stand) -> None:
    await stand.governed.look()
    await stand.governed.look()
    assert stand.admitted == 1
    now_ms = stand.clock.wall_ms()
    hk = Chainer(genesis(), "hk")
    later_ms = now_ms - now_ms % 1000 + 5_000
    stand.brought = [hk.say("ca-suspend", {"id": "ca-1", "reason": ""}, later_ms)]
    await stand.governed.look()
    assert stand.admitted == 1
    stand.clock.advance(6_000)
    await stand.governed.look()
    assert stand.admitted == 2
    assert stand.governed.problems == []
    assert later_ms > CREATED_MS
