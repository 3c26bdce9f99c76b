"""Submission records: that a member sent a request, in a form that anyone can check years later (design.md section 5).

    twinlog/submission@v1
    <base64 signature>

    <the signature base, `log.formats.signature_base`>

The last line, `"@signature-params"`, ends in LF here and not in what is signed. A record names its member and key in
the keyid of that line. Its SHA-256 stands in every leaf that came of the request, and the digest in it is that of the
request's body.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from log.errors import Malformed
from log.formats.names import SUBMISSION
from log.formats.signature_base import MAX_BASE_BYTES, SignatureBase
from log.formats.text import b64decode, b64encode

SIGNATURE_SIZE = 64  # bytes, of every suite that members have
MAX_RECORD_BYTES = MAX_BASE_BYTES + 1024

_BEGIN = SUBMISSION.encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Submission:
    """A request as its sender signed it. That the signature verifies is for `log.client.records` to say."""

    base: SignatureBase
    signature: bytes  # 64 bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a record, or raise `Malformed`."""
        if len(data) > MAX_RECORD_BYTES:
            raise Malformed(f"a submission record over {MAX_RECORD_BYTES} bytes")
        if not data.startswith(_BEGIN) or not data.endswith(b"\n"):
            raise Malformed("not a submission record of version 1")
        signature, _, base = data[len(_BEGIN) : -1].partition(b"\n\n")
        record = cls(SignatureBase.parse(base), b64decode(signature.decode("ascii", "replace"), SIGNATURE_SIZE))
        if record.encode() != data:
            raise Malformed("a submission record with another spelling than the canonical one")
        return record

    def encode(self) -> bytes:
        return _BEGIN + f"{b64encode(self.signature)}\n\n".encode() + self.base.encode() + b"\n"

    @property
    def hash(self) -> bytes:
        """The SHA-256 that stands in the leaves."""
        return sha256(self.encode()).digest()

    @property
    def member(self) -> str:
        """Who signed: `<side>/<id>`."""
        return self.base.key.member
