"""The page and the findings: who sees what, that nothing in them runs, that all of them can be paged through."""

import base64
import csv
import io
import re
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from log.formats.family import X509
from log.formats.policy import Policy
from monitor.alert import Alert, Class
from monitor.board import Board
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.rules.case import Place
from monitor.rules.engine import Finding
from monitor.store import Store
from monitor.store.alerts import Fault
from monitor.web.app import make_app
from monitor.web.gate import Gate
from monitor.web.page import router
from tests.support.memory_log import ORIGIN, TREE_HEAD

TOKEN = "a long and random token"
EVIL = "=<script>alert('1')</script>&"
GATE = Gate([sha256(b"another").digest(), sha256(TOKEN.encode()).digest()])
LOG = FollowedLog(
    "hk",
    "x509",
    X509,
    ORIGIN,
    "http://hk/x509",
    (TREE_HEAD.vkey,),
    Policy.parse(f"log {TREE_HEAD.vkey.encode()}\nquorum none\n"),
    (),
)


def finding(number: int, code: str = "P10", severity: str = "critical") -> Finding:
    about = number.to_bytes(32)
    return Finding(
        code, about, severity, Class.PROVEN, about, b"i" * 32, Place("hk.example/x", number, 5), EVIL,
        {"key": "rsa"}, {"rules": 1},
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path / "state", "key")
    store = Store.open(tmp_path / "state", "key", 10)
    with store.judging() as index:
        for number in range(5):
            index.keep(finding(number), 7_000)
        index.keep(finding(9, "P16", "medium"), 8_000)
    store.raise_alerts([Alert("k", Class.SUSPECTED, "error", EVIL, "c", EVIL, {"evidence": "ab"})], 9_000)
    yield store
    store.close()


def client(store: Store, gate: Gate = GATE) -> httpx.AsyncClient:
    board = Board(store, lambda: [LOG], Limits(page_rows=2), lambda: 1_000_000_000_000)
    transport = httpx.ASGITransport(make_app([router(board, gate)]))
    return httpx.AsyncClient(transport=transport, base_url="http://monitor")


@pytest.fixture
async def web(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    async with client(store) as opened:
        yield opened


BEARER = {"Authorization": f"Bearer {TOKEN}"}
BASIC = {"Authorization": "Basic " + base64.b64encode(f"any:{TOKEN}".encode()).decode()}
WRONG = (
    {"Authorization": "Bearer a long and random toke"},
    {"Authorization": "Bearer"},
    {"Authorization": f"Token {TOKEN}"},
    {"Authorization": "Basic %%%"},
    {"Authorization": "Basic " + base64.b64encode(TOKEN.encode()).decode()},  # no password in it
)


async def test_everybody_sees_logs_and_nothing_that_concerns_organisations(web: httpx.AsyncClient) -> None:
    answer = await web.get("/")
    assert answer.status_code == 200
    assert ORIGIN in answer.text
    assert "P10" not in answer.text
    assert "alert(" not in answer.text
    assert "2001-09-09" in answer.text


@pytest.mark.parametrize("headers", [BEARER, BASIC], ids=["bearer", "basic"])
async def test_with_a_token_all_is_shown_and_escaped(web: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await web.get("/", headers=headers)
    assert answer.status_code == 200
    assert "P10" in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "<script" not in answer.text
    assert 'href="/gossip/v1/evidence/ab"' in answer.text


@pytest.mark.parametrize("path", ["/findings.json", "/findings.csv", "/?enter=1"])
async def test_without_a_token_nobody_is_let_in(web: httpx.AsyncClient, path: str) -> None:
    for headers in ({}, *WRONG):
        answer = await web.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert "P10" not in answer.text
    assert (await web.get(path, headers=BEARER)).status_code == 200


async def test_a_wrong_token_is_not_taken_for_none(web: httpx.AsyncClient) -> None:
    for headers in WRONG:
        assert (await web.get("/", headers=headers)).status_code == 401


async def test_no_token_lets_nobody_in_and_open_everybody(store: Store) -> None:
    async with client(store, Gate(())) as web:
        assert (await web.get("/findings.json", headers={"Authorization": "Bearer "})).status_code == 401
    async with client(store, Gate((), open_=True)) as web:
        assert (await web.get("/findings.json")).status_code == 200
        assert "P10" in (await web.get("/")).text


async def test_nothing_runs_and_nothing_is_loaded(web: httpx.AsyncClient) -> None:
    answer = await web.get("/", headers=BEARER)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    [css] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert base64.b64encode(sha256(css.encode()).digest()).decode() in policy
    assert "no-store" in answer.headers["Cache-Control"]
    assert not re.search(r'\b(src|style|on\w+)="', answer.text)


async def test_findings_are_paged_and_filtered(web: httpx.AsyncClient) -> None:
    found: list[int] = []
    query: dict[str, object] = {"code": "P10"}
    for _ in range(10):
        answer = (await web.get("/findings.json", params=query, headers=BEARER)).json()  # type: ignore[arg-type]
        found += [each["index"] for each in answer["findings"]]
        if answer["next"] is None:
            break
        query["before"] = answer["next"]
    assert found == [4, 3, 2, 1, 0]
    answer = (await web.get("/findings.json?severity=medium", headers=BEARER)).json()
    assert [each["code"] for each in answer["findings"]] == ["P16"]
    assert answer["findings"][0]["rule"].startswith("a serial")
    text = (await web.get("/?code=P10", headers=BEARER)).text
    assert "before=" in text
    assert "entry 4" in text


@pytest.mark.parametrize(
    "query", ["code=P1", "code=%3Cb%3E", "severity=grave", "before=0", "before=x", f"before={1 << 63}"]
)
async def test_parameters_that_are_none(web: httpx.AsyncClient, query: str) -> None:
    for path in ("/", "/findings.json", "/findings.csv"):
        assert (await web.get(f"{path}?{query}", headers=BEARER)).status_code == 400


async def test_a_spreadsheet_runs_nothing_either(web: httpx.AsyncClient) -> None:
    answer = await web.get("/findings.csv", headers=BEARER)
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["text"] for row in rows] == ["'" + EVIL] * 2
    assert rows[0]["code"] == "P16"


async def test_more_alerts_than_fit_are_counted(web: httpx.AsyncClient, store: Store) -> None:
    assert "more, not shown here" not in (await web.get("/", headers=BEARER)).text
    store.raise_alerts([Alert(f"rule P01 {n}", Class.PROVEN, "critical", "hk", "P01", "bad") for n in range(3)], 9_001)
    text = (await web.get("/", headers=BEARER)).text
    assert "And 2 more, not shown here." in text
    assert text.index("suspected</td>") < text.index("<td>bad</td>")


async def test_who_acknowledged_an_alert_that_is_still_found_stands_behind_it(
    web: httpx.AsyncClient, store: Store
) -> None:
    alert = Alert("fork", Class.PROVEN, "critical", "hk", "E2", "bad")
    store.keep_faults([Fault("fork", "look", 9_001, 1)], [], [alert], 9_001)
    assert "acknowledged by" not in (await web.get("/", headers=BEARER)).text
    assert store.acknowledge("fork", "Chan <b>", 9_002)
    assert "(acknowledged by Chan &lt;b&gt;)" in (await web.get("/", headers=BEARER)).text
