"""A monitor carries governance between real nodes: through a partition, to one that joins, and a seq signed twice."""

import asyncio
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from log.client.audit import audit
from log.client.http import HttpLog
from log.formats.action import JOINT
from log.formats.checkpoint import parse_signed
from log.formats.family import X509
from log.formats.note import VKey
from log.governance.chains import Signed
from monitor import evidence
from monitor import main as monitor_main
from monitor import settings as monitor_settings
from monitor.judge import Kind
from monitor.store import Store
from tests.monitor.test_process import call
from tests.processes.test_governed import brings, state
from tests.soak import start_pair
from tests.support.nodes import World, client, eventually, world
from tests.support.third import near_all, third_node


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
        await w.process("monitor").stop()
        shown = await asyncio.to_thread(call, "status", "--settings", str(w.deployment.monitor_settings))
        assert "chain hk: 3 actions count." in shown.stdout
        assert f"{w.site('gd').origin('governance')}: held 5 of 5 actions" in shown.stdout
        assert f"{w.site('hk').origin('governance')}: held 5 of 5 actions" in shown.stdout
        assert "3 of them were carried there by us." in shown.stdout
        assert "2 of them were carried there by us." in shown.stdout
        await w.reckon(http, "gd")


async def test_a_third_node_joins_a_running_pair_by_actions_and_is_followed_guarded_and_witnessed(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        near_all(w.deployment.monitor_settings, "SD")
        await start_pair(w)
        third = await third_node(w)
        pids = {name: process.pid for name, process in w.processes.items()}
        await w.start("sd")
        for kind, payload in third.rows:
            await said(http, w, JOINT, kind, payload, "hk")
        await agree(http, w, ("hk", "gd", "sd"))
        await w.healthy(http, "sd")
        for side in ("hk", "gd", "sd"):
            await w.submits(http, 3, side)
        for side in ("hk", "gd", "sd"):
            await w.witnessed(http, 3, side)

        async def cosigned() -> bool:
            """Shandong's witness has cosigned what the pair holds now, as its own monitoring prefix shows."""
            for side in ("hk", "gd"):
                origin = w.site(side).origin("x509")
                answer = await http.get(f"{third.site.url}/witness/{_hash(origin)}/checkpoint")
                if answer.status_code != httpx.codes.OK or parse_signed(answer.content)[1].size < 3:
                    return False
            return True

        await eventually("Shandong witnesses the pair", cosigned)
        _, health = await w.health(http, "sd")
        assert all(log["guarded"] for log in health["logs"])
        note = (await http.get(f"{third.site.url}/x509/checkpoint/witnessed")).text
        for name in (w.site("hk").host, w.site("gd").host):
            assert f"{name}/witness" in note
        assert {name: w.process(name).pid for name in pids} == pids
        assert all(w.process(name).returncode is None for name in pids), "nobody was restarted"

        await said(http, w, JOINT, "node-remove", {"name": "SD", "reason": "a test"}, "gd")

        async def gone() -> bool:
            rosters = [line for line in lines(w) if line["event"] == "roster"]
            return bool(rosters) and rosters[-1]["nodes"] == ["HK", "GD"]

        await eventually("the monitor follows two nodes again", gone)
        [payload] = [row for kind, row in third.rows if kind == "log-add" and row["family"] == "x509"]
        vkeys = [VKey.parse(text) for text in payload["vkeys"]]
        report = await audit(HttpLog(f"{third.site.url}/x509", X509, http), X509, vkeys)
        assert report.size == 3


def _hash(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()


def lines(w: World) -> list[dict[str, Any]]:
    text = (w.deployment.folder / "monitor.out").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


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
            return any(line.get("code") == "double-signed" for line in lines(w))

        await eventually("it is told", told)
        await w.process("monitor").stop()
        alarms = [line for line in lines(w) if line.get("code") == "double-signed"]
        assert [(line["level"], line["class"], line["subject"]) for line in alarms] == [
            ("critical", "proven", "chain hk seq 1")
        ]
        loaded = monitor_settings.load(w.deployment.monitor_settings)
        store = Store.open(loaded.state, monitor_main.load_keys(loaded).witness.vkey.encode(), 1_000_000)
        [proof] = store.evidence_of(Kind.SAME_SEQ)
        store.close()
        assert evidence.check_actions(proof.object, one.action.genesis) == ("hk", 1)
