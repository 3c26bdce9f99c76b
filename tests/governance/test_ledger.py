"""What a holder of actions takes besides those that it has, and what holds at any time by the same fold."""

import random

import pytest

from log.errors import Denied, Malformed, OutOfTurn
from log.formats.action import JOINT
from log.governance import fold
from log.governance.chains import Signed, arrange
from log.governance.ledger import Ledger
from log.governance.timeline import FOREVER_MS, Timeline
from tests.support.authorities import CREATED_MS, Chainer, authorities, genesis, signers, with_lines

FREEZE = {"origin": "hk.example/x509", "reason": "a test"}
SECOND_MS = 1000


def holding(*actions: Signed, notice_s: int = 0) -> Ledger:
    ledger = Ledger(genesis(notice_s=notice_s))
    for signed in actions:
        ledger.take(signed, ledger.examine(signed))
    return ledger


def test_actions_are_taken_in_turn_and_the_next_seq_is_told() -> None:
    hk = Chainer(genesis(), "hk")
    first, second, third = (hk.say("log-freeze", FREEZE) for _ in range(3))
    ledger = holding(first)
    assert ledger.next == {"hk": 2, "gd": 1, "joint": 1}
    with pytest.raises(OutOfTurn) as out:
        ledger.examine(third)
    assert out.value.next_seq == 2
    ledger.take(second, ledger.examine(second))
    ledger.take(third, ledger.examine(third))
    assert [signed.hash for signed in ledger.held("hk")] == [first.hash, second.hash, third.hash]
    assert ledger.find(second.hash) is second
    assert ledger.find(bytes(32)) is None


def test_an_action_that_names_another_past_is_out_of_turn() -> None:
    hk, other = Chainer(genesis(), "hk"), Chainer(genesis(), "hk")
    other.say("log-unfreeze", FREEZE)
    ledger = holding(hk.say("log-freeze", FREEZE))
    with pytest.raises(OutOfTurn) as out:
        ledger.examine(other.say("log-freeze", FREEZE))
    assert out.value.next_seq == 2


def test_too_few_lines_are_denied_and_another_genesis_is_malformed() -> None:
    signed = Chainer(genesis(), "hk").say("log-freeze", FREEZE)
    few = Signed.parse(signed.note.with_signatures(signed.note.signatures[:1]).encode())
    ledger = holding()
    with pytest.raises(Denied, match="1 signatures"):
        ledger.examine(few)
    with pytest.raises(Malformed, match="genesis"):
        ledger.examine(Chainer(genesis(notice_s=1), "hk").say("log-freeze", FREEZE))
    assert not list(ledger)


def test_a_seq_that_is_signed_twice_is_taken_and_disputes_the_chain() -> None:
    hk = Chainer(genesis(), "hk")
    other = hk.branch()
    one, two = hk.say("log-freeze", FREEZE), other.say("log-unfreeze", FREEZE)
    later = hk.say("log-freeze", FREEZE)
    ledger = holding(one, later, two)
    assert ledger.next["hk"] == 1
    assert len(ledger.held("hk")) == 3
    [pair] = ledger.chains.double_signed()
    assert {signed.hash for signed in pair} == {one.hash, two.hash}
    branch = other.say("log-freeze", FREEZE)
    ledger.take(branch, ledger.examine(branch))  # what goes on from either is kept as well


def test_new_keys_make_what_a_stolen_key_signed_count_no_more() -> None:
    start = genesis()
    stolen = Chainer(start, "hk").say("log-freeze", FREEZE)
    new = authorities(signers("hk", 1)).value()
    keys = Chainer(start, JOINT).say("authority-keys", {"side": "hk", "from_seq": 1, **new})
    ledger = holding(stolen, keys)
    assert ledger.next == {"hk": 1, "gd": 1, "joint": 2}
    with pytest.raises(Denied):
        ledger.examine(Chainer(start, "hk").say("log-unfreeze", FREEZE))
    ours = Chainer(start, "hk", signers("hk", 1)[:2]).say("log-unfreeze", FREEZE)
    ledger.take(ours, ledger.examine(ours))
    assert ledger.next["hk"] == 2


@pytest.mark.parametrize(
    ("kind", "after_s", "taken"),
    [("log-unfreeze", 599, False), ("log-unfreeze", 600, True), ("log-freeze", -3600, True)],
)
def test_what_relaxes_names_a_time_ahead_and_what_restricts_need_not(kind: str, after_s: int, taken: bool) -> None:
    ledger = holding(notice_s=600)
    signed = Chainer(ledger.genesis, "hk").say(kind, FREEZE, CREATED_MS + after_s * SECOND_MS)
    if taken:
        ledger.check_notice(signed, CREATED_MS)
    else:
        with pytest.raises(Malformed, match="600 s"):
            ledger.check_notice(signed, CREATED_MS)


def test_whoever_holds_the_same_has_the_same_digest_in_whatever_order_it_came() -> None:
    start = genesis()
    chains = [Chainer(start, name) for name in ("hk", "gd", JOINT)]
    actions = [chain.say("log-freeze", FREEZE) for chain in chains for _ in range(3)]
    digests = set()
    for seed in range(5):
        ledger = Ledger(start)
        ledger.load(random.Random(seed).sample(actions, len(actions)))
        digests.add(ledger.digest)
        assert ledger.next == {"hk": 4, "gd": 4, "joint": 4}
    assert len(digests) == 1
    assert digests != {holding(*actions[:8]).digest}


def test_the_same_action_under_other_lines_is_held_once() -> None:
    hk = Chainer(genesis(), "hk")
    signed = hk.say("log-freeze", FREEZE)
    ledger = Ledger(genesis())
    ledger.load([signed, with_lines(signed, signed.note)])
    assert len(list(ledger)) == 1


def test_a_timeline_says_what_the_fold_says_of_every_date() -> None:
    start = genesis()
    hk, gd = Chainer(start, "hk"), Chainer(start, "gd")
    said = [
        hk.say("log-freeze", FREEZE, CREATED_MS + 5 * SECOND_MS),
        hk.say("log-unfreeze", FREEZE, CREATED_MS + 9 * SECOND_MS),
        gd.say("log-freeze", {**FREEZE, "origin": "gd.example/x509"}, CREATED_MS + 7 * SECOND_MS),
    ]
    chains = arrange(start, said)
    timeline = Timeline(chains)
    for date_ms in range(CREATED_MS - SECOND_MS, CREATED_MS + 12 * SECOND_MS, 500):
        assert timeline.at(date_ms) == fold.at(chains, date_ms)
    eras = [(since - CREATED_MS, until - CREATED_MS) for since, until in timeline.eras()]
    assert eras == [(0, 5000), (5000, 7000), (7000, 9000), (9000, FOREVER_MS - CREATED_MS)]
