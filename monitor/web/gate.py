"""Who may read what concerns organisations: whoever brings a token, as a bearer token or as the password of Basic.

Settings hold SHA-256 of each token, so a file that is read by others gives nobody in. Tokens are to be long and random:
`openssl rand -hex 32`. All hashes are compared, each in constant time.
"""

import base64
import hmac
from collections.abc import Iterable
from hashlib import sha256

CHALLENGE = {"WWW-Authenticate": 'Basic realm="Twinlog monitor", charset="UTF-8"'}


class Gate:
    """Lets in, or does not."""

    def __init__(self, digests: Iterable[bytes], *, open_: bool = False) -> None:
        """Take the SHA-256 of each token; with `open_` everybody is let in."""
        self._digests = tuple(digests)
        self._open = open_

    def allows(self, authorization: str | None) -> bool:
        """Decide by the value of the header Authorization."""
        if self._open:
            return True
        found = sha256(_token(authorization)).digest()
        found_one = False
        for digest in self._digests:
            found_one |= hmac.compare_digest(found, digest)
        return found_one


def _token(authorization: str | None) -> bytes:
    scheme, _, rest = (authorization or "").strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest.encode()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""
