"""A witness outside of all nodes, as they are deployed: what tlog-witness leaves open, and where programs part from it.

It decides as `log.client.witness` does; `Manners` then changes the answer. Everything that it was asked is kept.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from log.client.witness import TEXT, Answer, Cosign, decide
from log.crypto.notes import NoteSigner, cosign_all
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.note import Note, Signature, VKey, signature_line
from log.formats.witness_request import AddCheckpoint

GREASE = (
    Signature("grease.invalid", b"\0\0\0\1", b"x"),
    Signature("grease.invalid", b"\0\0\0\2", bytes(2428)),
)


@dataclass(slots=True)
class Manners:
    """How a witness answers where witnesses differ."""

    another_root: int = 422  # at the size it holds; 409, without a size, before tlog-witness 1.1
    unknown: int = 404  # an origin it does not know; 403 in litewitness of 2025
    shows: bool = True  # whether it has the route GET <origin hash>/checkpoint
    grease: bool = False  # whether lines of strangers stand around its own
    busy: list[tuple[int, str]] = field(default_factory=list)  # (status, Retry-After) of the next answers
    names: list[int] = field(default_factory=list)  # sizes that the next answers say it holds, true or not


class OutsideWitness:
    """An ASGI application."""

    def __init__(self, signers: Sequence[NoteSigner], clock: Callable[[], int]) -> None:
        self.signers = tuple(signers)
        self.manners = Manners()
        self.known: dict[str, tuple[VKey, ...]] = {}
        self.state: dict[str, tuple[Checkpoint, bytes]] = {}  # by origin; with the note under its lines
        self.asked: list[AddCheckpoint] = []
        self._clock = clock

    @property
    def vkeys(self) -> tuple[VKey, ...]:
        return tuple(signer.vkey for signer in self.signers)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers: list[tuple[bytes, bytes]] = []
        if (scope["method"], scope["path"]) == ("POST", "/w/add-checkpoint"):
            if self.manners.busy:
                status, retry_after = self.manners.busy.pop(0)
                headers.append((b"retry-after", retry_after.encode()))
                answer = Answer(status, b"busy\n", TEXT)
            else:
                answer = await self._add(body)
        else:
            answer = self._show(scope["path"])
        headers.append((b"content-type", answer.content_type.encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _add(self, body: bytes) -> Answer:
        request = AddCheckpoint.parse(body)
        self.asked.append(request)
        origin = parse_signed(request.note)[1].origin
        if self.manners.names:
            return Answer(409, b"%d\n" % self.manners.names.pop(0), "text/x.tlog.size")
        last, _ = self.state.get(origin, (None, b""))
        decision = decide(request, self.known, last)
        if isinstance(decision, Cosign):
            return Answer(200, await self.cosign(decision.note), TEXT)
        if decision.status == 404:
            return Answer(self.manners.unknown, b"unknown log\n", TEXT)
        if decision.status == 422 and decision.fork and self.manners.another_root == 409:
            return Answer(409, b"", TEXT)
        return decision

    async def cosign(self, raw: bytes) -> bytes:
        """Cosign a head, whatever it is, keep it as the last one, and return what is answered."""
        note, checkpoint = parse_signed(raw)
        lines: tuple[Signature, ...] = await cosign_all(note.text, self._clock() // 1000, self.signers)
        self.state[checkpoint.origin] = checkpoint, Note(note.text, (*note.signatures, *lines)).encode()
        if self.manners.grease:
            lines = (GREASE[0], *reversed(lines), Signature(lines[0].name, b"\0\0\0\3", b"not ours"), GREASE[1])
        return b"".join(map(signature_line, lines))

    def _show(self, path: str) -> Answer:
        for origin, (_, note) in self.state.items() if self.manners.shows else ():
            if path == f"/w/{sha256(origin.encode()).hexdigest()}/checkpoint":
                return Answer(200, note, TEXT)
        return Answer(404, b"404 page not found\n", TEXT)
