"""A log whose key is rotated: closed by governance, with a new origin under a new key (row 41)."""

from collections.abc import AsyncIterator

from log.evidence.heads import Kind
from log.formats.action import JOINT
from log.formats.text import b64encode
from tests.catalogue.harness import ROUNDS, Case, P, S, Theme
from tests.support.action_log import GovernedWorld, log_added
from tests.support.lying_log import LyingLog

KEYS = Theme()


@KEYS.row(
    41, "a key is rotated; the old one signs after the final head", P, "fork", kinds=(Kind.ROLLBACK,),
    governed=True, moves=True, also={"after-final": S},
)  # fmt: skip
async def rotated(case: Case) -> AsyncIterator[None]:
    world, old = case.world, case.truth
    assert isinstance(world, GovernedWorld)
    await case.grow()
    final = {"origin": old.origin, "size": old.size, "root": b64encode(old.root_at(old.size)), "reason": "rotation"}
    new = LyingLog("x509-2", "hk.example/x509-2", old.family, world.clock)
    new.add(20)
    await new.sign()
    new.policy = old.policy
    world.hk.logs[new.name] = new
    world.gd.witness.known[new.origin] = new.vkeys
    pen, joint = world.pen("hk"), world.pen(JOINT)
    actions = [pen.say(*log_added(world.hk, new)), pen.say("log-close", final)]
    policy = joint.say("policy", {"origin": new.origin, "policy": new.policy.encode()})
    await world.hk_governance.submit(*actions, policy)
    for _ in ROUNDS:
        yield
        assert case.found == [], "that a key is rotated is no fault"
    assert case.size(new) == new.size
    assert case.size(old) == old.size

    old.add(3)  # whoever has the old key goes on
    await old.sign()
    for _ in ROUNDS:
        yield
    assert case.codes() == {"after-final": S}, "no signature excludes another yet"
    world.hk.logs[old.name] = await old.branch(old.size - 1, 0)
    await world.hk.logs[old.name].sign()
    for _ in ROUNDS:
        yield
    del world.hk.logs[old.name]
    case.truth = new
