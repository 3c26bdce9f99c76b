"""Old copies put back: what a node refuses by itself, and what only a guard can see (design.md section 4, promise 3).

The data folder alone contradicts the head store. Data and head store together are the node's own past: it starts, and
signs nothing until a guard has spoken; the guard holds more.
"""

import asyncio
from hashlib import sha256
from pathlib import Path

import httpx

from log.client import prover
from log.client.http import HttpLog
from log.crypto.notes import open_note
from log.demo.deployment import MONITOR
from log.formats.checkpoint import Checkpoint
from log.formats.family import X509
from log.formats.note import Note, VKey
from log.formats.policy import Policy
from log.formats.witness_request import AddCheckpoint
from tests.support import forked
from tests.support.nodes import World, client, eventually, logged, put_row, rows, unguard, world

HALTED = "our tree does not bear out"
BEAT = {"heartbeat_s": 1}


async def pair(w: World, http: httpx.AsyncClient) -> None:
    """Start both nodes and the monitor, and wait until all sign."""
    await asyncio.gather(w.start("hk"), w.start("gd"), w.start_monitor())
    await asyncio.gather(w.healthy(http, "hk"), w.healthy(http, "gd"))


async def halts(w: World, *arguments: str) -> str:
    """Run `twinlog halts` for a stopped node; return what it prints."""
    done = await asyncio.to_thread(forked.run, "log", "halts", "--settings", str(w.site().settings), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def monitor_holds(w: World, http: httpx.AsyncClient, size: int) -> None:
    """Wait until the guard has cosigned so many entries: what nobody outside holds, nobody can miss."""

    async def cosigned() -> bool:
        note = Note.parse((await http.get(f"{w.site().url}/x509/checkpoint")).content)
        return Checkpoint.parse(note.text).size == size and MONITOR in {line.name for line in note.signatures}

    await eventually(f"the monitor has cosigned {size} entries", cosigned)


async def refused(w: World, http: httpx.AsyncClient, reason: str) -> None:
    """Check that nothing is taken, and that the answer says why."""
    assert await w.promises.submit(http, w.site().url) == httpx.codes.SERVICE_UNAVAILABLE
    assert reason in w.promises.refused[-1][2]


async def test_an_old_data_folder_alone_is_refused_at_the_start(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        node = await w.start()
        await w.submits(http, 5)
        await node.stop()
        old = w.copy(tmp_path / "old")
        node = await w.start()
        await w.submits(http, 5)
        await node.stop()
        newest = w.copy(tmp_path / "newest")
        w.restore_data(old)
        code, words = await w.ends()
        assert code == 3
        assert "data store of hk.twinlog.example/x509" in words
        w.restore_data(newest)
        await w.start()
        await w.submits(http, 5)
        await w.reckon(http)


async def test_an_old_image_of_all_stores_signs_nothing_until_an_operator_has_mended_it(tmp_path: Path) -> None:
    async with world(tmp_path / "d", BEAT) as w, client() as http:
        origin = w.site().origin("x509")
        node = await w.start()
        await w.start_monitor()
        await w.healthy(http)
        await w.submits(http, 5)
        await node.stop()
        old = w.copy(tmp_path / "old")
        node = await w.start()
        await w.healthy(http)
        await w.submits(http, 5)
        await monitor_holds(w, http, 10)
        await node.stop()
        newest = w.copy(tmp_path / "newest")

        # Restored: the guard catches it.
        w.restore_data(old)
        w.restore_heads(old)
        before = w.stored_head()
        assert before.size == 5
        await w.start()
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, HALTED)
        await refused(w, http, "until an operator clears it")
        assert w.stored_head() == before  # not even a heartbeat
        await w.process("monitor").stop()

        # It stays so over a restart, with nobody there to say it again.
        await w.process().stop()
        node = await w.start()
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, HALTED)
        await refused(w, http, "until an operator clears it")
        await node.stop()

        # Both notes can be read. Cleared without being mended, it is caught again.
        shown = await halts(w)
        assert f"{origin}\n5\n" in shown
        assert f"{origin}\n10\n" in shown
        assert await halts(w, "--clear", origin) == ""
        await asyncio.gather(w.start(), w.start_monitor())
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, HALTED)
        await w.process().stop()
        assert w.stored_head() == before

        # Mended, but not cleared; then cleared.
        record = rows(w.heads_file())[f"halt/{origin}"]
        w.restore_data(newest)
        w.restore_heads(newest)
        put_row(w.heads_file(), f"halt/{origin}", record)
        node = await w.start()
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, HALTED)
        await refused(w, http, "until an operator clears it")
        await node.stop()
        await halts(w, "--clear", origin)
        await w.start()
        await w.healthy(http)
        await w.submits(http, 5)
        assert (await w.reckon(http)).size == 15


async def test_an_old_head_store_alone_is_caught_and_costs_no_entry(tmp_path: Path) -> None:
    """The entries beyond the old head look like those of a crash. They are not dropped before a guard has spoken."""
    async with world(tmp_path / "d", BEAT) as w, client() as http:
        node = await w.start()
        await w.start_monitor()
        await w.healthy(http)
        await w.submits(http, 5)
        await node.stop()
        old = w.copy(tmp_path / "old")
        node = await w.start()
        await w.healthy(http)
        await w.submits(http, 5)
        await monitor_holds(w, http, 10)
        await node.stop()
        newest = w.copy(tmp_path / "newest")
        w.restore_heads(old)
        node = await w.start()
        await w.says(http, httpx.codes.SERVICE_UNAVAILABLE, HALTED)
        await refused(w, http, "until an operator clears it")
        await node.stop()
        w.restore_heads(newest)
        await w.start()
        await w.healthy(http)
        await w.submits(http, 5)
        assert (await w.reckon(http)).size == 15


async def test_old_witness_rows_are_repaired_and_no_smaller_head_is_cosigned(tmp_path: Path) -> None:
    async with world(tmp_path / "d", BEAT) as w, client() as http:
        hk, gd = w.site("hk"), w.site("gd")
        origin = hk.origin("x509")
        names = [f"witness/{hk.origin(family)}" for family in ("x509", "governance")]
        latest_url = f"{gd.url}/witness/{sha256(origin.encode()).hexdigest()}/checkpoint"
        policy = Policy.parse(hk.policy("x509").read_bytes())
        [witness] = [line.vkey for line in policy.witnesses if line.name == "GD"]
        seen: list[tuple[int, int]] = []  # (seconds, size) of each cosignature

        async def size() -> int:
            answer = await http.get(latest_url)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return 0  # none yet
            raw = answer.content
            w.heads.saw(raw)
            seen.append(_cosigned(raw, witness))
            return seen[-1][1]

        async def reaches(entries: int) -> None:
            async def there() -> bool:
                return await size() >= entries

            await eventually(f"the witness has cosigned {entries} entries", there)

        await pair(w, http)
        await w.submits(http, 3)
        await reaches(3)

        async def both() -> bool:
            return {*names} <= {*rows(w.heads_file("gd"))}

        await eventually("the witness has cosigned both logs", both)
        old = {name: value for name, value in rows(w.heads_file("gd")).items() if name in names}
        small = await size()
        await w.submits(http, 3)
        middle = (await http.get(f"{hk.url}/x509/checkpoint")).content
        assert w.heads.saw(middle).size == 6
        await w.submits(http, 3)
        await reaches(9)
        await w.process("monitor").stop()
        await w.process("gd").stop()
        w.heads.saw_store(w.heads_file("gd"))
        for name in names:
            put_row(w.heads_file("gd"), name, old[name])

        reader = HttpLog(f"{hk.url}/x509", X509, http)
        proof = await prover.consistency(reader, small, 6)
        asked = AddCheckpoint(small, tuple(proof), middle).encode()
        await w.start("gd")
        assert await size() == small
        # It fits the restored state, and would be a cosignature on a smaller head than the last. It is asked for all
        # the time, until the guard has spoken.
        answer = await http.post(f"{gd.url}/witness/add-checkpoint", content=asked)
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        await w.start_monitor()

        async def conflict() -> bool:
            answer = await http.post(f"{gd.url}/witness/add-checkpoint", content=asked)
            assert answer.status_code in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.CONFLICT}
            return (answer.status_code, answer.text) == (httpx.codes.CONFLICT, "9\n")

        await eventually("the witness stands where it stood", conflict)
        # Each log whose old head was put back is taken over once; governance's only where it had grown meanwhile.
        took = [line for line in logged(tmp_path / "d" / "gd.out") if "took over the head" in line["message"]]
        taken = {line["origin"]: line["size"] for line in took}
        assert taken[origin] == 9
        await w.healthy(http, "gd")
        await w.submits(http, 3)
        await reaches(12)
        await w.witnessed(http, 12)
        sizes = [entries for _, entries in sorted(set(seen) - {_cosigned(old[names[0]], witness)})]
        assert sizes == sorted(sizes)
        await w.reckon(http)


def _cosigned(raw: bytes, witness: VKey) -> tuple[int, int]:
    opened = open_note(raw, [witness])
    return (opened.verified[0].timestamp_ms or 0) // 1000, opened.checkpoint.size


async def test_a_witness_state_without_its_marker_is_refused_at_the_start(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        node = await w.start()
        await w.submits(http, 3)
        await node.stop()
        marker = rows(w.heads_file())["witness"]
        put_row(w.heads_file(), "witness", None)
        code, words = await w.ends()
        assert code == 3
        assert "the witness state is missing" in words
        put_row(w.heads_file(), "witness", marker)
        await w.start()
        await w.reckon(http)
