"""Who sent a request, by its signature (RFC 9421; the profile stands in `log.formats.signature_base`).

`http-message-signatures` reads the structured fields, builds the signature base and finds the key; the profile, the
clock and the keys are ours. Verifying looks at the head of a request alone, so that a stranger's body is never read;
whoever reads the body then compares it with the digest that was signed.

What does not verify is `Unauthenticated`: the message says what is missing, never what is there. An unknown member, a
suspended one, a key that is not theirs and a signature that is wrong are one answer.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
    InvalidSignature,
)

from log.crypto.member_keys import verify
from log.errors import Malformed, SuiteUnavailable, Unauthenticated
from log.formats.note import VKey
from log.formats.signature_base import PARAMETERS, KeyId, SignatureBase
from log.formats.submission import Submission

Fields = Iterable[tuple[bytes, bytes]]  # of a head, names in lower case
Keys = Callable[[str], Sequence[VKey]]  # member, <side>/<id> -> the keys that count for it now

SIGNATURE_INPUT = b"signature-input"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What of a request a signature may cover."""

    method: str
    authority: str  # the node's public name: what Host says counts for nothing
    path: str  # as it was sent
    query: str  # without the question mark; "" when there is none
    fields: Fields
    has_body: bool


class Message:
    """A request in the form that `http-message-signatures` takes."""

    def __init__(self, method: str, authority: str, path: str, query: str, headers: Any) -> None:
        self.method = method
        self.url = f"https://{authority}{path}" + (f"?{query}" if query else "")
        self.headers = headers


class _Lines(list[tuple[str, str]]):
    """Header lines as they came."""

    def items(self) -> Iterable[tuple[str, str]]:
        return self


@dataclass(slots=True)
class _Used:
    """The key of one request, with what it was found to have signed."""

    vkey: VKey
    message: bytes = b""
    signature: bytes = b""


class ByMemberKey(HTTPSignatureAlgorithm):
    """Whatever algorithm the key has."""

    algorithm_id = ""  # `alg` never stands in our signatures

    def __init__(self, public_key: _Used | None = None, private_key: object = None) -> None:  # noqa: ARG002
        self._used = public_key

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise unless the signature is the key's."""
        if self._used is None:
            raise AssertionError("a signature is verified by a key")
        verify(self._used.vkey, message, signature)
        self._used.message, self._used.signature = message, signature


class _Resolver(HTTPSignatureKeyResolver):
    """Finds the key of one request. It is asked once: a request with several signatures is nobody's."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.used: _Used | None = None

    def resolve_public_key(self, key_id: str) -> _Used | None:
        if self.used is not None:
            raise InvalidSignature("more than one signature")
        named = KeyId.parse(key_id)
        self.used = next((_Used(vkey) for vkey in self._keys(named.member) if named.owns(vkey)), None)
        return self.used


class _Verifier(HTTPMessageVerifier):
    signature_metadata_parameters = set(PARAMETERS)  # noqa: RUF012 - the library's attribute

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Leave it to `verify_head`, which has the node's clock."""


def is_signed(fields: Fields) -> bool:
    """Say whether a request claims to be a member's."""
    return any(name == SIGNATURE_INPUT for name, _ in fields)


def verify_head(request: RequestHead, tag: str, keys: Keys, now_ms: int, max_skew_s: int) -> Submission:
    """Return what was signed and by whom; `Unauthenticated`, or `SuiteUnavailable` for an SM2 key without SM2."""
    lines = _Lines((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.fields)
    message = Message(request.method, request.authority, request.path, request.query, lines)
    resolver = _Resolver(keys)
    verifier = _Verifier(signature_algorithm=ByMemberKey, key_resolver=resolver)
    try:
        verifier.verify(message, max_age=None, expect_tag=tag)
    except HTTPMessageSignaturesException as error:
        if isinstance(error.__cause__, SuiteUnavailable):
            raise error.__cause__ from None
        raise Unauthenticated(
            f'this takes one signature (RFC 9421) with the tag "{tag}", for {request.authority}, by a key that is '
            "registered for a member now"
        ) from None
    if resolver.used is None:
        raise AssertionError("a signature was verified without a key")
    try:
        base = SignatureBase.parse(resolver.used.message)
    except Malformed as error:
        raise Unauthenticated(str(error)) from error
    if abs(base.created_s - now_ms // 1000) > max_skew_s:
        raise Unauthenticated(f"a signature is created within {max_skew_s} s of this node's clock")
    if bool(base.query) != bool(request.query) or (base.digest is not None) != request.has_body:
        raise Unauthenticated("a signature covers @query where there is one, and content-digest where there is a body")
    return Submission(base, resolver.used.signature)


def check_body(submission: Submission, body: bytes) -> None:
    """Raise `Unauthenticated` unless this is the body whose digest was signed."""
    if submission.base.digest is None or not compare_digest(submission.base.digest, sha256(body).digest()):
        raise Unauthenticated("the content-digest that was signed is that of another body")
