"""Members with keys in hand, what they sign, and events for them to send."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from log.authority import FixedMembers, Membership
from log.client.signed_request import sign_request
from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.member_keys import MemberKey
from log.crypto.sm2 import Sm2PrivateKey
from log.formats.event_batch import EventBatch, Submitted
from log.formats.event_codes import EventType
from log.formats.names import WRITE_TAG
from log.formats.ref import Ref
from log.formats.signature_base import KeyId, SignatureBase
from log.formats.signature_event import Event
from log.formats.submission import Submission

AUTHORITY = "hk.twinlog.example"
MINUTE_MS = 60_000
AT_MS = 1_796_000_040_000 // MINUTE_MS * MINUTE_MS


def member_key(member: str, kind: str = "ed25519") -> MemberKey:
    """Return the key of a member: the same each time, but for SM2."""
    seed = sha256(member.encode()).digest()
    match kind:
        case "ed25519":
            return MemberKey.of(member, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(seed)))
        case "p256":
            return MemberKey.of(member, EcdsaSigner(ec.derive_private_key(int.from_bytes(seed) >> 8, ec.SECP256R1())))
        case _:
            return MemberKey.of(member, Sm2PrivateKey.generate())


@dataclass
class Sender:
    """A member that signs requests."""

    member: str = "hk/iam-smart"
    role: str = "platform"
    authority: str = AUTHORITY
    key: MemberKey = field(init=False)
    kind: str = "ed25519"

    def __post_init__(self) -> None:
        self.key = member_key(self.member, self.kind)

    @property
    def keyid(self) -> str:
        return KeyId.of(self.member.partition("/")[0], self.key.vkey).encode()

    def headers(self, method: str, url: str, body: bytes | None, created_s: int) -> dict[str, str]:
        """Return the headers of a signed request."""
        given = {} if body is None else {"Content-Type": "application/json"}
        return sign_request(method, url, self.authority, given, body, self.key, self.keyid, created_s)

    def submission(self, body: bytes, created_s: int, path: str = "/events/add-events") -> Submission:
        """Return what a node keeps of such a request."""
        key = KeyId.parse(self.keyid)
        digest = sha256(body).digest()
        base = SignatureBase("POST", self.authority, path, "", digest, created_s, key, WRITE_TAG)
        return Submission(base, self.key.sign(base.encode()))


def members(*senders: Sender) -> FixedMembers:
    """Return these as the members of a deployment."""
    return FixedMembers({each.member: Membership(each.role, (each.key.vkey,)) for each in senders})


def event(number: int = 0, **changed: object) -> Event:
    """Return an event of a person's signature; another number is another signature."""
    values: dict[str, object] = {
        "type": EventType.SIGN,
        "at_ms": AT_MS,
        "platform_jurisdiction": "HK",
        "platform": "iam-smart",
        "ca": "hongkong-post",
        "signer_jurisdiction": "HK",
        "key_algorithm": "rsa",
        "signature_algorithm": "rsa-sha256",
        "sig_digest": sha256(b"signature %d" % number).digest(),
        "container": "raw",
        "document_algorithm": "sha-256",
        "commitments": {name: secrets.token_bytes(32) for name in ("certificate", "document", "subject")},
    }
    return Event(**(values | changed))  # type: ignore[arg-type]


def of_certificate(certificate: bytes, ref: Ref | None, number: int = 0) -> Event:
    """Return an event of a signature under an organisation's certificate, by its SHA-256 and leaf."""
    committed = {name: secrets.token_bytes(32) for name in ("document", "subject")}
    return event(number, certificate=sha256(certificate).digest(), certificate_ref=ref, commitments=committed)


def batch(member: str, seq: int, events: Sequence[Event | Submitted]) -> bytes:
    """Return the body of a request."""
    rows = tuple(each if isinstance(each, Submitted) else Submitted(each) for each in events)
    return EventBatch(member, seq, rows).encode()
