"""A log of events over real HTTP, as small as its clients let it be: it checks signatures, signs heads, gives receipts.

Its member has one Ed25519 key. What the real node refuses it refuses as well, as far as a client sees it.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from log.crypto import keys
from log.crypto.keys import Kind
from log.crypto.member_keys import MemberKey
from log.crypto.notes import cosign
from log.crypto.signed_requests import RequestHead, check_body, verify_head
from log.errors import Unauthenticated
from log.formats.event import event_entry, parse_event
from log.formats.event_batch import EventBatch, EventResults, Result, Submitted
from log.formats.event_codes import Standing
from log.formats.logged_event import LoggedEvent
from log.formats.names import READ_TAG, WRITE_TAG
from log.formats.note import KeyType, Note
from log.formats.policy import Policy
from log.formats.tlog_proof import EntryExtra, TlogProof
from log.merkle import tiles
from log.merkle.hashing import leaf_hash
from tests.client.heads import ed25519, head
from tests.support import rfc6962

ORIGIN = "hk.twinlog.example/events"
MEMBER = "hk/iam-smart"
NOTE, OWN = ed25519(ORIGIN, KeyType.ED25519, 21), ed25519(ORIGIN, KeyType.COSIGNATURE, 22)
GD = ed25519("gd.twinlog.example/witness", KeyType.COSIGNATURE, 23)
POLICY = Policy.parse(f"log {NOTE.vkey.encode()}\nlog {OWN.vkey.encode()}\nwitness gd {GD.vkey.encode()}\nquorum gd\n")
NOW_MS = 1_795_853_700_000  # 2026-11-28T08:15Z


async def signed_head(leaves: list[bytes], *, cosigned: bool) -> bytes:
    """Return the head over these leaves."""
    note = Note.parse(await head(leaves, signers=(NOTE, OWN), origin=ORIGIN))
    lines = [await cosign(note.text, NOW_MS // 1000, GD)] if cosigned else []
    return note.with_signatures((*note.signatures, *lines)).encode()


@dataclass
class EventLog:
    """What the log holds, and what was sent to it."""

    key_file: Path  # the member's
    url: str = ""
    leaves: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)  # of all requests
    answers: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)  # seq -> (body, answer)
    refuse: str = ""  # then every event is refused for this reason
    silent: int = 0  # requests that get no answer although they were taken
    status: int = 0  # of every answer, where it is not 0
    garbled: bool = False  # whether answers are no JSON

    def add(self, request: RequestHead, body: bytes) -> tuple[int, bytes]:
        """Return the answer to add-events: status and body."""
        self.bodies.append(body)
        if self.status or self.garbled:
            return self.status or 200, b"Garbled\n"
        key = MemberKey.load(MEMBER, self.key_file)
        try:
            submission = verify_head(request, WRITE_TAG, lambda _: [key.vkey], time.time_ns() // 1_000_000, 300)
            check_body(submission, body)
        except Unauthenticated as error:
            return 401, f"Unauthorized\n{error}\n".encode()
        batch = EventBatch.parse(body)
        if batch.seq not in self.answers:
            results = tuple(self._take(batch, line, each) for line, each in enumerate(batch.events))
            self.answers[batch.seq] = body, EventResults(results).encode()
        first, answer = self.answers[batch.seq]
        return (200, answer) if first == body else (409, b"Conflict\nanother request had this seq\n")

    def may_read(self, request: RequestHead) -> bool:
        """Say whether the member signed a read."""
        key = MemberKey.load(MEMBER, self.key_file)
        try:
            verify_head(request, READ_TAG, lambda _: [key.vkey], time.time_ns() // 1_000_000, 300)
        except Unauthenticated:
            return False
        return True

    def _take(self, batch: EventBatch, line: int, submitted: Submitted) -> Result:
        if self.refuse:
            return Result(None, self.refuse)
        standing = Standing.NOT_LOGGED if submitted.event.certificate_ref is None else Standing.OWN_LOG
        logged = LoggedEvent(submitted.event, b"r" * 32, batch.seq, line, standing)
        entry = event_entry(NOW_MS, batch.member, logged)
        index = len(self.leaves)
        self.leaves.append(entry.encode())
        note = asyncio.run(signed_head(self.leaves, cosigned=False))
        path = tuple(rfc6962.path(index, self.leaves))
        return Result(TlogProof(index, path, note, EntryExtra(entry).encode()).encode())

    def _found(self, sig_digest: bytes) -> bytes | None:
        for index, leaf in enumerate(self.leaves):
            entry, logged = parse_event(leaf)
            if logged.event.sig_digest == sig_digest:
                note = asyncio.run(signed_head(self.leaves, cosigned=True))
                path = tuple(rfc6962.path(index, self.leaves))
                return TlogProof(index, path, note, EntryExtra(entry).encode()).encode()
        return None

    def read(self, path: str) -> bytes | None:
        """Return what lies at a path of the log, below its prefix."""
        if path == "checkpoint/witnessed":
            return asyncio.run(signed_head(self.leaves, cosigned=True))
        if path.startswith("event/"):
            return self._found(bytes.fromhex(path.removeprefix("event/")))
        if path == f"tile/0/{tiles.numbered(0, len(self.leaves))}":
            return b"".join(map(leaf_hash, self.leaves))
        return None


@contextmanager
def event_log(folder: Path) -> Iterator[EventLog]:
    """Run a log; its member's key lies in `folder`."""
    keys.generate_key(folder / "member.pem", Kind.ED25519)
    served = EventLog(folder / "member.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fields = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
            status, answer = served.add(
                RequestHead("POST", self.headers["Host"], self.path, "", fields, has_body=True), body
            )
            if served.silent:
                served.silent -= 1
                self.close_connection = True
                return
            self._answer(status, answer)

        def do_GET(self) -> None:
            fields = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
            if "/event/" in self.path and not served.may_read(
                RequestHead("GET", self.headers["Host"], self.path, "", fields, has_body=False)
            ):
                self._answer(401, b"Unauthorized\nmembers read entries\n")
                return
            found = served.read(self.path.removeprefix("/events/"))
            self._answer(404 if found is None else 200, found or b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/events"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
