"""A border link that goes silent and comes back, between hosts in namespaces where the machine allows (row 35).

Settings are fast: a second stands for what is minutes otherwise.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from log.formats.checkpoint import parse_signed
from monitor import main, settings
from monitor.alert import Class
from monitor.store import KeptAlert, Store
from tests.support import link
from tests.support.lying_log import LyingLog
from tests.support.lying_world import World, served

CHECKOUT = Path(__file__).resolve().parents[2]
WAIT_S = 120.0
LIMITS = """
request_s = 0.5
lag_s = 1.5
degraded_s = 3.0
head_alarm_s = 600.0
survey_s = 0.5
refresh_s = 0.3
backoff_s = 1.0
"""


@contextmanager
def running(words: list[str], lines: Path) -> Iterator[subprocess.Popen[bytes]]:
    with lines.open("wb") as out, subprocess.Popen(words, cwd=CHECKOUT, stdout=out, stderr=out) as process:
        try:
            yield process
        finally:
            process.kill()


def said(words: list[str]) -> str:
    return subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout


def until(what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def alerts(state: Path) -> list[KeptAlert]:
    """What is told of links and logs; what rules say of entries, which are no certificates here, is another matter."""
    store = Store.read(state)
    try:
        return [kept for kept in store.alerts() if not kept.alert.key.startswith("rule ")]
    finally:
        store.close()


def witnessed(followed: LyingLog) -> bool:
    return followed.witnessed is not None and parse_signed(followed.witnessed)[1].size == followed.size


def cosigned_by_us(followed: LyingLog) -> bool:
    return any(parse_signed(raw)[1].size == followed.size for raw in followed.handed[-8:])


@pytest.fixture
async def world() -> World:
    made = World(main.now_ms)
    await made.begin()
    return made


async def grow(followed: LyingLog, count: int) -> None:
    followed.add(count)
    await followed.sign()


async def test_a_partition_is_operational_then_degraded_and_its_window_is_audited_again(
    tmp_path: Path, world: World
) -> None:
    with link.made() as border, served(world.nodes, {"hk": border.listen_near, "gd": border.listen_far}) as urls:
        path = world.write(tmp_path, urls, "poll_s = 0.05\n", LIMITS)
        main.create_state(settings.load(path))
        state, lines = settings.load(path).state, tmp_path / "lines"
        monitor = [sys.executable, "-m", "monitor"]
        with running(border.near([*monitor, "run", "--settings", str(path)]), lines) as process:
            until("a healthy link", lambda: all(map(witnessed, world.logs)))
            until("nothing is wrong", lambda: all(kept.ended_ms is not None for kept in alerts(state)))

            border.cut()
            await grow(world.hk_x509, 40)
            await grow(world.gd_x509, 30)  # nobody on this side knows
            until("our own word goes on", lambda: cosigned_by_us(world.hk_x509))
            assert not witnessed(world.hk_x509)
            hk = world.hk_x509.origin

            def lasting() -> dict[tuple[str, str], KeptAlert]:
                found = [kept for kept in alerts(state) if kept.ended_ms is None]
                return {(kept.alert.code, kept.alert.subject): kept for kept in found}

            during: dict[tuple[str, str], KeptAlert] = {}

            def told() -> bool:
                during.clear()
                during.update(lasting())
                return ("not-cross-witnessed", hk) in during and {"silent", "witness-silent"} <= {c for c, _ in during}

            until("not cross-witnessed, and silent", told)
            degraded = during["not-cross-witnessed", hk]
            assert degraded.alert.cls is Class.DEGRADED
            of_others = {code: kept.alert.cls for (code, _), kept in during.items()}
            assert of_others["silent"] is of_others["witness-silent"] is Class.OPERATIONAL
            shown = said([*monitor, "status", "--settings", str(path)])
            assert f"{hk}: not cross-witnessed by gd.example/witness since" in shown
            assert "not cross-witnessed by gd.example/witness since" in shown.splitlines()[0]
            assert lasting()["not-cross-witnessed", hk] == degraded, "it is told once"

            border.heal()
            await grow(world.hk_x509, 5)
            until("vouched for again", lambda: all(map(witnessed, world.logs)))
            until("all is over", lambda: all(kept.ended_ms is not None for kept in alerts(state)))

            def audited() -> set[str]:
                whole, _, _ = lines.read_text().rpartition("\n")  # of what is being written, the end may be missing
                events = [json.loads(line) for line in whole.splitlines()]
                return {each["subject"] for each in events if each["event"] == "audited-again"}

            until("audited again", lambda: {world.hk_x509.origin, world.gd_x509.origin} <= audited())
            assert process.poll() is None
        assert Class.PROVEN not in {kept.alert.cls for kept in alerts(state)}
