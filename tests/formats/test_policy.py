"""Policies: how freely they are written, and which cosignatures meet them."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.errors import Malformed
from log.formats.note import KeyType, VKey
from log.formats.policy import Policy, PolicyGroup, PolicyLimits, PolicyLog, PolicyWitness
from tests.formats import strategies as s


def cosigner(letter: str) -> VKey:
    return VKey.make(f"{letter}.example/w", KeyType.COSIGNATURE, letter.encode() * 32)


LOG = VKey.make("example.com/log", KeyType.ED25519, b"l" * 32)
HEAD = VKey.make("example.com/log", KeyType.TREE_HEAD, b"spki")
X1, X2, X3, Y1, Y2, Y3 = map(cosigner, ("a", "b", "c", "d", "e", "f"))

# The example of the specification, with everything it leaves free.
TEXT = f"""\
# who we rely on
\t log  {LOG.encode()}\thttps://example.com/log/
log {HEAD.encode()}

witness X1 {X1.encode()}   https://x1.example/#top
witness X2 {X2.encode()}
  # in the middle
witness X3 {X3.encode()} \t
group X-witnesses 2 X1 X2 X3
\x20\t
witness Y1 {Y1.encode()}
witness Y2 {Y2.encode()}
witness Y3 {Y3.encode()}
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
witness late {cosigner("z").encode()}
"""


def test_the_example_of_the_specification_is_read() -> None:
    policy = Policy.parse(TEXT)

    assert policy.logs == (PolicyLog(LOG, "https://example.com/log/"), PolicyLog(HEAD))
    assert policy.witnesses[0] == PolicyWitness("X1", X1, "https://x1.example/#top")
    assert [witness.name for witness in policy.witnesses] == ["X1", "X2", "X3", "Y1", "Y2", "Y3", "late"]
    assert policy.groups == (
        PolicyGroup("X-witnesses", 2, ("X1", "X2", "X3")),
        PolicyGroup("Y-witnesses", 1, ("Y1", "Y2", "Y3")),
        PolicyGroup("X-and-Y", 2, ("X-witnesses", "Y-witnesses")),
    )
    assert policy.quorum == "X-and-Y"
    assert Policy.parse(policy.encode()) == policy
    assert policy.log_vkeys("example.com/log") == (LOG, HEAD)
    assert policy.log_vkeys("example.com/other") == ()
    assert policy.witness_vkeys()[:2] == (X1, X2)


def test_the_example_is_met_by_two_of_x_and_one_of_y() -> None:
    policy = Policy.parse(TEXT)
    keys = (X1, X2, X3, Y1, Y2, Y3)
    for present in product([False, True], repeat=6):
        cosigned = {key for key, there in zip(keys, present, strict=True) if there}
        expected = sum(present[:3]) >= 2 and sum(present[3:]) >= 1

        assert policy.satisfied(cosigned) == expected


def test_no_quorum_is_met_by_nobody() -> None:
    assert Policy.parse("quorum none\n").satisfied([])


def test_only_the_very_key_of_a_witness_counts() -> None:
    policy = Policy.parse(f"witness X {X1.encode()}\nquorum X\n")
    same_key_other_name = VKey.make("other.example/w", KeyType.COSIGNATURE, X1.key)
    same_key_other_type = VKey.make(X1.name, KeyType.ED25519, X1.key)

    assert policy.satisfied([X1])
    assert not policy.satisfied([same_key_other_name, same_key_other_type, X2])
    assert not policy.satisfied([])


@given(s.policies(), st.data())
def test_the_quorum_is_what_the_groups_say_from_the_top(policy: Policy, data: st.DataObject) -> None:
    cosigned = {key for key in policy.witness_vkeys() if data.draw(st.booleans())}
    witnesses = {witness.name: witness.vkey for witness in policy.witnesses}
    groups = {group.name: group for group in policy.groups}

    def met(name: str) -> bool:
        if name in witnesses:
            return witnesses[name] in cosigned
        return sum(met(member) for member in groups[name].members) >= groups[name].threshold

    assert policy.satisfied(cosigned) == (policy.quorum == "none" or met(policy.quorum))


def test_bytes_that_are_not_utf_8_are_opaque() -> None:
    raw = b"# \xff\nwitness \xe2\x84\xaa\xff " + X1.encode().encode() + b"\nquorum \xe2\x84\xaa\xff\n"
    policy = Policy.parse(raw)

    assert policy.satisfied([X1])
    assert Policy.parse(policy.encode().encode("utf-8", "surrogateescape")) == policy


def test_a_policy_that_contradicts_itself_cannot_be_built() -> None:
    witness = PolicyWitness("X", X1)
    forward = (PolicyGroup("g", 1, ("h",)), PolicyGroup("h", 1, ("X",)))
    cases: list[tuple[tuple[PolicyWitness, ...], tuple[PolicyGroup, ...], str]] = [
        ((), (), "X"),
        ((witness, witness), (), "X"),
        ((PolicyWitness("a b", X1),), (), "none"),
        ((PolicyWitness("X", X1, "https://a b"),), (), "none"),
        ((PolicyWitness("", X1),), (), "none"),
        ((PolicyWitness("X", VKey.make("a\x7fb", KeyType.COSIGNATURE, X1.key)),), (), "none"),
        ((witness,), forward, "g"),
        ((witness,), (PolicyGroup("g", 2, ("X",)),), "g"),
    ]
    for witnesses, groups, quorum in cases:
        with pytest.raises(Malformed):
            Policy((), witnesses, groups, quorum)


def test_an_mldsa_witness_is_read() -> None:
    key = VKey.make("pq.example/w", KeyType.MLDSA, b"k" * 1312)

    assert Policy.parse(f"witness PQ {key.encode()}\nquorum PQ\n").satisfied({key})


def test_policies_may_be_larger_than_the_spec_asks_for() -> None:
    keys = [VKey.make("n", KeyType.COSIGNATURE, bytes([n]) * 32) for n in range(40)]
    witnesses = "".join(f"witness w{n} {key.encode()}\n" for n, key in enumerate(keys))
    logs = "".join(f"log {VKey.make('n', KeyType.ED25519, bytes([n]) * 32).encode()}\n" for n in range(40))
    groups = "group g0 all w0\n" + "".join(f"group g{n} 2 w{n} g{n - 1}\n" for n in range(1, 40))
    text = f"{logs}{witnesses}{groups}quorum g39\n"

    assert Policy.parse(text).satisfied(keys)
    assert not Policy.parse(text).satisfied(keys[1:])
    for limits in (
        PolicyLimits(max_logs=39),
        PolicyLimits(max_witnesses=39),
        PolicyLimits(max_groups=39),
        PolicyLimits(max_size=len(text) - 1),
    ):
        with pytest.raises(Malformed):
            Policy.parse(text, limits)
