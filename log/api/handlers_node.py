"""The node as a whole: its page, its health, its guards and its witness, and the description of all this."""

from log.api.reply import FRESH, HTML, TEXT, Reply, headers, json_reply
from log.api.route import Call, Site
from log.api.status_page import render
from log.errors import NotFound

_PAGE = headers(
    HTML,
    FRESH,
    content_security_policy="default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
)
_NOTE = headers(TEXT, FRESH)
_EXPOSITION = headers("text/plain; version=0.0.4; charset=utf-8", FRESH)


async def status_page(site: Site, _call: Call) -> Reply:
    """`/`: the logs of this node for people."""
    node = site.node
    page = render(node.name, [hosted.status() for hosted in node.logs.values()], node.guards)
    return Reply(200, _PAGE, page.encode("utf-8"))


async def well_known(site: Site, _call: Call) -> Reply:
    """`/.well-known/twinlog.json`: what there is here. Not a source of trust: readers pin keys."""
    return json_reply(site.node.well_known())


async def log_v3(site: Site, call: Call) -> Reply:
    """`/<log>/log.v3.json`: this log as lists of CT logs name it (schema of Chrome's list, version 3)."""
    return json_reply(site.node.log_list_entry(call.params[0]))


async def healthz(site: Site, _call: Call) -> Reply:
    """`/healthz`: 200 while every log does what it promises, else 503; which one and why in the JSON."""
    ok, report = site.node.health()
    return json_reply(report, 200 if ok else 503)


async def metrics(site: Site, _call: Call) -> Reply:
    """`/metrics`: counters in the Prometheus text format."""
    return Reply(200, _EXPOSITION, await site.metrics.exposition())


async def hear_guard(site: Site, call: Call) -> Reply:
    """`POST /guard`: a guard says which heads it knows (design.md section 4.3)."""
    return json_reply(await site.node.hear_guard(call.body))


async def witness_add(site: Site, call: Call) -> Reply:
    """`POST /witness/add-checkpoint`: codes and content types are those of c2sp.org/tlog-witness."""
    answer = await site.node.witness.add_checkpoint(call.body)
    return Reply(answer.status, headers(answer.content_type, FRESH if answer.status == 200 else None), answer.body)


async def witness_latest(site: Site, call: Call) -> Reply:
    """`/witness/<origin hash>/checkpoint`: the head of an origin that this witness cosigned last."""
    note = await site.node.witness.latest(call.params[0])
    if note is None:
        raise NotFound("this witness has cosigned no head of that origin")
    return Reply(200, _NOTE, note)


async def openapi(site: Site, _call: Call) -> Reply:
    """`/openapi.json`: the description of every route."""
    return json_reply(site.openapi())
