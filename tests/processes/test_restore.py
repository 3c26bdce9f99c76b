"""A node that lost its data, rebuilt by `twinlog restore` from the copy of a real monitor; or its logs are closed."""

import asyncio
import json
import shutil
from hashlib import sha256
from pathlib import Path

import httpx

from log.client.receipts import Receipts
from log.formats.text import b64decode
from log.governance.chains import check_kind
from log.storage import Batch
from log.storage.leveldb import LevelData
from tests.processes.test_restored import monitor_holds, pair
from tests.support import forked
from tests.support.nodes import World, client, eventually, monitor_lines, world

TOKEN = "the-token-of-an-operator"


async def restore(w: World, source: str, *arguments: str) -> tuple[int, str]:
    """Run `twinlog restore` for the Hong Kong node; return its exit code and what it said."""
    words = ("restore", "--from", source, "--settings", str(w.site().settings), *arguments)
    done = await asyncio.to_thread(forked.run, "log", *words)
    return done.returncode, done.stdout + done.stderr


async def monitor_url(w: World) -> str:
    async def told() -> str:
        return next((line["url"] for line in monitor_lines(w) if line.get("event") == "started"), "")

    return str(await eventually("the monitor says where it serves", told))


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def test_a_lost_node_is_rebuilt_from_a_monitors_copy_or_its_logs_end(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        path = w.deployment.monitor_settings
        served = f'[serve]\nlisten = "127.0.0.1:0"\n[copies]\ntokens = ["{sha256(TOKEN.encode()).hexdigest()}"]\n'
        path.write_text(path.read_text(encoding="utf-8") + served, encoding="utf-8")
        token = tmp_path / "token"
        token.write_text(TOKEN, encoding="ascii")
        token.chmod(0o600)

        await pair(w, http)
        await w.submits(http, 300)
        await monitor_holds(w, http, 300)
        url = await monitor_url(w)
        await w.process().stop()
        head = w.stored_head()
        assert head.size == 300

        # the data is lost, the head store is not: the same log goes on, also after a restore that was killed
        shutil.rmtree(w.data_folder())
        (w.data_folder() / "x509.restoring" / "data").mkdir(parents=True)
        (w.data_folder() / "x509.restoring" / "data" / "half").write_bytes(b"done")
        assert (await restore(w, url, "--report", str(tmp_path / "r")))[0] == 1  # entries are for members
        assert not any((w.data_folder() / "x509").glob("*"))
        code, said = await restore(w, url, "--token-file", str(token), "--report", str(tmp_path / "r"))
        assert code == 0, said
        assert "300 entries" in said
        assert not list(w.data_folder().glob("*.restoring"))
        before = files(w.data_folder())
        code, said = await restore(w, url, "--token-file", str(token))
        assert (code, files(w.data_folder())) == (0, before), said
        code, said = await restore(w, url, "--log", "x509")
        assert code == 1
        assert "not empty" in said

        await w.start()
        await w.healthy(http)
        for number, (der, _) in list(w.promises.scts.items())[::50]:
            assert await w.promises.submit(http, w.site().url, (number, der)) == httpx.codes.OK  # the same SCT
        await w.submits(http, 5)
        assert (await w.reckon(http)).size == 305
        await monitor_holds(w, http, 305)
        await asyncio.gather(*(process.stop() for process in w.processes.values()))

        # from here on from a folder: a copy with a byte changed, then one that is an entry short, then no head store
        state = path.parent / next(
            line.split('"')[1] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("state")
        )
        copies = state.with_name(state.name + ".copy")
        mine = copies / sha256(w.site().origin("x509").encode()).hexdigest()
        shutil.rmtree(w.data_folder() / "x509")
        receipts = Receipts(tmp_path / "kept", f"{w.site().url}/x509")
        for der, sct in w.promises.scts.values():
            receipts.keep(der, sct)

        data = LevelData(mine)
        [row] = await data.entries(7, 8)
        await data.commit(Batch(7, (row[:40] + bytes([row[40] ^ 1]) + row[41:],), ()))
        await data.close()
        code, said = await restore(w, str(copies), "--report", str(tmp_path / "r"))
        assert code == 1
        assert "do not lead to the signed root" in said, said
        assert not (w.data_folder() / "x509").exists()

        data = LevelData(mine)
        await data.commit(Batch(7, (row,), ()))
        [last] = await data.entries(304, 305)
        await data.truncate(304)
        await data.close()
        options = ("--report", str(tmp_path / "r"), "--scts", str(tmp_path / "kept"))
        code, said = await restore(w, str(copies), *options)
        assert code == 1, said
        assert not (w.data_folder() / "x509").exists()
        report = json.loads((tmp_path / "r" / "x509.json").read_text(encoding="utf-8"))
        assert report["final"]["size"] == 304
        assert report["signed_last"]["size"] == 305
        assert [each["index"] for each in report["scts_beyond"]] == [304]
        assert report["scts_beyond"][0]["signature"] == "verified"
        assert report["scts_beyond"][0]["sct"] in [answer for _, answer in w.promises.scts.values()]
        payload = json.loads((tmp_path / "r" / "x509.log-close.json").read_text(encoding="utf-8"))
        check_kind("log-close", "hk", payload, 0)
        assert b64decode(payload["root"]) == b64decode(report["final"]["root"])

        data = LevelData(mine)
        await data.commit(Batch(304, (last,), ()))
        await data.close()
        shutil.rmtree(w.heads_file().parent)
        code, said = await restore(w, str(copies), *options, "--log", "x509")
        assert code == 1, said
        assert "head store holds no head" in said
        assert not (w.data_folder() / "x509").exists()
        report = json.loads((tmp_path / "r" / "x509.json").read_text(encoding="utf-8"))
        assert (report["final"]["size"], report["signed_last"], report["scts_beyond"]) == (305, None, [])
