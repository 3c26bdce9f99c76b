"""Answers that mean harm, or come from whoever stands in between: each in this process (ASGI) and over real sockets.

In this process nothing drips and nothing is cut: what a client would make of it is raised at once. How long it takes is
tried over sockets.
"""

import asyncio
import gzip
import struct
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import httpx

IN_PROCESS = ("in this process", 0)  # how a request says that no socket carries it

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Field = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int = 200
    fields: tuple[Field, ...] = ((b"content-type", b"text/html; charset=utf-8"),)
    body: bytes = b""
    every_s: float = 0.0  # between two bytes, where it drips
    lacks: int = 0  # bytes that its length promises and that never come
    times: int = 1  # how often the body comes, over sockets

    async def send(self, scope: MutableMapping[str, Any], send: Send) -> None:
        """Give this answer."""
        local = tuple(scope["client"]) == IN_PROCESS
        if local and self.every_s:
            raise httpx.ReadTimeout("it drips")
        if local and self.lacks:
            raise httpx.RemoteProtocolError("half an answer")
        fields = list(self.fields)
        if self.times == 1:
            fields.append((b"content-length", b"%d" % (len(self.body) + self.lacks)))
        await send({"type": "http.response.start", "status": self.status, "headers": fields})
        for _ in range(0 if local else self.times - 1):  # to whom has gone this is nothing, and soon over
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if self.every_s:
            for at in range(len(self.body)):
                await send({"type": "http.response.body", "body": self.body[at : at + 1], "more_body": True})
                await asyncio.sleep(self.every_s)
        await send({"type": "http.response.body", "body": b"" if self.every_s else self.body})


HTML = Reply(body=b"<!DOCTYPE html>\n<title>Welcome</title>\n<p>Please log in to this network.\n")
EMPTY = Reply()
CUT = Reply(body=b'{"tree_size": 3', lacks=100)
JSON = Reply(fields=((b"content-type", b"application/json"),), body=b'{"tree_size": 3')
LORIS = Reply(body=bytes(1 << 8), every_s=1.0)
ENDLESS_FIELD = Reply(fields=((b"x-field", b"x" * (1 << 20)),), body=b"x")
NOT_FOUND = Reply(404, body=b"Not Found\n")


def redirect(url: str, status: int = 302) -> Reply:
    """Point elsewhere."""
    return Reply(status, ((b"location", url.encode()),))


def busy(status: int, retry_after_s: int) -> Reply:
    """Ask to be left alone."""
    return Reply(status, ((b"retry-after", b"%d" % retry_after_s),), b"busy\n")


@cache
def packed_zeros(mebibytes: int) -> bytes:
    """Return so many zeros as gzip, a thousandth as long, made without having them: one piece stands for each."""
    pack = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    zeros, checked = bytes(1 << 20), 0
    piece = pack.compress(zeros) + pack.flush(zlib.Z_FULL_FLUSH)  # what follows refers to nothing before
    for _ in range(mebibytes):
        checked = zlib.crc32(zeros, checked)
    end = zlib.compressobj(wbits=-zlib.MAX_WBITS).flush() + struct.pack("<II", checked, mebibytes << 20)
    return b"\x1f\x8b\x08" + bytes(7) + piece * mebibytes + end


@cache
def bomb() -> Reply:
    """Return a bomb of 128 MiB."""
    return Reply(fields=((b"content-encoding", b"gzip"),), body=packed_zeros(128))


@cache
def long(count: int = 8 << 20) -> Reply:
    """Return more than any note may have; over sockets two gigabytes."""
    return Reply(body=bytes(count), times=256)


def packed(reply: Reply) -> Reply:
    """Return the same as gzip."""
    return replace(reply, fields=(*reply.fields, (b"content-encoding", b"gzip")), body=gzip.compress(reply.body))
