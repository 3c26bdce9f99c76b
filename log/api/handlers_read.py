"""Reading a log: heads, tiles, issuers and proofs (c2sp.org/tlog-tiles, static-ct-api, tlog-proof).

A path that names no possible tile is not found, like a tile that is not there yet. A wrong query is
malformed.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import parse_qsl

from log.api.reply import BINARY, CERTIFICATE, FRESH, IMMUTABLE, PRIVATE, TEXT, Reply, headers
from log.api.route import Call, Site
from log.errors import Malformed, NotFound
from log.merkle.tiles import TILE_WIDTH, Tile, parse_tile

_NOTE = headers(TEXT, FRESH)
_TILE = headers(BINARY, IMMUTABLE)
_RESTRICTED = headers(BINARY, PRIVATE)
_ISSUER = headers(CERTIFICATE, IMMUTABLE)
_GZIP = (b"content-encoding", b"gzip")
_VARY = (b"vary", b"accept-encoding")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_QVALUE_ZERO = re.compile(rb"q=0(\.0{0,3})?")
TILE_PATHS = 8192  # paths of tiles whose numbers are remembered, about 300 bytes each
_QUERY_NAMES = 8  # at most so many names in a query


async def checkpoint(site: Site, call: Call) -> Reply:
    """`/<log>/checkpoint`: the newest head."""
    return Reply(200, _NOTE, await site.log(call.params[0]).checkpoint())


async def witnessed(site: Site, call: Call) -> Reply:
    """`/<log>/checkpoint/witnessed`: the largest head that meets the log's policy."""
    note = await site.log(call.params[0]).witnessed()
    if note is None:
        raise NotFound("no head of this log has been witnessed yet")
    return Reply(200, _NOTE, note)


async def hash_tile(site: Site, call: Call) -> Reply:
    """`/<log>/tile/<L>/<N>[.p/<W>]`: never compressed, for hashes are noise."""
    name, level, number = call.params
    hosted = site.log(name)
    tile = _tile(level, number)
    return Reply(200, _TILE, await hosted.tiles.hash_tile(tile.level, tile.n, tile.width))


async def data_tile(site: Site, call: Call) -> Reply:
    """`/<log>/tile/data/<N>[.p/<W>]`: the entries of a log of certificates."""
    return await _entries(site, call, "data")


async def entry_bundle(site: Site, call: Call) -> Reply:
    """`/<log>/tile/entries/<N>[.p/<W>]`: the entries of any log."""
    return await _entries(site, call, "entries")


async def _entries(site: Site, call: Call, kind: str) -> Reply:
    name, number = call.params
    hosted = site.log(name)
    tile = _tile("0", number)
    kept = _RESTRICTED if call.restricted else _TILE
    if tile.width < TILE_WIDTH:  # read once or twice before it is full: not worth compressing
        return Reply(200, kept, await hosted.tiles.entry_tile(kind, tile.n, tile.width))
    if accepts_gzip(call.headers):
        return Reply(200, (*kept, _VARY, _GZIP), await hosted.tiles.entry_tile_gzip(kind, tile.n))
    return Reply(200, (*kept, _VARY), await hosted.tiles.entry_tile(kind, tile.n, tile.width))


async def issuer(site: Site, call: Call) -> Reply:
    """`/<log>/issuer/<SHA-256>`: a certificate that a chain in this log refers to."""
    name, fingerprint = call.params
    hosted = site.log(name)
    certificate = await hosted.blob(bytes.fromhex(fingerprint)) if is_digest(fingerprint) else None
    if certificate is None:
        raise NotFound("no issuer of that fingerprint")
    return Reply(200, _ISSUER, certificate)


async def tlog_proof(site: Site, call: Call) -> Reply:
    """`/<log>/tlog-proof?leaf=…` or `?fingerprint=…`, `head=newest` for one side's word."""
    hosted = site.log(call.params[0])
    query = _query(call.query)
    leaf, fingerprint, head = query.pop("leaf", None), query.pop("fingerprint", None), query.pop("head", None)
    if query or (leaf is None) == (fingerprint is None) or head not in (None, "newest"):
        raise Malformed("ask for leaf=<hex> or fingerprint=<hex>, and at most head=newest")
    proof = await hosted.tlog_proof(
        leaf=None if leaf is None else digest(leaf),
        fingerprint=None if fingerprint is None else digest(fingerprint),
        newest=head is not None,
    )
    return Reply(200, _NOTE, proof)


def wants_newest(query: bytes) -> bool:
    """Say whether a query is `head=newest`, and not empty; `Malformed` when it is neither."""
    values = _query(query)
    if values.keys() - {"head"} or values.get("head", "newest") != "newest":
        raise Malformed("ask for at most head=newest")
    return bool(values)


def is_digest(text: str) -> bool:
    """Say whether this is a SHA-256 as paths have it: 64 digits of lower-case hex."""
    return _DIGEST.fullmatch(text) is not None


def accepts_gzip(fields: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether a request accepts gzip (RFC 9110 section 12.5.3). `*` is too vague for a yes."""
    accepted = b",".join(value for name, value in fields if name == b"accept-encoding").lower()
    for offer in accepted.split(b","):
        coding, *weight = (part.strip() for part in offer.split(b";"))
        if coding in (b"gzip", b"x-gzip"):
            return not (weight and _QVALUE_ZERO.fullmatch(weight[0]))
    return False


@lru_cache(TILE_PATHS)
def _tile(level: str, number: str) -> Tile:
    try:
        return parse_tile(level, number)
    except Malformed as e:
        raise NotFound("no tile has that path") from e


def _query(query: bytes) -> dict[str, str]:
    """Return the query's names and values, each name once."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            max_num_fields=_QUERY_NAMES,
        )
    except ValueError as e:
        raise Malformed("the query does not read as name=value pairs") from e
    values = dict(pairs)
    if len(values) < len(pairs):
        raise Malformed("the query has a name twice")
    return values


def digest(text: str) -> bytes:
    """Return a SHA-256 as it stands in a path or query; `Malformed` for any other text."""
    if not is_digest(text):
        raise Malformed("a SHA-256 is 64 digits of lower-case hex")
    return bytes.fromhex(text)
