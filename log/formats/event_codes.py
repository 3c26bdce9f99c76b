"""The words that an event may use: fixed lists, because free text could hold a name (design.md section 5).

A word is never given a second meaning; a list may grow.
"""

from enum import StrEnum


class EventType(StrEnum):
    """What happened."""

    SIGN = "sign"
    COUNTERSIGN = "countersign"  # the signature on what another event signed
    SEAL_ISSUE = "seal-issue"
    SEAL_USE = "seal-use"  # a signature that shows a seal
    SEAL_REVOKE = "seal-revoke"
    CERTIFICATE_REVOCATION = "certificate-revocation"
    PERSONAL_CERTIFICATE = "personal-certificate"  # a natural person's certificate was issued


class Standing(StrEnum):
    """What the node knew of the certificate that an event refers to, when it took the event in."""

    OWN_LOG = "own-log"  # it is that leaf of a log of this node
    FOREIGN_PROVEN = "foreign-proven"  # a proof came along, on a head that this node's witness has cosigned
    FOREIGN_UNPROVEN = "foreign-unproven"  # said to be a leaf of another log, without such a proof
    NOT_LOGGED = "not-logged"  # the event refers to no leaf


# What may be committed to, and what the value of its opening is.
COMMITTED = frozenset(
    {
        "certificate",  # the certificate, DER
        "document",  # the document's digest, by `document_algorithm`
        "filing",  # number of the filing of a standard contract, UTF-8
        "name",  # the signer's name as the certificate has it, UTF-8
        "seal",  # SESeal, DER
        "seal-id",  # its esID, UTF-8
        "serial",  # the certificate's serial, content octets
        "status",  # the OCSP response or CRL that was relied on, DER
        "subject",  # the signer's identifier: USCC, BRN, HKID, …, UTF-8
        "time",  # the claimed time as it was written, with its zone, UTF-8
        "time-stamp",  # the time-stamp token, DER
    }
)

# ISO 3166-2, as far as it concerns the mutual recognition: both sides, Macao, and all of the mainland.
_PROVINCES = "AH BJ CQ FJ GD GS GX GZ HA HB HE HI HL HN JL JS JX LN NM NX QH SC SD SH SN SX TJ XJ XZ YN ZJ"
JURISDICTIONS = frozenset({"HK", "MO"} | {f"CN-{province}" for province in _PROVINCES.split()})

# The Greater Bay Area: the standard contract for personal data binds these alone (domain.md section 2.4).
CITIES = frozenset(
    {
        "dongguan",
        "foshan",
        "guangzhou",
        "hong-kong",
        "huizhou",
        "jiangmen",
        "macao",
        "shenzhen",
        "zhaoqing",
        "zhongshan",
        "zhuhai",
    }
)

CHANNELS = frozenset(
    {
        "bank",
        "ca",
        "corpid",
        "court",
        "e-contract",
        "iam-smart",
        "registry",
        "shenzhen-seal",
        "trade-single-window",
        "yue-qi-qian",
        "yue-shang-tong",
    }
)

PURPOSES = frozenset(
    {
        "banking",
        "company-registration",
        "contract",
        "court",
        "customs",
        "employment",
        "government-service",
        "insurance",
        "licence",
        "procurement",
        "property",
        "tax",
        "trade",
        "other",
    }
)

# On what ground personal data crossed the border with the document.
TRANSFER_BASES = frozenset({"no-personal-data", "standard-contract", "consent", "contract-necessity", "no-transfer"})

KEY_ALGORITHMS = frozenset({"rsa", "rsa-pss", "ec-p256", "ec-p384", "ec-p521", "ed25519", "sm2"})

SIGNATURE_ALGORITHMS = frozenset(
    {
        "rsa-sha1",
        "rsa-sha256",
        "rsa-sha384",
        "rsa-sha512",
        "rsa-pss-sha256",
        "rsa-pss-sha384",
        "rsa-pss-sha512",
        "ecdsa-sha256",
        "ecdsa-sha384",
        "ecdsa-sha512",
        "ed25519",
        "sm2-sm3",
    }
)

DOCUMENT_ALGORITHMS = frozenset({"sha-256", "sm3"})

CONTAINERS = frozenset({"raw", "pkcs7", "cades", "pades", "xades", "jades", "ofd-ses"})

TIME_STAMP_COVERS = frozenset({"signature", "document", "container", "unknown"})  # what its imprint is of

STATUSES = frozenset({"good", "revoked", "suspended", "unknown"})
STATUS_SOURCES = frozenset({"ocsp", "crl"})

SEAL_KINDS = frozenset(
    {"official", "enterprise", "contract", "finance", "invoice", "customs", "legal-representative", "personal", "other"}
)
SEAL_VERSIONS = frozenset({1, 4, 5})  # of SES_Header (GB/T 38540 and its predecessors)

# RFC 5280 section 5.3.1, and what ends a seal.
REASONS = frozenset(
    {
        "unspecified",
        "key-compromise",
        "ca-compromise",
        "affiliation-changed",
        "superseded",
        "cessation-of-operation",
        "certificate-hold",
        "remove-from-hold",
        "privilege-withdrawn",
        "lost",
        "expired",
        "holder-dissolved",
    }
)
