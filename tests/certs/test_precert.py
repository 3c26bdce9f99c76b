"""Precertificates: both ways to a TBS meet, whatever the extensions around the splice."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.certs import der
from log.certs.certificate import AUTHORITY_KEY_IDENTIFIER, POISON, SCT_LIST, Certificate, parse
from log.certs.precert import defang, embedded_scts, strip_poison, strip_sct_list
from log.demo import issuing
from log.demo.ca import MARK
from log.demo.issuing import ALGORITHMS
from log.errors import Malformed
from tests.support.odd_certificates import NOW_MS, world

SCTS = [b"first SCT", bytes(300)]
_AKI = issuing.extension(AUTHORITY_KEY_IDENTIFIER, b"\x30\x06\x80\x04" + b"key.")
_SCT_EXTENSION = issuing.extension(SCT_LIST, der.encode(der.OCTET_STRING, bytes.fromhex("0004000261ff")))


@pytest.mark.parametrize("signing_certificate", [False, True])
@pytest.mark.parametrize("suite", issuing.SUITES)
def test_precertificate_and_final_certificate_meet(suite: issuing.Suite, signing_certificate: bool) -> None:
    tree = world().tree
    if suite not in tree.suites:
        pytest.skip("no SM2 on this machine")
    precert = tree.precert(suite, 11, signing_certificate=signing_certificate)
    final = parse(tree.final(precert, SCTS).leaf)
    key_hash, tbs = defang(parse(precert.leaf), [parse(issuer) for issuer in precert.issuers])
    assert tbs == strip_sct_list(final.tbs)
    assert key_hash == sha256(parse(tree.branches[suite].certificate).spki).digest()
    assert embedded_scts(final) == SCTS
    if not signing_certificate:
        assert strip_poison(parse(precert.leaf).tbs) == tbs


def tbs(*extensions: bytes) -> bytes:
    return replace(world().profile(), extensions=extensions).tbs(world().ca.name, ALGORITHMS["p256"])


_OTHER = st.integers(0, 300).map(lambda n: issuing.extension(der.oid("1.2.3"), bytes(n), critical=n % 2 == 0))


@given(st.lists(_OTHER, max_size=4), st.lists(_OTHER, max_size=4))
def test_wherever_the_extension_stands_the_rest_is_as_it_was(before: list[bytes], after: list[bytes]) -> None:
    without = tbs(*before, *after)
    assert strip_poison(tbs(*before, issuing.POISON_EXTENSION, *after)) == without
    assert strip_sct_list(tbs(*before, _SCT_EXTENSION, *after)) == without
    assert strip_sct_list(tbs(*before, issuing.POISON_EXTENSION, _SCT_EXTENSION)) == tbs(
        *before, issuing.POISON_EXTENSION
    )


def test_exactly_one_must_stand_there() -> None:
    for strip, extension in ((strip_poison, issuing.POISON_EXTENSION), (strip_sct_list, _SCT_EXTENSION)):
        with pytest.raises(Malformed):
            strip(tbs())
        with pytest.raises(Malformed):
            strip(tbs(_AKI))
        with pytest.raises(Malformed):
            strip(tbs(extension, _AKI, extension))


def test_unique_ids_before_the_extensions_stay() -> None:
    plain = tbs(issuing.POISON_EXTENSION, _AKI)
    start, stop = der.expect(plain, 0, len(plain), der.SEQUENCE)
    *_, (_, extensions, _, _) = der.children(plain, start, stop)
    ids = der.encode(0x81, b"\0one") + der.encode(0x82, b"\0two")
    with_ids = der.encode(der.SEQUENCE, plain[start:extensions], ids, plain[extensions:])
    assert ids + der.encode(0xA3, der.encode(der.SEQUENCE, _AKI)) in strip_poison(with_ids)


def signing(*extensions: bytes) -> tuple[Certificate, Certificate]:
    """A Precertificate Signing Certificate with these extensions, and the CA behind it."""
    w = world()
    usage = issuing.extension(der.oid("2.5.29.37"), bytes.fromhex("300c060a2b06010401d679020404"))
    name = issuing.distinguished(("CN", f"Signing {MARK}"))
    profile = issuing.Profile(name, w.ca.key.spki, 3, NOW_MS, NOW_MS, (usage, *extensions))
    return parse(w.ca.issue(profile)), parse(w.ca.certificate)


def precert_by(signer: Certificate, *extensions: bytes) -> Certificate:
    profile = replace(world().profile(), extensions=(*extensions, issuing.POISON_EXTENSION))
    algorithm = ALGORITHMS["p256"]
    return parse(issuing.assemble(profile.tbs(signer.subject, algorithm), algorithm, world().ca.key.sign))


_SIGNERS_AKI = issuing.extension(AUTHORITY_KEY_IDENTIFIER, b"\x30\x06\x80\x04" + b"root")
_CRITICAL_AKI = issuing.extension(AUTHORITY_KEY_IDENTIFIER, b"\x30\x06\x80\x04" + b"psc.", critical=True)
_CRITICAL_ROOT = issuing.extension(AUTHORITY_KEY_IDENTIFIER, b"\x30\x06\x80\x04" + b"root", critical=True)
_FIRST, _LAST = (issuing.extension(der.oid(f"1.2.3.{n}"), b"?") for n in (1, 2))


@pytest.mark.parametrize(
    ("own", "signers", "expected"),
    [
        ((_FIRST, _AKI, _LAST), (_SIGNERS_AKI,), (_FIRST, _SIGNERS_AKI, _LAST)),
        ((_FIRST, _CRITICAL_AKI, _LAST), (_SIGNERS_AKI,), (_FIRST, _CRITICAL_ROOT, _LAST)),
        ((_FIRST, _AKI, _LAST), (), (_FIRST, _LAST)),
        ((_FIRST, _LAST), (_SIGNERS_AKI,), (_FIRST, _LAST, _SIGNERS_AKI)),
        ((_FIRST, _LAST), (), (_FIRST, _LAST)),
        ((_FIRST,), (_CRITICAL_ROOT,), (_FIRST, _SIGNERS_AKI)),
    ],
    ids=["replaced", "replaced, still critical", "dropped", "appended", "in neither", "appended, not critical"],
)
def test_a_signing_certificates_key_identifier_gives_way_to_the_issuers(
    own: tuple[bytes, ...], signers: tuple[bytes, ...], expected: tuple[bytes, ...]
) -> None:
    signer, issuer = signing(*signers)
    key_hash, spliced = defang(precert_by(signer, *own), [signer, issuer])
    assert spliced == tbs(*expected)  # the issuer's name stands there too
    assert key_hash == sha256(issuer.spki).digest()


def test_a_signing_certificate_needs_its_issuer() -> None:
    signer, _ = signing()
    with pytest.raises(Malformed):
        defang(precert_by(signer), [signer])
    with pytest.raises(Malformed):
        defang(precert_by(signer), [])


def with_list(value: bytes) -> Certificate:
    w = world()
    return parse(w.ca.issue(replace(w.profile(), extensions=(_AKI, issuing.extension(SCT_LIST, value)))))


def test_embedded_scts_of_a_certificate_without_a_list() -> None:
    assert embedded_scts(parse(world().root)) == []


@pytest.mark.parametrize("value", ["", "0400", "04020000", "0403000101", "30020000", "04060004000261ff00"])
def test_lists_that_cannot_be_read_are_malformed(value: str) -> None:
    with pytest.raises(Malformed):
        embedded_scts(with_list(bytes.fromhex(value)))


def test_two_lists_are_malformed() -> None:
    w = world()
    twice = parse(w.ca.issue(replace(w.profile(), extensions=(_SCT_EXTENSION, _SCT_EXTENSION))))
    with pytest.raises(Malformed):
        embedded_scts(twice)


@settings(max_examples=200)
@given(st.data())
def test_mutated_tbs_are_spliced_or_malformed(choose: st.DataObject) -> None:
    raw = bytearray(tbs(_AKI, issuing.POISON_EXTENSION, _SCT_EXTENSION))
    for _ in range(choose.draw(st.integers(1, 4))):
        raw[choose.draw(st.integers(0, len(raw) - 1))] = choose.draw(st.integers(0, 255))
    for strip in (strip_poison, strip_sct_list):
        try:
            stripped = strip(bytes(raw))
        except Malformed:
            continue
        assert len(stripped) < len(raw)


def test_the_poison_is_the_one_of_the_rfc() -> None:
    assert issuing.POISON_EXTENSION.hex() == "3013060a2b06010401d6790204030101ff04020500"
    assert POISON.hex() == "2b06010401d679020403"
