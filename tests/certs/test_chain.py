"""What is admitted: the table of odd submissions, real chains, shards, and what a submission costs."""

from collections.abc import Iterable
from functools import cache
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from log.certs import certificate, chain
from log.certs.chain import Anchor, ChainChecker, Window
from log.crypto import suites
from log.crypto.sm2 import sm2_available
from log.demo.ca import MassIssuer
from log.errors import Malformed, Refused, TooLarge
from log.formats import tile_leaf
from log.formats.family import X509
from tests.support.odd_certificates import CASES, NOW_MS, SHA1, Odd, world
from tests.support.shared import data


def checker(anchors: Iterable[Anchor] | None = None, **settings_: object) -> ChainChecker:
    made = {"allow_precert_signing": True, **settings_}
    return ChainChecker(world().anchors if anchors is None else anchors, **made)  # type: ignore[arg-type]


def admit(check: ChainChecker, submitted: list[bytes], precert: bool = False) -> chain.Admitted:
    return check.check(submitted, precert)


def answer(odd: Odd) -> tuple[int, str | None]:
    try:
        admit(checker(), odd.build(world()), odd.endpoint == "add-pre-chain")
    except Malformed:
        return 400, "malformed"
    except TooLarge as e:
        return 413, e.reason
    except Refused as e:
        return 400, e.reason
    return 200, None


@pytest.mark.parametrize("odd", CASES, ids=lambda odd: odd.name)
def test_odd_submissions_are_answered_as_the_contract_says(odd: Odd) -> None:
    if odd.needs_sm2 and not sm2_available():
        pytest.skip("no SM2 on this machine")
    assert answer(odd) == (odd.status, odd.reason)


def test_the_entry_holds_the_certificate_and_the_whole_chain() -> None:
    w = world()
    leaf, issuing, root = w.issue(w.profile())
    for submitted in ([leaf, issuing, root], [leaf, issuing]):
        admitted = admit(checker(), submitted)
        row = X509.place(admitted.parts, 5, NOW_MS).row
        entry = tile_leaf.TileLeaf.parse(row)
        assert entry.signed_entry == leaf
        assert entry.fingerprints == (sha256(issuing).digest(), sha256(root).digest())
        assert admitted.certificates == tuple((sha256(der).digest(), der) for der in (issuing, root))
        assert (admitted.issuer.der, admitted.anchor.der) == (issuing, root)


def test_a_listed_root_as_itself_has_no_certificates_behind_it() -> None:
    admitted = admit(checker(), [world().md5_root.certificate])
    assert admitted.certificates == ()
    assert admitted.issuer == admitted.anchor == admitted.leaf


def test_the_entry_of_a_precertificate_speaks_of_its_final_issuer() -> None:
    tree = world().tree
    for suite in tree.suites:
        for signing_certificate in (False, True):
            precert = tree.precert(suite, 9, signing_certificate=signing_certificate)
            admitted = admit(checker(), precert.submitted, precert=True)
            entry = tile_leaf.TileLeaf.parse(X509.place(admitted.parts, 0, NOW_MS).row)
            ca = certificate.parse(tree.branches[suite].certificate)
            assert entry.issuer_key_hash == sha256(ca.spki).digest()
            assert entry.precert == precert.leaf
            assert entry.fingerprints == tuple(sha256(der).digest() for der in precert.issuers)
            assert admitted.issuer == ca


def test_precertificate_signing_certificates_can_be_refused() -> None:
    precert = world().tree.precert("p256", 4, signing_certificate=True)
    with pytest.raises(Refused) as refused:
        admit(checker(allow_precert_signing=False), precert.submitted, precert=True)
    assert refused.value.reason == "precert-signing"


def test_a_listed_signing_certificate_alone_does_not_say_who_will_issue() -> None:
    precert = world().tree.precert("p256", 5, signing_certificate=True)
    with pytest.raises(Refused) as refused:
        admit(checker([Anchor(precert.issuers[0])]), precert.submitted[:2], precert=True)
    assert refused.value.reason == "precert-signing"


def test_a_listed_issuing_ca_is_enough_and_may_be_followed_by_its_listed_root() -> None:
    w = world()
    leaf, issuing, root = w.issue(w.profile())
    alone = checker([Anchor(issuing)])
    assert admit(alone, [leaf]).anchor.der == issuing
    assert admit(alone, [leaf, issuing]).certificates == ((sha256(issuing).digest(), issuing),)
    with pytest.raises(Refused) as refused:
        admit(alone, [leaf, issuing, root])
    assert refused.value.reason == "unknown-root"
    assert admit(checker([Anchor(issuing), Anchor(root)]), [leaf, issuing, root]).anchor.der == root


def test_of_several_anchors_with_one_name_the_one_that_signed_is_found() -> None:
    w = world()
    leaf, issuing, root = w.issue(w.profile())
    both = checker([Anchor(w.impostor.certificate), Anchor(root)])
    assert admit(both, [leaf, issuing]).anchor.der == root
    assert admit(both, [w.impostor.issue(w.profile())]).anchor.der == w.impostor.certificate


def test_a_listed_issuer_need_not_be_a_ca() -> None:
    w = world()
    leaf, odd, *_ = w.under(w.ca.key, ())
    assert admit(checker([Anchor(odd)]), [leaf]).anchor.der == odd


def test_sha1_is_for_the_nearest_listed_issuer_to_allow() -> None:
    w = world()
    leaf, root = w.old_leaf(w.weak_root, w.old, SHA1, hashes.SHA1())  # noqa: S303
    assert admit(checker([Anchor(root), Anchor(root, weak_hash=True)]), [leaf]).anchor.der == root
    with pytest.raises(Refused) as refused:
        admit(checker([Anchor(root)]), [leaf])
    assert refused.value.reason == "weak-hash"


def test_a_shard_takes_what_expires_in_its_window_and_names_the_shard_for_the_rest() -> None:
    w = world()
    leaf = certificate.parse(w.issue(w.profile())[0])
    end = leaf.not_after_ms
    later = {"x509-later": Window(end, end + 1)}
    admit(checker(window=Window(end, end + 1)), w.issue(w.profile()))
    for window in (Window(end - 1, end), Window(end + 1, end + 2)):
        with pytest.raises(Refused, match="2027-01-01T00:00:00Z: submit it to x509-later") as refused:
            checker(window=window, shards=later).check(w.issue(w.profile()), precert=False)
        assert refused.value.reason == "outside-window"
    with pytest.raises(Refused, match="takes 2027-01-01T00:00:00Z <= notAfter < 2028-01-01T00:00:00Z, and"):
        checker(window=Window(end, end + 365 * 86_400_000)).check([w.root], precert=False)


def test_a_usual_submission_costs_one_signature_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only one link is remembered: leaves do not drive out what is in use."""
    checks: list[bytes] = []
    verify = suites.IssuerKey.verify

    def counted(key: suites.IssuerKey, algorithm: bytes, tbs: bytes, signature: bytes) -> None:
        checks.append(tbs)
        verify(key, algorithm, tbs, signature)

    monkeypatch.setattr(suites.IssuerKey, "verify", counted)
    issuer = MassIssuer()
    check = checker([Anchor(issuer.issuers[-1])], limits=chain.Limits(cached_links=1))
    costs = []
    for n in range(3):
        checks.clear()
        admit(check, issuer.chain(n)[:-1])
        costs.append(len(checks))
    assert costs == [2, 1, 1]


def test_a_refused_submission_leaves_nothing_behind() -> None:
    w = world()
    check = checker()
    chained = w.under(w.ca.key, w.profile().extensions)
    for _ in range(2):  # the second time it must not be known as verified
        with pytest.raises(Refused) as refused:
            admit(check, chained)
        assert refused.value.reason == "not-a-ca"
    forged = [w.impostor.issue(w.profile()), w.impostor.certificate]
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            admit(check, forged)
        assert refused.value.reason == "bad-signature"


def real(name: str) -> bytes:
    return data(f"certs/{name}.der").read_bytes()


def test_the_netca_chain_is_admitted_where_it_is_listed_for_sha1() -> None:
    submitted = [real("netca-tsa-2020"), real("netca-server-classa-ca")]
    root = real("netca-root-classa")
    admitted = admit(checker([Anchor(root, weak_hash=True)]), submitted)
    assert [der for _, der in admitted.certificates] == [submitted[1], root]
    with pytest.raises(Refused) as refused:
        admit(checker([Anchor(root)]), submitted)
    assert refused.value.reason == "weak-hash"


@pytest.mark.skipif(not sm2_available(), reason="no SM2 on this machine")
def test_sheca_is_admitted_under_the_national_root() -> None:
    root = real("nrcac-rootca-sm2")
    assert admit(checker([Anchor(root)]), [real("sheca-sm2-by-nrcac")]).anchor.der == root


@pytest.mark.parametrize(
    "name", ["hkpost-root-ca-2", "gdca-root-ca-2004", "netca-root-classa", "szca-root-2003-md5", "szca-root-2013"]
)
def test_real_roots_are_admitted_as_themselves(name: str) -> None:
    root = real(name)
    assert admit(checker([Anchor(root)]), [root]).leaf.der == root


def test_explicit_curve_of_a_real_certificate_is_no_reason_to_refuse_it_as_a_leaf() -> None:
    der = real("eseal-platform-sm2-explicit-curve")
    assert admit(checker([Anchor(der)]), [der]).leaf.explicit_parameters


@cache
def good_submissions() -> list[tuple[list[bytes], bool]]:
    return [
        (odd.build(world()), odd.endpoint == "add-pre-chain")
        for odd in CASES
        if odd.status == 200 and not odd.needs_sm2
    ]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_submissions_are_refused_or_admitted_and_never_anything_else(choose: st.DataObject) -> None:
    unharmed, precert = choose.draw(st.sampled_from(good_submissions()))
    submitted = list(unharmed)
    n = choose.draw(st.integers(0, len(submitted) - 1))
    mutated = bytearray(submitted[n])
    for _ in range(choose.draw(st.integers(1, 4))):
        mutated[choose.draw(st.integers(0, len(mutated) - 1))] = choose.draw(st.integers(0, 255))
    submitted[n] = bytes(mutated)
    try:
        admit(checker(), submitted, precert)
    except (Malformed, Refused):
        return
    assert submitted == unharmed
