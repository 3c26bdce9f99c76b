"""What other monitors ask of us, and anybody who holds evidence (monitoring.md §5.2, F9 and F10).

GET  /gossip/v1/observations?after=N   our chain from there on, a page
GET  /gossip/v1/read/<monitor id>      how far we have read the chain of that monitor
GET  /gossip/v1/evidence               the ids of all that is kept
GET  /gossip/v1/evidence/<id>          one object
POST /gossip/v1/evidence               one more: 200 with its id, the same again for the same one
GET  /<origin hash>/checkpoint         what we cosigned last of a log (C2SP tlog-witness)
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from log.errors import NotFound
from log.formats.note import VKey
from monitor import observation
from monitor.gossip import Archive, peer_id, place
from monitor.limits import Limits
from monitor.own_witness import OwnWitness
from monitor.store import Store
from monitor.web.app import TEXT, body

JSON = "application/json"
Hex = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


def router(
    store: Store,
    archive: Archive,
    own: OwnWitness,
    others: tuple[VKey, ...],
    origins: Callable[[], Mapping[str, str]],
    limits: Limits,
) -> APIRouter:
    """Return the routes. `origins` gives each followed origin by its hash, `others` are the monitors that we know."""
    routes = APIRouter()
    known = {peer_id(vkey): vkey.encode() for vkey in others}

    @routes.get("/gossip/v1/observations")
    async def observations(after: Annotated[int, Query(ge=0, lt=1 << 63)] = 0) -> Response:
        page = await asyncio.to_thread(store.observations, after, limits.gossip_rows, limits.gossip_bytes)
        return Response(observation.encode(page), media_type=JSON)

    @routes.get("/gossip/v1/read/{id_}")
    async def read(id_: Hex) -> Response:
        found = await asyncio.to_thread(store.read_of, known.get(id_, ""))
        if found is None:
            raise NotFound("nothing was read of this monitor")
        return Response(place(*found), media_type=JSON)

    @routes.get("/gossip/v1/evidence")
    async def list_evidence() -> Response:
        ids = await asyncio.to_thread(archive.ids)
        return Response(json.dumps({"evidence": ids}), media_type=JSON)

    @routes.get("/gossip/v1/evidence/{id_}")
    async def get_evidence(id_: Hex) -> Response:
        found = await asyncio.to_thread(archive.get, id_)
        if found is None:
            raise NotFound("no such evidence is kept here")
        return Response(found, media_type=JSON)

    @routes.post("/gossip/v1/evidence")
    async def add_evidence(request: Request) -> Response:
        id_, verdict, _ = await archive.take(
            await body(request, limits.evidence_bytes, limits.request_s), "whoever brought it"
        )
        return Response(json.dumps({"id": id_.hex(), "kind": verdict.kind.value}), media_type=JSON)

    @routes.get("/{origin_hash}/checkpoint")
    async def checkpoint(origin_hash: Hex) -> Response:
        origin = origins().get(origin_hash)
        note = None if origin is None else await own.shown(origin)
        if note is None:
            raise NotFound("no head of this origin is cosigned here")
        return Response(note, media_type=TEXT, headers={"Cache-Control": "no-store"})

    return routes
