"""Access over HTTP: every route, asked by every role of either side, for logs of every family and setting of bodies.

Members come by signed requests, and to read by tokens as well. What `access.decide` says is in tests/test_access.py;
here it is held against what the routes answer.
"""

import itertools
from hashlib import sha256

import pytest

from log.access import (
    ANONYMOUS,
    ENTRY_RULES,
    MEMBERS,
    RULES,
    Action,
    Bodies,
    Kind,
    Principal,
    Resource,
    Role,
    Rule,
    decide,
)
from log.api.app import COLD, Options, create_app
from log.api.auth import Credentials, Token
from log.api.edge import HOT, Asgi
from log.api.route import Route
from log.errors import Denied
from tests.api.conftest import Answer, Fields, ask
from tests.support.fake_node import FakeNode
from tests.support.members import AUTHORITY, Sender, batch, event, members

NOW_MS = 1_800_000_000_000
NOW_S = NOW_MS // 1000
SIDES = ("hk", "gd")
SENDERS = {
    (role, side): Sender(f"{side}/{role}", role.value) for role, side in itertools.product(sorted(MEMBERS), SIDES)
}
TOKENS = {
    key: Token(key[0], key[1], sha256(f"a token of {sender.member}".encode()).digest(), NOW_MS + 1)
    for key, sender in SENDERS.items()
}
CREDENTIALS = Credentials("hk", AUTHORITY, members(*SENDERS.values()), 300, tuple(TOKENS.values()))
ENTRY_PATHS = ["/x509/tile/data/000", "/x509/tile/data/001.p/1", "/x509/tile/entries/000", "/x509/tile/entries/001.p/1"]
LOGS = ["x509", "events", "governance", "open"]


class Now:
    """A clock that stands."""

    def wall_ms(self) -> int:
        return NOW_MS

    def mono_ms(self) -> int:
        return NOW_MS


def made(node: FakeNode, bodies: Bodies = Bodies.MEMBERS) -> Asgi:
    for hosted in node.logs.values():
        hosted.bodies = bodies
    return create_app(node, Options(CREDENTIALS), Now())


@pytest.fixture
def app(node: FakeNode) -> Asgi:
    node.x509.fill(257)
    return made(node)


def signed(
    sender: Sender, target: str, body: bytes | None = None, method: str = "GET", created_s: int = NOW_S
) -> Fields:
    headers = sender.headers(method, f"http://node{target}", body, created_s)
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def bearer(key: tuple[Role, str]) -> Fields:
    return [(b"authorization", f"Bearer a token of {SENDERS[key].member}".encode())]


def target_of(route: Route, log: str) -> str:
    return route.pattern.replace("{log}", log).replace(":path", "").replace("{", "").replace("}", "")


async def call(app: Asgi, route: Route, log: str, headers: Fields, body: bytes) -> Answer:
    return await ask(app, route.method, target_of(route, log), headers=headers, chunks=[body])


@pytest.mark.parametrize("bodies", list(Bodies))
@pytest.mark.parametrize("route", [*HOT, *COLD], ids=lambda route: f"{route.method} {route.pattern}")
async def test_every_route_lets_in_whom_the_tables_let_in(route: Route, bodies: Bodies, node: FakeNode) -> None:
    app = made(node, bodies)
    action, kind = route.sort.action, route.sort.kind
    resource = Resource(kind, bodies, "hk")
    write = route.method == "POST"
    body = b"body"
    logs = LOGS if "{log}" in route.pattern else ["x509"]

    async def holds(principal: Principal, log: str, headers: Fields) -> None:
        decision = decide(principal, action, resource, NOW_MS)
        answer = await call(app, route, log, headers, body if write else b"")
        if kind is Kind.GUARD:
            assert answer.status == 400  # let in, and found to be none by its body
        elif decision.allowed:
            assert answer.status not in (401, 403), (principal, log)
            restricted = decision.restricted and answer.status == 200
            assert not restricted or answer.headers["cache-control"] == "private, no-store"
        else:
            assert answer.status == (401 if decision.unauthenticated else 403), (principal, log)
            assert "cache-control" not in answer.headers

    for log in logs:
        await holds(ANONYMOUS, log, [])
        for (role, side), sender in SENDERS.items():
            principal = Principal(role, side)
            request = body if write else None
            await holds(principal, log, signed(sender, target_of(route, log), request, route.method))
            if not write:
                await holds(principal, log, bearer((role, side)))


@pytest.mark.parametrize("path", ENTRY_PATHS)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic a token", "a token", TOKENS[Role.CA, "hk"].sha256.hex()],
)
async def test_without_a_known_token_the_answer_is_401(app: Asgi, path: str, authorization: str | None) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    answer = await ask(app, "GET", path, headers=headers)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.body.startswith(b"Unauthorized\n")


async def test_a_token_counts_until_it_expires(node: FakeNode) -> None:
    node.x509.fill(1)
    node.x509.bodies = Bodies.MEMBERS
    for expires_ms, status in ((NOW_MS + 1, 200), (NOW_MS, 401)):
        token = Token(Role.RELYING_PARTY, "gd", sha256(b"secret").digest(), expires_ms)
        app = create_app(node, Options(Credentials(tokens=[token])), Now())
        for scheme in (b"Bearer", b"bearer"):
            headers = [(b"authorization", scheme + b" secret")]
            assert (await ask(app, "GET", ENTRY_PATHS[1].replace("001", "000"), headers=headers)).status == status


async def test_a_signature_for_another_time_or_node_is_401_where_it_matters(app: Asgi) -> None:
    sender = SENDERS[Role.REGULATOR, "hk"]
    path = ENTRY_PATHS[0]
    stale = signed(sender, path, created_s=NOW_S - 301)
    foreign = signed(Sender(sender.member, sender.role, "gd.twinlog.example"), path)
    for headers in (stale, foreign, signed(sender, "/x509/tile/data/001")):
        assert (await ask(app, "GET", path, headers=headers)).status == 401
        assert (await ask(app, "GET", "/x509/checkpoint", headers=headers)).status == 200
    assert (await ask(app, "GET", path, headers=signed(sender, path))).status == 200


async def test_a_signature_does_not_fall_back_to_a_token(app: Asgi) -> None:
    sender = SENDERS[Role.CA, "hk"]
    headers = [*bearer((Role.CA, "hk")), *signed(sender, ENTRY_PATHS[0], created_s=0)]
    assert (await ask(app, "GET", ENTRY_PATHS[0], headers=headers)).status == 401


async def test_nobody_writes_events_by_a_token(app: Asgi) -> None:
    body = batch("hk/platform", 1, [event()])
    answer = await ask(app, "POST", "/events/add-events", headers=bearer((Role.PLATFORM, "hk")), chunks=[body])
    assert answer.status == 401


async def test_a_body_that_was_not_signed_is_401(app: Asgi) -> None:
    sender = SENDERS[Role.PLATFORM, "hk"]
    body = batch(sender.member, 1, [event()])
    headers = signed(sender, "/events/add-events", body, "POST")
    assert (await ask(app, "POST", "/events/add-events", headers=headers, chunks=[body])).status == 200
    tampered = await ask(app, "POST", "/events/add-events", headers=headers, chunks=[body.replace(b'"hk/', b'"gd/')])
    assert (tampered.status, b"another body" in tampered.body) == (401, True)


async def test_a_strangers_body_is_not_read(app: Asgi) -> None:
    """A connection that closes before its body is 400 where a body is waited for."""
    assert (await ask(app, "POST", "/events/add-events", chunks=[None])).status == 401


async def test_who_is_refused_is_not_told_what_is_there(app: Asgi) -> None:
    for there, absent in (("/events/record/" + "00" * 32, "/events/record/nothing"), (ENTRY_PATHS[0], ENTRY_PATHS[1])):
        one, other = await ask(app, "GET", there), await ask(app, "GET", absent)
        assert one.status == other.status == 401
        assert one.body == other.body
    auditor = SENDERS[Role.REGULATOR, "gd"]
    path = "/events/record/" + "00" * 32
    assert (await ask(app, "GET", path, headers=signed(auditor, path))).status == 404


async def test_a_record_is_shown_to_auditors(app: Asgi) -> None:
    sender, auditor = SENDERS[Role.PLATFORM, "hk"], SENDERS[Role.REGULATOR, "hk"]
    body = batch(sender.member, 1, [event()])
    headers = signed(sender, "/events/add-events", body, "POST")
    await ask(app, "POST", "/events/add-events", headers=headers, chunks=[body])
    record = sender.submission(body, NOW_S)
    path = f"/events/record/{record.hash.hex()}"
    answer = await ask(app, "GET", path, headers=signed(auditor, path))
    assert (answer.status, answer.body) == (200, record.encode())
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize("path", ["/x509/checkpoint", "/x509/tile/0/000", "/healthz", "/x509/ct/v1/get-roots"])
async def test_what_lets_anybody_check_the_log_stays_open(app: Asgi, path: str) -> None:
    for headers in ([], [(b"authorization", b"Bearer wrong")]):
        assert (await ask(app, "GET", path, headers=headers)).status == 200


async def test_public_entries_need_no_credential_and_may_be_kept(node: FakeNode) -> None:
    node.x509.fill(1)
    answer = await ask(create_app(node, Options()), "GET", "/x509/tile/data/000.p/1")
    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=604800, immutable")


async def test_each_log_has_its_own_setting(node: FakeNode) -> None:
    node.logs["governance"].fill(1)
    app = made(node)
    node.logs["governance"].bodies = Bodies.PUBLIC
    assert (await ask(app, "GET", "/governance/tile/entries/000.p/1")).status == 200
    assert (await ask(app, "GET", "/events/tile/entries/000.p/1")).status == 401
    assert (await ask(app, "GET", "/nowhere/tile/entries/000.p/1")).status == 404


async def test_a_guard_is_judged_by_its_push(app: Asgi, node: FakeNode) -> None:
    assert (await ask(app, "POST", "/guard", chunks=[b"push\n"])).status == 200
    node.refusal = Denied("not the key of a configured guard")
    assert (await ask(app, "POST", "/guard", chunks=[b"push\n"])).status == 403


@pytest.mark.parametrize("route", [*HOT, *COLD], ids=lambda route: f"{route.method} {route.pattern}")
async def test_access_is_asked_on_every_route(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    if (route.sort.action, route.sort.kind) not in RULES:
        return  # its rules hang on the bodies of the log, and the table above has all of them
    monkeypatch.setitem(RULES, (route.sort.action, route.sort.kind), Rule(frozenset({Role.OPERATOR})))
    answer = await ask(create_app(FakeNode(), Options()), route.method, target_of(route, "x509"))
    assert answer.status in (401, 403)


async def test_what_is_open_but_not_to_all_is_kept_by_nobody(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node.x509.fill(1)
    monkeypatch.setitem(ENTRY_RULES, (Kind.ENTRY, Bodies.MEMBERS), Rule(frozenset({Role.ANONYMOUS, Role.CA})))
    answer = await ask(made(node), "GET", "/x509/tile/data/000.p/1")
    assert (answer.status, answer.headers["cache-control"]) == (200, "private, no-store")


def test_the_table_of_routes_knows_all_kinds_that_are_written_here() -> None:
    kinds = {(route.sort.action, route.sort.kind) for route in (*HOT, *COLD)}
    assert {(Action.WRITE, Kind.EVENT), (Action.READ, Kind.RECORD), (Action.READ, Kind.ENTRY)} <= kinds
