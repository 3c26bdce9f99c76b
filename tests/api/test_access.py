"""Access is asked on every route; where entries are for token holders, nobody else gets them, nor any cache."""

from hashlib import sha256

import pytest

from log.access import RULES, Action, Bodies, Kind, Role
from log.api.app import COLD, Options, create_app
from log.api.edge import HOT, Asgi
from log.api.route import Route
from log.errors import Denied
from tests.api.conftest import ask
from tests.support.fake_node import FakeNode

TOKEN = "a token"
ENTRY_PATHS = ["/x509/tile/data/000", "/x509/tile/data/001.p/1", "/x509/tile/entries/000", "/x509/tile/entries/001.p/1"]


@pytest.fixture
def app(node: FakeNode) -> Asgi:
    node.x509.fill(257)
    tokens = (sha256(b"another").digest(), sha256(TOKEN.encode()).digest())
    return create_app(node, Options(bodies=Bodies.TOKEN, tokens_sha256=tokens))


@pytest.mark.parametrize("path", ENTRY_PATHS)
async def test_entries_are_for_who_has_a_token(app: Asgi, path: str) -> None:
    for scheme in ("Bearer", "bearer"):
        authorization = [(b"authorization", f"{scheme} {TOKEN}".encode())]
        answer = await ask(app, "GET", path, headers=authorization)
        assert (answer.status, answer.headers["cache-control"]) == (200, "private, no-store")


@pytest.mark.parametrize("path", ENTRY_PATHS)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic a token", "a token", sha256(TOKEN.encode()).hexdigest()],
)
async def test_without_a_known_token_the_answer_is_401(app: Asgi, path: str, authorization: str | None) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    answer = await ask(app, "GET", path, headers=headers)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "cache-control" not in answer.headers
    assert answer.body.startswith(b"Unauthorized\n")


@pytest.mark.parametrize("path", ["/x509/checkpoint", "/x509/tile/0/000", "/healthz", "/x509/ct/v1/get-roots"])
async def test_what_lets_anybody_check_the_log_stays_open(app: Asgi, path: str) -> None:
    for headers in ([], [(b"authorization", b"Bearer wrong")]):
        assert (await ask(app, "GET", path, headers=headers)).status == 200


async def test_public_entries_need_no_token_and_may_be_kept(node: FakeNode) -> None:
    node.x509.fill(1)
    answer = await ask(create_app(node, Options()), "GET", "/x509/tile/data/000.p/1")
    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=604800, immutable")


async def test_no_configured_token_means_nobody_reads_entries(node: FakeNode) -> None:
    node.x509.fill(1)
    app = create_app(node, Options(bodies=Bodies.TOKEN))
    headers = [(b"authorization", b"Bearer ")]
    assert (await ask(app, "GET", "/x509/tile/data/000.p/1", headers=headers)).status == 401


async def test_a_guard_is_judged_by_its_push(app: Asgi, node: FakeNode) -> None:
    assert (await ask(app, "POST", "/guard", chunks=[b"push\n"])).status == 200
    node.refusal = Denied("not the key of a configured guard")
    assert (await ask(app, "POST", "/guard", chunks=[b"push\n"])).status == 403


@pytest.mark.parametrize("route", [*HOT, *COLD], ids=lambda route: f"{route.method} {route.pattern}")
async def test_access_is_asked_on_every_route(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, (route.sort.action, route.sort.kind), frozenset({Role.OPERATOR}))
    app = create_app(FakeNode(), Options(bodies=Bodies.TOKEN))
    target = route.pattern.replace("{log}", "x509").replace(":path", "")
    answer = await ask(app, route.method, target.replace("{", "").replace("}", ""))
    assert answer.status in (401, 403)


async def test_what_is_open_but_not_to_all_is_kept_by_nobody(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node.x509.fill(1)
    monkeypatch.setitem(RULES, (Action.READ, Kind.ENTRY), frozenset({Role.ANONYMOUS, Role.READER}))
    app = create_app(node, Options(bodies=Bodies.TOKEN))
    answer = await ask(app, "GET", "/x509/tile/data/000.p/1")
    assert (answer.status, answer.headers["cache-control"]) == (200, "private, no-store")
