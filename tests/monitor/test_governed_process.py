"""A monitor process under governance: what it says, a node that joins while it runs, `kill -9` while it carries."""

import json
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from log.formats.action import JOINT
from log.governance.chains import Signed
from monitor import keyring, main, settings
from monitor.store import Store
from tests.monitor.test_carrier import MEMBER, SUSPEND
from tests.monitor.test_process import PATIENT, WAIT_S, Killer, call, eventually, running
from tests.monitor.test_roster import join_by, vouched
from tests.support.action_log import GovernedWorld
from tests.support.lying_world import served

KILLS = 6
ACTIONS = 20


@pytest.fixture
async def world() -> GovernedWorld:
    made = GovernedWorld(main.now_ms)
    await made.begin({followed.origin: 20 for followed in made.logs})
    return made


@contextmanager
def at_work(folder: Path, world: GovernedWorld, limits: str = "") -> Iterator[tuple[Path, dict[str, str]]]:
    """Serve all three nodes and make a monitor's settings and state."""
    with served(world.reachable) as urls:
        path = world.write(folder, urls, "poll_s = 0.05\n", PATIENT + limits)
        assert call("init", "--settings", str(path)).returncode == 0
        yield path, urls


def submit(url: str, *actions: Signed) -> None:
    for signed in actions:
        answer = httpx.post(f"{url}/governance/add-action", content=signed.note.encode(), timeout=WAIT_S)
        assert answer.status_code == 200, answer.text


def test_once_and_status_say_what_each_node_holds_and_what_was_carried(tmp_path: Path, world: GovernedWorld) -> None:
    with at_work(tmp_path, world) as (path, urls):
        hk = world.pen("hk")
        submit(urls["hk"], hk.say("member-admit", MEMBER), hk.say("member-suspend", SUSPEND))
        done = call("run", "--once", "--settings", str(path))
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        holds = [(line["subject"], line["holds"], line["known"]) for line in lines if "holds" in line]
        assert ("hk.example/governance", 2, 2) in holds
        assert ("gd.example/governance", 2, 2) in holds
        carried = [(line["subject"], line["action"]) for line in lines if line["event"] == "carried"]
        assert carried == [("gd.example/governance", "hk/1"), ("gd.example/governance", "hk/2")]
        shown = call("status", "--settings", str(path))
        assert shown.returncode == 0, shown.stderr
        assert "chain hk: 2 actions count." in shown.stdout
        assert "2 of them were carried there by us." in shown.stdout


def test_another_file_than_the_pinned_genesis_ends_it(tmp_path: Path, world: GovernedWorld) -> None:
    path = world.write(tmp_path, dict.fromkeys(("hk", "gd", "sd"), "http://127.0.0.1:1"))
    assert call("init", "--settings", str(path)).returncode == 0
    (tmp_path / "genesis.json").write_bytes((tmp_path / "genesis.json").read_bytes() + b" ")
    for command in (["run", "--once"], ["status"]):
        done = call(*command, "--settings", str(path))
        assert done.returncode == 3
        assert "not the pinned one" in done.stderr


def test_a_node_joins_while_the_monitor_runs_and_is_vouched_for(tmp_path: Path, world: GovernedWorld) -> None:
    with at_work(tmp_path, world) as (path, urls):
        with running(path) as process:
            eventually("two nodes are vouched for", lambda: all(followed.witnessed for followed in world.logs))
            joint = world.pen(JOINT)
            join_by(world, path, joint, urls["sd"])
            submit(urls["gd"], *joint.written)
            eventually("three nodes are vouched for", lambda: vouched(world) and world.sd.guarded)
            assert process.returncode is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) == 0, path.with_name("err").read_text()
        said = map(json.loads, path.with_name("out").read_text().splitlines())
        rosters = [line for line in said if line["event"] == "roster"]
        assert rosters[-1]["nodes"] == ["hk", "gd", "sd"]
        shown = call("status", "--settings", str(path)).stdout
        assert "sd.example/x509: verified up to 20 entries" in shown


def test_killed_at_any_moment_every_action_reaches_every_node_once(tmp_path: Path, world: GovernedWorld) -> None:
    chance = random.Random(0x7718)
    with at_work(tmp_path, world, "actions_per_round = 3\n") as (path, urls):
        hk, gd = world.pen("hk"), world.pen("gd")
        for pen, url in ((hk, urls["hk"]), (gd, urls["gd"])):
            submit(
                url,
                *(pen.say(kind, SUSPEND) for _ in range(ACTIONS // 2) for kind in ("member-suspend", "member-resume")),
            )
        loaded = settings.load(path)
        for _ in range(KILLS):
            with running(path) as process:
                killed = threading.Event()
                target = chance.choice([world.hk, world.gd])
                target.on_request = Killer(process.pid, len(target.seen) + chance.randrange(1, 60), chance, killed)
                assert killed.wait(WAIT_S), process.returncode
                process.wait(WAIT_S)
                target.on_request = None
            store = Store.open(loaded.state, keyring.load(loaded).witness.vkey.encode(), 1_000_000)
            kept = {row.hash for row in store.actions(world.hk_governance.genesis.hash)}
            store.close()
            assert kept <= {signed.hash for signed in (*hk.written, *gd.written)}
        governances = (world.hk_governance, world.gd_governance)
        with running(path):
            eventually("all is carried", lambda: all(len(each.held) == 2 * ACTIONS for each in governances))
        done = call("run", "--once", "--settings", str(path))
        assert done.returncode == 0, done.stdout + done.stderr
        for governance in governances:
            assert set(governance.held) == {signed.hash for signed in (*hk.written, *gd.written)}
            assert governance.size == 20 + len(governance.held), "no action stands there twice"
