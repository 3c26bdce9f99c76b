"""What the authorities of both sides list, put together."""

from dataclasses import replace

from log.authority import FileAuthority
from log.certs.chain import Anchor
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer
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


def test_without_lists_nobody_admits() -> None:
    assert FileAuthority().at(NOW_MS).anchors() == ()
