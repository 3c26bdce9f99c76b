"""A log's reads over HTTP: c2sp.org/tlog-tiles and static-ct-api, from the reader's side.

The other end is a stranger: what it may cost is in `exchange` and in `Limits`.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

import httpx

from log.client.exchange import GZIP, PLAIN, exchange
from log.errors import Malformed, NotFound, Redirected, Unreachable
from log.formats.family import Family
from log.merkle import tiles
from log.merkle.hashing import HASH_SIZE
from log.merkle.tiles import TILE_WIDTH, Tile

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a log may cost its reader."""

    deadline_s: float = 30.0  # for one answer, from the request to its last byte
    checkpoint_bytes: int = 1 << 20  # a signed note
    entries_bytes: int = 64 << 20  # a native tile: 256 leaf inputs of 65,535 bytes, and their precertificates
    certificate_bytes: int = 512 << 10
    parallel: int = 8  # answers waited for at the same time
    packed: bool = True  # whether gzip is asked for: it spares the network, and costs both ends more than they hash


class HttpLog:
    """A `LogReader` of the log below `base_url`, whose entries are those of `family`.

    The client is the caller's to configure (TLS, proxies, connection pool) and to close.
    """

    def __init__(self, base_url: str, family: Family, client: httpx.AsyncClient, limits: Limits | None = None) -> None:
        self._base = base_url.rstrip("/")
        self._family = family
        self._client = client
        self._limits = limits or Limits()
        self._slots = asyncio.Semaphore(self._limits.parallel)

    async def checkpoint(self) -> bytes:
        return await self._get("checkpoint", self._limits.checkpoint_bytes)

    async def witnessed(self) -> bytes | None:
        try:
            return await self._get("checkpoint/witnessed", self._limits.checkpoint_bytes)
        except NotFound:
            return None

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        places = _tiles(0, start, end, size)
        found = await _together([self._entries(tile) for tile in places])
        rows = [row for tile in found for row in tile]
        first = start // TILE_WIDTH * TILE_WIDTH
        return rows[start - first : end - first]

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        places = _tiles(level, start, end, size)
        data = b"".join(await _together([self._hashes(tile) for tile in places]))
        first = start // TILE_WIDTH * TILE_WIDTH
        return data[HASH_SIZE * (start - first) : HASH_SIZE * (end - first)]

    async def blob(self, digest: bytes) -> bytes | None:
        try:
            return await self._get(f"issuer/{digest.hex()}", self._limits.certificate_bytes)
        except NotFound:
            return None

    async def _hashes(self, tile: Tile) -> bytes:
        data, width = await self._tile(f"tile/{tile.level}", tile, tiles.TILE_BYTES)
        if len(data) != HASH_SIZE * width:
            raise Malformed(f"{len(data)} bytes in the place of {width} hashes: {tile.path()}")
        return data

    async def _entries(self, tile: Tile) -> list[bytes]:
        data, width = await self._tile(f"tile/{self._family.tile}", tile, self._limits.entries_bytes)
        try:
            rows = self._family.split(data)
        except Malformed as e:
            raise Malformed(f"{e}: entry tile {tile.n}") from e
        if len(rows) != width:
            raise Malformed(f"{len(rows)} entries where {width} must be, in entry tile {tile.n}")
        return rows

    async def _tile(self, folder: str, tile: Tile, limit: int) -> tuple[bytes, int]:
        """Return a tile's bytes and the width of the tile that was had; the caller cuts it.

        A log may drop a partial tile once the full one is there (tlog-tiles, "Partial Tiles").
        """
        try:
            return await self._get(f"{folder}/{tiles.numbered(tile.n, tile.width)}", limit), tile.width
        except NotFound:
            if tile.width == TILE_WIDTH:
                raise
        return await self._get(f"{folder}/{tiles.number_path(tile.n)}", limit), TILE_WIDTH

    async def _get(self, path: str, limit: int) -> bytes:
        """Return the body of a 200; `NotFound` for 404, `Malformed` (`Redirected`) or `Unreachable` for all else."""
        async with self._slots:
            answer = await exchange(
                self._client,
                "GET",
                f"{self._base}/{path}",
                path,
                max_bytes=limit,
                deadline_s=self._limits.deadline_s,
                accept=GZIP if self._limits.packed else PLAIN,
                wanted=lambda status: status == httpx.codes.OK,
            )
        if answer.status == httpx.codes.OK:
            return answer.body
        if answer.status == httpx.codes.NOT_FOUND:
            raise NotFound(f"the log answers 404: {path}")
        if answer.status == httpx.codes.TOO_MANY_REQUESTS or httpx.codes.is_server_error(answer.status):
            raise Unreachable(f"the log answers {answer.status} now: {path}", answer.retry_after_s)
        if httpx.codes.is_redirect(answer.status):
            raise Redirected(f"the log answers {answer.status}, which nobody follows: {path}")
        asked = ", which it shows to holders of a bearer token" if answer.status == httpx.codes.UNAUTHORIZED else ""
        raise Malformed(f"the log answers {answer.status}: {path}{asked}")


def is_on_this_machine(url: str) -> bool:
    """Say whether a URL leads to this machine itself, by its address: no network is spared by packing answers then."""
    try:
        return ip_address(httpx.URL(url).host).is_loopback
    except (ValueError, httpx.InvalidURL):
        return False


def _tiles(level: int, start: int, end: int, size: int) -> list[Tile]:
    """Return the tiles that hold the hashes start <= i < end of a level, as they stand at `size`."""
    if not 0 <= start <= end <= size >> tiles.TILE_HEIGHT * level:
        raise AssertionError(f"{start} to {end} lies outside level {level} of a tree of {size}")
    places = [tiles.tile_at(level, n, size) for n in range(start // TILE_WIDTH, -(-end // TILE_WIDTH))]
    return [tile for tile in places if tile is not None]


async def _together(reads: Sequence[Awaitable[T]]) -> list[T]:
    """Await reads side by side, in order; the first error ends the others."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
