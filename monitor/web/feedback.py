"""What relying parties and CAs bring: SCTs with their certificates, and signed heads that they were shown (F7, F8).

    POST /.well-known/ct/v1/sct-feedback      {"sct_feedback": [{"x509_chain": [base64…], "sct_data": [base64…]}…]}
    POST /.well-known/ct/v1/sth-pollination   {"sths": [{"sth_version", "tree_size", "timestamp", "sha256_root_hash",
                                              "tree_head_signature", "log_id"}…], "notes": [base64…]}

Both in the form of draft-ietf-trans-gossip-00; `notes` are ours, for heads that are no STHs. Pollination is answered
with heads that we know, the newest of each log among them, and with the evidence to which what came has led.
"""

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request, Response

from log.errors import BadSignature, Malformed
from log.fair.rates import Rates
from log.formats.text import b64decode
from log.serving.clients import Clients
from monitor.limits import Limits
from monitor.pollination import Pollination
from monitor.promises import Promises
from monitor.web.app import body

JSON = "application/json"
_CLIENTS = Clients(behind_proxy=False)


def router(promises: Promises, pollination: Pollination, rates: Rates[str], limits: Limits) -> APIRouter:
    """Return the routes; `rates` are by the address of whoever asks."""
    routes = APIRouter()

    @routes.post("/.well-known/ct/v1/sct-feedback")
    async def feedback(request: Request) -> Response:
        _allow(rates, request)
        value = _object(await body(request, limits.feedback_bytes, limits.request_s))
        if "sct_feedback" not in value:
            raise Malformed("feedback is named sct_feedback")
        rows = _list(value, "sct_feedback")
        if not all(isinstance(row, dict) for row in rows):
            raise Malformed("feedback is a list of objects")
        brought = [(_decoded(row.get("x509_chain")), _decoded(row.get("sct_data"))) for row in rows]
        kept = await promises.take(brought)
        if not kept:
            raise BadSignature("no SCT of a log that is followed here")
        return Response(json.dumps({"kept": kept}), media_type=JSON)

    @routes.post("/.well-known/ct/v1/sth-pollination")
    async def pollinate(request: Request) -> Response:
        _allow(rates, request)
        value = _object(await body(request, limits.pollination_bytes, limits.request_s))
        findings = await pollination.take(_list(value, "sths"), _decoded(_list(value, "notes")))
        evidence = sorted({finding.evidence for finding in findings if finding.evidence})
        told = await asyncio.to_thread(pollination.tell)
        return Response(json.dumps({**told, "evidence": evidence}), media_type=JSON)

    @routes.get("/.well-known/ct/v1/sth-pollination")
    async def heads() -> Response:
        return Response(json.dumps(await asyncio.to_thread(pollination.tell)), media_type=JSON)

    return routes


def _allow(rates: Rates[str], request: Request) -> None:
    rates.take(_CLIENTS.of(request.scope))


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as e:
        raise Malformed("the body is not JSON") from e
    if not isinstance(value, dict):
        raise Malformed("the body is an object")
    return value


def _list(value: dict[str, Any], name: str) -> list[Any]:
    rows = value.get(name, [])
    if not isinstance(rows, list):
        raise Malformed(f"{name} is a list")
    return rows


def _decoded(values: object) -> list[bytes]:
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise Malformed("a list of base64 is wanted")
    return [b64decode(each) for each in values]
