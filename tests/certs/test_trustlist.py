"""Trust lists: Hongkong Post's real entry first, then dates, the file, and who signed it."""

import datetime as dt
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from log.certs.trustlist import TrustList, note_text, verify
from log.certs.trustlist_rows import CertType, Issuer, Status, strictest
from log.demo import ca
from log.errors import BadSignature, Malformed, PolicyNotMet, VerificationError
from log.formats import jcs
from log.formats.note import KeyType, Note, Signature, VKey
from tests.support.odd_certificates import world
from tests.support.shared import data


def ms(text: str) -> int:
    """Milliseconds of an ISO 8601 date and time with its zone."""
    return round(dt.datetime.fromisoformat(text).timestamp()) * 1000


PUBLISHED = ms("2026-01-01T00:00:00Z")
BARE = Issuer("root", b"", "root", 0, None, None, "", observed=False, source_url="", source_sha256="", weak_hash=False)


def hongkong_post() -> TrustList:
    """The listing of "Hongkong Post e-Cert (Personal)" as the trust list's page has it.

    The type is recognised since 00:00 of 11 July 2015 in Hong Kong, which is before its present issuer began, on
    5 September 2015: the type was listed under an older issuer first, and the page does not say when that changed.
    The roots are real; no certificate of an issuing CA is public, so the roots stand in their place here.
    """
    since = ms("2015-07-11T00:00:00+08:00")
    old = replace(BARE, id="hkpost-1", root_id="hkpost-1", from_ms=since, unknown=True)
    new = replace(BARE, id="hkpost-2", root_id="hkpost-2", from_ms=None, unknown=True)
    old = replace(old, certificate=data("certs/hkpost-root-ca-1.der").read_bytes(), weak_hash=True)
    new = replace(new, certificate=data("certs/hkpost-root-ca-2.der").read_bytes())
    policies = ("2.16.344.8.2.2008.810.2.2018.1.1",)
    types = tuple(
        CertType("hkpost-personal", issuer, "Hongkong Post e-Cert (Personal)", policies, "HK", since, None)
        for issuer in ("hkpost-1", "hkpost-2")
    )
    return TrustList(1, PUBLISHED, (old, new), types)


def test_hongkong_posts_type_has_its_own_dates_and_its_issuers_theirs() -> None:
    listed = hongkong_post()
    old, new = (sha256(issuer.certificate).digest() for issuer in listed.issuers)
    cases = [
        # date, by the old issuer, by the new one, the type by whichever
        ("2015-07-10T15:59:59Z", Status.NOT_YET, Status.NOT_YET, Status.NOT_YET),
        ("2015-07-10T16:00:00Z", Status.UNKNOWN, Status.NOT_YET, Status.UNKNOWN),
        ("2015-09-05T02:34:35Z", Status.UNKNOWN, Status.NOT_YET, Status.UNKNOWN),
        ("2015-09-05T02:34:36Z", Status.UNKNOWN, Status.UNKNOWN, Status.UNKNOWN),  # the new root begins
        ("2025-12-31T23:59:59Z", Status.UNKNOWN, Status.UNKNOWN, Status.UNKNOWN),
        ("2026-01-01T00:00:00Z", Status.ENDED, Status.LISTED, Status.LISTED),  # the page says so
    ]
    for date, by_old, by_new, by_any in cases:
        at = ms(date)
        assert listed.type_status("hkpost-personal", at, old) == by_old, date
        assert listed.type_status("hkpost-personal", at, new) == by_new, date
        assert listed.type_status("hkpost-personal", at) == by_any, date


def test_hongkong_posts_entry_is_read_back() -> None:
    listed = hongkong_post()
    assert TrustList.parse(listed.encode()) == listed
    rows = jcs.parse(listed.encode())
    assert isinstance(rows, dict)
    assert '"from":null,"id":"hkpost-2"' in listed.encode().decode()
    assert '"from":"2015-07-10T16:00:00Z"' in listed.encode().decode()


# --- lists of our own --------------------------------------------------------------------------------------------


def issuer(certificate: bytes | None = None, **changes: Any) -> Issuer:
    made = replace(BARE, certificate=world().root if certificate is None else certificate)
    return replace(made, **changes)


def cert_type(**changes: Any) -> CertType:
    return replace(CertType("organisation", "root", "Organisation", (ca.MUTUAL_RECOGNITION,), "HK", 0, None), **changes)


def trust_list(*issuers: Issuer, types: tuple[CertType, ...] | None = None, version: int = 1) -> TrustList:
    return TrustList(version, PUBLISHED, issuers or (issuer(),), (cert_type(),) if types is None else types)


def at(listed: TrustList, date_ms: int) -> Status:
    return listed.type_status("organisation", date_ms)


def test_both_timelines_count() -> None:
    type_ends = trust_list(types=(cert_type(from_ms=1000, to_ms=3000),))
    assert [at(type_ends, t) for t in (999, 1000, 2999, 3000)] == ["not-yet", "listed", "listed", "ended"]
    issuer_ends = trust_list(issuer(from_ms=2000, to_ms=4000), types=(cert_type(from_ms=1000, to_ms=3000),))
    assert [at(issuer_ends, t) for t in (1999, 2000, 2999, 3000, 4000)] == [
        *("not-yet", "listed", "listed", "ended", "ended")
    ]


def test_withdrawal_counts_from_its_date_and_takes_issuers_under_a_root_along() -> None:
    w = world()
    withdrawn = trust_list(issuer(withdrawn_ms=2000))
    assert [at(withdrawn, t) for t in (1999, 2000)] == ["listed", "withdrawn"]
    issuing = issuer(w.ca.certificate, id="issuing")
    below = trust_list(issuer(withdrawn_ms=2000), issuing, types=(cert_type(issuer_id="issuing"),))
    assert [at(below, t) for t in (1999, 2000)] == ["listed", "withdrawn"]


def test_a_withdrawn_issuer_does_not_take_its_root_along() -> None:
    w = world()
    listed = trust_list(issuer(), issuer(w.ca.certificate, id="issuing", withdrawn_ms=2000))
    below, root = (sha256(certificate).digest() for certificate in w.ca.issuers)
    assert [listed.issuer_status(below, t) for t in (1999, 2000)] == ["listed", "withdrawn"]
    assert listed.issuer_status(root, 2000) == Status.LISTED


def test_observed_issuers_are_never_recognised() -> None:
    assert at(trust_list(issuer(observed=True)), PUBLISHED) == Status.OBSERVED


def test_what_is_not_on_a_list_is_absent() -> None:
    listed = trust_list()
    root = sha256(world().root).digest()
    assert listed.type_status("personal", 0) == Status.ABSENT
    assert listed.type_status("organisation", 0, bytes(32)) == Status.ABSENT
    assert listed.issuer_status(bytes(32), 0) == Status.ABSENT
    assert listed.issuer_status(root, 0) == Status.LISTED
    assert listed.issuer(root) == issuer()


def test_types_are_found_by_policy_and_issuer() -> None:
    listed, root = trust_list(), sha256(world().root).digest()
    assert listed.types_of((ca.MUTUAL_RECOGNITION, "1.2.3"), root) == listed.types
    assert listed.types_of(("1.2.3",), root) == ()
    assert listed.types_of((ca.MUTUAL_RECOGNITION,), bytes(32)) == ()


def test_a_type_stands_as_its_rows_say_and_under_an_issuer_that_is_there() -> None:
    until = trust_list(types=(cert_type(to_ms=2000),))
    assert [until.type_status("organisation", t) for t in (1999, 2000)] == ["listed", "ended"]
    assert trust_list(types=()).type_status("organisation", 0) == Status.ABSENT
    assert trust_list().type_status("organisation", 0, bytes(32)) == Status.ABSENT


def test_the_strictest_status_wins_and_no_status_is_none() -> None:
    assert strictest(Status) == Status.ABSENT
    assert strictest([Status.UNKNOWN, Status.LISTED]) == Status.UNKNOWN
    assert strictest([]) == Status.LISTED


_SECONDS = st.integers(0, 4_000_000).map(lambda s: s * 1000)
_PERHAPS = st.none() | _SECONDS
_FEW = st.integers(0, 6).map(lambda s: s * 1000)


@given(_FEW | st.none(), _FEW | st.none(), _FEW | st.none(), st.booleans(), st.tuples(_FEW, _FEW))
def test_dates_of_one_era_have_one_status(
    from_ms: int | None, to_ms: int | None, withdrawn_ms: int | None, unknown: bool, dates: tuple[int, int]
) -> None:
    row = issuer(withdrawn_ms=withdrawn_ms, from_ms=from_ms, to_ms=to_ms, unknown=unknown)
    listed = replace(
        trust_list(row, types=(cert_type(from_ms=to_ms, to_ms=from_ms, unknown=unknown),)), published_ms=3_000
    )
    found = [
        (listed.issuer_status(digest, date), listed.type_status(listed.types[0].id, date, digest))
        for digest in [sha256(row.certificate).digest()]
        for date in dates
    ]
    assert listed.era(dates[0]) != listed.era(dates[1]) or found[0] == found[1]


@given(_PERHAPS, _PERHAPS, _PERHAPS, st.booleans(), st.text(max_size=20), st.tuples(st.booleans(), st.booleans()))
def test_every_list_that_can_be_written_is_read_back(
    from_ms: int | None, to_ms: int | None, withdrawn_ms: int | None, unknown: bool, text: str, flags: tuple[bool, bool]
) -> None:
    observed, weak_hash = flags
    dates: dict[str, Any] = {"from_ms": from_ms, "to_ms": to_ms, "unknown": unknown}
    row = issuer(withdrawn_ms=withdrawn_ms, reason=text, observed=observed, weak_hash=weak_hash, **dates)
    listed = trust_list(row, types=(cert_type(name=text, **dates),))
    sensible = (from_ms is not None or unknown) and not (unknown and None not in (from_ms, to_ms))
    ordered = from_ms is None or to_ms is None or from_ms < to_ms
    try:
        encoded = listed.encode()
    except Malformed:
        assert not (sensible and ordered) or any("\ud800" <= char <= "\udfff" for char in text)
        return
    assert sensible
    assert ordered
    assert TrustList.parse(encoded) == listed


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": -1},
        {"version": True},
        {"version": "1"},
        {"published": "2026-01-01"},
        {"published": "2026-01-01T00:00:00+00:00"},
        {"published": "2026-02-30T00:00:00Z"},
        {"published": "２026-01-01T00:00:00Z"},
        {"published": None},
        {"issuers": {}},
        {"types": None},
        {"more": 1},
        {"issuers": []},
    ],
    ids=str,
)
def test_lists_of_another_form_are_malformed(change: dict[str, Any]) -> None:
    fields = jcs.parse(trust_list().encode())
    assert isinstance(fields, dict)
    with pytest.raises(Malformed):
        TrustList.parse(jcs.encode({**fields, **change}))


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("issuers", {"certificate": "MAA="}),
        ("issuers", {"certificate": "MAA"}),
        ("issuers", {"certificate": 1}),
        ("issuers", {"root_id": "other"}),
        ("issuers", {"id": ""}),
        ("issuers", {"id": "Root"}),
        ("issuers", {"from": None}),
        ("issuers", {"from": 0}),
        ("issuers", {"to": "1970-01-01T00:00:00Z"}),
        ("issuers", {"to": "1971-01-01T00:00:00Z", "unknown": True}),
        ("issuers", {"unknown": False}),
        ("issuers", {"unknown": None}),
        ("issuers", {"observed": 0}),
        ("issuers", {"weak_hash": "no"}),
        ("issuers", {"source_sha256": "AB" * 32}),
        ("issuers", {"reason": None}),
        ("issuers", {"more": 1}),
        ("types", {"issuer_id": "other"}),
        ("types", {"policy_oids": ["1.02"]}),
        ("types", {"policy_oids": "1.2"}),
        ("types", {"policy_oids": [1]}),
        ("types", {"from": None}),
        ("types", {"to": "yesterday"}),
        ("types", {"weak_hash": True}),
    ],
    ids=str,
)
def test_rows_of_another_form_are_malformed(table: str, change: dict[str, Any]) -> None:
    fields: Any = jcs.parse(trust_list().encode())
    with pytest.raises(Malformed):
        TrustList.parse(jcs.encode({**fields, table: [{**fields[table][0], **change}]}))


@pytest.mark.parametrize("member", ["certificate", "root_id", "from", "to", "withdrawn", "source_sha256", "weak_hash"])
def test_rows_without_a_member_are_malformed(member: str) -> None:
    fields: Any = jcs.parse(trust_list().encode())
    del fields["issuers"][0][member]
    with pytest.raises(Malformed):
        TrustList.parse(jcs.encode(fields))


def test_rows_stand_there_once() -> None:
    for twice in (
        trust_list(issuer(), issuer()),
        trust_list(issuer(), issuer(id="other")),
        trust_list(issuer(), issuer(world().ca.certificate)),
        trust_list(types=(cert_type(), cert_type(name="again"))),
    ):
        with pytest.raises(Malformed):
            twice.encode()


def test_json_in_another_spelling_is_malformed() -> None:
    encoded = trust_list().encode()
    for other in (encoded + b"\n", b" " + encoded, encoded.replace(b'":', b'": ', 1), b"", b"[]", b"null"):
        with pytest.raises(Malformed):
            TrustList.parse(other)


# --- signatures --------------------------------------------------------------------------------------------------


class Signer:
    def __init__(self, name: str) -> None:
        self._key = Ed25519PrivateKey.generate()
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.vkey = VKey.make(name, KeyType.ED25519, public)

    def line(self, text: bytes) -> Signature:
        return Signature(self.vkey.name, self.vkey.key_id, self._key.sign(text))


ONE, TWO, STRANGER = Signer("hk.example/one"), Signer("hk.example/two"), Signer("hk.example/three")
SIGNERS = (ONE.vkey, TWO.vkey)


def note(text: bytes, *signers: Signer) -> bytes:
    return Note(text, tuple(signer.line(text) for signer in signers)).encode()


def test_a_list_counts_when_its_threshold_has_signed() -> None:
    listed = trust_list(version=3)
    encoded, text = listed.encode(), listed.note_text()
    assert verify(encoded, note(text, ONE, TWO), SIGNERS, 2, in_use=3) == listed
    assert verify(encoded, note(text, TWO, STRANGER), SIGNERS, 1) == listed
    for signers in ((ONE,), (ONE, STRANGER), (ONE, ONE)):
        with pytest.raises(PolicyNotMet):
            verify(encoded, note(text, *signers), SIGNERS, 2)
    with pytest.raises(BadSignature):
        verify(encoded, note(text, STRANGER), SIGNERS, 1)


def test_one_key_under_two_names_signs_once() -> None:
    alias = Signer("hk.example/alias")
    alias._key = ONE._key
    alias.vkey = VKey.make(alias.vkey.name, KeyType.ED25519, ONE.vkey.key)
    listed = trust_list()
    with pytest.raises(PolicyNotMet):
        verify(listed.encode(), note(listed.note_text(), ONE, alias), (ONE.vkey, alias.vkey), 2)


def test_a_wrong_line_of_a_signer_spoils_the_note() -> None:
    listed = trust_list()
    text = listed.note_text()
    wrong = Note(text, (ONE.line(text), TWO.line(b"another text\n"))).encode()
    with pytest.raises(BadSignature):
        verify(listed.encode(), wrong, SIGNERS, 1)


def test_a_lower_version_than_the_one_in_use_is_refused() -> None:
    listed = trust_list(version=3)
    with pytest.raises(VerificationError, match="version 3 after version 4"):
        verify(listed.encode(), note(listed.note_text(), ONE), SIGNERS, 1, in_use=4)


def test_a_note_is_about_one_file_and_version() -> None:
    listed, other = trust_list(version=3), trust_list(version=4)
    with pytest.raises(VerificationError, match="another file"):
        verify(listed.encode(), note(other.note_text(), ONE), SIGNERS, 1)
    with pytest.raises(VerificationError, match="different versions"):
        verify(listed.encode(), note(note_text(4, listed.encode()), ONE), SIGNERS, 1)


def test_the_notes_text_is_the_contracts() -> None:
    listed = trust_list(version=3)
    lines = listed.note_text().decode().split("\n")
    assert lines[:2] == ["twinlog-trustlist/1", "3"]
    assert len(lines[2]) == 44
    assert lines[3:] == [""]


@pytest.mark.parametrize(
    "text",
    [
        "twinlog-trustlist/2\n1\n{digest}\n",
        "twinlog-trustlist/1\n{digest}\n",
        "twinlog-trustlist/1\n1\n{digest}\nmore\n",
        "twinlog-trustlist/1\n01\n{digest}\n",
        "twinlog-trustlist/1\n1\nAAAA\n",
    ],
)
def test_notes_of_another_form_are_malformed(text: str) -> None:
    listed = trust_list()
    digest = listed.note_text().decode().split("\n")[2]
    with pytest.raises(Malformed):
        verify(listed.encode(), note(text.format(digest=digest).encode(), ONE), SIGNERS, 1)


def test_a_threshold_that_cannot_be_is_our_own_bug() -> None:
    listed = trust_list()
    for threshold in (0, 3):
        with pytest.raises(AssertionError):
            verify(listed.encode(), note(listed.note_text(), ONE, TWO), SIGNERS, threshold)
