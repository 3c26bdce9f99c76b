"""`kill -9` of a monitor that follows a log under load, again and again; then what it holds is reckoned up.

Every certificate is one that somebody watches for, so each has to become an alert, and each alert a line of the
channel on stdout, which goes to one file over all starts. Nothing may be skipped: the copy leads to the signed root,
every entry stands in the index where its SCT says, and the positions are those of the log.
"""

import asyncio
import contextlib
import json
import random
import signal
from hashlib import sha256
from pathlib import Path

import httpx

from log.certs import certificate
from log.formats.family import X509
from log.formats.sct import SCT
from log.merkle.hashing import leaf_hash
from log.merkle.tiles import Edge
from log.storage.leveldb import LevelData
from monitor import settings
from monitor.rules.case import fold_of
from monitor.store import Store
from tests.support.forked import Process
from tests.support.nodes import World, client, eventually, unguard, world

AT_ONCE = 4  # submitters
BURST = 40  # certificates that are submitted to each start of the monitor
WITHIN_S = 1.0  # a monitor is killed so long after its start at most
CATCH_UP = 10  # of so many starts one is waited for until it has come to the end of the log
FOREVER_MS = 2**53  # after every try that is put off
PATIENCE_S = 600.0
WATCH = "soak"
WATCHED = "Digi-Sign ID-Cert"  # stands in the subject of every certificate of the mass issuer


async def kills(folder: Path, count: int, seed: int) -> list[str]:
    """Kill a monitor so many times; return what was lost."""
    rng = random.Random(seed)
    async with world(folder) as w, client() as http:
        unguard(w.site())
        _watch(w)
        await w.start()
        caught = 0
        for number in range(1, count + 1):
            monitor = await _start(w)
            load = asyncio.create_task(_burst(w, http))
            if number % CATCH_UP == 0:
                await load
                await _caught_up(w)
                caught += 1
            else:
                await asyncio.sleep(rng.random() * WITHIN_S)  # the random moment itself
            if await monitor.stop(signal.SIGKILL) != -signal.SIGKILL:
                return [f"the monitor ended by itself: {monitor.tail()}"]
            await load
            if number % 10 == 0 or number == count:
                print(f"{number} kills, {len(w.promises.scts)} SCTs, caught up {caught} times", flush=True)
        monitor = await _start(w)
        await _caught_up(w)
        await eventually("every alert is told", lambda: _all_told(w), PATIENCE_S)
        await monitor.stop()
        return await _lost(w)


async def _start(w: World) -> Process:
    arguments = ["run", "--settings", str(w.deployment.monitor_settings)]
    w.processes["monitor"] = process = Process("monitor", arguments, w.deployment.folder / "monitor.out")
    await process.start('"started"')
    return process


def _watch(w: World) -> None:
    """Have every certificate watched for, and every alert told on stdout."""
    lines = ["[[watch]]", f'name = "{WATCH}"', f'organisations = ["{WATCHED}"]']
    lines += ["[[channels]]", 'name = "lines"', 'kind = "stdout"']
    with w.deployment.monitor_settings.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


async def _burst(w: World, http: httpx.AsyncClient) -> None:
    waiting = iter(range(BURST))

    async def submit() -> None:
        for _ in waiting:
            await w.promises.submit(http, w.site().url)

    await asyncio.gather(*(submit() for _ in range(AT_ONCE)))


def _state(w: World) -> Store:
    return Store.read(settings.load(w.deployment.monitor_settings).state)


async def _caught_up(w: World) -> None:
    """Wait until the monitor has verified and judged all that was promised."""

    async def reached() -> bool:
        store = _state(w)
        try:
            return store.judged(w.site().origin("x509")).size >= len(w.promises.scts)
        finally:
            store.close()

    await eventually("the monitor comes to the end of the log", reached, PATIENCE_S)


async def _all_told(w: World) -> bool:
    store = _state(w)
    try:
        return not store.due("lines", FOREVER_MS, 0, 1)
    finally:
        store.close()


async def _lost(w: World) -> list[str]:
    """Say what is not there."""
    origin, scts = w.site().origin("x509"), [(der, SCT.from_json(answer)) for der, answer in w.promises.scts.values()]
    loaded = settings.load(w.deployment.monitor_settings)
    store = Store.read(loaded.state)
    try:
        verified, judged = store.verified(origin), store.judged(origin).size
        if verified is None or not judged == verified.head.size >= len(scts):
            return [f"{len(scts)} SCTs, {verified and verified.head.size} verified, {judged} judged"]
        lost = []
        if await _copied_root(loaded.copy_folder / sha256(origin.encode()).hexdigest(), verified.head.size) != (
            verified.head.root
        ):
            lost.append("the copy does not lead to the verified root")
        alerts = {kept.alert.key for kept in store.alerts(limit=10 * len(scts) + 1_000)}
        told = _told(w.deployment.folder / "monitor.out")
        for der, sct in scts:
            fold = fold_of(certificate.parse(der))
            key = f"watch {sha256(WATCH.encode()).hexdigest()[:16]} {fold.hex()}"
            if (origin, sct.index) not in [(place.origin, place.index) for place in store.sightings(fold)]:
                lost.append(f"entry {sct.index} is not in the index")
            if key not in alerts:
                lost.append(f"no alert about entry {sct.index}")
            if key not in told:
                lost.append(f"nobody was told of entry {sct.index}")
        return lost
    finally:
        store.close()


async def _copied_root(folder: Path, size: int) -> bytes:
    """Return the root of what a copy holds up to a size."""
    copy = LevelData(folder)
    try:
        rows = await copy.entries(0, size)
    finally:
        await copy.close()
    edge, _ = Edge().grow([leaf_hash(X509.leaf_input(row)) for row in rows])
    return edge.root()


def _told(output: Path) -> set[str]:
    """Return the keys of all alerts that were written; the last line of a killed monitor may be half a line."""
    found = set[str]()
    for line in output.read_text(encoding="utf-8", errors="replace").splitlines():
        at = line.rfind('{"time"')  # behind the half of a line that a killed monitor left
        if at >= 0 and '"event": "alert"' in line:
            with contextlib.suppress(ValueError):
                found.add(json.loads(line[at:])["alert"]["key"])
    return found
