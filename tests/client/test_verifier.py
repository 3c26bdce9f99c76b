"""The verifier: heads over time, policies, identities, SCTs, and proofs that go with a certificate."""

import asyncio
import datetime as dt
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from log.client.verifier import (
    LogView,
    verify_checkpoint,
    verify_identity,
    verify_leaf,
    verify_proof,
)
from log.crypto.ecdsa import EcdsaSigner
from log.crypto.notes import NoteSigner, cosign, sign_note, sign_statement
from log.crypto.tree_heads import verify_sct
from log.errors import BadProof, BadSignature, Inconsistent, Malformed, PolicyNotMet, VerificationError
from log.formats.checkpoint import Checkpoint
from log.formats.identity import Identity
from log.formats.note import KeyType, Note, VKey
from log.formats.policy import Policy
from log.formats.sct import SCT, digitally_signed
from log.formats.tile_leaf import PRECERT_ENTRY, X509_ENTRY, TileLeaf
from log.formats.tlog_proof import TlogProof, X509Extra
from tests.client.heads import (
    NOTE,
    ORIGIN,
    OWN,
    SIGNERS,
    TIME_MS,
    TREE_HEAD,
    VKEYS,
    consistency,
    ed25519,
    head,
    leaves,
)
from tests.support import rfc6962
from tests.support.alone import run_alone
from tests.support.engine import mldsa_signer
from tests.support.vectors import vector

D = leaves(20)
FORK = leaves(20, "fork")
GD = ed25519("gd.twinlog.example/witness", KeyType.COSIGNATURE, 11)
GD_MLDSA = mldsa_signer("gd.twinlog.example/witness", 11)
OUTSIDE = ed25519("outside.example/witness", KeyType.COSIGNATURE, 12)


# --- one log over time ------------------------------------------------------------------------------------


async def view_at(size: int) -> LogView:
    view = LogView(ORIGIN, VKEYS)
    view.update(await head(D[:size]), ())
    return view


async def test_a_view_follows_a_growing_log() -> None:
    view = LogView(ORIGIN, VKEYS)
    for size in (0, 0, 1, 2, 2, 3, 7, 8, 13, 20):
        note, old = await head(D[:size]), view.size
        proof = consistency(old, D[:size]) if old != size else ()
        assert view.update(note, proof) == view.checkpoint == Checkpoint(ORIGIN, size, rfc6962.mth(D[:size]))
        assert (view.size, view.note) == (size, note)


async def test_a_view_asks_for_the_calls_in_their_order() -> None:
    view = LogView(ORIGIN, VKEYS)
    assert (view.size, view.note) == (0, b"")
    with pytest.raises(AssertionError):
        _ = view.checkpoint
    with pytest.raises(AssertionError):
        view.update(await head(D[:3]), consistency(2, D[:3]))
    with pytest.raises(AssertionError):
        LogView("elsewhere.example", VKEYS)
    with pytest.raises(AssertionError):
        LogView(ORIGIN, ())


async def test_a_proof_that_fails_is_no_proof_of_a_lie_and_the_view_stays() -> None:
    view, note = await view_at(5), await head(D[:9])
    before = view.note
    good = consistency(5, D[:9])
    for bad in ((), good[:-1], (*good, bytes(32)), good[::-1], (good[0][:-1], *good[1:])):
        with pytest.raises(BadProof):
            view.update(note, bad)
    with pytest.raises(BadProof):
        view.update(await head(FORK[:9]), consistency(5, FORK[:9]))
    with pytest.raises(BadProof):
        view.update(await head(D[:5]), good)
    assert view.note == before
    view.update(note, good)


async def test_two_roots_at_one_size_are_evidence() -> None:
    view = await view_at(5)
    fork = await head(FORK[:5])
    with pytest.raises(Inconsistent) as found:
        view.update(fork, ())
    assert (found.value.older, found.value.newer) == (await head(D[:5]), fork)


async def test_a_smaller_head_signed_later_is_evidence_and_one_signed_earlier_only_old() -> None:
    view = await view_at(5)
    with pytest.raises(VerificationError) as old:
        view.update(await head(D[:3]), ())
    assert not isinstance(old.value, Inconsistent | BadProof | BadSignature)
    later = TIME_MS + 60_000
    for signers in (SIGNERS, (TREE_HEAD, NOTE)):
        with pytest.raises(Inconsistent, match="size 3 was signed after size 5"):
            view.update(await head(D[:3], time_ms=later, signers=signers), ())
    assert view.size == 5


async def test_a_larger_head_signed_earlier_is_evidence() -> None:
    view = await view_at(5)
    with pytest.raises(Inconsistent, match="size 5 was signed after size 9"):
        view.update(await head(D[:9], time_ms=TIME_MS), consistency(5, D[:9]))


async def test_one_time_on_two_heads_is_evidence_in_milliseconds_only() -> None:
    time_ms = TIME_MS + 5000
    view = LogView(ORIGIN, VKEYS)
    view.update(await head(D[:5], time_ms=time_ms), ())
    with pytest.raises(Inconsistent, match="at one time"):
        view.update(await head(D[:9], time_ms=time_ms), consistency(5, D[:9]))
    # An honest log commits many times a second: the 0x04 line cannot tell those heads apart.
    view.update(await head(D[:9], time_ms=time_ms + 1), consistency(5, D[:9]))
    seconds = LogView(ORIGIN, [NOTE.vkey, OWN.vkey])
    for size in (5, 9):
        note = await head(D[:size], time_ms=time_ms, signers=[NOTE, OWN])
        seconds.update(note, consistency(seconds.size, D[:size]))


async def test_a_heartbeat_moves_on_and_an_old_one_changes_nothing() -> None:
    view = await view_at(5)
    newer = await head(D[:5], time_ms=TIME_MS + 50_000)
    view.update(newer, ())
    assert view.note == newer
    view.update(await head(D[:5], time_ms=TIME_MS + 20_000), ())
    assert view.note == newer


async def test_a_head_of_a_certificate_log_needs_both_lines() -> None:
    for signers in ((TREE_HEAD, OWN), (NOTE, OWN), (OWN,)):
        with pytest.raises(BadSignature):
            LogView(ORIGIN, VKEYS).update(await head(D[:5], signers=signers), ())


async def test_an_empty_tree_has_one_root() -> None:
    note = await sign_note(Checkpoint(ORIGIN, 0, b"\1" * 32).encode(), TIME_MS, SIGNERS)
    with pytest.raises(BadProof):
        LogView(ORIGIN, VKEYS).update(note.encode(), ())


BRANCHES = (D, [*D[:6], *FORK[6:]])


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(0, 4)), max_size=8))
async def test_a_view_never_leaves_its_history(steps: list[tuple[int, int, int]]) -> None:
    view, seen = LogView(ORIGIN, VKEYS), None
    for branch, size, late in steps:
        d = BRANCHES[branch][:size]
        note = await head(d, time_ms=TIME_MS + 1000 * late)
        proof = consistency(view.size, d) if seen is not None and view.size < size else ()
        try:
            view.update(note, proof)
        except VerificationError:
            continue
        assert seen is None or d[: len(seen)] == seen
        seen = d
    assert view.size == len(seen or [])


# --- policies ---------------------------------------------------------------------------------------------


def policy(*, logs: tuple[VKey, ...] = VKEYS, quorum: str = "both", groups: str = "group both all gd out\n") -> Policy:
    lines = [f"log {vkey.encode()}\n" for vkey in logs]
    lines += [f"witness gd {GD.vkey.encode()}\n", f"witness out {OUTSIDE.vkey.encode()}\n", groups]
    return Policy.parse("".join(lines) + f"quorum {quorum}\n")


async def cosigned(raw: bytes, *witnesses: NoteSigner, time_s: int = TIME_MS // 1000 + 100) -> bytes:
    note = Note.parse(raw)
    lines = [await cosign(note.text, time_s, witness) for witness in witnesses]
    return note.with_signatures((*note.signatures, *lines)).encode()


async def test_a_policy_says_who_must_vouch() -> None:
    raw = await head(D[:5])
    for witnesses, all_of, any_of in (((), False, False), ((GD,), False, True), ((GD, OUTSIDE), True, True)):
        note = await cosigned(raw, *witnesses)
        vouched = verify_checkpoint(note, policy())
        assert vouched.checkpoint == Checkpoint(ORIGIN, 5, rfc6962.mth(D[:5]))
        assert set(vouched.vkeys) == set(VKEYS)
        assert vouched.witnesses == tuple((witness.vkey.name, (TIME_MS // 1000 + 100) * 1000) for witness in witnesses)
        assert vouched.satisfied is all_of
        any_policy = policy(quorum="one", groups="group one any gd out\n")
        assert verify_checkpoint(note, any_policy).satisfied is any_of
        assert verify_checkpoint(note, policy(quorum="none", groups="")).satisfied


async def test_a_witness_with_two_keys_counts_by_what_the_policy_says() -> None:
    raw = await head(D[:5])
    keys = f"witness gd {GD.vkey.encode()}\nwitness gd-mldsa {GD_MLDSA.vkey.encode()}\n"
    logs = "".join(f"log {vkey.encode()}\n" for vkey in VKEYS)
    either, both = (Policy.parse(f"{logs}{keys}group gds {k} gd gd-mldsa\nquorum gds\n") for k in ("any", "all"))
    second = Policy.parse(f"{logs}witness gd-mldsa {GD_MLDSA.vkey.encode()}\nquorum gd-mldsa\n")
    for signers, by_either, by_both, by_second in (
        ((), False, False, False),
        ((GD,), True, False, False),
        ((GD_MLDSA,), True, False, True),
        ((GD_MLDSA, GD), True, True, True),
    ):
        note = await cosigned(raw, *signers)
        found = [verify_checkpoint(note, policy).satisfied for policy in (either, both, second)]
        assert found == [by_either, by_both, by_second]
    good = Note.parse(await cosigned(raw, GD))
    bad = Note.parse(await cosigned(await head(D[:6]), GD_MLDSA)).signatures[-1]
    with pytest.raises(BadSignature):  # a known line that fails spoils the head, beside a good one of the same witness
        verify_checkpoint(good.with_signatures([*good.signatures, bad]).encode(), either)


@pytest.mark.parametrize("witness", [GD, GD_MLDSA])
async def test_a_cosignature_without_a_time_counts_for_nothing(witness: NoteSigner) -> None:
    note = Note.parse(await head(D[:5]))
    timeless = await sign_note(note.text, 0, [witness])
    known = Policy.parse(
        "".join(f"log {vkey.encode()}\n" for vkey in VKEYS) + f"witness gd {witness.vkey.encode()}\nquorum gd\n"
    )
    vouched = verify_checkpoint(note.with_signatures([*note.signatures, *timeless.signatures]).encode(), known)
    assert (vouched.witnesses, vouched.satisfied) == ((), False)


async def test_witnesses_do_not_stand_in_for_the_log() -> None:
    note = await cosigned(await head(D[:5], signers=[NOTE]), GD, OUTSIDE)
    stranger = ed25519(ORIGIN, KeyType.ED25519, 99)
    with pytest.raises(BadSignature, match="no signature by"):
        verify_checkpoint(note, policy(logs=(stranger.vkey,)))
    with pytest.raises(BadSignature, match="not a log of this policy"):
        verify_checkpoint(note, policy(logs=(ed25519("elsewhere.example", KeyType.ED25519, 2).vkey,)))
    # The log's own 0x04 line is no witness's.
    assert verify_checkpoint(await head(D[:5]), policy()).witnesses == ()


async def test_a_known_witness_whose_line_fails_spoils_the_head() -> None:
    other = Note.parse(await cosigned(await head(D[:6]), GD))
    note = Note.parse(await head(D[:5]))
    with pytest.raises(BadSignature):
        verify_checkpoint(note.with_signatures((*note.signatures, other.signatures[-1])).encode(), policy())


def test_the_proof_of_the_tessera_log_verifies() -> None:
    published = vector("tlog_proof/two")
    known = Policy.parse(f"log {published['vkey']}\nquorum none\n")
    proof = TlogProof.parse(published["proof"].encode())
    assert verify_leaf(proof, published["leaf"].encode(), known).checkpoint.size == 3
    with pytest.raises(BadProof):
        verify_leaf(proof, b"three", known)
    with pytest.raises(BadProof):
        verify_leaf(replace(proof, index=2), published["leaf"].encode(), known)


# --- identities -------------------------------------------------------------------------------------------


async def test_an_identity_is_signed_by_every_key_it_names() -> None:
    identity = Identity.make(ORIGIN, VKEYS)
    raw = (await sign_statement(identity.encode(), TIME_MS, SIGNERS)).encode()
    assert verify_identity(raw) == identity
    assert verify_identity(raw, VKEYS) == identity
    with pytest.raises(BadSignature, match="not one of its identity"):
        verify_identity(raw, [ed25519(ORIGIN, KeyType.ED25519, 99).vkey])
    for missing in SIGNERS:
        some = [signer for signer in SIGNERS if signer is not missing]
        with pytest.raises(BadSignature, match="did not sign"):
            verify_identity((await sign_statement(identity.encode(), TIME_MS, some)).encode())
    with pytest.raises(Malformed):
        verify_identity(await head(D[:5]))


async def test_an_identity_cannot_take_in_a_key_of_someone_else() -> None:
    mine = ed25519(ORIGIN, KeyType.ED25519, 99)
    stolen = Identity.make(ORIGIN, (TREE_HEAD.vkey, mine.vkey))
    note = await sign_statement(stolen.encode(), TIME_MS, [mine])
    with pytest.raises(BadSignature):
        verify_identity(note.encode())


# --- certificates -----------------------------------------------------------------------------------------

CA_KEY, LEAF_KEY = ec.derive_private_key(5, ec.SECP256R1()), ec.derive_private_key(6, ec.SECP256R1())
CA_SPKI = CA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def issue(*extensions: x509.ExtensionType) -> x509.Certificate:
    """Return a certificate with these extensions between two others."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test (synthetic)")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, LEAF_KEY.public_key(), 7, start, start.replace(year=2027))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.PrecertPoison))
    builder = builder.add_extension(x509.SubjectKeyIdentifier(bytes(20)), critical=False)
    return builder.sign(CA_KEY, hashes.SHA256(), ecdsa_deterministic=True)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def embed(sct: bytes) -> x509.UnrecognizedExtension:
    entries = len(sct).to_bytes(2) + sct
    listed = len(entries).to_bytes(2) + entries
    size = bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])
    return x509.UnrecognizedExtension(SCT_LIST, b"\x04" + size + listed)


@dataclass(frozen=True)
class Logged:
    """An entry, its SCT, and the log around it."""

    leaf: bytes
    sct: SCT
    extra: X509Extra
    proof: TlogProof

    def raw(self, **changes: object) -> bytes:
        return replace(self.proof, **changes).encode()  # type: ignore[arg-type]


INDEX, SIZE = 6, 11


async def log_entry(certificate: x509.Certificate, *witnesses: NoteSigner, place: int = INDEX) -> Logged:
    """Put a certificate or precertificate, which says `INDEX`, at a place of a log of `SIZE` leaves; prove it."""
    ms = TIME_MS
    try:
        certificate.extensions.get_extension_for_class(x509.PrecertPoison)
        # By another way than the code under test: the same certificate, issued without poison.
        tbs = issue().tbs_certificate_bytes
        entry = TileLeaf(ms, PRECERT_ENTRY, tbs, sha256(CA_SPKI).digest(), INDEX, der(certificate), ())
    except x509.ExtensionNotFound:
        entry = TileLeaf(ms, X509_ENTRY, der(certificate), b"", INDEX, b"", ())
    leaf = entry.merkle_tree_leaf()
    signer = TREE_HEAD.signer
    assert isinstance(signer, EcdsaSigner)
    log_id = sha256(signer.public).digest()
    sct = SCT(log_id, ms, INDEX, digitally_signed(signer.sign_now(leaf)))
    extra = X509Extra(entry.entry_type, entry.issuer_key_hash, sct.encode())
    d = [*leaves(SIZE)[:place], leaf, *leaves(SIZE)[place + 1 :]]
    note = await cosigned(await head(d), *witnesses)
    return Logged(leaf, sct, extra, TlogProof(place, tuple(rfc6962.path(place, d)), note, extra.encode()))


async def test_a_certificate_is_proven_with_its_witnesses() -> None:
    certificate = issue()
    logged = await log_entry(certificate, GD, OUTSIDE)
    proven = verify_proof(logged.raw(), der(certificate), policy())
    assert (proven.origin, proven.index, proven.size) == (ORIGIN, INDEX, SIZE)
    assert (proven.timestamp_ms, proven.entry_type, proven.issuer_key_hash) == (TIME_MS, X509_ENTRY, b"")
    assert proven.witnesses == tuple((w.vkey.name, (TIME_MS // 1000 + 100) * 1000) for w in (GD, OUTSIDE))
    assert (proven.sct, proven.sct_verified, proven.provisional) == (logged.sct, True, False)


async def test_a_precertificate_entry_is_proven_by_any_form_of_the_certificate() -> None:
    precert = issue(x509.PrecertPoison())
    logged = await log_entry(precert, GD, OUTSIDE)
    final = issue(embed(logged.sct.encode()))
    by_other_ways = issue()  # its SCT is handed out in TLS or OCSP
    for form in (precert, final, by_other_ways):
        proven = verify_proof(logged.raw(), der(form), policy())
        assert (proven.entry_type, proven.issuer_key_hash) == (PRECERT_ENTRY, sha256(CA_SPKI).digest())
    with pytest.raises(BadProof):
        verify_proof(logged.raw(), der(issue(x509.OCSPNoCheck())), policy())
    with pytest.raises(Malformed):
        verify_proof(logged.raw(), b"no certificate", policy())


async def test_another_certificate_is_not_proven() -> None:
    logged = await log_entry(issue(), GD, OUTSIDE)
    for other in (der(issue(x509.OCSPNoCheck())), der(issue())[:-1], b"", der(issue()) + b"\0"):
        with pytest.raises(BadProof):
            verify_proof(logged.raw(), other, policy())
    with pytest.raises(Malformed, match="65535"):
        verify_proof(logged.raw(), bytes(65_536), policy())


async def test_too_few_witnesses_are_said_and_allowed_only_on_demand() -> None:
    certificate = der(issue())
    for witnesses in ((), (GD,)):
        logged = await log_entry(issue(), *witnesses)
        with pytest.raises(PolicyNotMet):
            verify_proof(logged.raw(), certificate, policy())
        proven = verify_proof(logged.raw(), certificate, policy(), provisional=True)
        assert proven.provisional
        assert len(proven.witnesses) == len(witnesses)
    vouched = await log_entry(issue(), GD, OUTSIDE)
    assert not verify_proof(vouched.raw(), certificate, policy(), provisional=True).provisional
    # What is not proven is never only "not vouched for".
    lone = await log_entry(issue())
    with pytest.raises(BadProof):
        verify_proof(lone.raw(), der(issue(x509.OCSPNoCheck())), policy())


async def test_every_part_of_a_proof_matters() -> None:
    certificate = der(issue())
    logged = await log_entry(issue(), GD, OUTSIDE)
    proof = logged.proof
    tail = proof.hashes[1:]
    for changes in (
        {"index": INDEX - 1},
        {"index": INDEX + 1},
        {"index": SIZE},
        {"hashes": tail},
        {"hashes": (*proof.hashes, bytes(32))},
        {"hashes": (bytes(32), *tail)},
        {"extra": replace(logged.extra, sct=replace(logged.sct, timestamp_ms=TIME_MS + 1).encode()).encode()},
        {"extra": replace(logged.extra, sct=replace(logged.sct, index=INDEX + 1).encode()).encode()},
        {"extra": X509Extra(PRECERT_ENTRY, bytes(32), logged.extra.sct).encode()},
    ):
        with pytest.raises(BadProof):
            verify_proof(logged.raw(**changes), certificate, policy())
    for extra in (None, b"\x02", b"\x01", logged.extra.encode() + b"\0", b"\x02" + logged.extra.encode()[1:]):
        with pytest.raises(Malformed):
            verify_proof(logged.raw(extra=extra), certificate, policy())


async def test_a_leaf_that_lies_about_its_place_is_not_proven() -> None:
    logged = await log_entry(issue(), GD, OUTSIDE, place=INDEX + 1)
    with pytest.raises(BadProof, match="the SCT is of leaf 6, the proof of leaf 7"):
        verify_proof(logged.raw(), der(issue()), policy())


async def test_the_sct_in_a_proof_is_checked_where_the_policy_has_its_key() -> None:
    certificate = der(issue())
    logged = await log_entry(issue(), GD, OUTSIDE)
    signer = TREE_HEAD.signer
    assert isinstance(signer, EcdsaSigner)
    forged = replace(logged.sct, signature=digitally_signed(signer.sign_now(b"another leaf")))
    stranger = replace(logged.sct, log_id=bytes(32))
    without_key = policy(logs=(NOTE.vkey,))
    for sct in (forged, stranger):
        raw = logged.raw(extra=replace(logged.extra, sct=sct.encode()).encode())
        with pytest.raises(BadSignature):
            verify_proof(raw, certificate, policy())
        # Without the key the tree alone speaks, and the result says so.
        assert not verify_proof(raw, certificate, without_key).sct_verified


async def test_an_sct_speaks_of_one_leaf() -> None:
    logged = await log_entry(issue())
    assert verify_sct(logged.sct.encode(), logged.leaf, TREE_HEAD.vkey) == logged.sct
    other_leaf = (await log_entry(issue(x509.OCSPNoCheck()))).leaf
    for sct, leaf in (
        (logged.sct, other_leaf),
        (replace(logged.sct, timestamp_ms=TIME_MS + 1), logged.leaf),
        (replace(logged.sct, index=INDEX + 1), logged.leaf),
        (replace(logged.sct, log_id=bytes(32)), logged.leaf),
        (logged.sct, logged.leaf[:-1]),
        (logged.sct, b""),
    ):
        with pytest.raises(BadSignature):
            verify_sct(sct.encode(), leaf, TREE_HEAD.vkey)
    with pytest.raises(Malformed):
        verify_sct(b"", logged.leaf, TREE_HEAD.vkey)
    with pytest.raises(AssertionError):
        verify_sct(logged.sct.encode(), logged.leaf, NOTE.vkey)


@cache
def proof_cases() -> tuple[bytes, bytes]:
    return asyncio.run(log_entry(issue(), GD, OUTSIDE)).raw(), der(issue())


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_proof_is_malformed_or_fails(data: st.DataObject) -> None:
    raw, certificate = proof_cases()
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[at] = data.draw(st.integers(0, 255))
    try:
        proven = verify_proof(bytes(changed), certificate, policy())
    except (Malformed, VerificationError):
        return
    # Only a line of the log that became a stranger's can go unnoticed: the policy asks for one of three.
    assert (proven.origin, proven.index, proven.size) == (ORIGIN, INDEX, SIZE)


# --- elsewhere --------------------------------------------------------------------------------------------

SCRIPT = """
from log.client.verifier import verify_proof
from log.formats.policy import Policy
proven = verify_proof(read("proof"), read("certificate"), Policy.parse(read("policy")))
print(proven.origin, proven.index, len(proven.witnesses))
"""


def test_it_runs_with_nothing_but_cryptography(tmp_path: Path) -> None:
    """A court's machine has Python, this checkout and `cryptography`: the proof of a certificate verifies there."""
    proof, certificate = proof_cases()
    files = {"proof": proof, "certificate": certificate, "policy": policy().encode().encode()}
    assert run_alone(tmp_path, SCRIPT, files) == ([ORIGIN, str(INDEX), "2"], "")
