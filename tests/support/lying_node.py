"""A node of logs that may lie, over ASGI, with a witness; everything that a monitor sends to it is recorded."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256

from log.client.witness import Answer, decide
from log.crypto.notes import NoteSigner, cosign, verify_note
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.guard_push import GuardPush
from log.formats.note import KeyType, Note, Signature, VKey, signature_line
from log.formats.witness_request import AddCheckpoint
from tests.support.lying_log import (
    Fault,
    LyingLog,
    Receive,
    Scope,
    Send,
    ed25519,
    silence,
)


@dataclass(slots=True)
class LyingWitness:
    """A node's witness; its state can be changed by hand."""

    signer: NoteSigner
    clock: Callable[[], int]
    known: dict[str, tuple[VKey, ...]] = field(default_factory=dict)
    state: dict[str, bytes] = field(default_factory=dict)  # origin -> note with our own line
    cosigned: list[Checkpoint] = field(default_factory=list)
    requests: int = 0
    answers: Callable[[bytes], Awaitable[Answer]] | None = None  # to add-checkpoint, where it does not say the truth

    async def add_checkpoint(self, raw: bytes) -> Answer:
        """Answer, as tlog-witness has it where it says the truth."""
        self.requests += 1
        return await (self.answers or self.truth)(raw)

    async def truth(self, raw: bytes) -> Answer:
        """Answer as tlog-witness has it."""
        request = AddCheckpoint.parse(raw)
        origin = parse_signed(request.note)[1].origin
        last = parse_signed(self.state[origin])[1] if origin in self.state else None
        decision = decide(request, self.known, last)
        if isinstance(decision, Answer):
            return decision
        line = await self.cosign(decision.note)
        return Answer(200, signature_line(line), "text/plain; charset=utf-8")

    async def cosign(self, raw: bytes) -> Signature:
        """Cosign a head, whatever it is, and keep it as the last one."""
        note, checkpoint = parse_signed(raw)
        line = await cosign(note.text, self.clock() // 1000, self.signer)
        self.state[checkpoint.origin] = note.with_signatures([*note.signatures, line]).encode()
        self.cosigned.append(checkpoint)
        return line


class LyingNode:
    """An ASGI application: logs, a witness, a guard's ear."""

    def __init__(self, name: str, logs: Sequence[LyingLog], clock: Callable[[], int]) -> None:
        self.name = name
        self.logs = {followed.name: followed for followed in logs}
        self.witness = LyingWitness(
            NoteSigner.make(f"{name}.example/witness", KeyType.COSIGNATURE, ed25519(f"witness {name}")), clock
        )
        self.fault: Fault | None = None
        self.push_key: VKey | None = None  # of the guard
        self.pushes: list[GuardPush] = []
        self.answers: dict[str, str] = {}  # origin -> what to say instead of ok
        self.foreign_answers: dict[str, str] = {}  # what to say of origins that are not ours
        self.guarded = False
        self.named: set[str] = set()  # origins that a push has named: they stay guarded
        self.since_s = 0  # pushes of this second and before are answered 409
        self.seen: list[str] = []  # "METHOD path" of every request
        self.on_request: Callable[[int], None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.seen.append(f"{scope['method']} {scope['path']}")
        if self.on_request is not None:
            self.on_request(len(self.seen))
        if self.fault is Fault.SILENT:
            await silence(scope)
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # the other end died before it had said everything
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        followed = self.logs.get(scope["path"].split("/")[1])
        if scope["method"] == "GET" and followed is not None and followed.fault is Fault.SILENT:
            await silence(scope)
        reply = None if followed is None else followed.reply(scope["path"].partition(f"/{followed.name}/")[2])
        if scope["method"] == "GET" and reply is not None:
            await reply.send(scope, send)
            return
        status, kind, answer = await self._answer(scope["method"], scope["path"], body)
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(answer))]
        headers.append((b"date", formatdate(self.witness.clock() / 1000, usegmt=True).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:  # noqa: PLR0911, PLR0912
        text = "text/plain; charset=utf-8"
        if self.fault is Fault.ERROR:
            return 500, text, b"Internal Server Error\n"
        if self.fault is Fault.LONG:
            return 200, text, bytes(3 << 20)
        match method, path.lstrip("/").split("/", 1):
            case "POST", ["guard"]:
                return await self._guard(body)
            case "POST", ["witness", "add-checkpoint"]:
                if not self.guarded:
                    return 503, text, b"Service Unavailable\nunguarded\n"
                answer = await self.witness.add_checkpoint(body)
                return answer.status, answer.content_type, answer.body
            case "GET", ["witness", rest]:
                for origin, note in self.witness.state.items():
                    if rest == f"{sha256(origin.encode()).hexdigest()}/checkpoint":
                        return 200, text, note
            case "POST", [name, "add-cosignatures"] if name in self.logs:
                status = await self.logs[name].add_cosignatures(body)
                return status, text, b"" if status == 200 else self.logs[name].refused[-1].encode()
            case "POST", [name, rest] if name in self.logs:
                posted = await self.logs[name].post(rest, body)
                if posted is not None:
                    return posted
            case "GET", [name, rest] if name in self.logs:
                followed = self.logs[name]
                found = await followed.get(rest)
                if found is not None:
                    return 200, "application/octet-stream", found
        return 404, text, b"Not Found\n"

    async def _guard(self, body: bytes) -> tuple[int, str, bytes]:
        note = Note.parse(body)
        if self.push_key is None:
            return 403, "text/plain", b"Forbidden\nno guard\n"
        verify_note(note, [self.push_key])
        push = GuardPush.parse(note.text)
        if push.time_s <= self.since_s:
            self.named.clear()
            self.since_s -= 1  # a second later the same push would be heard
            return 409, "text/plain", b"Conflict\nbefore this start\n"
        self.pushes.append(push)
        self.named |= {parse_signed(raw)[1].origin for raw in push.own}
        peers = {origin for origin, _ in push.peers}
        self.guarded = True
        origins = {
            followed.origin: "ok" if followed.origin in self.named else "unguarded" for followed in self.logs.values()
        }
        answer = {
            "guarded": all(state == "ok" for state in origins.values()),
            "origins": origins | {o: say for o, say in self.answers.items() if o in origins} | self.foreign_answers,
            "peers": {origin: "ok" if origin in peers else "unguarded" for origin in self.witness.known},
        }
        return 200, "application/json", json.dumps(answer).encode()
