"""The hot routes, in front of FastAPI: three to four times the requests (design.md section 8).

One table says what is hot. FastAPI declares the same routes for their description and would answer them the
same, so the edge may let go of whatever it does not recognise at first sight: FastAPI is the only one that
says 404 and 405.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from log.api import exchange
from log.api import handlers_read as read
from log.api import handlers_rfc6962 as rfc6962
from log.api import handlers_submit as submit
from log.api.exchange import Exchange
from log.api.front import Front
from log.api.limits import Receive
from log.api.reply import PREFLIGHT, Reply
from log.api.route import BY_HASH, CHAIN, ENTRIES, ISSUER, NOTE, PROOF, TILE, Route

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Match = tuple[Route, tuple[str, ...]]  # a route, and what stands in the path for its names

HOT = (
    Route("GET", "/{log}/checkpoint", read.checkpoint, NOTE),
    Route("GET", "/{log}/checkpoint/witnessed", read.witnessed, NOTE),
    # data and entries stand before {level}: FastAPI takes the first pattern that fits.
    Route("GET", "/{log}/tile/data/{number:path}", read.data_tile, ENTRIES),
    Route("GET", "/{log}/tile/entries/{number:path}", read.entry_bundle, ENTRIES),
    Route("GET", "/{log}/tile/{level}/{number:path}", read.hash_tile, TILE),
    Route("GET", "/{log}/issuer/{fingerprint}", read.issuer, ISSUER),
    Route("GET", "/{log}/tlog-proof", read.tlog_proof, PROOF),
    Route("GET", "/{log}/ct/v1/get-proof-by-hash", rfc6962.get_proof_by_hash, BY_HASH),
    Route("POST", "/{log}/ct/v1/add-chain", submit.add_chain, CHAIN),
    Route("POST", "/{log}/ct/v1/add-pre-chain", submit.add_pre_chain, CHAIN),
)

MATCHED_PATHS = 8192  # paths whose match is remembered,
MAX_MATCHED_CHARS = 256  # none longer than this; longer ones are FastAPI's
_DEPTH = 4  # a path is cut at its first four slashes: no pattern has more words, `{…:path}` is the fourth


@dataclass(slots=True)
class _Step:
    """A place in the tree of patterns: how a path may go on, and the route of a path that ends here."""

    words: dict[str, "_Step"] = field(default_factory=dict)
    any_word: "_Step | None" = None
    route: Route | None = None


class Table:
    """Finds a route by its words. A word that a pattern spells out goes before a name for any word."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._starts: dict[str, _Step] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        step = self._starts.setdefault(route.method, _Step())
        words = route.pattern.split("/")[1:]
        if len(words) > _DEPTH or (route.pattern.endswith(":path}") and len(words) < _DEPTH):
            raise AssertionError(f"{route.pattern} does not fit a table of {_DEPTH} words")
        for word in words:
            if word.startswith("{"):
                step.any_word = step = step.any_word or _Step()
            else:
                step = step.words.setdefault(word, _Step())
        step.route = route

    def match(self, method: str, path: str) -> Match | None:
        """Return the route of a path and what stands in the path for its names; None for any other path."""
        step = self._starts.get(method)
        params: list[str] = []
        for word in path.split("/", _DEPTH)[1:]:
            if step is None:
                return None
            following = step.words.get(word)
            if following is None and word:
                following = step.any_word
                params.append(word)
            step = following
        return None if step is None or step.route is None else (step.route, tuple(params))


class Edge:
    """The application as uvicorn calls it."""

    def __init__(self, front: Front, rest: Asgi) -> None:
        self._front = front
        self._rest = rest
        self._match = lru_cache(MATCHED_PATHS)(Table(HOT).match)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        # A server sends no body in answer to HEAD, so HEAD is GET (RFC 9110 section 9.3.2).
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = scope["path"]
        if b"%" in scope["raw_path"]:
            # No path here needs percent-encoding: each thing has one URL, so a cache holds it once.
            await _send(self._front.lost(404, "no path here is percent-encoded"), send)
        elif len(path) <= MAX_MATCHED_CHARS and (found := self._match(method, path)):
            reply = await self._front.answer(*found, scope, receive)
            here: Exchange | None = scope.get(exchange.KEY)
            if here is None or not here.answer(reply):
                await _send(reply, send)
        elif method == "OPTIONS":
            await _send(PREFLIGHT, send)
        else:
            await self._rest({**scope, "method": method}, receive, send)


async def _send(reply: Reply, send: Send) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.head()})
    await send({"type": "http.response.body", "body": reply.body})
