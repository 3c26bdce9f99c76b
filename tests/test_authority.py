"""What the authorities of both sides list, put together."""

from dataclasses import replace
from hashlib import sha256

from log.authority import Authority, FileAuthority
from log.certs.chain import Anchor
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer, Status
from log.demo import ca
from tests.support.odd_certificates import NOW_MS, world

ROOT = Issuer("root", b"", "root", 0, None, None, "", observed=False, source_url="", source_sha256="", weak_hash=False)


def side(*issuers: Issuer, to_ms: int | None = None) -> TrustList:
    types = (CertType("organisation", issuers[0].id, "Organisation", (ca.MUTUAL_RECOGNITION,), "HK", 0, to_ms),)
    return TrustList(1, NOW_MS, issuers, types)


def authority() -> FileAuthority:
    w = world()
    common = replace(ROOT, certificate=w.root)
    ended = replace(ROOT, id="ended", root_id="ended", certificate=w.unlisted.certificate, to_ms=1000)
    observed = replace(ROOT, id="seen", root_id="seen", certificate=w.md5_root.certificate, observed=True)
    hk = side(common, ended, to_ms=NOW_MS)
    gd = side(replace(common, weak_hash=True), observed)
    return FileAuthority({"hk": hk, "gd": gd})


def test_every_issuer_that_ever_was_on_a_list_is_an_anchor_once() -> None:
    w = world()
    expected = (Anchor(w.root, weak_hash=True), Anchor(w.unlisted.certificate), Anchor(w.md5_root.certificate))
    for date_ms in (0, NOW_MS, 2 * NOW_MS):
        assert authority().at(date_ms).anchors() == expected
    assert authority().at(0).roots() == tuple(anchor.certificate for anchor in expected)


def test_standing_is_that_of_the_date_and_by_side() -> None:
    w = world()
    ended, seen = sha256(w.unlisted.certificate).digest(), sha256(w.md5_root.certificate).digest()
    asked: Authority = authority()
    assert asked.at(999).issuer_status(ended) == {"hk": Status.LISTED, "gd": Status.ABSENT}
    assert asked.at(1000).issuer_status(ended) == {"hk": Status.ENDED, "gd": Status.ABSENT}
    assert asked.at(1000).issuer_status(seen) == {"hk": Status.ABSENT, "gd": Status.OBSERVED}


def test_recognition_is_mutual() -> None:
    root = sha256(world().root).digest()
    before, after = authority().at(NOW_MS - 1), authority().at(NOW_MS)
    assert before.recognised("organisation") == before.recognised("organisation", root) == Status.LISTED
    assert after.recognised("organisation") == after.recognised("organisation", root) == Status.ENDED
    assert before.recognised("organisation", bytes(32)) == Status.ABSENT


def test_without_lists_nothing_is_recognised_and_nobody_admits() -> None:
    listed = FileAuthority().at(NOW_MS)
    assert listed.recognised("organisation") == Status.ABSENT
    assert (listed.anchors(), listed.witnesses, dict(listed.logs), listed.guards) == ((), (), {}, ())
