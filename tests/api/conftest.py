"""A fake node and clients that speak HTTP to it in this process."""

from collections.abc import AsyncIterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from log.api.app import Options, create_app
from log.api.edge import Asgi
from tests.support.fake_node import FakeNode

Client = httpx.AsyncClient
Fields = Sequence[tuple[bytes, bytes]]


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def app(node: FakeNode) -> Asgi:
    return create_app(node, Options())


def connect(app: Asgi) -> Client:
    """Return a client of an application; it sends no Accept-Encoding that a test did not ask for."""
    transport = httpx.ASGITransport(app=app)
    return Client(transport=transport, base_url="http://node", headers={"accept-encoding": "identity"})


@pytest.fixture
async def client(app: Asgi) -> AsyncIterator[Client]:
    async with connect(app) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: Asgi, method: str, target: str, *, headers: Fields = (), chunks: Sequence[bytes | None] = (b"",)
) -> Answer:
    """Call an application as uvicorn does, with a target no client library would let through.

    The body comes in `chunks`; None among them is a client that goes away. Fails when the answer is not one head
    and one body.
    """
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("utf-8"),
        "query_string": query.encode("utf-8"),
        "root_path": "",
        "headers": list(headers),
        "server": ("node", 80),
        "client": ("client", 1),
    }
    left = list(chunks)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        chunk = left.pop(0) if left else None
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head, body = sent
    assert (head["type"], body["type"], body.get("more_body", False)) == (
        "http.response.start",
        "http.response.body",
        False,
    )
    fields = {name.decode(): value.decode() for name, value in head["headers"]}
    return Answer(head["status"], fields, body["body"])
