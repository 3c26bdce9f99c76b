"""One page for people, and the findings for programs.

GET /               logs, heads, who vouches; for those who are let in alerts and findings too
GET /findings.json  a page of findings, filtered by `code` and `severity`; `next` is the `before` of the next one
GET /findings.csv   the same, UTF-8 with a byte-order mark, as spreadsheets want it

No script runs, and nothing is loaded: the policy allows one style sheet, by its hash. All text is escaped.
"""

import asyncio
import base64
import csv
import io
import json
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from log.formats.dates import date
from monitor.board import Asked, Board, Page, as_json
from monitor.rules.table import BY_CODE, SEVERITIES
from monitor.store import KeptFinding
from monitor.web.app import answer
from monitor.web.gate import CHALLENGE, Gate

_CSS = files("monitor.web").joinpath("page.css").read_text(encoding="utf-8")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'sha256-"
        + base64.b64encode(sha256(_CSS.encode()).digest()).decode()
        + "'"
    ),
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_COLUMNS = (
    *("id", "found_ms", "code", "rule", "severity", "class", "text", "certificate", "issuer", "log", "index"),
    *("logged_ms", "about", "evidence", "produced"),
)

Code = Annotated[str, Query(pattern="^([A-Z][0-9]{2}|UNPARSABLE|BRANCH|)$")]
Severity = Literal["critical", "high", "medium", "low", ""]
Before = Annotated[int | None, Query(ge=1, lt=1 << 63)]


def router(board: Board, gate: Gate) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    def allowed(request: Request) -> bool:
        return gate.allows(request.headers.get("authorization"))

    def render(asked: Asked, *, inside: bool) -> str:
        shown: dict[str, Any] = {
            "allowed": inside,
            "asked": asked,
            "css": Markup(_CSS),  # noqa: S704 - our own file
            "logs": board.logs(),
            "others": board.others(),
            "now_ms": board.now_ms,
            "query": urlencode({"code": asked.code, "severity": asked.severity}),
        }
        if inside:
            shown |= {
                "alert_count": board.alert_count(),
                "alerts": board.alerts(),
                "counts": board.counts(),
                "page": board.findings(asked),
                "rules": BY_CODE,
                "severities": SEVERITIES,
            }
        return _template().render(shown)

    @routes.get("/")
    async def page(
        request: Request, code: Code = "", severity: Severity = "", before: Before = None, enter: Literal["", "1"] = ""
    ) -> Response:
        inside = allowed(request)
        if not inside and (enter or "authorization" in request.headers):
            return _refused()
        text = await asyncio.to_thread(render, Asked(code, severity, before), inside=inside)
        return Response(text, headers=_HEADERS, media_type="text/html; charset=utf-8")

    @routes.get("/findings.json")
    async def findings_json(
        request: Request, code: Code = "", severity: Severity = "", before: Before = None
    ) -> Response:
        if not allowed(request):
            return _refused()
        found: Page = await asyncio.to_thread(board.findings, Asked(code, severity, before))
        body = {"findings": [as_json(kept) for kept in found.findings], "next": found.before}
        return Response(json.dumps(body, ensure_ascii=False), headers=_HEADERS, media_type="application/json")

    @routes.get("/findings.csv")
    async def findings_csv(
        request: Request, code: Code = "", severity: Severity = "", before: Before = None
    ) -> Response:
        if not allowed(request):
            return _refused()
        found: Page = await asyncio.to_thread(board.findings, Asked(code, severity, before))
        return Response(_csv(found.findings), headers=_HEADERS, media_type="text/csv; charset=utf-8")

    return routes


@cache
def _template() -> Template:
    pages = Environment(loader=PackageLoader("monitor", "web"), autoescape=True, undefined=StrictUndefined)
    pages.filters |= {"date": date, "count": "{:,}".format}
    return pages.get_template("page.html")


def _refused() -> Response:
    return answer(401, "alerts and findings are shown to those who hold a token of this monitor", CHALLENGE)


def _csv(findings: Sequence[KeptFinding]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(_COLUMNS)
    for kept in findings:
        row = as_json(kept)
        rows.writerow([_cell(row[column]) for column in _COLUMNS])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula: what is in it may be of a certificate's subject."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else str(value)
    text = "" if value is None else text
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
