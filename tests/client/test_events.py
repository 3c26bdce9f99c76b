"""From a signed document to a receipt, and back from the receipt to what is proven of the document."""

from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from log.certs import certificate as certs
from log.client.event_verifier import ProvenEvent, certificate_ref, verify_event, verify_receipt
from log.client.events import Opened, disclosed, event_ref, kept, sign_event
from log.crypto import documents
from log.crypto.sm2 import sm2_available
from log.demo.issuing import Suite
from log.errors import BadProof, BadSignature, LogError, Malformed, PolicyNotMet, Refused, VerificationError
from log.formats.commitment import Opening, encode_openings, parse_openings
from log.formats.event import event_entry
from log.formats.event_batch import EventBatch, Submitted
from log.formats.event_codes import Standing
from log.formats.logged_event import LoggedEvent
from log.formats.note import KeyType
from log.formats.policy import Policy
from log.formats.ref import Ref
from log.formats.sct import SCT, digitally_signed
from log.formats.tile_leaf import X509_ENTRY, TileLeaf
from log.formats.tlog_proof import EntryExtra, EventExtra, TlogProof, X509Extra
from tests.client.heads import ed25519, head
from tests.support import rfc6962
from tests.support.alone import run_alone
from tests.support.event_log import GD, ORIGIN, POLICY, signed_head
from tests.support.signers import NOW_MS, Signer, signer

X509_NOTE = ed25519("gd.twinlog.example/x509", KeyType.ED25519, 24)
DOCUMENT = "Lease of flat 3, 中環 1 號 (synthetic)".encode()
SAID = {
    "at": "2026-11-28T08:15Z",
    "platform_jurisdiction": "HK",
    "signer_jurisdiction": "CN-GD",
    "ca": "gdca",
}
SUITES: tuple[Suite, ...] = ("rsa2048", "p256", "ed25519", "p384", "rsapss", "sm2")
ALGORITHMS = {
    "rsa2048": ("rsa-sha256", "rsa", 2048, "sha-256"),
    "p256": ("ecdsa-sha256", "ec-p256", 256, "sha-256"),
    "ed25519": ("ed25519", "ed25519", 256, "sha-256"),
    "p384": ("ecdsa-sha384", "ec-p384", 384, "sha-256"),
    "rsapss": ("rsa-pss-sha256", "rsa-pss", 2048, "sha-256"),
    "sm2": ("sm2-sm3", "sm2", 256, "sm3"),
}


def needs(suite: Suite) -> None:
    if suite == "sm2" and not sm2_available():
        pytest.skip("this machine has no SM2")


def made(who: Signer, document: bytes = DOCUMENT, *, named: bool = False, **more: Any) -> Opened:
    return sign_event(document, who.certificate, who.sign(document), SAID | more.pop("said", {}), named=named, **more)


async def logged(*opened: Opened, member: str = "hk/iam-smart", cosigned: bool = True, at: int = -1) -> bytes:
    """Return the receipt, as a node gives it, of one of some events that are a log."""
    entries = []
    for line, each in enumerate(opened):
        standing = Standing.NOT_LOGGED if each.event.certificate_ref is None else Standing.OWN_LOG
        logged = LoggedEvent(each.event, b"r" * 32, 1, line, standing)
        entries.append(event_entry(NOW_MS + line, member, logged))
    leaves = [entry.encode() for entry in entries]
    note = await signed_head(leaves, cosigned=cosigned)
    index = range(len(leaves))[at]
    extra = EntryExtra(entries[index]).encode()
    return TlogProof(index, tuple(rfc6962.path(index, leaves)), note, extra).encode()


@pytest.mark.parametrize("suite", SUITES)
async def test_a_document_signed_by_each_suite_is_proven(suite: Suite) -> None:
    needs(suite)
    who = signer(suite)
    signature = who.sign(DOCUMENT)
    opened = sign_event(DOCUMENT, who.certificate, signature, SAID, named=False)
    event = opened.event
    said = (event.signature_algorithm, event.key_algorithm, event.key_bits, event.document_algorithm)
    assert said == ALGORITHMS[suite]
    assert event.sig_digest == sha256(signature).digest()
    assert event.policy_oids == certs.parse(who.certificate).policies
    other = made(signer("p256", "Another (synthetic)"))
    receipt = kept(await logged(other, opened, other, at=1), "hk/iam-smart", opened)

    proven = verify_event(receipt, DOCUMENT, POLICY, signature=signature)
    assert proven == ProvenEvent(
        ORIGIN,
        1,
        NOW_MS + 1,
        3,
        ((GD.vkey.name, NOW_MS // 1000 * 1000),),
        provisional=False,
        submitter="hk/iam-smart",
        record=b"r" * 32,
        event=event,
        certificate_standing=Standing.NOT_LOGGED,
        certificate=sha256(who.certificate).digest(),
        document_verified=True,
        signature_verified=True,
        signed_ms=proven.signed_ms,
    )
    assert proven.signed_ms is not None
    assert verify_event(receipt, DOCUMENT, POLICY).signature_verified is False
    assert verify_receipt(receipt, POLICY).document_verified is False


async def test_what_does_not_hold_is_a_verification_error() -> None:
    who, other = signer("p256"), signer("p256", "Another (synthetic)")
    signature = who.sign(DOCUMENT)
    opened = sign_event(DOCUMENT, who.certificate, signature, SAID, named=False)
    given = await logged(opened)
    receipt = kept(given, "hk/iam-smart", opened)
    with pytest.raises(BadProof, match="another document"):
        verify_event(receipt, DOCUMENT + b".", POLICY)
    with pytest.raises(BadProof, match="does not open which document"):
        verify_event(given, DOCUMENT, POLICY)
    with pytest.raises(BadProof, match="does not open which document"):
        verify_event(disclosed(receipt, {"certificate"}), DOCUMENT, POLICY)
    with pytest.raises(BadProof, match="this certificate signed"):
        verify_event(receipt, DOCUMENT, POLICY, certificate=other.certificate)
    with pytest.raises(BadSignature, match="not the one that was logged"):
        verify_event(receipt, DOCUMENT, POLICY, signature=other.sign(DOCUMENT))
    with pytest.raises(BadProof, match="neither given nor is opened"):
        verify_event(disclosed(receipt, {"document"}), DOCUMENT, POLICY, signature=signature)
    for wrong in (b"", b"no proof", receipt[:-1], TlogProof.parse(receipt).checkpoint):
        with pytest.raises(VerificationError):
            verify_event(wrong, DOCUMENT, POLICY)
    no_extra = replace(TlogProof.parse(receipt), extra=None).encode()
    with pytest.raises(BadProof, match="without extra"):
        verify_event(no_extra, DOCUMENT, POLICY)
    with pytest.raises(BadSignature):
        verify_event(receipt, DOCUMENT, Policy.parse("quorum none\n"))
    alone = kept(await logged(opened, cosigned=False), "hk/iam-smart", opened)
    with pytest.raises(PolicyNotMet):
        verify_event(alone, DOCUMENT, POLICY)
    with pytest.raises(BadProof, match="another document"):
        verify_event(alone, DOCUMENT + b".", POLICY)
    proven = verify_event(alone, DOCUMENT, POLICY, provisional=True)
    assert (proven.provisional, proven.witnesses) == (True, ())


async def test_an_event_that_no_signature_bears_out_does_not_verify() -> None:
    """Another builder may have logged whatever it liked: the document's signature is looked at again."""
    who = signer("p256")
    signature = who.sign(DOCUMENT)
    opened = sign_event(DOCUMENT, who.certificate, signature, SAID, named=True)
    forged = b"\x30\x06\x02\x01\x01\x02\x01\x01"
    lying = Opened(replace(opened.event, sig_digest=sha256(forged).digest()), opened.openings)
    receipt = kept(await logged(lying), "hk/iam-smart", lying)
    with pytest.raises(BadSignature, match="does not verify"):
        verify_event(receipt, DOCUMENT, POLICY, certificate=who.certificate, signature=forged)
    with pytest.raises(BadSignature, match="not the one that was logged"):
        verify_event(receipt, DOCUMENT, POLICY, certificate=who.certificate, signature=signature)


async def test_every_byte_of_a_kept_receipt_matters() -> None:
    opened = made(signer("p256"))
    receipt = kept(await logged(made(signer("p256")), opened), "hk/iam-smart", opened)
    good = verify_event(receipt, DOCUMENT, POLICY)
    end = receipt.index(b"\n\n") + len(b"\n\n")
    lines = receipt.index(b"\n\xe2\x80\x94")
    for at in [*range(0, end, 7), *range(end, len(receipt))]:
        spoilt = bytearray(receipt)
        spoilt[at] ^= 1
        try:
            proven = verify_event(bytes(spoilt), DOCUMENT, POLICY)
        except VerificationError:
            continue
        # A line whose key nobody knows is passed over: one of the log's two, by its name or key hash; with it may go
        # the time of the head, which then is told as none.
        assert at >= lines
        assert proven.signed_ms in {None, good.signed_ms}
        assert replace(proven, signed_ms=good.signed_ms) == good


def test_a_signature_that_is_not_the_keys_makes_no_event() -> None:
    who = signer("p256")
    for signature in (b"", b"x", who.sign(DOCUMENT + b"."), signer("ed25519").sign(DOCUMENT)):
        with pytest.raises(BadSignature):
            sign_event(DOCUMENT, who.certificate, signature, SAID, named=False)
    with pytest.raises(Malformed):
        sign_event(DOCUMENT, b"no certificate", who.sign(DOCUMENT), SAID, named=False)


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])  # noqa: S303
def test_a_key_of_rsa_signs_in_both_ways_and_with_any_usual_salt(digest: hashes.HashAlgorithm) -> None:
    key = rsa.generate_private_key(65537, 2048)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    plain = key.sign(DOCUMENT, padding.PKCS1v15(), digest)
    word = digest.name
    assert documents.recognise(spki, DOCUMENT, plain) == f"rsa-{word}"
    documents.verify_document(spki, f"rsa-{word}", DOCUMENT, plain)
    if word == "sha1":
        return
    for salt in (padding.PSS.DIGEST_LENGTH, padding.PSS.MAX_LENGTH):
        pss = key.sign(DOCUMENT, padding.PSS(padding.MGF1(digest), salt), digest)
        assert documents.recognise(spki, DOCUMENT, pss) == f"rsa-pss-{word}"
        documents.verify_document(spki, f"rsa-pss-{word}", DOCUMENT, pss)
        for other in ("rsa-sha256", "rsa-pss-sha256" if word != "sha256" else "rsa-pss-sha512", "ed25519"):
            with pytest.raises(BadSignature):
                documents.verify_document(spki, other, DOCUMENT, pss)


def test_words_that_name_nothing_are_refused() -> None:
    who = certs.parse(signer("p256").certificate)
    with pytest.raises(Malformed):
        documents.verify_document(who.spki, "ecdsa-md5", DOCUMENT, b"")
    with pytest.raises(Malformed):
        documents.document_digest("md5", DOCUMENT)
    with pytest.raises(Refused):
        documents.key_words(b"no key")


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"at": "2026-11-28T08:15:30Z"}, False),
        ({"at": None}, False),
        ({"ca": "Chan Tai Man"}, False),
        ({"sig_digest": "AAAA"}, False),
        ({"commitments": {}}, False),
        ({"certificate": "AAAA"}, True),
        ({"type": "seal-issue"}, False),
        ({"note": "Lease of flat 3"}, False),
    ],
)
def test_what_makes_no_event_is_malformed(said: dict[str, Any], named: bool) -> None:
    with pytest.raises(Malformed):
        made(signer("p256"), said=said, named=named)


def test_a_value_without_a_field_is_malformed() -> None:
    with pytest.raises(Malformed):
        made(signer("p256"), committed={"colour": b"red"})
    with pytest.raises(Malformed, match="committed to"):
        made(signer("p256"), certificate_ref=Ref("hk.twinlog.example/x509", 1, b"h" * 32))


async def test_an_organisation_is_named_and_found_in_its_log() -> None:
    who = signer("p256")
    sct = SCT(bytes(32), NOW_MS, 3, digitally_signed(b"0"))
    entry = TileLeaf(NOW_MS, X509_ENTRY, who.certificate, b"", 3, b"", ()).merkle_tree_leaf()
    leaves = [b"0", b"1", b"2", entry, b"4"]
    note = await head(leaves, signers=(X509_NOTE,), origin="gd.twinlog.example/x509")
    extra = X509Extra(X509_ENTRY, b"", sct.encode()).encode()
    proof = TlogProof(3, tuple(rfc6962.path(3, leaves)), note, extra)

    ref = certificate_ref(proof.encode(), who.certificate)
    assert ref == Ref("gd.twinlog.example/x509", 3, rfc6962.mth([entry]))
    opened = made(who, named=True, certificate_ref=ref)
    assert opened.event.refs == (ref,)
    assert opened.event.certificate == sha256(who.certificate).digest()
    assert (opened.event.not_before_ms, opened.event.not_after_ms) == (NOW_MS - 60_000, NOW_MS + 365 * 86_400_000)
    assert [opening.name for opening in opened.openings] == ["document"]
    receipt = kept(await logged(opened), "hk/iam-smart", opened)
    proven = verify_event(receipt, DOCUMENT, POLICY, certificate=who.certificate)
    assert (proven.certificate_standing, proven.certificate) == (Standing.OWN_LOG, opened.event.certificate)
    assert proven.certificate_logged_ms is None
    x509 = Policy.parse(POLICY.encode() + f"log {X509_NOTE.vkey.encode()}\n")
    listed: dict[str, Any] = {"certificate": who.certificate, "certificate_proof": proof.encode()}
    both = verify_event(receipt, DOCUMENT, x509, **listed, provisional=True)
    assert (both.certificate_logged_ms, both.provisional) == (NOW_MS, True)  # nobody has cosigned the other log's head
    with pytest.raises(PolicyNotMet):
        verify_event(receipt, DOCUMENT, x509, **listed)
    with pytest.raises(BadSignature, match="not a log of this policy"):
        verify_event(receipt, DOCUMENT, POLICY, **listed)
    with pytest.raises(BadProof, match="in hand"):
        verify_event(receipt, DOCUMENT, x509, certificate_proof=proof.encode())
    elsewhere = made(who, named=True, certificate_ref=replace(ref, index=2))
    other = kept(await logged(elsewhere), "hk/iam-smart", elsewhere)
    with pytest.raises(BadProof, match="logged elsewhere"):
        verify_event(other, DOCUMENT, x509, **listed)
    with pytest.raises(BadProof):
        certificate_ref(replace(proof, index=2).encode(), who.certificate)
    with pytest.raises(BadProof):
        certificate_ref(proof.encode(), signer("p256", "Another (synthetic)").certificate)
    with pytest.raises(Malformed):
        certificate_ref(replace(proof, extra=None).encode(), who.certificate)


async def test_who_has_no_openings_verifies_by_the_signature() -> None:
    """As a bank does, that found the event by the signature's digest and holds an organisation's certificate."""
    who, other = signer("p256"), signer("p256", "Another (synthetic)")
    signature = who.sign(DOCUMENT)
    opened = sign_event(DOCUMENT, who.certificate, signature, SAID, named=True)
    found = await logged(opened)
    proven = verify_event(found, DOCUMENT, POLICY, certificate=who.certificate, signature=signature)
    assert (proven.document_verified, proven.signature_verified) == (True, True)
    wrongs: tuple[dict[str, Any], ...] = (
        {"certificate": who.certificate},
        {"signature": signature},
        {"certificate": other.certificate, "signature": signature},
        {"certificate": who.certificate, "signature": who.sign(DOCUMENT)},
    )
    for wrong in wrongs:
        with pytest.raises(VerificationError):
            verify_event(found, DOCUMENT, POLICY, **wrong)
    with pytest.raises(BadSignature, match="does not verify"):
        verify_event(found, DOCUMENT + b".", POLICY, certificate=who.certificate, signature=signature)
    # Of a person's certificate nothing says that it is this one: with another key the same value may verify.
    personal = sign_event(DOCUMENT, who.certificate, signature, SAID, named=False)
    with pytest.raises(BadProof, match="this certificate signed"):
        verify_event(await logged(personal), DOCUMENT, POLICY, certificate=who.certificate, signature=signature)


async def test_a_countersignature_refers_to_the_event_before_it() -> None:
    first = made(signer("p256"))
    given = await logged(made(signer("p384")), first)
    ref = event_ref(given)
    assert ref == event_ref(kept(given, "hk/iam-smart", first))
    assert (ref.origin, ref.index) == (ORIGIN, 1)
    second = made(signer("p384"), said={"type": "countersign", "events": [ref.to_json()]})
    receipt = kept(await logged(first, second), "hk/iam-smart", second)
    assert verify_event(receipt, DOCUMENT, POLICY).event.events == (ref,)


async def test_only_the_receipt_of_the_event_is_kept() -> None:
    opened, other = made(signer("p256")), made(signer("p256"))
    receipt = await logged(opened, other, at=0)
    with pytest.raises(BadProof, match="another event"):
        kept(receipt, "hk/iam-smart", other)
    with pytest.raises(BadProof, match="another event"):
        kept(receipt, "hk/corpid", opened)
    with pytest.raises(BadProof):
        kept(replace(TlogProof.parse(receipt), hashes=()).encode(), "hk/iam-smart", opened)
    stranger = Opened(opened.event, other.openings)
    with pytest.raises(LogError):
        verify_event(kept(receipt, "hk/iam-smart", stranger), DOCUMENT, POLICY)


@pytest.mark.parametrize("size", [0, 65_536])
def test_a_value_that_no_opening_can_hold_is_not_committed_to(size: int) -> None:
    """Else the event would be logged, and its receipt open nothing for ever."""
    with pytest.raises(Malformed, match="subject"):
        made(signer("p256"), committed={"subject": bytes(size)})
    longest = made(signer("p256"), committed={"subject": bytes(65_535)})
    assert parse_openings(encode_openings(longest.openings)) == longest.openings


async def test_a_reader_is_shown_some_openings() -> None:
    opened = made(signer("p256"), committed={"subject": b"A123456(7)"})
    receipt = kept(await logged(opened), "hk/iam-smart", opened)
    some = disclosed(receipt, {"document"})
    assert [opening.name for opening in EventExtra.parse(TlogProof.parse(some).extra or b"").openings] == ["document"]
    assert verify_event(some, DOCUMENT, POLICY).certificate is None
    with pytest.raises(Malformed, match="does not open name"):
        disclosed(receipt, {"document", "name"})


# --- properties -----------------------------------------------------------------------------------------------

# Behind a mark that stands in no public word and no base64: Hypothesis draws words of our code too, "document" say.
SECRETS = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=8, max_size=20).map("¿{}".format)
DOCUMENTS = st.binary(min_size=9, max_size=60).map(lambda content: b"\xff?" + content)


@given(name=SECRETS, subject=SECRETS, document=DOCUMENTS, serial=st.integers(2**63, 2**64))
@settings(max_examples=20, deadline=None)
def test_nothing_of_a_person_or_document_is_in_what_is_sent(
    name: str, subject: str, document: bytes, serial: int
) -> None:
    who = signer("p256", name, serial)
    committed = {"subject": subject.encode(), "name": name.encode(), "serial": serial.to_bytes(9)}
    opened = made(who, document, committed=committed)
    sent = EventBatch("hk/iam-smart", 1, (Submitted(opened.event),)).encode()
    entry = event_entry(NOW_MS, "hk/iam-smart", LoggedEvent(opened.event, b"r" * 32, 1, 0, Standing.NOT_LOGGED))
    secret = [*committed.values(), document, who.certificate, *(opening.salt for opening in opened.openings)]
    secret += [sha256(value).digest() for value in (document, who.certificate, *committed.values())]
    for value in secret:
        for form in (value, value.hex().encode(), b64encode(value)):
            assert form not in sent
            assert form not in entry.encode()


def test_two_events_of_one_subject_share_nothing_but_public_fields() -> None:
    who = signer("p256", "Chan Tai Man (synthetic)")
    committed = {"subject": b"A123456(7)", "name": "陳大文".encode(), "serial": b"\x4d"}
    one, other = (made(who, committed=committed).event.to_json() for _ in range(2))
    public = {
        "format", "type", "at", "platform_jurisdiction", "signer_jurisdiction", "ca", "policy_oids",
        "key_algorithm", "key_bits", "signature_algorithm", "container", "document_algorithm",
    }  # fmt: skip
    assert {key for key in one if one[key] == other[key]} == public
    assert one["commitments"].keys() == other["commitments"].keys()
    assert not set(one["commitments"].values()) & set(other["commitments"].values())


def test_salts_are_drawn_for_each_value() -> None:
    openings: list[Opening] = [
        opening for _ in range(20) for opening in made(signer("ed25519"), committed={"name": b"x"}).openings
    ]
    assert len({opening.salt for opening in openings}) == len(openings) == 60
    assert all(len(opening.salt) == 32 for opening in openings)


# --- a court's machine ----------------------------------------------------------------------------------------

SCRIPT = """
from log.client.event_verifier import verify_event
from log.formats.policy import Policy
proven = verify_event(read("receipt"), read("document"), Policy.parse(read("policy")), signature=read("signature"))
print(proven.origin, proven.submitter, proven.certificate.hex(), len(proven.witnesses))
"""


async def test_it_runs_with_nothing_but_cryptography(tmp_path: Path) -> None:
    who = signer("p256")
    signature = who.sign(DOCUMENT)
    opened = sign_event(DOCUMENT, who.certificate, signature, SAID, named=False)
    receipt = kept(await logged(opened), "hk/iam-smart", opened)
    files = {"receipt": receipt, "document": DOCUMENT, "policy": POLICY.encode().encode(), "signature": signature}
    assert run_alone(tmp_path, SCRIPT, files) == (
        [ORIGIN, "hk/iam-smart", sha256(who.certificate).hexdigest(), "1"],
        "",
    )
