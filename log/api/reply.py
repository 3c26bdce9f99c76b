"""What a handler returns: status, headers and the whole body, sent as one message of head and one of body.

Caching follows c2sp.org/tlog-tiles: what a path names can never change, except the heads. Where a body
depends on who asks, no cache may keep it.
"""

from typing import Any

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]

IMMUTABLE = "public, max-age=604800, immutable"
FRESH = "no-store"  # a head is worth something only while it is new
PRIVATE = "private, no-store"

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"
CERTIFICATE = "application/pkix-cert"
JSON = "application/json"
HTML = "text/html; charset=utf-8"

# Any page may read a log: its answers carry their own proof and no cookies are involved.
CORS = (b"access-control-allow-origin", b"*")


class Reply(msgspec.Struct, frozen=True):
    """An answer to one request. A msgspec struct, like `Call`, for one is made for each and it is the cheapest."""

    status: int
    headers: Headers  # all but Content-Length, names in lower case
    body: bytes

    def head(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as they are sent. A 204 has no length (RFC 9110 section 8.6)."""
        if self.status == 204:
            return list(self.headers)
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]


def headers(content_type: str, cache: str | None = None, **more: str) -> Headers:
    """Return a header list, made once for a kind of answer; `retry_after="1"` becomes `retry-after: 1`."""
    fields = {"content-type": content_type}
    if cache is not None:
        fields["cache-control"] = cache
    fields |= {name.replace("_", "-"): value for name, value in more.items()}
    return (CORS, *((name.encode("ascii"), value.encode("ascii")) for name, value in fields.items()))


_JSON_HEADERS = headers(JSON, FRESH)


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a value as JSON that no cache keeps."""
    return Reply(status, _JSON_HEADERS, msgspec.json.encode(value))


PREFLIGHT = Reply(204, (CORS, (b"access-control-allow-headers", b"Content-Type")), b"")
