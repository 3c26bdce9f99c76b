"""The monitor as a process: commands, exit codes, signals, and `kill -9` at any moment."""

import asyncio
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from log.formats.checkpoint import parse_signed
from log.formats.note import VKey
from monitor import connections, keyring, main, settings
from monitor import process as monitor_process
from monitor.alert import Alert, Class
from monitor.limits import Limits
from monitor.outcome import Finding
from monitor.rounds import Rounds
from monitor.store import Store
from tests.support import forked
from tests.support.forked import Program
from tests.support.lying_log import Fault, LyingLog
from tests.support.lying_world import World, served

CHECKOUT = Path(__file__).resolve().parents[2]
WAIT_S = 60  # longest for anything here, on a slow machine
KILLS = 20
# No deadline passes because the machine is busy, and no answer that was long on its way speaks against our clock.
PATIENT = f"request_s = {WAIT_S}\nchannel_s = {WAIT_S}\nclock_offset_s = {WAIT_S}\n"


def typed(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as it is typed."""
    command = [sys.executable, "-m", "monitor", *words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=WAIT_S, check=False)


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return forked.run("monitor", *words)


def running(path: Path) -> Program:
    """Start the monitor; what it says is beside its settings."""
    return Program(["monitor", "run", "--settings", str(path)], path.with_name("out"), path.with_name("err"))


def eventually(what: str, check: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not check():
        assert time.monotonic() < until, f"not within {WAIT_S} s: {what}"
        time.sleep(0.02)  # between two looks at another process, which does not say when it has come so far


@pytest.fixture
async def world() -> World:
    made = World(main.now_ms)
    await made.begin()
    return made


def test_commands_say_what_they_are_for(tmp_path: Path, world: World) -> None:
    path = world.write(tmp_path, {"hk": "http://127.0.0.1:1", "gd": "http://127.0.0.1:1"}, limits="request_s = 2\n")
    asked = typed("run", "--once", "--settings", str(path))
    assert asked.returncode == 3
    assert "init" in asked.stderr

    made = typed("init", "--settings", str(path))
    assert made.returncode == 0, made.stderr
    [cosigner, push, mldsa] = made.stdout.splitlines()
    keys = keyring.load(settings.load(path))
    assert VKey.parse(cosigner.removeprefix("cosigner ")) == keys.witness.vkey
    assert VKey.parse(push.removeprefix("push ")) == keys.guard.vkey
    assert [VKey.parse(mldsa.removeprefix("mldsa "))] == [signer.vkey for signer in keys.cosigners[1:]]
    assert typed("init", "--settings", str(path)).returncode == 3

    asked = typed("run", "--once", "--settings", str(path))
    assert asked.returncode == 2, asked.stdout + asked.stderr
    assert {json.loads(line)["outcome"] for line in asked.stdout.splitlines()} == {"unreached"}

    shown = typed("status", "--settings", str(path))
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[0] == "hk.example/x509: nothing verified yet, 0 signed heads seen."

    path.write_text("nam = 1\n" + path.read_text())
    assert typed("run", "--once", "--settings", str(path)).returncode == 3


def test_once_and_status_over_real_sockets(tmp_path: Path, world: World) -> None:
    with served(world.nodes) as urls:
        path = world.write(tmp_path, urls, limits=PATIENT)
        path.write_text(path.read_text() + '[[channels]]\nname = "lines"\nkind = "stdout"\n')
        assert call("init", "--settings", str(path)).returncode == 0
        first = call("run", "--once", "--settings", str(path))
        assert first.returncode == 0, first.stdout + first.stderr
        assert "UNPARSABLE" in first.stdout  # what was judged at its end is told in the same run
        shown = call("status", "--settings", str(path)).stdout.splitlines()
        assert len(shown) == 4
        assert "UNPARSABLE" in shown.pop()  # the entries of these logs are no certificates
        assert "verified up to 300 entries" in shown[0]
        assert "cosigned by us at 300" in shown[0]
        assert "cosigned by gd.example/witness at 300" in shown[0]
        loaded = settings.load(path)
        store = Store.open(loaded.state, keyring.load(loaded).witness.vkey.encode(), 1)
        store.raise_alerts([Alert("watch 1 2", Class.OPERATIONAL, "warning", "hk.example/x509", "watch", "watched")], 1)
        store.close()
        assert call("run", "--once", "--settings", str(path)).returncode == 5
        assert call("alerts", "acknowledge", "watch 1 2", "--by", "Chan", "--settings", str(path)).returncode == 0
        assert call("run", "--once", "--settings", str(path)).returncode == 0
        world.hk_x509.fault = Fault.FLIP
        world.hk_x509.grows_by = 1
        assert call("run", "--once", "--settings", str(path)).returncode == 4


def test_it_runs_until_told_to_stop_and_a_second_one_is_refused(tmp_path: Path, world: World) -> None:
    with served(world.nodes) as urls:
        path = world.write(tmp_path, urls, "poll_s = 0.05\n", PATIENT)
        assert call("init", "--settings", str(path)).returncode == 0
        out = path.with_name("out")
        reached = threading.Event()
        world.hk_x509.grows_by = 3
        world.hk.on_request = lambda _: reached.set() if world.hk_x509.witnessed else None
        for number in (signal.SIGTERM, signal.SIGINT):
            with running(path) as process:
                eventually("this one has begun", lambda: out.exists() and '"started"' in out.read_text())
                reached.clear()
                assert reached.wait(WAIT_S)
                assert call("run", "--settings", str(path)).returncode == 3
                process.send_signal(number)
                assert process.wait(WAIT_S) == 0, path.with_name("err").read_text()
                events = [json.loads(line)["event"] for line in out.read_text().splitlines()]
                out.unlink()
                assert events[0] == "started"
                assert events[-1] == "stopped"


async def test_no_peer_can_fill_the_cookie_jar() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connections.http_client(Limits()) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).headers["set-cookie"]
        assert list(client.cookies.jar) == []


def test_a_silent_node_delays_nobody(tmp_path: Path, world: World) -> None:
    with served(world.nodes) as urls:
        path = world.write(tmp_path, urls, "poll_s = 0.05\n", limits=f"request_s = {10 * WAIT_S}\n")
        assert call("init", "--settings", str(path)).returncode == 0
        world.hk_x509.grows_by = 1
        enough = threading.Event()
        with running(path):
            eventually("all were asked", lambda: world.hk_x509.witnessed is not None)
            world.gd.fault = Fault.SILENT
            world.hk_x509.handed.clear()
            # Heads are verified, cosigned and handed back, while whoever asks the silent node waits for its answer.
            world.hk.on_request = lambda _: enough.set() if len(world.hk_x509.handed) > 20 else None
            assert enough.wait(WAIT_S)
        world.gd.fault = None


def cosigned(followed: LyingLog, world: World, key: VKey) -> list[tuple[int, bytes]]:
    """All that left the monitor under its cosignature for a log, in the order in which it came."""
    found = []
    for raw in followed.handed + [raw for node in world.nodes for push in node.pushes for raw in push.own]:
        note, checkpoint = parse_signed(raw)
        if checkpoint.origin == followed.origin and any(key.owns(line) for line in note.signatures):
            found.append((checkpoint.size, checkpoint.root))
    return found


def test_killed_at_any_moment_it_has_signed_nothing_that_is_not_stored(tmp_path: Path, world: World) -> None:
    chance = random.Random(0x7717)
    with served(world.nodes) as urls:
        path = world.write(tmp_path, urls, "poll_s = 0.02\n", PATIENT)
        assert call("init", "--settings", str(path)).returncode == 0
        loaded = settings.load(path)
        key = keyring.load(loaded).witness.vkey
        for followed in world.logs:
            followed.grows_by = 5
        for _ in range(KILLS):
            with running(path) as process:
                killed = threading.Event()
                world.hk.on_request = Killer(process.pid, len(world.hk.seen) + chance.randrange(1, 60), chance, killed)
                assert killed.wait(WAIT_S), process.returncode
                process.wait(WAIT_S)
                world.hk.on_request = None
            store = Store.open(loaded.state, key.encode(), 1_000_000)  # the lock is free, the chain whole
            for followed in world.logs:
                row, verified = store.witness(followed.origin), store.verified(followed.origin)
                heads = cosigned(followed, world, key)
                for size, root in heads:
                    assert root == followed.root_at(size)
                    assert row is not None
                    assert size <= row[0]
                if verified is not None:
                    assert verified.head.root == followed.root_at(verified.head.size)
                    assert row is None or row[0] <= verified.head.size
                assert store.evidence(followed.origin) == []
            store.close()
        for followed in world.logs:
            followed.grows_by = 0
            sizes = [
                size for push in world.hk.pushes + world.gd.pushes for size in own_sizes(push.own, followed.origin)
            ]
            assert sizes == sorted(sizes), "no guard note was ever smaller than one before it"
        last = call("run", "--once", "--settings", str(path))
        assert last.returncode == 0, last.stdout + last.stderr


def own_sizes(notes: tuple[bytes, ...], origin: str) -> list[int]:
    return [found.size for raw in notes if (found := parse_signed(raw)[1]).origin == origin]


class Killer:
    """Kills a process a few milliseconds after a request of a given number, or a later one when that has passed."""

    def __init__(self, pid: int, at: int, chance: random.Random, done: threading.Event) -> None:
        self._pid = pid
        self._at = at
        self._delay_s = chance.random() * 0.03
        self._done = done
        self._struck = False

    def __call__(self, number: int) -> None:
        if number >= self._at and not self._struck:
            self._struck = True
            threading.Timer(self._delay_s, self._kill).start()

    def _kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._done.set()


# --- alerts -------------------------------------------------------------------------------------------------------

TELL = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read())"
ALERT_KILLS = 6


def channel(name: str, *command: str, least: str = "info") -> str:
    words = json.dumps(list(command))
    return f'[[channels]]\nname = "{name}"\nkind = "command"\ncommand = {words}\nleast = "{least}"\n'


def told(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def test_killed_at_any_moment_a_proven_lie_is_told_and_no_entry_is_skipped(tmp_path: Path, world: World) -> None:
    chance = random.Random(0x5A17)
    file, honest = tmp_path / "told", world.gd_x509
    extra = "poll_s = 0.02\n" + channel("file", sys.executable, "-c", TELL, str(file)) + channel("dead", "/nowhere")
    with served(world.nodes) as urls:
        path = world.write(tmp_path, urls, extra, PATIENT)
        assert call("init", "--settings", str(path)).returncode == 0
        assert call("run", "--once", "--settings", str(path)).returncode == 0
        world.gd.logs["x509"] = await honest.branch(299, 1)  # the lie, from now on
        world.hk_x509.grows_by = 5
        for _ in range(ALERT_KILLS):
            with running(path) as process:
                killed = threading.Event()
                world.gd.on_request = Killer(process.pid, len(world.gd.seen) + chance.randrange(1, 12), chance, killed)
                assert killed.wait(WAIT_S), process.returncode
                process.wait(WAIT_S)
                world.gd.on_request = None
        world.hk_x509.grows_by = 0
        assert call("run", "--once", "--settings", str(path)).returncode == 1
    loaded = settings.load(path)
    store = Store.open(loaded.state, keyring.load(loaded).witness.vkey.encode(), 1_000_000)
    forks = [kept for kept in store.alerts() if kept.alert.code == "fork"]
    assert [kept.alert.subject for kept in forks] == [honest.origin]
    [evidence] = store.evidence(honest.origin)
    assert forks[0].alert.detail == {"evidence": evidence.id.hex()}
    found = [each for each in told(file) if each["code"] == "fork"]
    assert found
    assert {(each["key"], each["raised_ms"]) for each in found} == {(forks[0].alert.key, forks[0].raised_ms)}
    verified = store.verified(world.hk_x509.origin)
    assert verified is not None
    assert (verified.head.size, verified.head.root) == (world.hk_x509.size, world.hk_x509.root_at(verified.head.size))
    lost = {delivery.channel for delivery in store.undelivered(["file", "dead"])}
    assert lost == {"dead"}
    store.close()

    listed = call("alerts", "list", "--settings", str(path)).stdout
    assert "ALERT proven critical: gd.example/x509: signed two heads" in listed
    assert "channel dead: " in call("status", "--settings", str(path)).stdout
    key = forks[0].alert.key
    assert call("alerts", "acknowledge", key, "--by", "Ms Chan", "--settings", str(path)).returncode == 0
    assert "acknowledged by Ms Chan" in call("alerts", "list", "--all", "--settings", str(path)).stdout
    assert call("alerts", "acknowledge", "no such", "--by", "Ms Chan", "--settings", str(path)).returncode == 3


def test_a_channel_can_be_tried(tmp_path: Path, world: World) -> None:
    file = tmp_path / "told"
    extra = channel("file", sys.executable, "-c", TELL, str(file)) + channel("dead", "/nowhere")
    path = world.write(tmp_path, {"hk": "http://127.0.0.1:1", "gd": "http://127.0.0.1:1"}, extra, PATIENT)
    assert call("alerts", "test", "file", "--settings", str(path)).stdout == "channel file: told\n"
    assert [each["code"] for each in told(file)] == ["test"]
    assert call("alerts", "test", "dead", "--settings", str(path)).returncode == 2
    assert "no channel is called" in call("alerts", "test", "other", "--settings", str(path)).stderr


async def test_what_a_monitor_is_made_of_is_not_looked_through_for_garbage(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[int] = []

    async def once(self: Rounds) -> list[Finding]:
        frozen.append(gc.get_freeze_count())
        return []

    monkeypatch.setattr(Rounds, "once", once)
    path = world.write(tmp_path, {"hk": "http://127.0.0.1:1", "gd": "http://127.0.0.1:1"})
    assert call("init", "--settings", str(path)).returncode == 0
    await monitor_process.once(settings.load(path))
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0
