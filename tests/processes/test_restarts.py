"""What survives a restart, what a start refuses, and each exit code of a node brought about."""

import asyncio
import shutil
import time
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import Issuer
from log.crypto import keys
from log.crypto.notes import NoteSigner, sign_note
from log.demo.ca import MassIssuer
from log.formats.note import KeyType
from tests.support import forked
from tests.support.nodes import World, client, logged, rows, unguard, world


async def test_after_a_restart_each_submission_gets_the_same_answer(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        node = await w.start()
        await w.submits(http, 20)
        size = w.stored_head().size
        assert await node.stop() == 0
        await w.start()
        url = w.site().url
        again = [w.promises.submit(http, url, (number, der)) for number, (der, _) in w.promises.scts.items()]
        assert set(await asyncio.gather(*again)) == {httpx.codes.OK}  # `submit` compares the answers
        assert w.stored_head().size == size == 20
        await w.reckon(http)


@pytest.mark.parametrize("lost", ["folder", "marker"])
async def test_an_index_that_is_gone_is_rebuilt_from_the_entries(tmp_path: Path, lost: str) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        node = await w.start()
        await w.submits(http, 20)
        await node.stop()
        index = w.data_folder() / "x509" / "index"
        shutil.rmtree(index)
        if lost == "marker":
            index.mkdir()
        await w.start()
        told = logged(w.deployment.folder / "hk.out")
        assert 20 in [line["indexed"] for line in told if line["message"] == "recovered"]
        url = w.site().url
        for number, (der, _) in list(w.promises.scts.items()):
            assert await w.promises.submit(http, url, (number, der)) == httpx.codes.OK
            answer = await http.get(f"{url}/x509/tlog-proof?fingerprint={sha256(der).hexdigest()}&head=newest")
            assert answer.status_code == httpx.codes.OK
        assert w.stored_head().size == 20
        await w.submits(http, 5)
        await w.reckon(http)


async def put_list(w: World, side: str, version: int, anchors: tuple[bytes, ...]) -> None:
    """Publish another trust list of one side, signed by its signer."""
    folder = w.deployment.folder / f"trustlist-{side}"
    signer = NoteSigner.make(f"{side}.authority.example", KeyType.ED25519, keys.load_ed25519(folder / "signer.pem"))
    now_ms = int(time.time()) * 1000
    issuers = tuple(
        Issuer(f"ca-{number}", der, f"ca-{number}", now_ms, None, None, "", False, "", "", False)
        for number, der in enumerate(anchors)
    )
    listed = TrustList(version, now_ms, issuers, ())
    (folder / "trustlist.json").write_bytes(listed.encode())
    (folder / "trustlist.note").write_bytes((await sign_note(listed.note_text(), 0, [signer])).encode())


async def test_a_trust_list_never_goes_back(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        root, other = w.promises.issuer.issuers[-1], MassIssuer("p384").issuers[-1]
        for side in ("hk", "gd"):
            await put_list(w, side, 2, (root,))
        node = await w.start()  # higher than the 1 that was made, and never used
        await w.submits(http, 5)
        await node.stop()
        assert rows(w.heads_file())["trustlist/hk"].startswith(b"2 ")

        await put_list(w, "hk", 1, (root,))
        code, words = await w.ends()
        assert (code, "trust list of hk" in words) == (2, True), words
        await put_list(w, "hk", 2, (root, other))
        code, words = await w.ends()
        assert (code, "version 2 was in use with digest" in words) == (2, True), words
        assert "--version 3" in words
        assert rows(w.heads_file())["trustlist/hk"].startswith(b"2 ")

        for side in ("hk", "gd"):
            await put_list(w, side, 3, (other,))
        node = await w.start()
        assert await w.promises.submit(http, w.site().url) == httpx.codes.BAD_REQUEST  # no longer listed
        await w.reckon(http)
        await node.stop()
        await put_list(w, "hk", 7, (other, root))
        await w.start()
        await w.submits(http, 5)
        assert rows(w.heads_file())["trustlist/hk"].startswith(b"7 ")
        assert rows(w.heads_file())["trustlist/gd"].startswith(b"3 ")
        await w.reckon(http)


async def test_witness_and_monitor_go_on_where_they_stood(tmp_path: Path) -> None:
    async with world(tmp_path / "d", {"heartbeat_s": 1}) as w, client() as http:
        await start_all(w, http)
        await w.submits(http, 5)
        await w.witnessed(http, 5)
        row = f"witness/{w.site().origin('x509')}"
        for name in ("monitor", "hk", "gd"):
            assert await w.process(name).stop() == 0
        held = rows(w.heads_file("gd"))[row]
        assert w.heads.saw(held).size == 5
        status = await monitor(w, "status")
        assert status[0] == 0
        assert f"{w.site().origin('x509')}: verified up to 5 entries" in status[1]

        await asyncio.gather(w.start("hk"), w.start("gd"))
        answer = await http.get(f"{w.site().url}/x509/checkpoint/witnessed")  # known before anybody brings it
        assert w.heads.saw(answer.content).size == 5
        latest = f"{w.site('gd').url}/witness/{sha256(w.site().origin('x509').encode()).hexdigest()}/checkpoint"
        assert (await http.get(latest)).content == held
        await w.start_monitor()
        await asyncio.gather(w.healthy(http, "hk"), w.healthy(http, "gd"))
        await w.submits(http, 5)
        await w.witnessed(http, 10)
        await w.reckon(http)

        await w.process("monitor").stop()
        (w.deployment.monitor_settings.parent / "state.sqlite").unlink()
        assert (await monitor(w, "run", "--once"))[0] == 3  # a lost state is not an empty one


async def start_all(w: World, http: httpx.AsyncClient) -> None:
    await asyncio.gather(w.start("hk"), w.start("gd"), w.start_monitor())
    await asyncio.gather(w.healthy(http, "hk"), w.healthy(http, "gd"))


async def monitor(w: World, *arguments: str) -> tuple[int, str]:
    """Run a command of the monitor; return its exit code and what it printed."""
    words = ("monitor", *arguments, "--settings", str(w.deployment.monitor_settings))
    done = await asyncio.to_thread(forked.run, *words)
    return done.returncode, done.stdout


async def test_settings_that_cannot_be_used_are_exit_code_2(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        await w.start()
        await w.submits(http, 3)
        code, words = await w.ends()  # beside the one that runs
        assert (code, "cannot bind" in words) == (2, True), words
        wrong = w.site().folder / "wrong.toml"
        wrong.write_text("heartbeats = 3\n" + w.site().settings.read_text(encoding="utf-8"), encoding="utf-8")
        code, words = await w.ends(settings=wrong)
        assert (code, "heartbeats" in words) == (2, True), words
        await w.submits(http, 3)
        await w.reckon(http)


async def test_a_node_that_cannot_serve_lets_go_of_its_stores_first(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w:
        (w.site().folder / "none.pem").write_bytes(b"no PEM")
        wrong = w.site().folder / "wrong.toml"
        tls = 'tls_certificate = "none.pem"\ntls_key = "none.pem"\n'
        wrong.write_text(tls + w.site().settings.read_text(encoding="utf-8"), encoding="utf-8")
        code, words = await w.ends(settings=wrong)
        assert (code, "tls_certificate" in words, '"message": "stopped"' in words) == (2, True, True), words


async def test_a_state_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    """Never taken for a new log: data folder or head store missing, or of another kind."""
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        node = await w.start()
        await w.submits(http, 3)
        await node.stop()
        data, heads = w.data_folder() / "x509" / "data", w.heads_file().parent
        for place, kept in ((data, data.with_name("kept")), (heads, heads.with_name("kept"))):
            place.rename(kept)
            code, words = await w.ends()
            assert code == 3, words
            assert not place.exists()
            kept.rename(place)
        data.rename(data.with_name("kept"))
        shutil.copytree(w.data_folder() / "governance" / "data", data)
        code, words = await w.ends()
        assert code == 3, words
        shutil.rmtree(data)
        data.with_name("kept").rename(data)
        await w.start()
        await w.submits(http, 3)
        await w.reckon(http)
