"""Precertificate Signing Certificates (RFC 6962 section 3.1, formats.md section 7.4): every rule, by two oracles.

One is the final certificate, issued by `cryptography` in the name of the final issuer: its TBS less the SCT list
must be what the log makes of the precertificate. The other is the reference log of RFC 6962, whose SCTs for two
such precertificates must verify over our entries.
"""

import base64
import datetime as dt
import itertools
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from log.certs.certificate import parse
from log.certs.chain import Admitted, Anchor, ChainChecker
from log.certs.precert import defang, strip_sct_list
from log.errors import Refused
from log.formats.family import X509
from log.formats.tile_leaf import PRECERT_ENTRY, TileLeaf
from tests.support.vectors import vector

BEGINS = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SCTS = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), bytes.fromhex("0408") + b"\x00\x06\x00\x04some"
)
PRECERT_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.4")

Extensions = Sequence[tuple[x509.ExtensionType, bool]]


class Authority:
    """A key with a name and a certificate, all written by `cryptography`."""

    def __init__(self, name: str, issuer: "Authority | None" = None, extensions: Extensions = ()) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} (synthetic)")])
        self.der = (issuer or self).issue(self.name, self.key, extensions).public_bytes(Encoding.DER)

    def issue(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extensions: Extensions) -> x509.Certificate:
        builder = x509.CertificateBuilder(self.name, name, key.public_key(), 0xC0FFEE)
        builder = builder.not_valid_before(BEGINS).not_valid_after(BEGINS + dt.timedelta(days=90))
        for value, critical in extensions:
            builder = builder.add_extension(value, critical)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    @property
    def key_hash(self) -> bytes:
        return sha256(
            self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        ).digest()


CA = (x509.BasicConstraints(ca=True, path_length=None), True)
EKU = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, PRECERT_SIGNING]), True)


@cache
def root() -> Authority:
    return Authority("Root", extensions=(CA,))


@cache
def issuing() -> Authority:
    return Authority("Issuing", root(), (CA,))


@cache
def signing(own: str) -> Authority:
    """The signing certificate, with an Authority Key Identifier of its issuer: none, plain or critical."""
    marked = {
        "none": (),
        "plain": ((issuing().key_identifier, False),),
        "critical": ((issuing().key_identifier, True),),
    }
    return Authority("Precertificate Signing", issuing(), (CA, EKU, *marked[own]))


@cache
def subject() -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "样例科技有限公司 (synthetic)")])
    return name, ec.generate_private_key(ec.SECP256R1())


OTHERS: Extensions = (
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (x509.SubjectAlternativeName([x509.DNSName("sample.example")]), False),
)
AKIS = ("none", "plain", "critical")


def check(submitted: Sequence[bytes], *, allowed: bool = True, anchor: Authority | None = None) -> Admitted:
    checker = ChainChecker([Anchor((anchor or root()).der)], allow_precert_signing=allowed)
    return checker.check(submitted, precert=True)


def entry(admitted: Admitted) -> TileLeaf:
    return TileLeaf.parse(X509.place(admitted.parts, 0, 1_767_225_600_000).row)


@pytest.mark.parametrize("poison_at", [0, 1, 2])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(("of_precert", "of_signer"), list(itertools.product(AKIS, AKIS)))
def test_the_entry_is_the_final_certificate_less_its_scts(
    of_precert: str, of_signer: str, place: int, poison_at: int
) -> None:
    """Six cases of RFC 6962 section 3.2, told apart by whether either key identifier is there, or critical."""
    signer = signing(of_signer)
    before: list[tuple[x509.ExtensionType, bool]] = list(OTHERS)
    final = list(OTHERS)
    if of_precert != "none":
        before.insert(place, (signer.key_identifier, of_precert == "critical"))
        if of_signer != "none":  # the value is the final issuer's; place and criticality stay
            final.insert(place, (issuing().key_identifier, of_precert == "critical"))
    elif of_signer != "none":
        final.append((issuing().key_identifier, False))
    before.insert(poison_at, (x509.PrecertPoison(), True))
    precert = signer.issue(*subject(), before).public_bytes(Encoding.DER)
    issued = issuing().issue(*subject(), [*final, (SCTS, False)])

    admitted = check([precert, signer.der, issuing().der])
    made = entry(admitted)
    assert made.signed_entry == issued.tbs_precertificate_bytes
    assert made.signed_entry == strip_sct_list(parse(issued.public_bytes(Encoding.DER)).tbs)
    assert made.issuer_key_hash == issuing().key_hash
    assert (admitted.issuer.der, made.precert) == (issuing().der, precert)


@pytest.mark.parametrize("of_signer", AKIS)
def test_a_key_identifier_may_be_the_only_extension(of_signer: str) -> None:
    signer = signing(of_signer)
    lone = [(signer.key_identifier, False), (x509.PrecertPoison(), True)]
    precert = signer.issue(*subject(), lone).public_bytes(Encoding.DER)
    final = [(issuing().key_identifier, False)] if of_signer != "none" else []
    issued = issuing().issue(*subject(), [*final, (SCTS, False)])
    assert entry(check([precert, signer.der, issuing().der])).signed_entry == strip_sct_list(
        parse(issued.public_bytes(Encoding.DER)).tbs
    )


def precert_by(signer: Authority) -> bytes:
    return signer.issue(*subject(), [*OTHERS, (x509.PrecertPoison(), True)]).public_bytes(Encoding.DER)


def test_direct_and_indirect_precertificates_of_one_certificate_are_one_entry() -> None:
    direct = (
        issuing()
        .issue(*subject(), [*OTHERS, (x509.PrecertPoison(), True), (issuing().key_identifier, False)])
        .public_bytes(Encoding.DER)
    )
    one = entry(check([direct, issuing().der]))
    other = entry(check([precert_by(signing("plain")), signing("plain").der, issuing().der]))
    assert (one.issuer_key_hash, one.signed_entry) == (other.issuer_key_hash, other.signed_entry)


def refusal(submitted: Sequence[bytes], *, allowed: bool = True, anchor: Authority | None = None) -> str:
    with pytest.raises(Refused) as refused:
        check(submitted, allowed=allowed, anchor=anchor)
    return refused.value.reason


def test_what_a_signing_certificate_must_be() -> None:
    signer = signing("plain")
    precert = precert_by(signer)
    stranger = Authority("Issuing", root(), (CA,))  # the final issuer's name with another key
    no_ca = Authority("Precertificate Signing", issuing(), (EKU,))
    assert refusal([precert, signer.der]) == "unknown-root"  # nobody knows who will issue
    assert refusal([precert, signer.der], anchor=signer) == "precert-signing"  # listed, and still nobody knows
    assert refusal([precert, signer.der, stranger.der]) == "bad-signature"  # not directly certified by the issuer
    assert refusal([precert, signer.der, root().der]) == "bad-signature"
    assert refusal([precert_by(no_ca), no_ca.der, issuing().der]) == "not-a-ca"
    assert refusal([precert, signing("none").der, issuing().der]) == "bad-signature"
    assert check([precert, signer.der], anchor=issuing()).issuer.der == issuing().der  # the issuer may be left out


def test_a_log_that_does_not_take_them_says_so_and_takes_all_else() -> None:
    signer = signing("plain")
    chain = [precert_by(signer), signer.der, issuing().der]
    assert refusal(chain, allowed=False) == "precert-signing"
    direct = issuing().issue(*subject(), [*OTHERS, (x509.PrecertPoison(), True)]).public_bytes(Encoding.DER)
    assert entry(check([direct, issuing().der], allowed=False)).issuer_key_hash == issuing().key_hash
    final = issuing().issue(*subject(), OTHERS).public_bytes(Encoding.DER)
    checker = ChainChecker([Anchor(root().der)], allow_precert_signing=False)
    assert checker.check([final, issuing().der], precert=False).leaf.der == final
    assert checker.check([signer.der, issuing().der], precert=False).leaf.der == signer.der  # a certificate like others


# --- the reference log ------------------------------------------------------------------------------------

_VECTORS = vector("precert/signing_certificate")


@pytest.mark.parametrize("name", list(_VECTORS["cases"]))
def test_the_reference_log_signed_the_same_entry(name: str) -> None:
    case = _VECTORS["cases"][name]
    chain = [base64.b64decode(der) for der in case["chain"]]
    sct = base64.b64decode(case["sct"])
    key = load_der_public_key(base64.b64decode(_VECTORS["log_key"]))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    checker = ChainChecker([Anchor(chain[-1], weak_hash=True)], allow_precert_signing=True)
    made = entry(checker.check(chain, precert=True))
    assert made.signed_entry == strip_sct_list(parse(base64.b64decode(case["final"])).tbs)
    assert (made.issuer_key_hash, made.signed_entry) == defang(parse(chain[0]), [parse(der) for der in chain[1:]])
    # RFC 6962 section 3.2: version, signature type, time, entry type, issuer key hash, TBS, no extensions.
    assert (sct[0], sct[1:33]) == (0, sha256(base64.b64decode(_VECTORS["log_key"])).digest())
    signed = bytes(2) + sct[33:41] + PRECERT_ENTRY.to_bytes(2) + made.issuer_key_hash
    signed += len(made.signed_entry).to_bytes(3) + made.signed_entry + bytes(2)
    assert sct[41:47] == bytes.fromhex("000004030047")  # no extensions; SHA-256, ECDSA, 71 bytes
    key.verify(sct[47:], signed, ec.ECDSA(hashes.SHA256()))
