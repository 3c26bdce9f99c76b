"""`kill -9` at random moments under load, an orderly end under load, and a second process on a folder."""

import asyncio
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests import soak_monitor
from tests.support.forked import Process
from tests.support.nodes import client, eventually, unguard, world

KILLS = 30
MONITOR_KILLS = 8
SEED = 20261122


async def test_thirty_kills_under_load_lose_nothing_that_was_promised(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        for _ in range(KILLS):
            node = await w.start()
            stop = asyncio.Event()
            before = len(w.promises.scts)
            load = asyncio.create_task(w.promises.load(http, w.site().url, stop))

            async def some(least: int = before + rng.randrange(1, 30)) -> bool:
                return len(w.promises.scts) >= least

            await eventually("the node answers under load", some)
            await asyncio.sleep(rng.random() * 0.02)  # the random moment itself
            assert await node.stop(signal.SIGKILL) == -signal.SIGKILL
            await load
            w.heads.saw_store(w.heads_file())
        await w.start()
        for number, (der, _) in list(w.promises.scts.items())[-20:]:
            assert await w.promises.submit(http, w.site().url, (number, der)) == httpx.codes.OK
        report = await w.reckon(http)
        assert report.size >= len(w.promises.scts) > KILLS


async def test_a_monitor_that_is_killed_skips_no_entry_and_loses_no_alert(tmp_path: Path) -> None:
    assert await soak_monitor.kills(tmp_path / "d", MONITOR_KILLS, SEED) == []


async def test_an_orderly_end_under_load_answers_what_was_accepted(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        node = await w.start()
        stop = asyncio.Event()
        load = asyncio.create_task(w.promises.load(http, w.site().url, stop))

        async def some() -> bool:
            return len(w.promises.scts) >= 50

        await eventually("the node answers under load", some)
        assert await node.stop() == 0
        await load
        # Whoever got no SCT was told so (503), or found nobody listening any more.
        assert {status for _, status, _ in w.promises.refused} <= {0, httpx.codes.SERVICE_UNAVAILABLE}
        await w.start()
        await w.reckon(http)


async def test_a_second_process_on_a_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        await w.start()
        await w.promises.submit(http, w.site().url)
        settings = w.site().settings.read_text().replace(f":{w.site().port}", ":0")
        second_settings = w.site().folder / "second.toml"
        second_settings.write_text(settings)
        second = Process("log", ["serve", "--settings", str(second_settings)], tmp_path / "second.out")
        started = asyncio.create_task(second.start("never"))
        await asyncio.wait([started])
        assert started.exception() is not None
        assert second.returncode == 3
        assert await w.promises.submit(http, w.site().url) == httpx.codes.OK
        await w.reckon(http)


async def test_of_two_processes_on_copies_of_one_log_only_one_goes_on(tmp_path: Path) -> None:
    """The data folder is copied; the head store is one. The swap decides, and no second head leaves."""
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        first = await w.start()
        for _ in range(3):
            await w.promises.submit(http, w.site().url)
        await first.stop()
        copy = tmp_path / "copy"
        shutil.copytree(w.data_folder(), copy)
        first = await w.start()
        text = w.site().settings.read_text().replace(f":{w.site().port}", ":0")
        (w.site().folder / "copy.toml").write_text(f'data_dir = "{copy}"\n' + text)
        out = tmp_path / "copy.out"
        second = Process("log", ["serve", "--settings", str(w.site().folder / "copy.toml")], out)
        w.processes["second"] = second
        await second.start("listening on")
        second_url = out.read_text().split("listening on ")[1].split()[0]
        for _ in range(4):
            await w.promises.submit(http, w.site().url)
            await w.promises.submit(http, second_url)

        async def one_ended() -> bool:
            return (first.returncode is None) != (second.returncode is None)

        await eventually("one of the two ends", one_ended)
        ended = first if first.returncode is not None else second
        assert ended.returncode == 3
        w.heads.saw_store(w.heads_file())
        if ended is first:
            # The survivor has the copy; the promises of both stand in the one history that counts.
            await second.stop()
            shutil.rmtree(w.data_folder())
            shutil.copytree(copy, w.data_folder())
            await w.start()
        await w.reckon(http)


def test_a_process_answers_for_which_package_it_runs() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", "import log; print(log.__file__)"],  # what `python -m log` imports from here
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(asked.stdout.strip()) == Path(__file__).resolve().parents[2] / "log" / "__init__.py"
