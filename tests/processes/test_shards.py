"""Shards in real processes: a monitor that pins them beforehand guards and vouches for each as it comes."""

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from log import state
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import Issuer
from log.crypto.notes import NoteSigner, sign_note
from log.demo.ca import MassIssuer
from log.demo.issuing import YEAR_MS
from log.demo.ports import own_port
from log.formats.checkpoint import parse_signed
from log.formats.note import KeyType
from log.node import calendar
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings
from tests.support import forked
from tests.support.engine import ed25519
from tests.support.forked import Process
from tests.support.nodes import client, eventually

ORIGIN = "hk.example/x509"
AUTHORITY = NoteSigner.make("hk.authority.example", KeyType.ED25519, ed25519(50))


def run(*words: str) -> str:
    done = forked.run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def write_list(folder: Path, root: bytes) -> None:
    listed = TrustList(1, 0, (Issuer("ca", root, "ca", 0, None, None, "", False, "", "", False),), ())
    (folder / "trustlist.json").write_bytes(listed.encode())
    (folder / "trustlist.note").write_bytes((await sign_note(listed.note_text(), 0, [AUTHORITY])).encode())


def node_settings(folder: Path, port: int, first_year: int, ahead_days: int, guard: dict[str, str] | None) -> Path:
    lines = ['node = "HK"', f'listen = "127.0.0.1:{port}"', f"shard_ahead_days = {ahead_days}", "heartbeat_s = 2"]
    lines += ["guards = []"] if guard is None else []
    lines += ["[[logs]]", 'name = "x509"', 'family = "x509"', f'origin = "{ORIGIN}"', 'policy = "policy"']
    lines.append('bodies = "public"')
    lines += ['shards = "yearly"', f"first_year = {first_year}"]
    if guard is not None:
        lines += ["[[guards]]", 'name = "monitor"', *(f'{key} = "{guard[key]}"' for key in ("cosigner", "push"))]
    lines += ["[[trustlists]]", 'side = "hk"', 'path = "list"', f'signers = ["{AUTHORITY.vkey.encode()}"]']
    path = folder / "twinlog.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def monitor_settings(folder: Path, port: int, public: dict[str, Sequence[str]], policy: Path) -> Path:
    url = f"http://127.0.0.1:{port}"
    lines = ['name = "monitor.example"', 'state = "state.sqlite"', 'keys = "keys"']
    if public:
        lines += ['near = ["HK"]', "[[nodes]]", 'name = "HK"', f'url = "{url}"', "[nodes.witness]", 'name = "HK"']
        lines += [f'vkey = "{public["hk.example/witness"][0]}"', f'url = "{url}/witness"']
    for origin in (origin for origin in public if origin.startswith(ORIGIN)):
        name = origin.rpartition("/")[2]
        lines += ["[[nodes.logs]]", f'name = "{name}"', 'family = "x509"', f"vkeys = {json.dumps(public[origin])}"]
        lines += [f'origin = "{origin}"', f'url = "{url}/{name}"', f"policy = {json.dumps(str(policy))}"]
    path = folder / "monitor.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


async def test_a_monitor_that_pinned_a_shard_beforehand_vouches_for_it_once_it_has_come(tmp_path: Path) -> None:
    clock = SystemClock()
    now_ms = clock.wall_ms()
    this_year = time.gmtime(now_ms / 1000).tm_year
    # They expire in the middle of the next year. A year from now may still be in this one: on 1 January of a leap year.
    issuer = MassIssuer("p256", now_ms=sum(calendar.window(this_year + 1)) // 2 - YEAR_MS)
    folder, port = tmp_path / "hk", own_port()
    (folder / "list").mkdir(parents=True)
    watcher = tmp_path / "monitor"
    watcher.mkdir()
    await write_list(folder / "list", issuer.issuers[-1])
    printed = run("monitor", "keygen", "--settings", str(monitor_settings(watcher, port, {}, folder / "policy")))
    guard = dict(line.split(" ", 1) for line in printed.splitlines())
    (folder / "policy").write_text(f"witness monitor {guard['cosigner']}\nquorum monitor\n", encoding="utf-8")

    settings = node_settings(folder, port, this_year, 1, guard)
    public = json.loads(run("log", "keygen", "--settings", str(settings)))
    run("log", "init", "--settings", str(settings))
    run("monitor", "init", "--settings", str(monitor_settings(watcher, port, public, folder / "policy")))
    coming = calendar.due_years(this_year, now_ms, 1).stop
    assert f"{ORIGIN}-{coming}" in public  # pinned, and not there yet
    ahead_days = (calendar.window(coming)[0] - now_ms) // calendar.DAY_MS + 2
    node_settings(folder, port, this_year, ahead_days, guard)

    url = f"http://127.0.0.1:{port}"
    names = [f"x509-{year}" for year in range(this_year, coming + 1)]
    target = f"x509-{this_year + 1}"
    chain = [b64encode(der).decode() for der in issuer.chain(1)]
    monitor = Process("monitor", ["run", "--settings", str(watcher / "monitor.toml")], tmp_path / "monitor.out")
    answers: list[Any] = []
    for _ in range(2):  # and over a restart
        node = Process("log", ["serve", "--settings", str(settings)], tmp_path / "hk.out")
        await node.start("listening on")
        try:
            async with client() as http:
                if not answers:
                    first = (await http.get(f"{url}/healthz")).json()
                    assert [log["name"] for log in first["logs"]] == names[:-1]
                    assert any("is to be created, but not yet: no guard" in note for note in first["notes"])
                    await monitor.start("")
                await eventually("all shards are healthy", lambda: _healthy(http, url, names))
                answer = await http.post(f"{url}/{target}/ct/v1/add-chain", json={"chain": chain})
                assert answer.status_code == httpx.codes.OK, answer.text
                answers.append(answer.json())
                for name in names:
                    full = name == target
                    await eventually(f"{name} is vouched for", partial(_vouched, http, f"{url}/{name}", full=full))
        finally:
            await node.stop()
    await monitor.stop()
    assert answers[0] == answers[1]
    audited = run("log", "audit", "--data", str(folder), "--index")
    for name in names:
        assert f"hk.example/{name}: {int(name == target)} entries" in audited
    assert [log.vkeys[0].name async for log in state.stopped_logs(NodeSettings.load(settings))] == [
        f"hk.example/{name}" for name in names
    ]


async def _healthy(http: httpx.AsyncClient, url: str, names: list[str]) -> bool:
    answer = await http.get(f"{url}/healthz")
    told = answer.json()
    there = [log["name"] for log in told["logs"] if log["guarded"]]
    return answer.status_code == httpx.codes.OK and there == names


async def _vouched(http: httpx.AsyncClient, url: str, *, full: bool) -> bool:
    answer = await http.get(f"{url}/checkpoint/witnessed")
    return answer.status_code == httpx.codes.OK and parse_signed(answer.content)[1].size == int(full)
