"""Slicing against a second reader, on real and odd certificates; times; and bytes that are no certificate."""

import datetime as dt
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from log.certs import certificate, der
from log.certs.certificate import Certificate, parse
from log.certs.times import time_ms
from log.errors import Malformed
from tests.support.odd_certificates import CASES, world
from tests.support.shared import data

# CMS and RFC 3161 samples that lie in the same folder under the same ending.
NOT_CERTIFICATES = {
    "netca-rsa1024-sha1-cms.p7s.der",
    "netca-sm2-cms-signeddata-vvvv.p7s.der",
    "netca-tsa-token-2020-12-25.tst.der",
}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def real() -> Iterator[Path]:
    return (path for path in sorted(data("certs").glob("*.der")) if path.name not in NOT_CERTIFICATES)


@cache
def admitted() -> list[bytes]:
    """One leaf of each odd submission that is admitted."""
    return [odd.build(world())[0] for odd in CASES if odd.status == 200 and not odd.needs_sm2]


def agrees(ours: Certificate, theirs: x509.Certificate) -> None:
    """What `cryptography` reads of a certificate is what we slice."""
    assert ours.tbs == theirs.tbs_certificate_bytes
    assert ours.signature == theirs.signature
    assert ours.serial_number == theirs.serial_number
    assert _EPOCH + dt.timedelta(milliseconds=ours.not_before_ms) == theirs.not_valid_before_utc
    assert _EPOCH + dt.timedelta(milliseconds=ours.not_after_ms) == theirs.not_valid_after_utc
    assert ours.fingerprint == theirs.fingerprint(hashes.SHA256())
    assert der.dotted(ours.signature_algorithm[4:][: ours.signature_algorithm[3]]) == (
        theirs.signature_algorithm_oid.dotted_string
    )


def agree_on_extensions(ours: Certificate, theirs: x509.Certificate) -> None:
    read = {extension.oid.dotted_string: extension for extension in theirs.extensions}
    assert {der.dotted(extension.oid): extension.critical for extension in ours.extensions} == {
        oid: extension.critical for oid, extension in read.items()
    }
    constraints = read.get("2.5.29.19")
    assert ours.is_ca == bool(constraints and constraints.value.ca)
    policies = read.get("2.5.29.32")
    assert ours.policies == tuple(p.policy_identifier.dotted_string for p in (policies.value if policies else ()))


def test_real_certificates_are_read_as_another_reader_reads_them() -> None:
    seen = 0
    for path in real():
        raw = path.read_bytes()
        ours = parse(raw)
        assert ours.extensions_error is None, path.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # negative serials will be refused one day: the reason for our own
            theirs = x509.load_der_x509_certificate(raw)
            agrees(ours, theirs)
        try:
            key = theirs.public_key()
        except Exception:  # noqa: BLE001, S110 -- SM2: what it raises differs by version
            pass
        else:
            assert ours.spki == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        try:
            read = theirs.extensions
        except ValueError:
            continue
        assert len(read) == len(ours.extensions)
        agree_on_extensions(ours, theirs)
        seen += 1
    assert seen >= 20


def test_names_and_keys_are_slices_of_the_certificate() -> None:
    for raw in (path.read_bytes() for path in real()):
        ours = parse(raw)
        for part in (ours.tbs, ours.issuer, ours.subject, ours.spki, ours.signature_algorithm, ours.signature):
            assert part in raw
        issuer = raw.index(ours.issuer)
        assert raw.index(ours.subject, issuer + len(ours.issuer)) > issuer
        for extension in ours.extensions:
            element = ours.tbs[extension.start : extension.end]
            assert element[0] == der.SEQUENCE
            assert extension.oid in element
            assert element.endswith(extension.value)


def test_every_shared_der_file_is_a_certificate_or_one_of_three_others() -> None:
    for path in sorted(data("certs").glob("*.der")):
        if path.name in NOT_CERTIFICATES:
            with pytest.raises(Malformed):
                parse(path.read_bytes())
        else:
            assert parse(path.read_bytes()).der == path.read_bytes()


def test_odd_certificates_are_read_as_another_reader_reads_them() -> None:
    read = 0
    for raw in admitted():
        ours = parse(raw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs = x509.load_der_x509_certificate(raw)
                agrees(ours, theirs)
            except ValueError:  # where the other reader gives up, ours is alone
                continue
        read += 1
    assert read >= 20


def test_extensions_that_cannot_be_read_say_why() -> None:
    by_name = {odd.name: odd for odd in CASES}
    for name in ("list that cannot be read", "extensions that are none"):
        ours = parse(by_name[name].build(world())[0])
        assert ours.extensions == ()
        assert ours.extensions_error
        assert not ours.is_ca
    assert parse(by_name["value that cannot be read"].build(world())[0]).extensions_error is None


def parts(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """TBS, algorithm and signature of a certificate, DER."""
    start, stop = der.expect(raw, 0, len(raw), der.SEQUENCE)
    tbs, algorithm, signature = (raw[offset:end] for _, offset, _, end in der.children(raw, start, stop))
    return tbs, algorithm, signature


def test_each_part_ends_where_what_holds_it_ends() -> None:
    tbs, algorithm, signature = parts(world().root)
    content = der.whole(tbs, der.SEQUENCE)
    validity = content.index(b"\x30\x1e\x17")
    long_validity = content[:validity] + der.encode(der.SEQUENCE, content[validity + 2 : validity + 32], b"\x05\0")
    for wrong in (
        (tbs, algorithm, signature, b"\x05\0"),
        (tbs, algorithm, der.encode(der.BIT_STRING, b"\x01" + der.whole(signature, der.BIT_STRING)[1:])),
        (tbs, algorithm, der.encode(der.BIT_STRING)),
        (der.encode(der.SEQUENCE, long_validity, content[validity + 32 :]), algorithm, signature),
    ):
        with pytest.raises(Malformed):
            parse(der.encode(der.SEQUENCE, *wrong))


@pytest.mark.parametrize("after", ["the list", "the field"])
def test_bytes_after_the_extensions_make_them_unreadable(after: str) -> None:
    tbs, *rest = parts(world().root)
    content = der.whole(tbs, der.SEQUENCE)
    offset = der.children(content, 0, len(content))[-1][1]
    listed = der.whole(content[offset:], certificate.EXTENSIONS)
    field = (listed, b"\x05\0") if after == "the list" else (listed,)
    tail = b"\x05\0" if after == "the field" else b""
    odd = der.encode(der.SEQUENCE, content[:offset], der.encode(certificate.EXTENSIONS, *field), tail)
    read = parse(der.encode(der.SEQUENCE, odd, *rest))
    assert read.extensions == ()
    assert read.extensions_error == "certificate: bytes after the extensions"


def test_critical_is_also_read_where_false_was_written_down() -> None:
    w = world()
    for flag, critical in ((b"", False), (b"\x01\x01\x00", False), (b"\x01\x01\xff", True), (b"\x01\x01\x01", True)):
        odd = der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, b"*"), flag, der.encode(der.OCTET_STRING))
        [extension] = parse(w.ca.issue(replace(w.profile(), extensions=(odd,)))).extensions
        assert (extension.critical, extension.value) == (critical, b"")


def test_certificates_are_equal_by_their_bytes() -> None:
    raw = world().root
    assert parse(raw) == parse(bytes(raw))
    assert len({parse(raw), parse(raw)}) == 1
    assert parse(raw) != parse(world().ca.certificate)


@pytest.mark.parametrize(
    ("tag", "text", "iso"),
    [
        (der.UTC_TIME, b"491231235959Z", "2049-12-31T23:59:59+00:00"),
        (der.UTC_TIME, b"500101000000Z", "1950-01-01T00:00:00+00:00"),
        (der.UTC_TIME, b"2001010000Z", "2020-01-01T00:00:00+00:00"),
        (der.UTC_TIME, b"2001010800+0800", "2020-01-01T00:00:00+00:00"),
        (der.UTC_TIME, b"191231193000-0430", "2020-01-01T00:00:00+00:00"),
        (der.UTC_TIME, b"200229000000Z", "2020-02-29T00:00:00+00:00"),
        (der.GENERALIZED_TIME, b"20500101000000Z", "2050-01-01T00:00:00+00:00"),
        (der.GENERALIZED_TIME, b"99991231235959Z", "9999-12-31T23:59:59+00:00"),
        (der.GENERALIZED_TIME, b"00010101000000Z", "0001-01-01T00:00:00+00:00"),
        (der.GENERALIZED_TIME, b"20200101000000.25Z", "2020-01-01T00:00:00.250+00:00"),
        (der.GENERALIZED_TIME, b"20200101000000,1239Z", "2020-01-01T00:00:00.123+00:00"),
        (der.GENERALIZED_TIME, b"202001010000Z", "2020-01-01T00:00:00+00:00"),
        (der.GENERALIZED_TIME, b"20200101080000+0800", "2020-01-01T00:00:00+00:00"),
    ],
)
def test_times_in_new_and_old_forms(tag: int, text: bytes, iso: str) -> None:
    assert _EPOCH + dt.timedelta(milliseconds=time_ms(tag, text)) == dt.datetime.fromisoformat(iso)


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (der.UTC_TIME, b""),
        (der.UTC_TIME, b"Z"),
        (der.UTC_TIME, b"200230000000Z"),
        (der.UTC_TIME, b"210229000000Z"),
        (der.UTC_TIME, b"200101240000Z"),
        (der.UTC_TIME, b"200101000060Z"),
        (der.UTC_TIME, b"200101000000"),
        (der.UTC_TIME, b"200101000000z"),
        (der.UTC_TIME, b"20010100000Z"),
        (der.UTC_TIME, b"200101000000.5Z"),
        (der.UTC_TIME, b"200101000000+08"),
        (der.UTC_TIME, b"200101000000+2400"),
        (der.UTC_TIME, b"200101000000+0860"),
        (der.UTC_TIME, b"200101000000Z "),
        (der.UTC_TIME, b" 20101000000Z"),
        (der.UTC_TIME, b"2_0101000000Z"),
        (der.UTC_TIME, "２００１０１0000Z".encode()),
        (der.GENERALIZED_TIME, b"00000101000000Z"),
        (der.GENERALIZED_TIME, b"00010101000000+0100"),
        (der.GENERALIZED_TIME, b"99991231235959-0100"),
        (der.GENERALIZED_TIME, b"20200101000000.Z"),
        (der.GENERALIZED_TIME, b"2020010100Z"),
        (der.INTEGER, b"200101000000Z"),
    ],
)
def test_times_that_are_none(tag: int, text: bytes) -> None:
    with pytest.raises(Malformed):
        time_ms(tag, text)


@given(st.binary(max_size=80), st.sampled_from([der.UTC_TIME, der.GENERALIZED_TIME]))
def test_any_bytes_as_a_time_are_a_number_or_malformed(text: bytes, tag: int) -> None:
    with suppress(Malformed):
        assert isinstance(time_ms(tag, text), int)


def look_at_everything(read: Certificate) -> tuple[object, ...]:
    """Ask for all that is read late."""
    verdicts = (read.is_precert, read.poison_valid, read.is_ca, read.is_precert_signing, read.explicit_parameters)
    return (*verdicts, read.extensions, read.policies, read.self_issued, read.fingerprint, read.serial_number)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_mutated_certificates_are_certificates_or_malformed(choose: st.DataObject) -> None:
    raw = bytearray(choose.draw(st.sampled_from(admitted())))
    for _ in range(choose.draw(st.integers(1, 6))):
        start = choose.draw(st.integers(0, len(raw) - 1))
        end = choose.draw(st.integers(start, min(start + 4, len(raw))))
        raw[start:end] = choose.draw(st.binary(max_size=6))
        if not raw:
            return
    with suppress(Malformed):
        look_at_everything(parse(bytes(raw)))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_malformed(raw: bytes) -> None:
    with suppress(Malformed):
        look_at_everything(parse(raw))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_shortened_certificate_is_malformed(choose: st.DataObject) -> None:
    raw = choose.draw(st.sampled_from(admitted()))
    cut = choose.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(Malformed):
        parse(raw[:cut])
    with pytest.raises(Malformed):
        parse(raw + raw[:1])


def test_no_module_of_ours_reads_certificates_by_another_parser() -> None:
    folder = Path(certificate.__file__).parent
    for path in folder.glob("*.py"):
        assert "x509 import" not in path.read_text("utf-8")
        assert "import x509" not in path.read_text("utf-8")


@given(st.data())
def test_an_extension_reads_where_it_stands_as_it_reads_part_by_part(drawn: st.DataObject) -> None:
    usual = der.encode(
        der.SEQUENCE,
        der.encode(der.OBJECT_IDENTIFIER, b"\x55\x1d\x0f"),
        der.encode(der.OCTET_STRING, b"\x03\x02\x06\xc0"),
    )
    spoiled = bytearray(usual)
    for at, byte in drawn.draw(st.lists(st.tuples(st.integers(0, len(usual) - 1), st.integers(0, 255)), max_size=3)):
        spoiled[at] = byte
    tbs = b"before" + bytes(spoiled[: drawn.draw(st.integers(0, len(usual)))])
    assert _outcome(certificate._read_extension, tbs) == _outcome(certificate._read_by_parts, tbs)


def _outcome(read: Callable[[bytes, int, int], certificate.Extension], tbs: bytes) -> certificate.Extension | str:
    try:
        return read(tbs, len(b"before"), len(tbs))
    except Malformed as e:
        return str(e)
