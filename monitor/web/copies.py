"""The verified copy of each log, for whoever reads logs (C2SP tlog-tiles, static-ct-api), up to the verified size.

GET /<origin hash>/tile/<L>/<N>[.p/<W>]             hash tiles, for all
GET /<origin hash>/tile/<data|entries>/<N>[.p/<W>]  entries as the log's own family has them: for all where the settings
                                                    call them public, else for who shows a token. A log that shows
                                                    its entries to members only is not laid open here
GET /<origin hash>/issuer/<SHA-256>                 issuers, for all
GET /<origin hash>/checkpoint/newest                the verified head, as the log signed it

What we cosigned last is at `/<origin hash>/checkpoint`, where a reader of logs looks for it (`web.gossip`).
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from log.errors import Denied, Malformed, NotFound, Unauthenticated
from log.formats.family import Family
from log.merkle.tiles import TILE_HEIGHT, TILE_WIDTH, parse_tile
from monitor.copy.reader import CopyReader
from monitor.web.app import TEXT

BINARY = "application/octet-stream"
CERTIFICATE = "application/pkix-cert"
FRESH = {"Cache-Control": "no-store"}
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
PRIVATE = {"Cache-Control": "private, no-store"}
Hex = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Served:
    """The copy of one log, and whether anybody may read its entries."""

    reader: CopyReader
    family: Family
    public: bool


def router(copies: Callable[[], Mapping[str, Served]], tokens: Sequence[bytes]) -> APIRouter:
    """Return the routes. `copies` gives each log by its origin hash, `tokens` are SHA-256 of bearer tokens."""
    routes = APIRouter()

    def of(origin_hash: str) -> Served:
        found = copies().get(origin_hash)
        if found is None:
            raise NotFound("no log of this origin is copied here")
        return found

    @routes.get("/{origin_hash}/checkpoint/newest")
    async def newest(origin_hash: Hex) -> Response:
        return Response(await of(origin_hash).reader.checkpoint(), media_type=TEXT, headers=FRESH)

    @routes.get("/{origin_hash}/issuer/{fingerprint}")
    async def issuer(origin_hash: Hex, fingerprint: Hex) -> Response:
        found = await of(origin_hash).reader.blob(bytes.fromhex(fingerprint))
        if found is None:
            raise NotFound("no issuer of that fingerprint")
        return Response(found, media_type=CERTIFICATE, headers=IMMUTABLE)

    @routes.get("/{origin_hash}/tile/{kind}/{number:path}")
    async def tile(request: Request, origin_hash: Hex, kind: str, number: str) -> Response:
        found = of(origin_hash)
        level = "0" if kind == found.family.tile else kind
        start, end = _range(level, number, found.reader.size)
        if kind != found.family.tile:
            hashes = await found.reader.hashes(int(level), start, end, found.reader.size)
            return Response(hashes, media_type=BINARY, headers=IMMUTABLE)
        if not found.public:
            admit(request.headers.get("authorization", ""), tokens)
        rows = await found.reader.entries(start, end, found.reader.size)
        kept = IMMUTABLE if found.public else PRIVATE
        return Response(found.family.join(rows), media_type=BINARY, headers=kept)

    return routes


def admit(authorization: str, tokens: Sequence[bytes]) -> None:
    """Raise `Denied` or `Unauthenticated` unless this is a known bearer token (RFC 6750 section 2.1)."""
    if not tokens:
        raise Denied("entries of this log are not shown here")
    scheme, _, token = authorization.partition(" ")
    digest = sha256(token.strip().encode()).digest()
    known = [hmac.compare_digest(digest, each) for each in tokens]  # all of them, whatever the first says
    if scheme.lower() != "bearer" or not any(known):
        raise Unauthenticated("entries of this log are shown to bearers of a known token")


def _range(level: str, number: str, size: int) -> tuple[int, int]:
    """Return which hashes of its level a tile's path names; `NotFound` for none, or one beyond `size`."""
    try:
        tile = parse_tile(level, number)
    except Malformed as error:
        raise NotFound("no tile has that path") from error
    start = tile.n * TILE_WIDTH
    if start + tile.width > size >> (TILE_HEIGHT * tile.level):
        raise NotFound("beyond what is verified here")
    return start, start + tile.width
