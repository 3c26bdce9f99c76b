"""The edge is a short cut: it finds what FastAPI would have found, and answers the same."""

from hashlib import sha256

import pytest
from fastapi import FastAPI
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.routing import Match, Route

from log.api.app import COLD, Later, Options, create_app
from log.api.describe import names
from log.api.edge import HOT, MAX_MATCHED_CHARS, Asgi, Edge, Table
from tests.api.conftest import ask, connect
from tests.support.fake_node import FakeNode


def inner(app: Asgi) -> FastAPI:
    """Return the FastAPI application behind an edge."""
    assert isinstance(app, Edge)
    rest = app._rest
    assert isinstance(rest, Later)
    return rest.made()


def declared(app: Asgi) -> list[tuple[str, str]]:
    return [
        (method, route.path)
        for route in inner(app).routes
        if isinstance(route, Route)
        for method in route.methods or ()
    ]


def test_fastapi_declares_every_route_once_and_no_other(app: Asgi) -> None:
    assert sorted(declared(app)) == sorted((route.method, route.pattern) for route in (*HOT, *COLD))


def test_the_edge_finds_every_hot_route_and_no_cold_one() -> None:
    table = Table(HOT)
    for route in HOT:
        path = route.pattern.replace(":path", "")
        found = table.match(route.method, path)
        assert found is not None
        assert found[0] is route
        assert [f"{{{name}}}" for name in names(route.pattern)] == list(found[1])
    for route in COLD:
        assert table.match(route.method, route.pattern) is None


async def test_the_description_has_every_route_with_its_parameters(app: Asgi) -> None:
    async with connect(app) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {(route.method, route.pattern.replace(":path", "")) for route in (*HOT, *COLD)}
    for route in (*HOT, *COLD):
        operation = paths[route.pattern.replace(":path", "")][route.method.lower()]
        in_path = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
        assert in_path == names(route.pattern)
        assert operation["summary"]
        assert ("requestBody" in operation) == (route.method == "POST")


APP = create_app(FakeNode(), Options())
WORDS = ["x509", "checkpoint", "witnessed", "tile", "data", "entries", "0", "7", "000", "x001", "000.p", "5", "issuer"]
WORDS += ["tlog-proof", "ct", "v1", "add-chain", "add-pre-chain", "get-roots", "witness", "", ".", "é"]


@st.composite
def nearly_paths(draw: st.DrawFn) -> str:
    """Draw the path of a route with some words changed, and sometimes a few more."""
    pattern = draw(st.sampled_from([*HOT, *COLD])).pattern.replace(":path", "")
    words = [
        draw(st.sampled_from(WORDS)) if word.startswith("{") or draw(st.integers(0, 5)) == 0 else word
        for word in pattern.split("/")
    ]
    return "/".join(["", *words[1:], *draw(st.lists(st.sampled_from(WORDS), max_size=2))])


@given(path=nearly_paths(), method=st.sampled_from(["GET", "POST", "PUT"]))
@example(path="//checkpoint", method="GET")
@example(path="/x509/tile//000", method="GET")
@example(path="/x509/issuer/", method="GET")
@settings(max_examples=400, deadline=None)
def test_what_the_edge_takes_fastapi_would_have_taken(path: str, method: str) -> None:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    found = Table(HOT).match(method, path)
    routes = [route for route in inner(APP).routes if isinstance(route, Route)]
    full = [
        (route.path, child["path_params"])
        for route in routes
        for matched, child in [route.matches(scope)]
        if matched is Match.FULL
    ]
    if found is not None and found[1][:1] == ("witness",):
        pass  # no log is called so: whether the edge says so or the witness's route, the answer is 404
    elif found is not None:
        pattern, params = full[0]
        assert (pattern, tuple(params.values())) == (found[0].pattern, found[1])
    else:
        hot = {route.pattern for route in HOT}
        # Left to FastAPI although it is hot: only what its handler refuses anyway, an empty tile number.
        assert not full or full[0][0] not in hot or path.endswith("/")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/x509/checkpoint"),
        ("GET", "/x509/checkpoint/witnessed"),
        ("GET", "/x509/tile/0/000"),
        ("GET", "/x509/tile/0/001.p/1"),
        ("GET", "/x509/tile/9/000"),
        ("GET", "/x509/tile/data/000"),
        ("GET", "/x509/tile/entries/000.p/9"),
        ("GET", f"/x509/issuer/{sha256(b'issuer').hexdigest()}"),
        ("GET", "/x509/tlog-proof?leaf=00"),
        ("GET", f"/x509/tlog-proof?leaf={'00' * 32}"),
        ("POST", "/x509/ct/v1/add-chain"),
        ("POST", "/x509/ct/v1/add-pre-chain"),
        ("HEAD", "/x509/checkpoint"),
    ],
)
async def test_a_hot_route_answers_the_same_behind_fastapi(method: str, target: str) -> None:
    answers = []
    for through in (lambda app: app, inner):
        node = FakeNode()
        node.x509.fill(257)
        node.x509.blobs[sha256(b"issuer").digest()] = b"issuer"
        app = through(create_app(node, Options()))
        method_inside = "GET" if method == "HEAD" else method  # the edge says GET for HEAD
        answer = await ask(
            app, method_inside, target, headers=[(b"accept-encoding", b"gzip")], chunks=[b'{"chain":["MAA="]}']
        )
        assert ("x-request-id" in answer.headers) == (answer.status >= 400 or answer.status == 202)
        answer.headers.pop("x-request-id", None)  # each application has ids of its own
        answers.append(answer)
    assert answers[0] == answers[1]


async def test_a_long_path_is_not_remembered(app: Asgi) -> None:
    assert isinstance(app, Edge)
    before = app._match.cache_info().currsize
    assert (await ask(app, "GET", "/x509/tile/0/" + "x" * MAX_MATCHED_CHARS)).status == 404
    assert (await ask(app, "GET", "/x509/tile/0/000")).status == 404
    assert app._match.cache_info().currsize == before + 1


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/x509/checkpoint", "GET, HEAD, OPTIONS"),
        ("DELETE", "/x509/tile/0/000", "GET, HEAD, OPTIONS"),
        ("GET", "/x509/ct/v1/add-chain", "POST, OPTIONS"),
        ("HEAD", "/x509/ct/v1/add-pre-chain", "POST, OPTIONS"),
        ("PUT", "/x509/ct/v1/get-roots", "GET, HEAD, OPTIONS"),
        ("GET", "/guard", "POST, OPTIONS"),
        ("GET", "/witness/add-checkpoint", "POST, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(app: Asgi, method: str, target: str, allowed: str) -> None:
    answer = await ask(app, method, target)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert answer.body.startswith(b"Method Not Allowed\n")
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("target", ["/x509/ct/v1/add-chain", "/x509/checkpoint", "/x509/ct/v1/get-roots", "/nowhere"])
async def test_a_preflight_is_let_pass(app: Asgi, target: str) -> None:
    answer = await ask(app, "OPTIONS", target)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers == {
        "access-control-allow-origin": "*",
        "access-control-allow-headers": "Content-Type",
    }


@pytest.mark.parametrize("target", ["/x509/checkpoint", "/healthz", "/x509/ct/v1/get-roots"])
async def test_head_has_the_headers_of_get(app: Asgi, target: str) -> None:
    get, head = await ask(app, "GET", target), await ask(app, "HEAD", target)
    assert (get.status, get.headers) == (head.status, head.headers)


async def test_nothing_is_redirected(app: Asgi) -> None:
    for target in ("/healthz/", "/x509/ct/v1/get-roots/", "/openapi.json/"):
        assert (await ask(app, "GET", target)).status == 404
