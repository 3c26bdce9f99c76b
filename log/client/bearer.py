"""Bearer tokens for logs that show entries to members (RFC 6750), each sent to the place it is for and nowhere else."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import httpx

from log.errors import SettingsError

MAX_TOKEN_BYTES = 4096


def read_token(path: Path) -> str:
    """Return the token of a file, whose owner alone may read it; raise `SettingsError`."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"cannot read the token file {path}: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise SettingsError(f"the token file {path} is open to group or others: chmod 600 it")
    token = text.strip()
    if not token or len(text) > MAX_TOKEN_BYTES or not all(0x21 <= byte < 0x7F for byte in token):
        raise SettingsError(f"{path} does not hold a token: one line of visible ASCII")
    return token.decode("ascii")


class BearerTokens(httpx.Auth):
    """Adds the token of a URL, or of one below it, to requests that read."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        """`tokens` are by URL: scheme, host, port and the path below which it counts."""
        self._tokens = [(httpx.URL(url), token) for url, token in tokens.items()]

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]  # a generator of the library's
        """Send the request once, with its token if there is one for it."""
        for url, token in self._tokens:
            if request.method == "GET" and _below(request.url, url):
                request.headers["Authorization"] = f"Bearer {token}"
                break
        yield request


def _below(url: httpx.URL, base: httpx.URL) -> bool:
    path = base.path.rstrip("/") + "/"
    return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port) and url.path.startswith(path)
