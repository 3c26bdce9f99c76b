"""What both sides' lists say of a certificate: shown side by side, and together only where they agree."""

from dataclasses import replace
from hashlib import sha256

import pytest

from log.certs import der
from log.certs.certificate import parse
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer, Status
from log.client.recognition import recognition
from log.demo import issuing
from log.demo.issuing import CA, Key, Profile
from log.errors import Malformed

NOW_MS = 1_767_225_600_000
DAY_MS = 86_400_000
POLICY = "2.16.344.8.2.2008.810.2.2018.1.1"
ROOT = CA.root("p256", issuing.distinguished(("CN", "Root (synthetic)")), 1, NOW_MS)
ISSUING = ROOT.subordinate(issuing.distinguished(("CN", "Issuing (synthetic)")), 2, NOW_MS)
OTHER = ROOT.subordinate(issuing.distinguished(("CN", "Issuing (synthetic)")), 3, NOW_MS)  # the same name, another key


def certificate(issuer: CA = ISSUING, policy: str = POLICY) -> bytes:
    key = Key.generate("p256")
    element = der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid(policy)))
    value = der.encode(der.SEQUENCE, element)
    oid = der.encode(der.OBJECT_IDENTIFIER, der.oid("2.5.29.32"))
    policies = der.encode(der.SEQUENCE, oid, der.encode(der.OCTET_STRING, value))
    subject = issuing.distinguished(("CN", "A subscriber (synthetic)"))
    return issuer.issue(Profile(subject, key.spki, 7, NOW_MS - DAY_MS, NOW_MS + 365 * DAY_MS, (policies,)))


def listed(*, since_ms: int = 0, suspended: bool = False, to_ms: int | None = None) -> TrustList:
    root = Issuer("root", ROOT.certificate, "root", 0, None, None, "", False, "", "", False)
    issuing = replace(root, id="issuing", certificate=ISSUING.certificate)
    kind = CertType("mr-personal", "issuing", "Mutually recognised (synthetic)", (POLICY,), "HK", since_ms, to_ms)
    return TrustList(1, 0, (root, issuing), (kind,), frozenset({"issuing"} if suspended else ()))


def test_what_both_sides_list_is_mutually_recognised() -> None:
    found = recognition(certificate(), {"hk": listed(), "gd": listed()}, NOW_MS)
    assert found.mutual is Status.LISTED
    for said in found.sides:
        assert (said.issuer_id, said.issuer, said.types) == ("issuing", Status.LISTED, {"mr-personal": Status.LISTED})


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (listed(since_ms=NOW_MS + 1), Status.NOT_YET),
        (listed(to_ms=NOW_MS), Status.ENDED),
        (listed(suspended=True), Status.SUSPENDED),
        (TrustList(1, 0, (), ()), Status.ABSENT),
    ],
)
def test_where_the_sides_differ_both_are_shown_and_the_stricter_is_what_counts(other: TrustList, says: Status) -> None:
    found = recognition(certificate(), {"hk": listed(), "gd": other}, NOW_MS)
    assert found.mutual is says
    hk, gd = found.sides
    assert hk.types == {"mr-personal": Status.LISTED}
    assert gd.types.get("mr-personal", Status.ABSENT) is says


def test_a_name_alone_makes_no_issuer() -> None:
    found = recognition(certificate(OTHER), {"hk": listed(), "gd": listed()}, NOW_MS)
    assert {said.issuer_id for said in found.sides} == {""}
    assert found.mutual is Status.ABSENT


def test_another_policy_is_no_type_though_its_issuer_is_listed() -> None:
    found = recognition(certificate(policy="1.2.3"), {"hk": listed(), "gd": listed()}, NOW_MS)
    assert {said.issuer for said in found.sides} == {Status.LISTED}
    assert found.mutual is Status.ABSENT


def test_a_root_is_issued_by_itself_and_no_lists_say_nothing() -> None:
    [said] = recognition(ROOT.certificate, {"hk": listed()}, NOW_MS).sides
    assert (said.issuer_id, dict(said.types)) == ("root", {})
    assert recognition(ROOT.certificate, {}, NOW_MS).mutual is Status.ABSENT
    assert parse(ROOT.certificate).fingerprint == sha256(ROOT.certificate).digest()
    with pytest.raises(Malformed):
        recognition(b"no certificate", {"hk": listed()}, NOW_MS)
