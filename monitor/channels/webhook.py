"""An HTTP endpoint: a POST of the alert's JSON, signed with a shared secret, or under a bearer token.

`Twinlog-Signature: sha256=<hex HMAC-SHA-256 of the body>`. Any 2xx says that it was taken; a redirect does not.
"""

import hmac

import httpx

from log.client.exchange import exchange
from log.errors import Malformed, Unreachable
from monitor.store import KeptAlert

MAX_ANSWER_BYTES = 65_536


class Webhook:
    """One endpoint."""

    def __init__(
        self, name: str, url: str, client: httpx.AsyncClient, deadline_s: float, secret: str = "", token: str = ""
    ) -> None:
        """`secret` signs the body, `token` is sent along; either may be absent."""
        self.name = name
        self._url = url
        self._client = client
        self._deadline_s = deadline_s
        self._secret = secret
        self._token = token

    async def send(self, kept: KeptAlert, body: bytes) -> None:  # noqa: ARG002 - the body says all
        """Post it."""
        fields = {}
        if self._secret:
            fields["Twinlog-Signature"] = f"sha256={hmac.digest(self._secret.encode(), body, 'sha256').hex()}"
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        try:
            answer = await exchange(
                self._client,
                "POST",
                self._url,
                "its endpoint",
                max_bytes=MAX_ANSWER_BYTES,
                deadline_s=self._deadline_s,
                body=body,
                fields=fields,
            )
        except Malformed as e:
            raise Unreachable(str(e)) from e
        if not 200 <= answer.status < 300:
            raise Unreachable(f"answers {answer.status}")
