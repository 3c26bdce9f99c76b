"""What holds on a date: two timelines, two lists, and no order between chains."""

import datetime as dt
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.certs.trustlist_rows import CertType, Issuer, Status, strictest
from log.demo import ca
from log.errors import Malformed
from log.formats.action import JOINT
from log.formats.text import b64encode
from log.governance import fold, show
from log.governance.chains import AUTHORITY_KEYS, Signed, arrange
from tests.support.authorities import CREATED_MS, Chainer, authorities, genesis, signer, signers
from tests.support.odd_certificates import world
from tests.support.shared import data

NOW_MS = CREATED_MS + 1_000_000_000
ORIGIN = "hk.example/x509"


def ms(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).timestamp()) * 1000


def issuer(certificate: bytes | None = None, **changes: Any) -> Issuer:
    bare = Issuer("ca-1", certificate or world().root, "ca-1", 0, None, None, "", False, "", "", False)
    return replace(bare, **changes)


def cert_type(**changes: Any) -> CertType:
    return replace(CertType("organisation", "ca-1", "Organisation", (ca.MUTUAL_RECOGNITION,), "HK", 0, None), **changes)


# --- lists -------------------------------------------------------------------------------------------------------


def test_hongkong_posts_entry_by_actions() -> None:
    """The type since 11 July 2015 in Hong Kong; its issuer was replaced on a day that nobody wrote down."""
    since = ms("2015-07-11T00:00:00+08:00")
    old = issuer(data("certs/hkpost-root-ca-1.der").read_bytes(), id="hkpost-1", root_id="hkpost-1", unknown=True)
    new = issuer(data("certs/hkpost-root-ca-2.der").read_bytes(), id="hkpost-2", root_id="hkpost-2", unknown=True)
    rows = [replace(old, from_ms=since, weak_hash=True), replace(new, from_ms=None)]
    types = [
        replace(cert_type(), id="hkpost-personal", issuer_id=each.id, from_ms=since, jurisdiction="HK") for each in rows
    ]
    start = genesis(
        {
            "hk": [
                *(("ca-admit", {"issuer": row.row()}) for row in rows),
                *(("type-admit", {"type": row.row()}) for row in types),
            ]
        }
    )
    hk = fold.at(arrange(start, ()), NOW_MS).trust_lists["hk"]
    one, two = (sha256(row.certificate).digest() for row in rows)
    cases = [
        ("2015-07-10T15:59:59Z", Status.NOT_YET, Status.NOT_YET),
        ("2015-07-10T16:00:00Z", Status.UNKNOWN, Status.NOT_YET),
        ("2015-09-05T02:34:36Z", Status.UNKNOWN, Status.UNKNOWN),
        ("2023-11-14T22:13:20Z", Status.ENDED, Status.LISTED),  # genesis says how it stood when it was made
    ]
    for date, by_old, by_new in cases:
        assert hk.type_status("hkpost-personal", ms(date), one) == by_old, date
        assert hk.type_status("hkpost-personal", ms(date), two) == by_new, date


def test_midnight_in_hong_kong_and_midnight_in_utc_are_eight_hours_apart() -> None:
    start = genesis({side: [("ca-admit", {"issuer": issuer().row()})] for side in ("hk", "gd")})
    hk, gd = Chainer(start, "hk"), Chainer(start, "gd")
    hk.say("ca-suspend", {"id": "ca-1", "reason": "00:00 HKT"}, ms("2024-05-01T00:00:00+08:00"))
    gd.say("ca-suspend", {"id": "ca-1", "reason": "00:00 UTC"}, ms("2024-05-01T00:00:00+00:00"))
    chains = arrange(start, [*hk.written, *gd.written])
    root = sha256(world().root).digest()
    for date, by_hk, by_gd in (
        ("2024-04-30T15:59:59Z", Status.LISTED, Status.LISTED),
        ("2024-04-30T16:00:00Z", Status.SUSPENDED, Status.LISTED),
        ("2024-04-30T23:59:59Z", Status.SUSPENDED, Status.LISTED),
        ("2024-05-01T00:00:00Z", Status.SUSPENDED, Status.SUSPENDED),
    ):
        state = fold.at(chains, ms(date))
        said = {side: each.issuer_status(root, state.date_ms) for side, each in state.trust_lists.items()}
        assert said == {"hk": by_hk, "gd": by_gd}, date


def test_recognised_is_what_both_sides_say_and_a_difference_is_shown() -> None:
    rows = [("ca-admit", {"issuer": issuer().row()}), ("type-admit", {"type": cert_type().row()})]
    start = genesis({"hk": rows, "gd": rows})
    hk = Chainer(start, "hk")
    hk.say("type-suspend", {"id": "organisation", "issuer_id": "ca-1", "reason": "asked"}, CREATED_MS + 2000)
    hk.say("type-resume", {"id": "organisation", "issuer_id": "ca-1", "reason": "answered"}, CREATED_MS + 5000)
    chains = arrange(start, hk.written)

    def says(after_ms: int) -> tuple[Status, ...]:
        state = fold.at(chains, CREATED_MS + after_ms)
        said = [each.type_status("organisation", state.date_ms) for each in state.trust_lists.values()]
        return (*said, strictest(said))

    assert says(1000) == (Status.LISTED, Status.LISTED, Status.LISTED)
    assert says(2000) == (Status.SUSPENDED, Status.LISTED, Status.SUSPENDED)
    assert says(5000) == (Status.LISTED, Status.LISTED, Status.LISTED)


def test_a_withdrawal_stays_and_a_suspended_root_takes_those_below_it_along() -> None:
    below = issuer(world().ca.issuers[0], id="ca-2")
    start = genesis({"hk": [("ca-admit", {"issuer": row.row()}) for row in (issuer(), below)]})
    hk = Chainer(start, "hk")
    hk.say("ca-suspend", {"id": "ca-1", "reason": ""}, CREATED_MS + 1000)
    hk.say("ca-withdraw", {"id": "ca-2", "reason": ""}, CREATED_MS + 2000)
    hk.say("ca-resume", {"id": "ca-2", "reason": ""}, CREATED_MS + 3000)
    hk.say("ca-admit", {"issuer": below.row()}, CREATED_MS + 3000)
    chains = arrange(start, hk.written)
    under = sha256(world().ca.issuers[0]).digest()

    def says(after_ms: int) -> Status:
        state = fold.at(chains, CREATED_MS + after_ms)
        return state.trust_lists["hk"].issuer_status(under, state.date_ms)

    assert [says(each) for each in (0, 1000, 2000, 3000)] == [
        *(Status.LISTED, Status.SUSPENDED, Status.WITHDRAWN, Status.WITHDRAWN)
    ]


def test_a_whole_list_replaces_the_rows_and_lifts_no_suspension() -> None:
    start = genesis({"hk": [("ca-admit", {"issuer": issuer().row()})]})
    hk = Chainer(start, "hk")
    hk.say("ca-suspend", {"id": "ca-1", "reason": ""})
    state = fold.at(arrange(start, hk.written), NOW_MS)
    brought = replace(state.trust_lists["hk"], version=2)
    hk.say("trust-list", {"list": brought.value()})
    after = fold.at(arrange(start, hk.written), NOW_MS).trust_lists["hk"]
    assert after == brought
    assert after.issuer_status(sha256(world().root).digest(), NOW_MS) is Status.SUSPENDED


# --- members, logs, freezes --------------------------------------------------------------------------------------


def member_key(number: int) -> str:
    return signer("bank", number).vkey.encode()


def test_a_members_keys_come_rotate_and_go_for_ever() -> None:
    start = genesis({"hk": [("member-admit", {"id": "bank", "name": "A bank", "role": "relying-party", "keys": []})]})
    hk = Chainer(start, "hk")
    hk.say("key-register", {"member": "bank", "key": member_key(1)}, CREATED_MS + 1000)
    hk.say("key-rotate", {"member": "bank", "old": member_key(1), "new": member_key(2)}, CREATED_MS + 2000)
    hk.say("key-revoke", {"member": "bank", "key": member_key(2), "reason": "stolen"}, CREATED_MS + 3000)
    hk.say("key-register", {"member": "bank", "key": member_key(2)}, CREATED_MS + 4000)
    hk.say("key-register", {"member": "bank", "key": member_key(3)}, CREATED_MS + 4000)
    hk.say("member-suspend", {"id": "bank", "reason": ""}, CREATED_MS + 5000)
    chains = arrange(start, hk.written)

    def keys(after_ms: int) -> list[str]:
        state = fold.at(chains, CREATED_MS + after_ms)
        return [key.encode() for key in state.member_keys.get("hk/bank", ())]

    assert [keys(each) for each in (0, 1000, 2000, 3000, 4000, 5000)] == [
        *([], [member_key(1)], [member_key(2)], [], [member_key(3)], [])
    ]


def log_entry(generation: int = 0, **changes: Any) -> dict[str, Any]:
    vkeys = [signer(ORIGIN, generation).vkey.encode()]
    fields = {"origin": ORIGIN, "node": "HK", "name": "x509", "family": "x509", "vkeys": vkeys, "window": None}
    return {**fields, **changes}


def test_of_two_chains_that_give_a_log_other_keys_none_is_believed() -> None:
    start = genesis({"hk": [("log-add", log_entry())]})
    assert set(fold.at(arrange(start, ()), NOW_MS).logs) == {ORIGIN}
    same = Chainer(start, JOINT).say("log-add", log_entry())
    assert set(fold.at(arrange(start, [same]), NOW_MS).logs) == {ORIGIN}
    other = Chainer(start, "gd").say("log-add", log_entry(1))
    assert not fold.at(arrange(start, [other]), NOW_MS).logs


def test_what_one_chain_froze_another_does_not_thaw() -> None:
    start = genesis()
    hk, gd, joint = Chainer(start, "hk"), Chainer(start, "gd"), Chainer(start, JOINT)
    hk.say("log-freeze", {"origin": ORIGIN, "reason": ""})
    gd.say("log-unfreeze", {"origin": ORIGIN, "reason": ""})
    joint.say("log-unfreeze", {"origin": ORIGIN, "reason": ""})
    fingerprint = "ab" * 32
    gd.say("issuer-freeze", {"fingerprint": fingerprint, "reason": ""})
    state = fold.at(arrange(start, [*hk.written, *gd.written, *joint.written]), NOW_MS)
    assert state.frozen_logs == {ORIGIN}
    assert (state.freezes("hk", fingerprint), state.freezes("gd", fingerprint)) == (False, True)
    hk.say("log-unfreeze", {"origin": ORIGIN, "reason": ""})
    assert not fold.at(arrange(start, [*hk.written, *gd.written]), NOW_MS).frozen_logs


def test_of_two_closings_the_earlier_head_counts() -> None:
    start = genesis()
    hk, joint = Chainer(start, "hk"), Chainer(start, JOINT)
    hk.say("log-close", {"origin": ORIGIN, "size": 9, "root": b64encode(b"9" * 32), "reason": ""})
    joint.say("log-close", {"origin": ORIGIN, "size": 7, "root": b64encode(b"7" * 32), "reason": ""})
    assert fold.at(arrange(start, [*hk.written, *joint.written]), NOW_MS).closed[ORIGIN].size == 7


def test_of_a_disputed_chain_what_restricts_holds_and_what_relaxes_does_not() -> None:
    start = genesis()
    hk = Chainer(start, "hk")
    hk.say("log-freeze", {"origin": ORIGIN, "reason": ""})
    other = hk.branch()
    hk.say("log-unfreeze", {"origin": ORIGIN, "reason": ""})
    other.say("ca-suspend", {"id": "ca-7", "reason": ""})
    other.say("member-admit", {"id": "m", "name": "", "role": "ca", "keys": []})
    state = fold.at(arrange(start, [*hk.written, *other.written]), NOW_MS)
    assert state.frozen_logs == {ORIGIN}
    assert state.trust_lists["hk"].suspended_issuers == {"ca-7"}
    assert not state.members


# --- no order between chains -------------------------------------------------------------------------------------

FIVE = st.integers(0, 4).map(lambda n: f"ca-{n}")
EFFECTIVE = st.integers(-3, 3).map(lambda n: NOW_MS + n * 1000)
Actions = st.SearchStrategy[tuple[str, dict[str, Any]]]
LOG_ACTIONS: Actions = (
    st.builds(
        lambda kind, n: (kind, {"origin": n, "reason": ""}), st.sampled_from(["log-freeze", "log-unfreeze"]), FIVE
    )
    | st.builds(
        lambda n, size: ("log-close", {"origin": n, "size": size, "root": b64encode(b"r" * 32), "reason": ""}),
        FIVE,
        st.integers(0, 9),
    )
    | st.builds(lambda generation: ("log-add", log_entry(generation)), st.integers(0, 1))
)
SIDE_ACTIONS: Actions = (
    st.builds(
        lambda kind, named: (kind, {"id": named, "reason": ""}),
        st.sampled_from(["ca-suspend", "ca-resume", "ca-withdraw", "member-suspend", "member-resume"]),
        FIVE,
    )
    | st.builds(lambda n: ("ca-admit", {"issuer": issuer(id=n, root_id=n).row()}), FIVE)
    | st.builds(lambda n: ("member-admit", {"id": n, "name": n, "role": "ca", "keys": []}), FIVE)
    | LOG_ACTIONS
)
JOINT_ACTIONS: Actions = st.builds(lambda n: ("policy", {"origin": n, "policy": "quorum none\n"}), FIVE) | LOG_ACTIONS


@st.composite
def histories(draw: st.DrawFn) -> dict[str, list[Signed]]:
    """Draw three chains, sometimes with new keys for a side and with a seq signed twice."""
    start = genesis()
    chains = {name: Chainer(start, name) for name in start.chains}
    for kind, payload in draw(st.lists(JOINT_ACTIONS, max_size=3)):
        chains[JOINT].say(kind, payload, draw(EFFECTIVE))
    if draw(st.booleans()):
        from_seq = draw(st.integers(1, 4))
        given_keys = {"side": "hk", "from_seq": from_seq, **authorities(signers("hk", 1)).value()}
        chains[JOINT].say(AUTHORITY_KEYS, given_keys)
    else:
        from_seq = 99
    brought = {}
    for side in ("hk", "gd"):
        pen = chains[side]
        for kind, payload in draw(st.lists(SIDE_ACTIONS, max_size=4)):
            if side == "hk" and len(pen.written) + 1 >= from_seq and draw(st.booleans()):
                pen.keys = signers("hk", 1)[:2]
            pen.say(kind, payload, draw(EFFECTIVE))
        brought[side] = list(pen.written)
        if draw(st.booleans()) and pen.written:
            other = pen.branch()
            del other.written[draw(st.integers(0, len(pen.written) - 1)) :]
            kind, payload = draw(SIDE_ACTIONS)
            brought[side].append(other.say(kind, payload, draw(EFFECTIVE)))
    return {**brought, JOINT: chains[JOINT].written}


@given(histories(), st.data())
@settings(max_examples=60, deadline=None)
def test_no_order_between_chains_and_no_repetition_matters(
    history: dict[str, list[Signed]], drawn: st.DataObject
) -> None:
    every = [signed for chain in history.values() for signed in chain]
    one = drawn.draw(st.permutations(every))
    two = [*drawn.draw(st.permutations(every)), *one[:2]]
    date_ms = drawn.draw(EFFECTIVE)
    states = [fold.at(arrange(genesis(), brought), date_ms) for brought in (every, one, two)]
    assert states[0] == states[1] == states[2]
    assert show.encode(states[0]) == show.encode(states[1]) == show.encode(states[2])


@given(histories(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_chain_that_has_not_arrived_yet_takes_no_restriction_of_another_away(
    history: dict[str, list[Signed]], drawn: st.DataObject
) -> None:
    """Behind a cut border link a side's own restrictions hold on its own node."""
    late = drawn.draw(st.sampled_from(["gd", JOINT]))
    here = [signed for chain, actions in history.items() if chain != late for signed in actions]
    if any(each.action.type == AUTHORITY_KEYS for each in history[JOINT]):
        return  # new keys may say that what restricted was forged
    alone = fold.at(arrange(genesis(), here), NOW_MS)
    whole = fold.at(arrange(genesis(), [*here, *history[late]]), NOW_MS)
    assert alone.frozen_logs <= whole.frozen_logs
    assert alone.closed.keys() <= whole.closed.keys()
    assert alone.trust_lists["hk"] == whole.trust_lists["hk"]


def test_a_genesis_whose_beginning_cannot_be_read_is_refused() -> None:
    fold.check_genesis(genesis({"hk": [("ca-admit", {"issuer": issuer().row()})]}))
    with pytest.raises(Malformed, match="members"):
        fold.check_genesis(genesis({"hk": [("ca-admit", {})]}))
