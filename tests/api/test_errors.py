"""One table from errors to statuses; and an error that nobody foresaw tells the caller nothing."""

import inspect
import logging
import re

import pytest

from log import errors
from log.api.errors import STATUS, error_reply, status_of, text_reply
from tests.api.conftest import Client
from tests.support.fake_node import FakeNode


def test_the_table_is_the_drawing_in_log_errors() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\d{3}|-) ", inspect.getdoc(errors) or ""))
    classes = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and name in drawn}
    assert classes.keys() == drawn.keys()
    for name, kind in classes.items():
        if kind is errors.StoreFailed:  # drawn without a status: contract.md gives a failed store a 503
            continue
        assert str(next((STATUS[base] for base in kind.__mro__ if base in STATUS), "-")) == drawn[name]


def test_a_reason_stays_one_line_and_short() -> None:
    reply = text_reply(400, "a\r\nSet-Cookie: x\u2028b\x00\x7f" + "y" * 10_000)
    assert reply.body.count(b"\n") == 2
    assert len(reply.body) < 1000
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", reply.body)


def test_a_store_that_failed_says_so_without_its_paths() -> None:
    error = errors.StoreFailed("/var/lib/twinlog/data: No space left on device")
    assert status_of(error) == 503
    reply = error_reply(error, 503)
    assert (b"retry-after", b"5") in reply.headers
    assert b"/var" not in reply.body


@pytest.mark.parametrize(
    "error",
    [KeyError("secret"), AssertionError("secret"), errors.StoreMissing("secret"), errors.BadSignature("secret")],
)
@pytest.mark.parametrize("path", ["/x509/checkpoint", "/x509/tile/0/000"])
async def test_an_unexpected_error_is_logged_and_not_told(
    client: Client, node: FakeNode, caplog: pytest.LogCaptureFixture, error: Exception, path: str
) -> None:
    node.x509.refusal = error
    with caplog.at_level(logging.ERROR):
        answer = await client.get(path)
    assert answer.status_code == 500
    assert answer.text.startswith("Internal Server Error\n")
    assert "secret" not in answer.text
    assert "cache-control" not in answer.headers
    (record,) = [record for record in caplog.records if record.name == "twinlog.http"]
    assert record.exc_info is not None
    request_id = re.search(r"[0-9a-f]{16}", answer.text)
    assert request_id is not None
    assert request_id[0] == vars(record)["fields"]["request"] == answer.headers["x-request-id"]


async def test_an_unexpected_error_in_a_cold_route_is_the_same(client: Client, node: FakeNode) -> None:
    node.intakes["x509"].log = None  # type: ignore[assignment]
    answer = await client.post("/x509/ct/v1/add-chain", content=b'{"chain":["MAA="]}')
    assert answer.status_code == 500
    node.witness.refusal = RuntimeError("secret")
    answer = await client.post("/witness/add-checkpoint", content=b"x")
    assert answer.status_code == 500
    assert "secret" not in answer.text
