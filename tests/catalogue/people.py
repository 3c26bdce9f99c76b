"""What certificates say, who is told, and what relying parties bring (rows 11, 28, 29, 39, 44)."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx

from log.certs import der
from log.demo import issuing
from log.evidence.heads import Kind
from log.formats.family import x509_parts
from monitor.rules.case import Hit
from tests.catalogue.harness import ROUNDS, Case, M, O, P, S, Theme
from tests.monitor.rules.cases import alternative, world
from tests.monitor.rules.test_judging import pair
from tests.monitor.test_feedback import FEEDBACK, brought, certificate_at, sct

PEOPLE = Theme()
WATCHED = "watched.example"
BRIEF = "channel_s = 0.5"  # until what hangs is given up
WATCH = f'[[watch]]\nname = "us"\nsuffixes = ["{WATCHED}"]\n'


async def post(case: Case, path: str, body: Any, host: str = "203.0.113.1") -> httpx.Response:
    """Bring something to the monitor."""
    transport = httpx.ASGITransport(case.monitor.app, client=(host, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
        if isinstance(body, bytes):
            return await client.post(path, content=body)
        return await client.post(path, json=body)


async def bring(case: Case, certificate: bytes, index: int, time_ms: int) -> httpx.Response:
    """Bring an SCT that the log gave for a certificate."""
    return await post(case, FEEDBACK, brought(certificate, await sct(case.truth, certificate, index, time_ms)))


def set_more(case: Case, tables: str) -> None:
    """Add tables to the monitor's settings; the next process reads them."""
    case.monitor.path.write_text(case.monitor.path.read_text() + tables)
    case.monitor.stop()


async def judge(case: Case) -> None:
    """Let the monitor judge all that it has verified."""
    made = case.monitor.assembled
    assert made is not None
    while await made.judging.pass_over([each for each in made.to_judge() if each.origin in JUDGED]):
        pass


JUDGED = ("hk.example/x509", "gd.example/x509")


def issued(serial: int, *more: bytes) -> bytes:
    """Return a certificate with this serial, and these extensions beside the usual ones."""
    profile = world().profile()
    return world().hk.issue(replace(profile, serial=(1 << 80) + serial, extensions=(*profile.extensions[:5], *more)))


@PEOPLE.row(11, "an SCT whose entry does not come in time", P, "late", kinds=(Kind.LATE,), step_ms=23_000, moves=True)
async def late(case: Case) -> AsyncIterator[None]:
    case.grows = False
    certificate, _ = certificate_at(case.truth, 5)
    answer = await bring(case, certificate, case.truth.size, case.now_ms())
    assert answer.json() == {"kept": 1}
    for _ in ROUNDS:
        yield


@PEOPLE.row(
    28, "certificates that cannot be read, or only in part", P, "UNPARSABLE",
    moves=True, also={"watch": O, "P16": P, "P19": P}, told=8,
)  # fmt: skip
async def unreadable(case: Case) -> AsyncIterator[None]:
    """What an entry is, the entry itself proves: rules say P of it where the catalogue expects S."""
    set_more(case, WATCH)
    many = der.encode(der.SEQUENCE, b"".join(der.encode(0x82, b"%d.%s" % (n, WATCHED.encode())) for n in range(2_000)))
    for data in (
        b"\x30\x84\xff\xff\xff\xff" + WATCHED.encode(),  # no DER, and the name in its bytes
        issued(1, alternative(0x82, f"{WATCHED}\0.evil.example".encode())),
        issued(2, alternative(0x82, f"{'x' * 30_000}.{WATCHED}".encode())),
        issued(3, issuing.extension(der.oid("2.5.29.17"), many)),
        issued(4, issuing.extension(der.oid("2.5.29.17"), b"\x31\x02" + WATCHED.encode())),
        issued(1 << 900),
    ):
        case.truth.put(x509_parts(data, []))
    await case.truth.sign()
    for _ in ROUNDS:
        yield
        await judge(case)
    assert case.store.judged(case.truth.origin).size == case.truth.size, "no entry is skipped"


@PEOPLE.row(
    29, "a precertificate, its certificate, and both in two logs", O, "watch", moves=True, also={"UNPARSABLE": P}
)
async def folded(case: Case) -> AsyncIterator[None]:
    set_more(case, '[[watch]]\nname = "us"\norganisations = ["sample trading limited"]\n')
    for parts in pair(1 << 80):
        case.truth.put(parts)
        case.world.gd_x509.put(parts)
    await case.truth.sign()
    for _ in ROUNDS:
        yield
        await judge(case)


@PEOPLE.row(
    39,
    "a channel that fails, one that hangs",
    M,
    "channel",
    kinds=(Kind.UNREPRODUCIBLE,),
    step_ms=20_000,
    moves=True,
    also={"hashes": S},
    told=3,
)  # fmt: skip
async def channels(case: Case) -> AsyncIterator[None]:
    folder = case.monitor.path.parent
    hook, told = folder / "hook", folder / "told"
    kind = 'kind = "command"\nclasses = ["suspected"]\n'
    table = '[[channels]]\nname = "{}"\n' + kind + "command = {}\n"
    hanging = [sys.executable, "-c", f"import os, time; os.path.exists({str(hook)!r}) or time.sleep(1000)"]
    set_more(case, f"{BRIEF}\n" + table.format("fails", json.dumps([str(hook)])))
    set_more(case, table.format("hangs", json.dumps(hanging)))
    case.truth.alter = lambda path, answer: answer[:-1] + b"!" if answer and path.startswith("tile/1/") else answer
    for _ in ROUNDS:
        yield
    assert {each.channel for each in case.store.undelivered(["fails", "hangs"])} == {"fails", "hangs"}
    hook.write_text(f"#!/bin/sh\ncat >> {told}\n")
    hook.chmod(0o700)
    case.world.time_ms += 100_000
    await case.grow()
    case.monitor.path.write_text(case.monitor.path.read_text().replace(BRIEF, "channel_s = 60.0"))
    case.monitor.stop()  # nothing hangs any more, and a program may need its time to start
    yield
    assert case.store.undelivered(["fails", "hangs"]) == [], "the outbox has tried again"
    [line] = told.read_text().splitlines()
    assert json.loads(line)["code"] == "hashes"
    case.truth.alter = lambda _, answer: answer


@PEOPLE.row(
    44, "a rule that fails; names made to be slow", M, "rule-disabled", moves=True, also={"UNPARSABLE": P, "watch": O}
)
async def slow_rules(case: Case) -> AsyncIterator[None]:
    """Nobody's pattern runs here: names are compared, never matched. A rule with a bug of its own is switched off."""
    set_more(case, WATCH)

    def broken(_: object) -> list[Hit]:
        raise RecursionError("too deep")

    slow = ("a." * 15_000 + WATCHED, ("a" * 63 + ".") * 400 + "a" * 200 + "!")
    for serial, name in enumerate(slow, 1):
        case.truth.put(x509_parts(issued(serial, alternative(0x82, name.encode())), []))
    await case.truth.sign()
    case.restarts = False
    for _ in ROUNDS:
        yield
        assert case.monitor.assembled is not None
        engine = case.monitor.assembled.judging._engine
        engine.by_itself = {**engine.by_itself, "P09": broken}
        async with asyncio.timeout(30):
            await judge(case)
    case.monitor.stop()
    yield
    await judge(case)
