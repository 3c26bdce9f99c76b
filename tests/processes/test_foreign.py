"""A log of others between real processes: the monitor follows it, a guarded node's witness cosigns it."""

import json
import time
from hashlib import sha256
from pathlib import Path

import httpx

from log.crypto.notes import open_note
from log.formats.family import TILES
from log.formats.note import VKey
from tests.support.lying_log import LyingLog
from tests.support.lying_node import LyingNode
from tests.support.lying_world import served
from tests.support.nodes import client, eventually, world

ORIGIN = "log.elsewhere.example/things"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_a_guarded_node_cosigns_a_log_of_others_that_its_guard_follows(tmp_path: Path) -> None:
    followed = LyingLog("things", ORIGIN, TILES, now_ms)
    followed.signers = followed.signers[:1]  # 0x01 alone, as most logs have it
    followed.grease = 16
    followed.add(300)
    await followed.sign()
    origin_hash = sha256(ORIGIN.encode()).hexdigest()
    async with world(tmp_path / "d") as w, client() as http:
        with served([LyingNode("things", [followed], now_ms)]) as urls:
            keys = json.dumps([vkey.encode() for vkey in followed.vkeys])
            with w.site().settings.open("a") as file:
                file.write(f'[[witnessed]]\norigin = "{ORIGIN}"\nvkeys = {keys}\n')
            path = w.deployment.monitor_settings
            path.write_text(
                f'publish = "shelf"\n{path.read_text()}[[logs]]\nname = "things"\norigin = "{ORIGIN}"\nvkeys = {keys}\n'
                f'url = "{urls["things"]}/things"\nwitnesses = ["HK"]\n'
            )
            for side in ("hk", "gd"):
                await w.start(side)
            await w.start_monitor()
            witness = (await http.get(f"{w.site().url}/.well-known/twinlog.json")).json()["witness"]
            vkeys = [VKey.parse(text) for text in witness["vkeys"]]
            for size in (300, 310):

                async def cosigned(size: int = size) -> bool:
                    shown = await http.get(f"{witness['url']}/{origin_hash}/checkpoint")
                    if shown.status_code != httpx.codes.OK:
                        return False
                    opened = open_note(shown.content, [*followed.vkeys, *vkeys])
                    assert len(opened.verified) == 1 + len(vkeys)
                    return opened.checkpoint.size == size

                await eventually(f"the witness of hk has cosigned size {size}", cosigned)
                ours = (path.parent / "shelf" / origin_hash / "checkpoint").read_bytes()
                assert open_note(ours, followed.vkeys).checkpoint.size == size
                followed.add(10)
                await followed.sign()
            await w.healthy(http)
