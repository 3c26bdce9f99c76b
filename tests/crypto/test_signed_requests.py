"""Signed requests: what is signed by `log.client.signed_request` verifies, and nothing else does."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)

from log.client.signed_request import sign_request
from log.crypto import sm2
from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.member_keys import MemberKey, verify
from log.crypto.signed_requests import Message, RequestHead, check_body, is_signed, verify_head
from log.crypto.sm2 import Sm2PrivateKey
from log.errors import BadSignature, SuiteUnavailable, Unauthenticated
from log.formats.names import READ_TAG, WRITE_TAG
from log.formats.note import KeyType, VKey
from log.formats.signature_base import KeyId
from log.formats.submission import Submission
from tests.support.vectors import vector

NOW_S = 1_800_000_000
SKEW_S = 300
AUTHORITY = "hk.twinlog.example"
BODY = b'{"events":[]}'
MEMBER = "hk/iam-smart"


def member_key(kind: str, member: str = MEMBER) -> MemberKey:
    match kind:
        case "ed25519":
            return MemberKey.of(member, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(sha256(b"key").digest())))
        case "p256":
            return MemberKey.of(member, EcdsaSigner(ec.derive_private_key(0x1234567, ec.SECP256R1())))
        case _:
            return MemberKey.of(member, Sm2PrivateKey.generate())


KINDS = [
    "ed25519",
    "p256",
    pytest.param("sm2", marks=pytest.mark.skipif(not sm2.sm2_available(), reason="no SM2 here")),
]
ED25519 = member_key("ed25519")


@dataclass(frozen=True)
class Sent:
    """A request on its way, and the keys that the node knows."""

    method: str = "POST"
    path: str = "/events/add-events"
    query: str = ""
    body: bytes | None = BODY
    authority: str = AUTHORITY
    created_s: int = NOW_S
    key: MemberKey = ED25519
    keyid: str = ""
    known: dict[str, Sequence[VKey]] = field(default_factory=lambda: {MEMBER: [ED25519.vkey]})

    def headers(self) -> dict[str, str]:
        url = f"http://127.0.0.1:8800{self.path}" + (f"?{self.query}" if self.query else "")
        keyid = self.keyid or KeyId.of("hk", self.key.vkey).encode()
        given = {"Content-Type": "application/json"}
        return sign_request(self.method, url, self.authority, given, self.body, self.key, keyid, self.created_s)

    def head(self, headers: dict[str, str] | None = None) -> RequestHead:
        fields = [(name.lower().encode(), value.encode()) for name, value in (headers or self.headers()).items()]
        return RequestHead(self.method, AUTHORITY, self.path, self.query, fields, self.body is not None)

    def verify(self, head: RequestHead | None = None) -> Submission:
        tag = READ_TAG if self.body is None else WRITE_TAG
        return verify_head(head or self.head(), tag, lambda member: self.known.get(member, ()), NOW_S * 1000, SKEW_S)


def refused(sent: Sent, head: RequestHead | None = None, match: str = "signature|digest") -> None:
    with pytest.raises(Unauthenticated, match=match):
        sent.verify(head)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_member_signs_verifies_and_is_a_record(kind: str) -> None:
    key = member_key(kind)
    sent = Sent(key=key, known={MEMBER: [ED25519.vkey, key.vkey] if kind != "ed25519" else [key.vkey]})
    record = sent.verify()
    assert (record.member, record.base.path, record.base.created_s) == (MEMBER, "/events/add-events", NOW_S)
    check_body(record, BODY)
    assert Submission.parse(record.encode()) == record
    verify(key.vkey, record.base.encode(), record.signature)


def test_a_query_and_a_read_are_signed_too() -> None:
    sent = Sent(method="GET", path="/events/tile/entries/000", query="a=b&c=", body=None)
    base = sent.verify().base
    assert (base.query, base.digest, base.tag) == ("?a=b&c=", None, READ_TAG)


@pytest.mark.parametrize("skew_s", [-SKEW_S, SKEW_S])
def test_clocks_may_part_by_so_much(skew_s: int) -> None:
    Sent(created_s=NOW_S + skew_s).verify()
    refused(Sent(created_s=NOW_S + skew_s + (1 if skew_s > 0 else -1)), match="300 s")


def test_who_has_no_key_here_is_told_nothing_else() -> None:
    other = MemberKey.of(MEMBER, Ed25519Signer(Ed25519PrivateKey.generate()))
    cases = [
        Sent(known={}),  # suspended, or never a member
        Sent(known={MEMBER: [other.vkey]}),
        Sent(key=other, keyid=KeyId.of("hk", ED25519.vkey).encode()),  # signed by another key
        Sent(keyid="hk/another+" + ED25519.vkey.key_id.hex(), known={"hk/another": [ED25519.vkey]}),
        Sent(keyid="gd/iam-smart+" + ED25519.vkey.key_id.hex()),
        Sent(keyid="iam-smart"),
    ]
    words = set()
    for sent in cases:
        with pytest.raises(Unauthenticated) as error:
            sent.verify()
        words.add(str(error.value))
    assert len(words) == 1
    assert "hk/" not in words.pop()


def test_a_signature_for_another_node_method_path_or_query_is_none() -> None:
    refused(Sent(authority="gd.twinlog.example"))
    sent = Sent()
    head = sent.head()
    refused(sent, replace(head, method="PUT"))
    refused(sent, replace(head, path="/other/add-events"))
    refused(sent, replace(head, query="a=b"), "@query")
    refused(sent, replace(head, has_body=False), "content-digest")
    read = Sent(method="GET", body=None, query="a=b")
    refused(read, replace(read.head(), query=""))
    refused(read, replace(read.head(), has_body=True), "content-digest")


def test_the_host_header_has_no_say() -> None:
    sent = Sent()
    fields = [(b"host", b"gd.twinlog.example"), *sent.head().fields]
    assert sent.verify(replace(sent.head(), fields=fields)).base.authority == AUTHORITY


def test_a_body_that_is_another_is_found_out() -> None:
    record = Sent().verify()
    for body in (b"", BODY + b" ", BODY[:-1]):
        with pytest.raises(Unauthenticated, match="another body"):
            check_body(record, body)


def test_a_write_is_no_read_and_a_read_no_write() -> None:
    sent = Sent()
    with pytest.raises(Unauthenticated):
        verify_head(sent.head(), READ_TAG, lambda _: [ED25519.vkey], NOW_S * 1000, SKEW_S)


@pytest.mark.parametrize("name", ["Signature", "Signature-Input", "Content-Digest"])
def test_each_header_is_needed_and_none_may_change(name: str) -> None:
    sent = Sent()
    headers = sent.headers()
    refused(sent, sent.head({key: value for key, value in headers.items() if key != name}))
    for place in range(0, len(headers[name]), 7):
        flipped = headers[name][:place] + chr(ord(headers[name][place]) ^ 1) + headers[name][place + 1 :]
        refused_or_same(sent, sent.head(headers | {name: flipped}))


def refused_or_same(sent: Sent, head: RequestHead) -> None:
    """A label is the one thing that no signature covers."""
    try:
        record = sent.verify(head)
    except Unauthenticated:
        return
    assert record == sent.verify()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda p: p.replace(";tag=", ';alg="ed25519";tag='), "one signature"),
        (lambda p: p.replace(";tag=", ';nonce="a";tag='), "one signature"),
        (lambda p: p.replace(";tag=", ";expires=9999999999;tag="), "one signature"),
        (lambda p: re.sub(r";created=\d+", "", p), "created"),
        (lambda p: p.replace('"@path" ', ""), "covers"),
        (lambda p: p.replace('"@method" ', ""), "covers"),
        (lambda p: p.replace('"@authority" ', ""), "covers"),
        (lambda p: p.replace(' "content-digest"', ""), "content-digest"),
        (lambda p: p.replace('"@path" ', '"@path" "content-type" '), "nothing else"),
        (lambda p: p.replace('"@path" ', '"@path" "@target-uri" '), "nothing else"),
        (lambda p: p.replace('"@path" ', '"@path" "@path" '), "one signature"),
        (lambda p: p.replace("content-digest", "@signature-params"), "one signature"),
    ],
)
def test_a_signature_over_something_else_says_what_is_missing(change: Callable[[str], str], match: str) -> None:
    """Each is signed rightly by the member's own key."""
    sent = Sent()
    headers = sent.headers()
    params = change(headers["Signature-Input"].removeprefix("member="))
    values = {
        "@method": sent.method,
        "@authority": AUTHORITY,
        "@path": sent.path,
        "content-digest": headers["Content-Digest"],
        "content-type": headers["Content-Type"],
        "@target-uri": f"https://{AUTHORITY}{sent.path}",
    }
    names = re.findall(r'"([^"]*)"', params.partition(")")[0])
    lines = [f'"{name}": {values.get(name, "")}' for name in names]
    base = "\n".join([*lines, f'"@signature-params": {params}']).encode()
    signature = base64.b64encode(sent.key.sign(base)).decode()
    refused(
        sent, sent.head(headers | {"Signature-Input": f"member={params}", "Signature": f"member=:{signature}:"}), match
    )


def test_two_signatures_are_nobodys() -> None:
    sent = Sent()
    headers = sent.headers()
    twice = {
        name: headers[name] + ", second=" + headers[name].partition("=")[2] for name in ("Signature", "Signature-Input")
    }
    refused(sent, sent.head(headers | twice), "one signature")


def test_signatures_of_others_beside_ours_do_no_harm() -> None:
    """A proxy may add one of its own, under its own tag."""
    sent = Sent()
    headers = sent.headers()
    more = {"Signature": ", proxy=:AAAA:", "Signature-Input": ', proxy=("@method");created=1;keyid="p";tag="proxy"'}
    sent.verify(sent.head(headers | {name: headers[name] + more[name] for name in more}))


def test_members_sign_with_the_stock_library_too() -> None:
    key = Ed25519PrivateKey.from_private_bytes(sha256(b"key").digest())
    keyid = KeyId.of("hk", ED25519.vkey).encode()
    message = Message("POST", AUTHORITY, "/events/add-events", "", {})
    resolver = MappingKeyResolver(public_keys={}, private_keys={keyid: key})
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=resolver).sign(
        message,
        key_id=keyid,
        tag=WRITE_TAG,
        include_alg=False,
        covered_component_ids=("content-digest", "@path", "@authority", "@method"),
        body=BODY,
    )
    fields = [(name.lower().encode(), value.encode()) for name, value in message.headers.items()]
    head = RequestHead("POST", AUTHORITY, "/events/add-events", "", fields, has_body=True)
    created_s = int(re.findall(r"created=(\d+)", message.headers["Signature-Input"])[0])
    record = verify_head(head, WRITE_TAG, lambda _: [ED25519.vkey], created_s * 1000, SKEW_S)
    assert Submission.parse(record.encode()) == record


def test_a_machine_without_sm2_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object) -> None:
        raise SuiteUnavailable("no SM2")

    monkeypatch.setattr("log.crypto.signed_requests.verify", unavailable)
    with pytest.raises(SuiteUnavailable):
        Sent().verify()


def test_whoever_signed_nothing_is_anonymous() -> None:
    assert is_signed(Sent().head().fields)
    assert not is_signed([(b"signature", b"a=:AAAA:")])


@pytest.mark.parametrize("key_type", [KeyType.COSIGNATURE, KeyType.TREE_HEAD, KeyType.PRIVATE])
def test_keys_of_other_types_sign_nothing(key_type: KeyType) -> None:
    vkey = VKey.make("iam-smart", key_type, bytes(32))
    with pytest.raises(BadSignature):
        verify(vkey, b"message", bytes(64))


def test_vector_b_2_6_of_rfc_9421() -> None:
    case = vector("http_signature/b26")
    vkey = VKey.make("test-key-ed25519", KeyType.ED25519, base64.b64decode(case["spki"])[-32:])
    base, signature = case["base"].encode(), base64.b64decode(case["signature"])
    verify(vkey, base, signature)
    with pytest.raises(BadSignature):
        verify(vkey, base + b"\n", signature)
    # The same through the library, from the message.
    message = Message(case["method"], case["authority"], case["path"], "", case["headers"])
    resolver = MappingKeyResolver(public_keys={"test-key-ed25519": _public(case["spki"])}, private_keys={})
    [result] = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=resolver).verify(
        message, max_age=None
    )
    assert "\n".join(f"{name}: {value}" for name, value in result.covered_components.items()) == case["base"]


def _public(spki: str) -> bytes:
    return f"-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n".encode()
