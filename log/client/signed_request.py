"""Signing a request as a member (RFC 9421 with Content-Digest; the profile stands in `log.formats.signature_base`)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from http_message_signatures import HTTPMessageSignaturesException, HTTPMessageSigner

from log.crypto.member_keys import MemberKey
from log.crypto.signed_requests import ByMemberKey, Message
from log.errors import Malformed
from log.formats.names import READ_TAG, WRITE_TAG
from log.formats.signature_base import AUTHORITY, DIGEST, METHOD, PATH, QUERY

LABEL = "member"


def sign_request(
    method: str,
    url: str,
    authority: str,
    headers: Mapping[str, str],
    body: bytes | None,
    key: MemberKey,
    keyid: str,
    created_s: int,
) -> dict[str, str]:
    """Return the headers with Content-Digest, Signature-Input and Signature.

    `url` is where the request goes, `authority` the public name of the node for which it is meant, perhaps another.
    `body` is None for a request without one; else the tag says that something is to be written. `keyid` names the
    member and the key (`log.formats.signature_base.KeyId`), `created_s` is the time, POSIX seconds. `Malformed` for a
    URL or header that cannot be signed.
    """
    target = urlsplit(url)
    fields = {name: value for name, value in headers.items() if name.lower() != DIGEST}
    message = Message(method, authority, target.path or "/", target.query, fields)
    components = (METHOD, AUTHORITY, PATH, *([QUERY] if target.query else []), *([] if body is None else [DIGEST]))
    signer = HTTPMessageSigner(signature_algorithm=ByMemberKey)
    try:
        prepared = signer.prepare(
            message,
            key_id=keyid,
            created=datetime.fromtimestamp(created_s, UTC),
            label=LABEL,
            tag=READ_TAG if body is None else WRITE_TAG,
            include_alg=False,
            covered_component_ids=components,
            body=body,
        )
        signer.apply(message, prepared, key.sign(prepared.signature_base))
    except HTTPMessageSignaturesException as error:
        raise Malformed(f"a request that cannot be signed: {error}") from error
    return fields
