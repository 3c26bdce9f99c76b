"""What a member signs of a request: the signature base of RFC 9421 section 2.5, in Twinlog's profile.

    "@method": POST
    "@authority": hk.twinlog.example
    "@path": /events/add-events
    "@query": ?a=b                            only when there is one
    "content-digest": sha-256=:<base64>:      only when there is a body (RFC 9530)
    "@signature-params": ("@method" "@authority" …);created=<POSIX seconds>;keyid="…";tag="…"

The lines before the last stand in any order, each once, and so do the three parameters; there are no others. There
is no `alg`: which algorithm it is, the key says (RFC 9421 section 3.2), and SM2 has no registered name. The `tag` says
whether something is to be written or read, so that neither can be taken for the other.

A key id is the member's side and the start of the key's vkey: `hk/iam-smart+1a2b3c4d`.
"""

import re
from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats.fields import member_id
from log.formats.names import READ_TAG, WRITE_TAG
from log.formats.note import VKey
from log.formats.text import b64decode, b64encode, decimal, decode_text

MAX_BASE_BYTES = 16 << 10
MAX_CREATED_S = 10**15 - 1  # the largest Integer of a structured field (RFC 8941 section 3.3.1)
DIGEST_SIZE = 32

METHOD, AUTHORITY, PATH, QUERY, DIGEST = "@method", "@authority", "@path", "@query", "content-digest"
_PARAMS = "@signature-params"
PARAMETERS = ("created", "keyid", "tag")
_LINE = re.compile(r'"([@a-z-]+)": (.*)')
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")
_LAST = re.compile(r"\(([^)]*)\)((?:;[a-z]+=[^;]+)+)")
_METHOD = re.compile(r"[A-Z]{1,20}")
_AUTHORITY = re.compile(r"[a-z0-9.:\[\]-]{1,255}")
_PATH = re.compile(r"/[!-~]*")
_QUERY = re.compile(r"\?[!-~]*")
_KEY_ID = re.compile(r"([0-9a-z./-]+)\+([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class KeyId:
    """Whose key, and which one."""

    member: str  # <side>/<id>
    key_id: bytes  # 4 bytes, as in the key's vkey

    @classmethod
    def of(cls, side: str, vkey: VKey) -> Self:
        """Name a key of a member of this side; a member's key bears the member's id as its name."""
        return cls(f"{side}/{vkey.name}", vkey.key_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key id, or raise `Malformed`."""
        match = _KEY_ID.fullmatch(text)
        if match is None:
            raise Malformed("a keyid is <side>/<member>+<8 hex digits of the key's id>")
        return cls(member_id(match[1]), bytes.fromhex(match[2]))

    def encode(self) -> str:
        return f"{self.member}+{self.key_id.hex()}"

    def owns(self, vkey: VKey) -> bool:
        """Whether a key of this member is meant."""
        return vkey.key_id == self.key_id and vkey.name == self.member.partition("/")[2]


@dataclass(frozen=True, slots=True)
class SignatureBase:
    """A request as its signature covers it."""

    method: str
    authority: str  # lower case, without a default port
    path: str
    query: str  # with its question mark; "" when there is none
    digest: bytes | None  # SHA-256 of the body; None when there is none
    created_s: int  # POSIX seconds
    key: KeyId
    tag: str
    components: tuple[str, ...] = ()  # in their order; by default that of the fields
    parameters: tuple[str, ...] = PARAMETERS  # in their order

    def __post_init__(self) -> None:
        if not self.components:
            object.__setattr__(self, "components", tuple(self._values()))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a signature base, or raise `Malformed`, which says what is missing."""
        if len(data) > MAX_BASE_BYTES:
            raise Malformed(f"a signature base over {MAX_BASE_BYTES} bytes")
        values: dict[str, str] = {}
        for line in decode_text(data).split("\n"):
            match = _LINE.fullmatch(line)
            if match is None or match[1] in values:
                raise Malformed("not a signature base")
            values[match[1]] = match[2]
        given = _parameters(values.pop(_PARAMS, ""))
        missing = [name for name in (METHOD, AUTHORITY, PATH) if name not in values]
        if missing or values.keys() - {METHOD, AUTHORITY, PATH, QUERY, DIGEST}:
            raise Malformed(
                f"a signature covers {METHOD}, {AUTHORITY}, {PATH}, {QUERY} where there is one, {DIGEST} where there "
                "is a body, and nothing else"
            )
        base = cls(
            _matching(_METHOD, values[METHOD]),
            _matching(_AUTHORITY, values[AUTHORITY]),
            _matching(_PATH, values[PATH]),
            _matching(_QUERY, values[QUERY]) if QUERY in values else "",
            parse_digest(values[DIGEST]) if DIGEST in values else None,
            decimal(given["created"], MAX_CREATED_S),
            KeyId.parse(given["keyid"][1:-1]),
            _tag(given["tag"][1:-1]),
            tuple(values),
            tuple(given),
        )
        if base.encode() != data:
            raise Malformed("a signature base with another spelling than the canonical one")
        return base

    def encode(self) -> bytes:
        """Write the bytes that are signed; the last line does not end in LF."""
        values = self._values()
        names = " ".join(f'"{name}"' for name in self.components)
        lines = [f'"{name}": {values[name]}' for name in self.components]
        given = {"created": str(self.created_s), "keyid": f'"{self.key.encode()}"', "tag": f'"{self.tag}"'}
        lines.append(f'"{_PARAMS}": ({names})' + "".join(f";{name}={given[name]}" for name in self.parameters))
        return "\n".join(lines).encode()

    def _values(self) -> dict[str, str]:
        values = {METHOD: self.method, AUTHORITY: self.authority, PATH: self.path}
        if self.query:
            values[QUERY] = self.query
        if self.digest is not None:
            values[DIGEST] = encode_digest(self.digest)
        return values


def parse_digest(text: str) -> bytes:
    """Read a Content-Digest that has a SHA-256 and nothing else (RFC 9530 section 2), or raise `Malformed`."""
    match = _DIGEST.fullmatch(text)
    if match is None:
        raise Malformed("a content-digest is sha-256=:<base64>:")
    return b64decode(match[1], DIGEST_SIZE)


def encode_digest(digest: bytes) -> str:
    """Write a Content-Digest."""
    return f"sha-256=:{b64encode(digest)}:"


def _parameters(text: str) -> dict[str, str]:
    match = _LAST.fullmatch(text)
    given = dict(part.split("=", 1) for part in match[2][1:].split(";")) if match else {}
    if given.keys() != set(PARAMETERS):
        raise Malformed(f"a signature has the parameters {', '.join(PARAMETERS)}, and no others")
    return given


def _tag(text: str) -> str:
    if text not in (WRITE_TAG, READ_TAG):
        raise Malformed(f"the tag of a signature is {WRITE_TAG}, or {READ_TAG} for a request without a body")
    return text


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise Malformed("a value in a signature base that no request has")
    return text
