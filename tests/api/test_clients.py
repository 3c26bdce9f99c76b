"""Who a client is: an address, a /64, or what the proxy in front wrote last."""

from typing import Any

import pytest

from log.api.app import Options, create_app
from log.errors import Closed, RateLimited
from log.serving.clients import Clients
from tests.api.conftest import Fields, ask
from tests.support.fake_node import FakeNode

CHAIN = b'{"chain":["MAA="]}'
TARGET = "/x509/ct/v1/add-chain"


def scope(peer: str | None, headers: Fields = ()) -> dict[str, Any]:
    return {"client": None if peer is None else (peer, 1), "headers": list(headers)}


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
        (None, ""),
    ],
)
def test_a_client_is_the_address_at_the_other_end(peer: str | None, client: str) -> None:
    assert Clients(behind_proxy=False).of(scope(peer, [(b"x-forwarded-for", b"198.51.100.1")])) == client


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ([b"198.51.100.1"], "198.51.100.1"),
        ([b"203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ([b"203.0.113.9", b"198.51.100.1 "], "198.51.100.1"),
        ([b"198.51.100.1, 2001:db8::1"], "2001:db8::/64"),
        ([], "192.0.2.7"),
        ([b""], "192.0.2.7"),
        ([b"198.51.100.1,"], "192.0.2.7"),
        ([b"198.51.100.1, unknown"], "192.0.2.7"),
        ([b"198.51.100.1, " + b"9" * 5000], "192.0.2.7"),
        ([b"\xff"], "192.0.2.7"),
    ],
)
def test_behind_a_proxy_it_is_the_last_hop_of_x_forwarded_for(lines: list[bytes], client: str) -> None:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", line) for line in lines)]
    assert Clients(behind_proxy=True).of(scope("192.0.2.7", headers)) == client


async def test_every_submission_is_charged_to_its_client_also_one_that_is_no_json(node: FakeNode) -> None:
    app = create_app(node, Options(behind_proxy=True))
    for n, (body, status) in enumerate(((CHAIN, 200), (b"nonsense", 400), (b'{"chain":[]}', 400))):
        headers = [(b"x-forwarded-for", b"192.0.2.1, 198.51.100.%d" % n)]
        assert (await ask(app, "POST", TARGET, headers=headers, chunks=[body])).status == status
    assert node.intakes["x509"].clients == [f"198.51.100.{n}" for n in range(3)]


@pytest.mark.parametrize(
    ("error", "status", "retry"), [(RateLimited("over a rate"), 429, "1"), (Closed("its window ended"), 410, None)]
)
async def test_who_is_turned_away_is_told_before_the_body_is_looked_at(
    node: FakeNode, error: RateLimited | Closed, status: int, retry: str | None
) -> None:
    app = create_app(node, Options())
    node.intakes["x509"].turned_away = error
    answer = await ask(app, "POST", TARGET, chunks=[b"nonsense"])
    assert (answer.status, answer.headers.get("retry-after")) == (status, retry)
    assert str(error) in answer.body.decode()
    assert node.intakes["x509"].seen == []
