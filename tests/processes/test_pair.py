"""Two nodes and their monitor as processes: vouched for under load, killed, silent, restarted, and lied to."""

import asyncio
import json
import os
import random
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from log.client import prover
from log.client.http import HttpLog
from log.client.verifier import verify_checkpoint
from log.demo.deployment import FAMILIES as HOSTED
from log.demo.deployment import SIDES, Deployment
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.family import FAMILIES
from log.formats.policy import Policy
from monitor import keyring
from monitor import settings as monitor_settings
from monitor.store import Store, Verified
from tests.soak import PROOF_WITHIN_S, start_pair, vouching
from tests.support import forked
from tests.support.forked import Process
from tests.support.nodes import World, client, eventually, unguard, world

RATE = 50.0  # submissions a second
SECONDS = 10.0  # `python -m tests.soak --vouch` goes on for a minute, and holds it to its bounds
LATE_S = 60.0  # a machine that others keep busy may be so late with a proof
KILLS = 6  # of the monitor; tests/monitor/test_process.py kills it twenty times between nodes in memory
SEED = 20261122


async def run(*words: str) -> tuple[int, str]:
    """Run a command to its end; return its exit code and all that it wrote."""
    done = await asyncio.to_thread(forked.run, *words)
    return done.returncode, done.stdout + done.stderr


async def log_status(w: World, http: httpx.AsyncClient, side: str = "hk", family: str = "x509") -> dict[str, Any]:
    """Return what a node's health says of one of its logs; {} when it does not answer."""
    _, health = await w.health(http, side)
    return next((log for log in health.get("logs", []) if log["name"] == family), {})


async def all_vouched(w: World, http: httpx.AsyncClient, side: str = "hk") -> None:
    """Wait until the witnessed head of the side's certificate log covers all its entries, and at least all SCTs."""

    async def covered() -> bool:
        status = await log_status(w, http, side)
        size = status.get("witnessed_size")
        return size is not None and size == status["size"]

    await eventually(f"all of {side} is vouched for", covered)


async def guarded(w: World, http: httpx.AsyncClient, side: str) -> bool:
    _, health = await w.health(http, side)
    return bool(health) and all(log["guarded"] for log in health["logs"])


@asynccontextmanager
async def load(w: World, http: httpx.AsyncClient, side: str = "hk") -> AsyncIterator[None]:
    """Submit to a node for as long as the block lasts, gently."""
    stop = asyncio.Event()
    task = asyncio.create_task(w.promises.load(http, w.site(side).url, stop, workers=1))
    try:
        yield
    finally:
        stop.set()
        await task


class Witnessed:
    """Collects every head that was ever cosigned, wherever it can be had."""

    def __init__(self, w: World) -> None:
        self._w = w
        self.notes: dict[bytes, Checkpoint] = {}

    def saw(self, raw: bytes) -> None:
        """Keep a note; `Heads.saw` fails when a size has two roots."""
        self.notes[raw] = self._w.heads.saw(raw)

    async def borne_out(self, http: httpx.AsyncClient) -> None:
        """Hold each against the tree that its log serves now."""
        for checkpoint in {(c.origin, c.size): c for c in self.notes.values() if c.size}.values():
            host, _, family = checkpoint.origin.partition("/")
            [site] = [site for site in self._w.deployment.sites.values() if site.host == host]
            reader = HttpLog(f"{site.url}/{family}", FAMILIES[family], http)
            assert await prover.root(reader, checkpoint.size) == checkpoint.root


def state_of(deployment: Deployment) -> Store:
    """Open the state of a monitor that does not run: that it opens shows that it survived, and is its alone."""
    loaded = monitor_settings.load(deployment.monitor_settings)
    key = keyring.load(loaded).witness.vkey
    return Store.open(loaded.state, key.encode(), 1_000_000)


Held = tuple[Verified | None, tuple[int, bytes, bytes] | None]


def held(deployment: Deployment, origin: str) -> Held:
    """Return the monitor's verified position of a log, and the head that it cosigned last."""
    store = state_of(deployment)
    try:
        return store.verified(origin), store.witness(origin)
    finally:
        store.close()


# --- vouched for ----------------------------------------------------------------------------------------------


async def test_under_load_the_witnessed_head_moves_on_and_every_sct_gets_its_proof(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w:
        await start_pair(w)
        seen = await vouching(w, RATE, SECONDS, prove_every=1, late_s=LATE_S)
        assert not seen.refusals
        assert len(seen.sights) > 1  # heads that a witness vouched for, each over more entries
        assert max(seen.waits_s()) <= PROOF_WITHIN_S + LATE_S
        assert len(seen.proven) == len(seen.promises) == RATE * SECONDS
        assert all({name for name, _ in p.witnesses} > {"gd.twinlog.example/witness"} for p in seen.proven)
    # Both nodes have stopped: one of the proofs stands without them.
    for name, data in zip(("one.tlog-proof", "one.der"), seen.proof, strict=True):
        (tmp_path / name).write_bytes(data)
    words = ["log", "verify", str(tmp_path / "one.tlog-proof"), str(tmp_path / "one.der"), "--policy"]
    code, said = await run(*words, str(w.site().policy("x509")))
    assert (code, said.startswith("VERIFIED: ")) == (0, True), said
    code, said = await run(*words, str(w.site("gd").policy("x509")))
    assert code == 1, said


# --- the monitor ends -----------------------------------------------------------------------------------------


async def test_a_monitor_killed_at_any_moment_catches_up_and_has_cosigned_nothing_wrong(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    async with world(tmp_path / "d") as w, client() as http:
        await start_pair(w)
        seen = Witnessed(w)
        origins = [site.origin(family) for site in w.deployment.sites.values() for family in HOSTED]

        async def begun() -> bool:
            told = [await log_status(w, http, side, family) for side in w.deployment.sites for family in HOSTED]
            return all(status.get("witnessed_size") is not None for status in told)

        await eventually("every log has been vouched for once", begun)
        async with load(w, http):
            for _ in range(KILLS):
                before = (await log_status(w, http))["witnessed_size"]

                async def moved(before: int = before) -> bool:
                    return bool((await log_status(w, http))["witnessed_size"] > before)

                await eventually("the monitor works", moved)
                await asyncio.sleep(chance.random())  # a round takes a second: the random moment itself
                assert await w.process("monitor").stop(signal.SIGKILL) == -signal.SIGKILL
                store = state_of(w.deployment)
                for origin in origins:
                    row, verified = store.witness(origin), store.verified(origin)
                    assert row is not None
                    assert verified is not None
                    assert row[0] <= verified.head.size
                    seen.saw(row[2])
                    seen.saw(verified.head.note)
                    assert store.evidence(origin) == []
                store.close()
                answer = await http.get(f"{w.site().url}/x509/checkpoint/witnessed")
                seen.saw(answer.content)
                [row] = [r for r in [held(w.deployment, w.site().origin("x509"))[1]] if r]
                assert parse_signed(answer.content)[1].size <= row[0], "what it cosigned is on its disk"
                await w.start_monitor()
        await all_vouched(w, http)
        await seen.borne_out(http)
        await w.reckon(http)
        assert await w.process("monitor").stop() == 0


# --- a peer is silent, a node restarts --------------------------------------------------------------------------


async def test_a_silent_peer_ages_the_witnessed_head_and_stops_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        await start_pair(w)
        assert await w.promises.submit(http, w.site().url) == httpx.codes.OK
        await all_vouched(w, http)
        os.kill(w.process("gd").pid, signal.SIGSTOP)
        try:
            before = await log_status(w, http)
            for _ in range(5):
                assert await w.promises.submit(http, w.site().url) == httpx.codes.OK
            der = w.promises.scts[w.promises.number - 1][0]

            async def aged() -> bool:
                status = await log_status(w, http)
                assert status["witnessed_size"] == before["witnessed_size"]
                return bool(status["witnessed_age_ms"] > before["witnessed_age_ms"] + 3_000)

            await eventually("the witnessed head grows old", aged)
            status = await log_status(w, http)
            assert (status["size"], status["guarded"], status["last_error"]) == (before["size"] + 5, True, "")
            page = (await http.get(w.site().url)).text
            assert re.search(rf"<td>{before['witnessed_size']} entries, \d+ (s|min) old</td>", page), page
            # One side's word can still be had, and says that it is no more; both sides' cannot.
            code, said = await prove(w, tmp_path, der, "--wait", "0")
            assert code == 1, said
            code, said = await prove(w, tmp_path, der, "--newest")
            assert code == 0, said
            policy = Policy.parse(w.site().policy("x509").read_bytes())
            newest = (await http.get(f"{w.site().url}/x509/checkpoint")).content
            assert not verify_checkpoint(newest, policy).satisfied
        finally:
            os.kill(w.process("gd").pid, signal.SIGCONT)
        await all_vouched(w, http)
        code, said = await prove(w, tmp_path, der)
        assert code == 0, said
        # The monitor ends in an orderly way, and starts again on its state.
        assert await w.process("monitor").stop() == 0
        assert await w.promises.submit(http, w.site().url) == httpx.codes.OK
        await w.start_monitor()
        await all_vouched(w, http)
        await w.reckon(http)
        # A node starts anew: unguarded, it takes nothing; soon the monitor has spoken for it.
        assert await w.process("gd").stop() == 0
        await w.start("gd")
        await eventually("gd is guarded again", lambda: guarded(w, http, "gd"))
        assert await w.promises.submit(http, w.site("gd").url) == httpx.codes.OK
        await all_vouched(w, http, "gd")


async def prove(w: World, folder: Path, der: bytes, *options: str) -> tuple[int, str]:
    """Fetch a proof with `twinlog prove`."""
    certificate = folder / "shown.der"
    certificate.write_bytes(der)
    return await run("log", "prove", f"{w.site().url}/x509", str(certificate), *options)


# --- a node lies ------------------------------------------------------------------------------------------------


async def test_a_second_history_under_the_same_keys_is_proven_and_never_cosigned(tmp_path: Path) -> None:
    """An old copy of the whole node, head store and all, is started in its place and goes on another way."""
    async with world(tmp_path / "d") as w, client() as http:
        site, origin = w.site(), w.site().origin("x509")
        await asyncio.gather(*(w.start(side) for side in SIDES))
        await once(w, 0)
        await submit(w, http, 3)

        async def begun() -> bool:
            newest = await http.get(f"{site.url}/governance/checkpoint")
            return parse_signed(newest.content)[1].size > 0

        await eventually("governance has begun, so that both go on from one genesis", begun)
        assert await w.process().stop() == 0
        liar = liars_copy(w, tmp_path / "liar")
        await w.start()
        await once(w, 0)
        await submit(w, http, 3)  # the honest history goes on to six
        await once(w, 0)
        before = held(w.deployment, origin)
        assert before[1] is not None
        assert before[1][0] == 6
        gd_before = await gd_holds(w, http, origin)
        assert await w.process().stop() == 0

        w.processes["liar"] = lying = Process("log", ["serve", "--settings", str(liar)], tmp_path / "liar.out")
        await lying.start("listening on")
        for more, kind in ((1, "E3"), (2, "E1"), (3, "E2")):  # sizes 4, 6 and 9: smaller, as large, larger
            await submit(w, http, more)
            said = await once(w, 1)
            assert any(line["class"] == "proven" and f"({kind}," in line["message"] for line in said), said
            assert held(w.deployment, origin) == before
            assert await gd_holds(w, http, origin) == gd_before
            newest = (await http.get(f"{site.url}/x509/checkpoint")).content
            assert parse_signed(newest)[1].size == 3 + sum(range(1, more + 1))
            assert {line.name for line in parse_signed(newest)[0].signatures} == {origin}, "nobody vouched for it"
        assert await lying.stop() == 0
        kinds = {evidence.kind.value for evidence in evidences(w, origin)}
        assert kinds >= {"E1", "E2", "E3"}

        # The honest one is back: it is guarded, goes on, and is vouched for again. The evidence stays.
        await w.start()

        async def well() -> bool:
            code, _ = await run("monitor", "run", "--once", "--settings", str(w.deployment.monitor_settings))
            return code == 0

        await eventually("the monitor finds all in order", well)
        await submit(w, http, 2)
        await once(w, 0)
        assert (await log_status(w, http))["witnessed_size"] == 8
        assert {evidence.kind.value for evidence in evidences(w, origin)} == kinds


async def once(w: World, expected: int) -> list[dict[str, str]]:
    """Run one round of the monitor, which must end with this code; return its findings."""
    code, out = await run("monitor", "run", "--once", "--settings", str(w.deployment.monitor_settings))
    assert code == expected, out
    return [json.loads(line) for line in out.splitlines()]


async def submit(w: World, http: httpx.AsyncClient, count: int) -> None:
    for _ in range(count):
        assert await w.promises.submit(http, w.site().url) == httpx.codes.OK, w.promises.refused[-1]


def liars_copy(w: World, folder: Path) -> Path:
    """Copy a node's folder as it stands, without its guards; return the settings of the copy."""
    shutil.copytree(w.site().folder, folder)
    copied = replace(w.site(), folder=folder)
    unguard(copied)
    return copied.settings


async def gd_holds(w: World, http: httpx.AsyncClient, origin: str) -> bytes:
    """Return what the other side's witness cosigned last of a log."""
    answer = await http.get(f"{w.site('gd').url}/witness/{sha256(origin.encode()).hexdigest()}/checkpoint")
    assert answer.status_code == httpx.codes.OK
    return answer.content


def evidences(w: World, origin: str) -> list[Any]:
    store = state_of(w.deployment)
    try:
        return list(store.evidence(origin))
    finally:
        store.close()
