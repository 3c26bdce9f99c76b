"""A monitor carries governance between real nodes: through a partition, and of a seq that is signed twice."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from log.evidence import actions
from log.evidence.heads import Kind
from log.governance.chains import Signed
from monitor import keyring
from monitor import settings as monitor_settings
from monitor.store import Store
from tests.monitor.test_process import call
from tests.processes.test_governed import brings, state
from tests.soak import start_pair
from tests.support.nodes import World, client, eventually, monitor_lines, world


async def said(http: httpx.AsyncClient, w: World, chain: str, kind: str, payload: dict[str, Any], side: str) -> Signed:
    """Let the authorities of a chain say something to the node of a side, which takes it."""
    note = await w.deployment.council.sign(chain, kind, payload)
    answer = await brings(http, w, note, side)
    assert answer.status_code == 200, answer.text
    return Signed.parse(note)


async def agree(http: httpx.AsyncClient, w: World, sides: Sequence[str]) -> None:
    """Wait until these nodes hold the same actions."""

    async def same() -> bool:
        try:
            digests = {(await state(http, w, side))["digest"] for side in sides}
        except httpx.HTTPError:
            return False
        return len(digests) == 1

    await eventually(f"{', '.join(sides)} hold the same actions", same)


async def taken(http: httpx.AsyncClient, w: World, side: str, status: int) -> None:
    """Wait until a submission is answered so."""

    async def answered() -> bool:
        return await w.promises.submit(http, w.site(side).url) == status

    await eventually(f"{side} answers {status}", answered)


def frozen(w: World, side: str) -> dict[str, Any]:
    return {"origin": w.site(side).origin("x509"), "reason": "a test"}


async def test_a_partition_delays_relaxations_and_never_restrictions_of_a_side_on_its_own_node(tmp_path: Path) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        await start_pair(w)
        await said(http, w, "hk", "log-freeze", frozen(w, "gd"), "hk")
        await taken(http, w, "gd", 503)  # carried across: what restricts holds there too
        await agree(http, w, ("hk", "gd"))

        async def shown(*words: str) -> bool:
            """`status`, beside the running monitor, which may still be writing down what it has just done."""
            done = await asyncio.to_thread(call, "status", "--settings", str(w.deployment.monitor_settings))
            return all(each in done.stdout for each in words)

        await eventually("what was carried is on record", lambda: shown("1 of them were carried there by us."))
        assert await w.process("monitor").stop() == 0  # the link is cut: nobody carries anything
        await said(http, w, "hk", "log-unfreeze", frozen(w, "gd"), "hk")
        await said(http, w, "hk", "log-freeze", frozen(w, "hk"), "hk")
        await said(http, w, "gd", "log-freeze", frozen(w, "gd"), "gd")
        for side in ("hk", "gd"):
            assert await w.promises.submit(http, w.site(side).url) == 503, "each side restricts its own node at once"
        await said(http, w, "gd", "log-unfreeze", frozen(w, "gd"), "gd")
        assert (await state(http, w, "gd"))["next"] == {"hk": 2, "gd": 3, "joint": 1}
        assert await w.promises.submit(http, w.site("gd").url) == 503, "Hong Kong's freeze has not been lifted here"

        await w.start_monitor()
        await taken(http, w, "gd", 200)
        await agree(http, w, ("hk", "gd"))
        assert (await state(http, w, "hk"))["next"] == {"hk": 4, "gd": 3, "joint": 1}
        assert await w.promises.submit(http, w.site("hk").url) == 503
        hk, gd = (w.site(side).origin("governance") for side in ("hk", "gd"))
        words = ["chain hk: 3 actions count.", f"{hk}: held 5 of 5 actions", f"{gd}: held 5 of 5 actions"]
        words += ["3 of them were carried there by us.", "2 of them were carried there by us."]

        await eventually("status says who holds how much and what was carried", lambda: shown(*words))
        await w.reckon(http, "gd")


async def test_a_seq_that_is_signed_twice_meets_itself_on_both_nodes_and_is_proven(tmp_path: Path) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        await w.start("hk")
        await w.start("gd")
        await w.start_monitor()
        await w.healthy(http)
        await w.healthy(http, "gd")
        await w.process("monitor").stop()
        council = w.deployment.council
        one = Signed.parse(await council.sign("hk", "log-freeze", frozen(w, "hk")))
        next(council.path.glob("hk-1.action")).unlink()
        two = Signed.parse(await council.sign("hk", "log-freeze", frozen(w, "gd")))
        assert (await brings(http, w, one.note.encode(), "hk")).status_code == 200
        assert (await brings(http, w, two.note.encode(), "gd")).status_code == 200
        await w.start_monitor()
        await agree(http, w, ("hk", "gd"))
        for side in ("hk", "gd"):
            rows = (await http.get(f"{w.site(side).url}/governance/actions/hk")).json()
            assert {text for _, text in rows} == {one.hash.hex(), two.hash.hex()}

        async def told() -> bool:
            return any(line.get("code") == "double-signed" for line in monitor_lines(w))

        await eventually("it is told", told)
        await w.process("monitor").stop()
        alarms = [line for line in monitor_lines(w) if line.get("code") == "double-signed"]
        assert [(line["level"], line["class"], line["subject"]) for line in alarms] == [
            ("critical", "proven", "chain hk seq 1")
        ]
        loaded = monitor_settings.load(w.deployment.monitor_settings)
        store = Store.open(loaded.state, keyring.load(loaded).witness.vkey.encode(), 1_000_000)
        [proof] = store.evidence_of(Kind.SAME_SEQ)
        store.close()
        assert actions.check(proof.object, one.action.genesis) == ("hk", 1)
