"""Which actions count: thresholds, lost, hostile and replaced keys, seqs signed twice."""

import pytest

from log.errors import BadSignature, Malformed, PolicyNotMet
from log.formats.action import JOINT, Action
from log.formats.genesis import Genesis
from log.governance.chains import AUTHORITY_KEYS, Signed, arrange
from tests.support.authorities import CREATED_MS, Chainer, authorities, genesis, signed, signers

FREEZE = ("log-freeze", {"origin": "hk.example/x509", "reason": ""})
UNFREEZE = ("log-unfreeze", {"origin": "hk.example/x509", "reason": ""})


def seqs(chain: str, start: Genesis, *brought: Signed) -> list[int]:
    return [each.action.seq for each in arrange(start, brought).chains[chain].actions]


def new_keys(side: str, generation: int, from_seq: int, threshold: int = 2) -> dict[str, object]:
    return {"side": side, "from_seq": from_seq, **authorities(signers(side, generation), threshold).value()}


def test_a_chain_counts_as_far_as_it_holds_together() -> None:
    start = genesis()
    hk = Chainer(start, "hk")
    one, two, three = (hk.say(*FREEZE), hk.say(*UNFREEZE), hk.say(*FREEZE))
    assert seqs("hk", start, three, one, two, one) == [1, 2, 3]
    assert seqs("hk", start, one, three) == [1]
    assert seqs("hk", start, two, three) == []
    assert seqs("gd", start, one, two, three) == []


def test_an_action_that_names_another_past_does_not_count() -> None:
    start = genesis()
    hk = Chainer(start, "hk")
    one = hk.say(*FREEZE)
    stray = Action(start.hash, "hk", 2, b"\0" * 32, *UNFREEZE[:1], CREATED_MS, UNFREEZE[1])
    assert seqs("hk", start, one, signed(stray, signers("hk"))) == [1]


@pytest.mark.parametrize(("count", "counts"), [(1, False), (2, True), (3, True)])
def test_two_of_three_keys_suffice_and_one_does_not(count: int, counts: bool) -> None:
    start = genesis()
    one = Chainer(start, "hk", signers("hk")[:count]).say(*FREEZE)
    assert seqs("hk", start, one) == ([1] if counts else [])
    if not counts:
        with pytest.raises(PolicyNotMet):
            arrange(start, ()).check(one)


def test_one_key_that_signs_twice_is_one_key() -> None:
    start = genesis()
    key = signers("hk")[0]
    one = Chainer(start, "hk", [key, key]).say(*FREEZE)
    assert seqs("hk", start, one) == []


def test_the_other_sides_keys_do_not_speak_for_a_side() -> None:
    start = genesis()
    one = Chainer(start, "hk", signers("gd")).say(*FREEZE)
    assert seqs("hk", start, one) == []
    with pytest.raises(BadSignature):
        arrange(start, ()).check(one)


def test_joint_takes_the_threshold_of_every_side() -> None:
    start = genesis()
    payload = new_keys("hk", 1, 1)
    assert seqs(JOINT, start, Chainer(start, JOINT).say(AUTHORITY_KEYS, payload)) == [1]
    alone = Chainer(start, JOINT, signers("hk")).say(AUTHORITY_KEYS, payload)
    assert seqs(JOINT, start, alone) == []
    with pytest.raises(PolicyNotMet):
        arrange(start, ()).check(alone)


def test_a_lost_key_stops_nothing_and_a_replaced_one_counts_no_more() -> None:
    start = genesis()
    old, new = signers("hk"), signers("hk", 1)
    hk = Chainer(start, "hk", old[1:])  # the first is lost
    first = hk.say(*FREEZE)
    given = Chainer(start, JOINT, [*old[1:], *signers("gd")[:2]]).say(AUTHORITY_KEYS, new_keys("hk", 1, 2))
    by_old = hk.branch().say(*UNFREEZE)
    hk.keys = new[:2]
    by_new = hk.say(*UNFREEZE)
    found = arrange(start, [first, given, by_old, by_new])
    assert [each.hash for each in found.chains["hk"].actions] == [first.hash, by_new.hash]
    assert not found.double_signed()
    with pytest.raises(BadSignature):
        found.check(by_old)


def test_new_keys_hold_in_joint_from_the_next_seq_on() -> None:
    start = genesis()
    joint = Chainer(start, JOINT)
    joint.say(AUTHORITY_KEYS, new_keys("hk", 1, 1))
    by_old = joint.branch().say("policy", {"origin": "*", "policy": "quorum none\n"})
    joint.keys = [*signers("hk", 1)[:2], *signers("gd")[:2]]
    by_new = joint.say("policy", {"origin": "*", "policy": "quorum none\n"})
    assert seqs(JOINT, start, joint.written[0], by_old) == [1]
    assert seqs(JOINT, start, joint.written[0], by_new, by_old) == [1, 2]


def test_what_a_hostile_key_signed_never_counted_once_both_sides_say_so() -> None:
    start = genesis()
    hk = Chainer(start, "hk")
    hk.say(*FREEZE)
    forged = hk.branch()
    forged.say(*UNFREEZE)
    forged.say("member-admit", {"id": "thief", "name": "", "role": "operator", "keys": []})
    assert seqs("hk", start, *forged.written) == [1, 2, 3]
    answer = Chainer(start, JOINT).say(AUTHORITY_KEYS, new_keys("hk", 1, 2))
    assert seqs("hk", start, *forged.written, answer) == [1]
    hk.keys = signers("hk", 1)[:2]
    hk.say("ca-suspend", {"id": "ca-1", "reason": ""})
    found = arrange(start, [*forged.written, answer, *hk.written])
    assert [each.action.type for each in found.chains["hk"].actions] == ["log-freeze", "ca-suspend"]
    assert not found.double_signed()


def test_keys_given_last_hold_also_over_keys_given_before_for_later() -> None:
    start = genesis()
    joint = Chainer(start, JOINT)
    joint.say(AUTHORITY_KEYS, new_keys("hk", 1, 3))
    joint.keys = [*signers("hk", 1)[:2], *signers("gd")[:2]]
    joint.say(AUTHORITY_KEYS, new_keys("hk", 2, 2))
    found = arrange(start, joint.written)
    generations = [found.authorities("hk", seq)[0] for seq in (1, 2, 3)]
    assert generations == [authorities(signers("hk", each)) for each in (0, 2, 2)]


def test_a_seq_signed_twice_is_shown_and_ends_what_is_undisputed() -> None:
    start = genesis()
    hk = Chainer(start, "hk")
    hk.say(*FREEZE)
    other = hk.branch()
    one, two = hk.say(*UNFREEZE), other.say("ca-suspend", {"id": "ca-1", "reason": ""})
    on_one = hk.say("ca-suspend", {"id": "ca-2", "reason": ""})
    found = arrange(start, [*hk.written, *other.written])
    assert [each.action.seq for each in found.chains["hk"].actions] == [1]
    assert {each.hash for each in found.chains["hk"].disputed} == {one.hash, two.hash, on_one.hash}
    ((left, right),) = found.double_signed()
    assert {left.hash, right.hash} == {one.hash, two.hash}
    assert found.chains["hk"].next_seq == 2
    answer = Chainer(start, JOINT).say(AUTHORITY_KEYS, new_keys("hk", 1, 2))
    assert not arrange(start, [*hk.written, *other.written, answer]).double_signed()


def test_the_same_action_under_other_signatures_is_the_same_action() -> None:
    start = genesis()
    keys = signers("hk")
    one = Chainer(start, "hk", keys[:2]).say(*FREEZE)
    again = Chainer(start, "hk", keys[1:]).say(*FREEZE)
    weak = Chainer(start, "hk", keys[:1]).say(*FREEZE)
    found = arrange(start, [weak, one, again])
    assert [each.hash for each in found.chains["hk"].actions] == [one.hash]
    assert not found.double_signed()


@pytest.mark.parametrize(
    ("chain", "kind", "payload"),
    [
        ("hk", "no-such-kind", {}),
        ("hk", "policy", {"origin": "*", "policy": "quorum none\n"}),
        (JOINT, "ca-suspend", {"id": "ca-1", "reason": ""}),
        ("hk", "ca-suspend", {"id": "ca-1"}),
        ("hk", "ca-suspend", {"id": "ca-1", "reason": "", "more": 1}),
        ("hk", "member-admit", {"id": "m", "name": "", "role": "king", "keys": []}),
        (JOINT, AUTHORITY_KEYS, {**new_keys("hk", 1, 1), "threshold": 4}),
        (JOINT, AUTHORITY_KEYS, {**new_keys("hk", 1, 1), "from_seq": 0}),
    ],
)
def test_an_action_of_no_kind_in_no_chain_of_its_own_or_of_no_such_payload_is_malformed(
    chain: str, kind: str, payload: dict[str, object]
) -> None:
    with pytest.raises(Malformed):
        Chainer(genesis(), chain).say(kind, payload)


def test_an_action_of_another_genesis_counts_for_nothing() -> None:
    one = Chainer(genesis(notice_s=1), "hk").say(*FREEZE)
    assert seqs("hk", genesis(), one) == []
    with pytest.raises(Malformed, match="another genesis"):
        arrange(genesis(), ()).check(one)
