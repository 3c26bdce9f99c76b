"""Sending events to a log as a member: one signed request, one answer for each event."""

import time
from collections.abc import Callable, Mapping

import httpx

from log.client.exchange import exchange
from log.client.signed_request import sign_request
from log.crypto.member_keys import MemberKey
from log.errors import Conflict, Denied, Malformed, Refused, Unreachable
from log.formats.event_batch import EventBatch, EventResults
from log.formats.signature_base import KeyId

DEADLINE_S = 60.0  # one request
MAX_ANSWER_BYTES = 64 << 20  # of 1,000 receipts, each a few kB, in base64
_BUSY = frozenset({408, 429, 502, 503, 504})


def signer(key: MemberKey, member: str, authority: str = "") -> Callable[[str], Mapping[str, str]]:
    """Return what signs a read of a URL now, as this member (<side>/<id>)."""
    keyid = KeyId.of(member.partition("/")[0], key.vkey).encode()

    def sign(url: str) -> Mapping[str, str]:
        meant = authority or httpx.URL(url).netloc.decode()
        return sign_request("GET", url, meant, {}, None, key, keyid, int(time.time()))

    return sign


async def send_events(
    client: httpx.AsyncClient, url: str, batch: EventBatch, key: MemberKey, authority: str = ""
) -> EventResults:
    """Send a batch to the log at `url` (its prefix, with the log's name), signed now, and return the answer.

    `authority` is the public name of the node where its address is another. The same batch may be sent again, and
    gets the same answer. `Denied` when the member may not write or the signature does not do; `Conflict` when another
    batch had this seq; `Refused` for all else that the log does not take; `Unreachable`, also while it is busy;
    `Malformed` when the answer is none.
    """
    target = url.rstrip("/") + "/add-events"
    body = batch.encode()
    keyid = KeyId.of(batch.member.partition("/")[0], key.vkey).encode()
    fields = sign_request(
        "POST", target, authority or httpx.URL(target).netloc.decode(), {}, body, key, keyid, int(time.time())
    )
    answer = await exchange(
        client, "POST", target, url, max_bytes=MAX_ANSWER_BYTES, deadline_s=DEADLINE_S, body=body, fields=fields
    )
    match answer.status:
        case httpx.codes.OK:
            results = EventResults.parse(answer.body)
            if len(results.results) != len(batch.events):
                raise Malformed(f"{url}: an answer for another number of events")
            return results
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            raise Denied(f"{url}: {answer.reason}")
        case httpx.codes.CONFLICT:
            raise Conflict(f"{url}: {answer.reason}")
        case status if status in _BUSY:
            raise Unreachable(f"{url}: {answer.reason}")
    raise Refused(f"{url}: {answer.reason}", str(answer.status))
