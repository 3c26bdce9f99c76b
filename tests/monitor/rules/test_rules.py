"""Each rule fires where it must, by a near miss does not, and by real files as domain.md says."""

from dataclasses import replace
from importlib.resources import files
from random import Random

import pytest

from log.certs import certificate as certs
from log.certs.precert import defang
from log.demo import issuing
from log.demo.ca import Tree
from log.demo.issuing import POISON_EXTENSION, Key
from log.errors import Malformed
from log.formats.family import X509, precert_parts, x509_parts
from monitor.alert import Class
from monitor.rules import table
from monitor.rules.case import Case, FixedLists, Hit, at_hand, of_row
from monitor.rules.engine import BY_INDEX, BY_ITSELF, OF_EVENTS, Engine
from monitor.rules.limits import Limits
from tests.monitor.rules.cases import NOW_MS, SAMPLES, Sample, usual, world
from tests.support import shared
from tests.support.shared import CHECKOUT

LIMITS = Limits.usual()


def codes(case: object, engine: Engine | None = None) -> str:
    engine = engine or Engine(LIMITS)
    found = " ".join(sorted(hit.code for hit in engine.judge(case)))  # type: ignore[arg-type]
    assert not engine.disabled
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_samples(sample: Sample) -> None:
    base = world().base
    lists = FixedLists({"gd": sample.hk(base) if sample.both else base, "hk": sample.hk(base)})
    case = at_hand(sample.build(world()), sample.issuers(world()), lists, LIMITS)
    assert codes(case) == " ".join(sorted(sample.codes.split()))


def test_every_rule_that_a_certificate_suffices_for_has_both() -> None:
    for code in BY_ITSELF:
        assert any(code in sample.codes.split() for sample in SAMPLES), code
        assert any(sample.name.startswith(f"not {code}") for sample in SAMPLES) or code == "J01", code


def test_table() -> None:
    assert len(table.RULES) == 45
    assert len({rule.code for rule in table.RULES}) == 45
    judged = {rule.code for rule in table.RULES if rule.judged}
    assert judged == set(BY_ITSELF) | set(BY_INDEX) | set(OF_EVENTS)
    assert all(rule.without for rule in table.RULES if not rule.judged)


def test_without_lists_nobody_is_accused() -> None:
    case = at_hand(usual()(world()), [world().hk.certificate], FixedLists(), LIMITS)
    assert codes(case) == ""


# What the real files fire. Beside what domain.md §3 names (fx):
#   P09   NETCA's test certificates and Shandong's seal maker were issued for five years
#   P11   the leaf of 2017 is signed with SHA-1, a year and a half after the cut-off date
#   P13   the tax administration's seal maker signs and enciphers with one key
#   P16   three roots and a CA of 2000 to 2003 have serials that were counted
#   P19   GDCA's root of 2004 has its country in UTF-8
REAL = {
    "cfca-test-sm2-oca1.der": "",
    "eseal-platform-sm2-explicit-curve.der": "P10",
    "gdca-r4-ev-ssl-g2-by-certum.der": "",
    "gdca-root-ca-2004.der": "P10 P19",
    "gdca-root-ca1-2017.der": "",
    "gdca-trustauth-e5-root-ecc.der": "",
    "gdca-trustauth-r2-root.der": "",
    "gdca-trustauth-r5-root.der": "",
    "hkpost-root-ca-1.der": "P16",
    "hkpost-root-ca-2.der": "",
    "hkpost-root-ca-2000.der": "P16",
    "hkpost-root-ca-3.der": "",
    "netca-root-classa.der": "P16",
    "netca-rsa1024-sha1-cms.p7s.der": "UNPARSABLE",  # no certificate
    "netca-rsa1024-sha1-org-leaf.der": "P10 P11",
    "netca-server-classa-ca.der": "P16",
    "netca-sm2-cms-signeddata-vvvv.p7s.der": "UNPARSABLE",  # no certificate
    "netca-sm2-test-encrypt.der": "P09 P13",
    "netca-sm2-test-gomain.der": "P13 P19",
    "netca-sm2-test-sign.der": "P09",
    "netca-tsa-2020.der": "P11",
    "netca-tsa-token-2020-12-25.tst.der": "UNPARSABLE",  # no certificate
    "nrcac-rootca-sm2.der": "",
    "shandong-eseal-maker-cegn-sm2.der": "P09",
    "sheca-sm2-by-nrcac.der": "",
    "sta-eseal-maker-sm2.der": "P13",
    "szca-ov-ssl-by-certum.der": "",
    "szca-root-2003-md5.der": "P11 P16",
    "szca-root-2013.der": "P10",
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(name: str) -> None:
    others = [shared.data(f"certs/{other}").read_bytes() for other in REAL]
    case = at_hand(shared.data(f"certs/{name}").read_bytes(), others, FixedLists(), LIMITS)
    assert codes(case) == REAL[name]


def test_all_real_files_are_in_the_table() -> None:
    assert {path.name for path in shared.data("certs").glob("*.der")} == set(REAL)


def test_precertificate_and_certificate_have_one_fold() -> None:
    tree = Tree.make(NOW_MS, Random(7), ["p256"])
    digests = [certs.parse(issuer).fingerprint for issuer in tree.branches["p256"].issuers]
    known = dict(zip(digests, tree.branches["p256"].issuers, strict=True))
    for signing in (False, True):
        precert = tree.precert("p256", 4, signing_certificate=signing)
        issuers = [certs.parse(each) for each in precert.issuers]
        chain = [issuer.fingerprint for issuer in issuers]
        key_hash, tbs = defang(certs.parse(precert.leaf), issuers)
        before = X509.place(precert_parts(key_hash, tbs, precert.leaf, chain), 5, NOW_MS).row
        after = X509.place(x509_parts(tree.final(precert, [b"an SCT"]).leaf, digests), 6, NOW_MS).row
        more = known | {issuer.fingerprint: issuer.der for issuer in issuers}
        one, other = (of_row(row, "log.example/x", more, FixedLists(), LIMITS) for row in (before, after))
        assert isinstance(one, Case)
        assert isinstance(other, Case)
        assert one.precert
        assert one.fold == other.fold
        assert one.issuer_digest == other.issuer_digest == digests[0]
        assert one.serial_key == other.serial_key


def test_poison_that_is_odd_is_judged_all_the_same() -> None:
    profile = world().profile()
    poisoned = (*profile.extensions, POISON_EXTENSION, POISON_EXTENSION)
    case = at_hand(world().hk.issue(replace(profile, extensions=poisoned)), [], FixedLists(), LIMITS)
    assert isinstance(case, Case)
    assert case.precert


def test_of_two_weak_algorithms_every_process_tells_of_the_one_in_the_tbscertificate() -> None:
    """Of sixteen pairs: each process hashes bytes in its own way, and the order of a set would be another in each."""
    for salt in range(32, 64, 2):
        one, other = (issuing.rsa_pss("1.3.14.3.2.26", salt=each) for each in (salt, salt + 1))  # SHA-1
        made = issuing.assemble(world().profile().tbs(world().hk.name, one), other, lambda _: b"no signature")
        [hit] = Engine(LIMITS).judge(at_hand(made, [], FixedLists(), LIMITS))
        assert (hit.code, hit.evidence["algorithm"]) == ("P11", one.hex())


def test_a_rule_that_raises_is_disabled_and_the_others_go_on() -> None:
    def broken(_: Case) -> list[object]:
        raise ZeroDivisionError("by zero")

    engine = Engine(LIMITS, by_itself={"P09": broken, **{c: r for c, r in BY_ITSELF.items() if c != "P09"}})  # type: ignore[dict-item]
    case = at_hand(usual(serial=0)(world()), [], FixedLists(), LIMITS)
    assert [hit.code for hit in engine.judge(case)] == ["P16"]
    assert [hit.code for hit in engine.judge(case)] == ["P16"]
    [alert] = engine.alerts()
    assert (alert.cls, alert.subject) == (Class.OWN, "P09")
    assert "ZeroDivisionError" in alert.text


def test_a_finding_names_what_produced_it() -> None:
    engine, lists = Engine(LIMITS), FixedLists({"hk": world().base})
    case = at_hand(usual(serial=0)(world()), [], lists, LIMITS)
    [hit] = engine.judge(case)
    finding = engine.finding(hit, case)
    assert finding.produced == {"rules": table.VERSION, "limits": LIMITS.digest.hex(), "lists": {"hk": 3}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"version = 1",
        b'version = "x"',
        b"\xff",
        b'version = "x"\nwrong = 1',
    ],
)
def test_limits_that_are_none(data: bytes) -> None:
    with pytest.raises(Malformed):
        Limits.parse(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value = 2048", "value = 0"),
        ("value = 2048", "value = true"),
        ("value = 2048", 'value = "2048"'),
        ("value = 2048", "value = 2048\nmore = 1"),
        ("from = 2016-09-30", 'from = "2016-09-30"'),
        ('name = "md5"', "name = 5"),
        ('source = "RFC 5280 section 4.1.2.2"', 'source = ""'),
    ],
)
def test_limits_with_a_row_that_is_none(old: str, new: str) -> None:
    text = _file()
    assert old in text
    with pytest.raises(Malformed):
        Limits.parse(text.replace(old, new).encode())


def test_limits_hold_from_their_date_on() -> None:
    day = 1_475_193_600_000  # 2016-09-30
    before, after = LIMITS.find("serial_bits", day - 1), LIMITS.find("serial_bits", day)
    assert before is not None
    assert after is not None
    assert (before.value, after.value) == (20, 48)
    assert LIMITS.find("weak_hash", 0, "md5") is None
    assert LIMITS.find("validity_days", day, "another") is None


def test_other_limits_change_what_is_found() -> None:
    limits = Limits.parse(_file().replace("value = 2048", "value = 4096").encode())
    case = at_hand(usual(spki=_rsa())(world()), [], FixedLists(), limits)
    assert codes(case, Engine(limits)) == "P10"
    assert limits.digest != LIMITS.digest


def _rsa() -> bytes:
    return Key.generate("rsa2048").spki


def _file() -> str:
    return files("monitor.rules").joinpath("limits.toml").read_text(encoding="utf-8")


def test_the_table_is_documented() -> None:
    text = (CHECKOUT / "monitor" / "README.md").read_text(encoding="utf-8")
    for rule in table.RULES:
        state = f"judged, {rule.sure.value}" if rule.sure else "not yet: "
        assert f"| {rule.code} | {rule.severity} | {rule.title} | {state}" in text


def test_what_holds_on_a_date_is_the_newest_row_of_its_name() -> None:
    limits = Limits.usual()
    dates = {row.from_ms + shift for row in limits.rows for shift in (-1, 0, 1)} | {-(2**62), 2**62}
    for date in dates:
        for kind in {row.kind for row in limits.rows}:
            held = [row for row in limits.rows if row.kind == kind and row.from_ms <= date]
            assert limits.all(kind, date) == {row.name: row for row in held}
            for name in {row.name for row in limits.rows if row.kind == kind}:
                assert limits.find(kind, date, name) == next((r for r in reversed(held) if r.name == name), None)


def test_a_standing_that_is_well_is_judged_once_and_another_again() -> None:
    calls, limits = list[int](), Limits.usual()

    def counted(case: Case) -> list[Hit]:
        calls.append(case.certificate.not_before_ms)
        return []

    lists = FixedLists({"hk": world().base, "gd": world().base})
    engine = Engine(limits, by_itself={**BY_ITSELF, "P01": counted})
    for _ in range(2):
        case = at_hand(usual()(world()), [world().hk.certificate], lists, limits)
        assert isinstance(case, Case)
        assert engine.judge(case) == []
    assert len(calls) == 1
    suspended = replace(world().base, suspended_issuers=frozenset({"hk"}))
    other = at_hand(usual()(world()), [world().hk.certificate], FixedLists({"hk": suspended}), limits)
    assert [hit.code for hit in engine.judge(other)] == ["J03"]
    assert [hit.code for hit in engine.judge(other)] == ["J03"]
    assert len(calls) == 3
