"""An event is found by the digest of its signature's value, by whoever may read entries."""

from hashlib import sha256

import httpx

from log.access import Bodies
from log.formats.event import event_entry
from log.formats.event_codes import Standing
from log.formats.family import EVENTS
from log.formats.logged_event import LoggedEvent
from log.formats.tlog_proof import TlogProof
from tests.api.conftest import Client
from tests.support.fake_node import FakeNode
from tests.support.members import event

DIGEST = sha256(b"signature 1").hexdigest()


def fill(node: FakeNode) -> None:
    for number in range(3):
        logged = LoggedEvent(event(number), b"r" * 32, 1, number, Standing.NOT_LOGGED)
        node.logs["events"].append(EVENTS.parts(event_entry(0, "hk/iam-smart", logged).encode())[0])


async def test_an_event_is_found_by_the_digest_of_its_signature(client: Client, node: FakeNode) -> None:
    fill(node)
    waiting = await client.get(f"/events/event/{DIGEST}")
    assert (waiting.status_code, waiting.headers["retry-after"]) == (202, "2")
    found = await client.get(f"/events/event/{DIGEST}", params={"head": "newest"})
    assert TlogProof.parse(found.content).index == 1
    assert found.headers["cache-control"] == "no-store"
    node.logs["events"].bodies = Bodies.MEMBERS
    assert (await client.get(f"/events/event/{DIGEST}")).status_code == httpx.codes.UNAUTHORIZED


async def test_what_is_no_digest_of_a_signature_is_not_found(client: Client, node: FakeNode) -> None:
    fill(node)
    for wrong in (DIGEST.upper(), DIGEST[:-1], "0" * 64, "leaf"):
        answer = await client.get(f"/events/event/{wrong}", params={"head": "newest"})
        assert answer.status_code == httpx.codes.NOT_FOUND
    for log in ("x509", "governance", "elsewhere"):
        answer = await client.get(f"/{log}/event/{DIGEST}", params={"head": "newest"})
        assert answer.status_code == httpx.codes.NOT_FOUND
    for query in ({"head": "witnessed"}, {"leaf": DIGEST}, {"head": "newest", "leaf": DIGEST}):
        assert (await client.get(f"/events/event/{DIGEST}", params=query)).status_code == httpx.codes.BAD_REQUEST
