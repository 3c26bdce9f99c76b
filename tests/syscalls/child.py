"""What runs under strace or the shim: a server that forks, and in each fork a node's log that does what it is told.

Started once by `lab.Server` as `python -m tests.syscalls.child FD`: imports are paid for once, each run costs a fork.
For each run a socket comes in; over it go the steps in, and out the events: every promise at the moment at which
it is made, and before the watched part `window`, upon which the run waits until the tool is in place.

The log is put together out of `log.state` and `open_log`, on keys, settings and stores as `twinlog keygen` and
`init` make them. It ends as `log.process` does: 0 stopped, 3 the state refuses, 4 a store failed.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from log import keyring, state
from log.cli.codes import EXIT_SETTINGS
from log.client.audit import audit, audit_index
from log.errors import LogError, SettingsError, StateRefused, StorageError, StoreFailed
from log.evidence.heads import Head, Kind
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.family import FAMILIES
from log.formats.note import KeyType
from log.formats.policy import Policy
from log.formats.text import b64decode, b64encode
from log.formats.witness_request import AddCheckpoint
from log.node.guard import Guard, GuardLimits
from log.node.halts import Halts
from log.node.witness import NodeWitness
from log.process import EXIT_STATE, EXIT_STOPPED, EXIT_STORE
from log.sequencer.commit import frontier_of
from log.sequencer.loop import SequencerConfig
from log.service.log import Log
from log.settings import NodeSettings
from log.storage import HeadStore, Index, Swap
from log.storage.leveldb import LevelData
from log.storage.sqlite_heads import HeadLimits, SqliteHeads
from log.tables import LogTable
from monitor.alert import Alert, Class, Route
from monitor.store import CONVICTED, SENT, Evidence, KeptAction, Store
from tests.support.engine import BLOBS, FakeClock, GateInHand, certificate, open_log, until
from tests.support.side import PEER, PEER_SIGNERS, WITNESS, Side

EXIT_BROKEN = 70  # a check did not hold, or the run itself has a bug
MARK = ".said-"  # files that are never there; asking for the nth says that the nth event leaves
STATE = "monitor/state.sqlite"
STATE_KEY = "m+00000000+key"
EXIT_CRASHED = 71  # the step `crash` did what it is for
PATIENCE_S = 50.0  # SQLite takes ten of a quiet machine to give up on a lock it cannot have; less than the lab waits
COMPACTION_S = 3.0  # in which a compaction of a hundred kilobytes has ended, or has failed
POLL_S = 0.005
LEVELS = 7  # of a LevelDB
PACE = SequencerConfig(linger_ms=0, heartbeat_ms=20, index_sync_ms=10)  # by a clock that only steps move


def tables_of(data: LevelData) -> int:
    """Return how many tables a LevelDB has by its own account, which takes no file call."""
    database = data._db._db
    return sum(int(database.get_property(f"leveldb.num-files-at-level{level}".encode())) for level in range(LEVELS))


class Ended(Exception):
    """The log cannot go on."""

    def __init__(self, error: LogError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class Run:
    """One process of a node. Each step is a method; its name and arguments come over the socket."""

    folder: Path
    clock: FakeClock
    say: Callable[..., None]
    wait: Callable[[], None]
    hosted: Log | None = None
    heads: HeadStore | None = None
    index: Index | None = None
    data: LevelData | None = None
    tables: int = 0  # of the data store, when it was opened
    witness: NodeWitness | None = None
    failures: list[LogError] = field(default_factory=list)
    fold_swaps: int = 256  # of the head store, or writes of a monitor's state
    store: Store | None = None  # a monitor's state
    _settings: NodeSettings | None = None

    @property
    def settings(self) -> NodeSettings:
        if self._settings is None:
            self._settings = NodeSettings.load(self.folder / "twinlog.toml")
        return self._settings

    @property
    def table(self) -> LogTable:
        return self.settings.logs[0]

    @property
    def running(self) -> Log:
        assert self.hosted is not None
        return self.hosted

    # --- steps ------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read settings and keys, so that the window has the stores only."""
        keyring.log_keys(self.settings, self.table)

    async def fold_every(self, swaps: int) -> None:
        """Let the head store fold its log back so often."""
        self.fold_swaps = swaps

    async def window(self) -> None:
        """From here on the calls count."""
        self.say(window=True)
        self.wait()

    async def keygen(self) -> None:
        """Make the keys."""
        keyring.keygen(self.settings, self.clock)
        self.say(keys=keyring.public_keys(self.settings, self.clock))

    async def same_keys(self, keys: dict[str, list[str]]) -> None:
        """The keys that were printed are there."""
        assert keyring.public_keys(self.settings, self.clock) == keys

    async def init(self) -> None:
        """Make the stores."""
        await state.init(self.settings, self.clock)
        self.say(made=True)

    async def open(self) -> None:
        """Start: recover, and sign a first head."""
        settings, own = self.settings, keyring.log_keys(self.settings, self.table)
        self.heads = heads = SqliteHeads(settings.heads_file, HeadLimits(fold_swaps=self.fold_swaps))
        data, self.index = state.open_stores(settings, self.table, create=False, create_index=True)
        self.data, self.tables = data, tables_of(data)
        halts, gate = Halts(heads), GateInHand()
        self.hosted = await open_log(
            self.table.origin,
            FAMILIES[self.table.family],
            (data, heads, self.index),
            gate,
            self.clock,
            Policy((), (), (), "none"),
            signers=own.signers,
            config=PACE,
            on_failure=self.failures.append,
            halt=halts.halt,
        )
        guard = Guard(self.clock, (), halts, lambda _: None, GuardLimits())
        known = {PEER: [signer.vkey for signer in PEER_SIGNERS]}
        self.witness = NodeWitness([WITNESS], known, heads, guard, halts, self.clock, self.failures.append)
        await halts.load()
        await self.witness.load()
        await self.hosted.start()
        first = self.hosted.published.head.timestamp_ms
        await self._until(lambda: self.running.published.head.timestamp_ms > first)
        self._head()

    async def append(self, first: int, count: int, size: int) -> None:
        """Submit that many entries at once; each answer is a promise."""
        answers = [self.running.submit(certificate(number, size), BLOBS) for number in range(first, first + count)]
        placed = await asyncio.gather(*answers)
        for number, place in enumerate(placed, first):
            self.say(promise=[number, size, place.index, place.timestamp_ms])
        self._head()

    async def compacted(self) -> None:
        """Wait until LevelDB has made another table; of a failure it says nothing, so for as long as it never takes."""
        assert self.data is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COMPACTION_S):
                while tables_of(self.data) == self.tables:
                    await asyncio.sleep(POLL_S)

    async def beat(self) -> None:
        """Let the index sync and the heartbeat fall due, and wait for them."""
        before = self.running.published.head.timestamp_ms
        self.clock.advance(PACE.heartbeat_ms + 1)
        await self._until(lambda: self.running.published.head.timestamp_ms > before)
        self._head()

    async def swap(self, old: int, size: int) -> None:
        """Ask the witness for a cosignature on a peer's head, a second after the last one."""
        assert self.witness is not None
        before = self.running.published.head.timestamp_ms
        self.clock.advance(1_000)
        await self._until(lambda: self.running.published.head.timestamp_ms > before)  # the heartbeat that falls due
        note = await Side(clock=self.clock).peer_head(size)
        answer = await self.witness.add_checkpoint(AddCheckpoint(old, (), note).encode())
        assert answer.status == 200, answer.body
        self._tell("cosigned", parse_signed(note)[1])

    async def crash(self) -> None:
        """Die between the two writes of the next commit: entries there, head not."""
        assert self.heads is not None
        heads = self.heads

        async def replace(name: str, old: bytes | None, new: bytes) -> Swap:
            os._exit(EXIT_CRASHED)

        heads.replace = replace  # type: ignore[method-assign]

    async def stop(self) -> None:
        """End in order."""
        await self._close()

    async def check(self, promises: list[list[int]], heads: list[list[Any]], cosigned: list[list[Any]]) -> None:
        """Audit the log and its index, and hold against it what was promised before."""
        hosted, family = self.running, FAMILIES[self.table.family]
        report = await audit(hosted, family, hosted.identity.vkeys)
        rows = await hosted.entries(0, hosted.size, hosted.size)
        for number, size, index, timestamp_ms in promises:
            assert index < report.size, f"entry {number} was promised index {index}; the log has {report.size}"
            row = family.place(certificate(number, size), index, timestamp_ms).row
            assert rows[index] == row, f"index {index} holds another entry than the promised {number}"
            placed = await hosted.submit(certificate(number, size), BLOBS)
            assert (placed.index, placed.timestamp_ms) == (index, timestamp_ms), f"entry {number} has two places"
        for origin, size, root in heads:
            assert origin == hosted.identity.origin
            assert size <= report.size, f"a head of size {size} had left"
            assert await hosted.root_at(size) == b64decode(root), f"two roots of size {size}"
        for origin, size, root in cosigned:
            assert self.witness is not None
            note = await self.witness.cosigned(origin)
            assert note is not None, f"{origin} was cosigned at {size} and is forgotten"
            held = parse_signed(note)[1]
            assert held.size > size or (held.size, held.root) == (size, b64decode(root)), f"cosigned {size}, holds less"
        assert self.index is not None
        assert await audit_index(hosted, family, self.index) >= report.size
        assert frontier_of(hosted.published.edge).root() == report.root
        self.say(size=report.size)

    # --- a monitor's state ------------------------------------------------------------------------------------

    async def state_init(self) -> None:
        """Make it, as `twinlog-monitor init` does."""
        Store.create(self.folder / STATE, STATE_KEY)
        self.say(made=True)

    async def state_open(self) -> None:
        """Take it."""
        self.store = Store.open(self.folder / STATE, STATE_KEY, 1_000, self.fold_swaps)

    async def state_write(self, first: int, count: int) -> None:
        """Write what a round writes of a head, an action, evidence, alert; each is a promise once it has returned."""
        assert self.store is not None
        self.store.routes = (Route("pager"),)
        for number in range(first, first + count):
            head, before = _seen(number), _seen(number - 1)
            self.store.observe(head, "log", number)
            self.say(kept=["observed", number])
            self.store.advance(head, b"%d" % number, [], number)
            self.say(kept=["verified", number])
            assert self.store.swap_witness((before.size, before.root) if number > 1 else None, head)
            self.say(kept=["cosigned", number])
            action = KeptAction(head.root, "hk", number, head.note, head.raw, "o")
            self.store.keep_actions(b"genesis", [action], (), number)
            self.say(kept=["action", number])
            alert = Alert(f"fork {number}", Class.PROVEN, "critical", "o", "fork", "two heads")
            proof = Evidence(head.root, Kind.ROLLBACK, "o", b"{}", number)
            self.store.convict(proof, head, CONVICTED, 1_000, [alert])
            self.say(kept=["proven", number])
            for delivery in self.store.due("pager", number, 1_000, 1_000):
                self.store.keep_delivery(delivery, SENT, number)
            self.say(kept=["told", number])

    async def state_check(self, kept: list[list[Any]]) -> None:
        """All that was promised is there, and nothing that was not written: then tell where to go on."""
        assert self.store is not None
        verified, witness = self.store.verified("o"), self.store.witness("o")
        last = {
            "observed": self.store.counts("o").observations,
            "verified": 0 if verified is None else verified.head.size,
            "cosigned": 0 if witness is None else witness[0],
            "action": len(self.store.actions(b"genesis")),
            "proven": len(self.store.evidence("o")),
            "told": 0,
        }
        alerts = self.store.alerts(lasting=True)
        assert len(alerts) == last["proven"], "evidence and its alert are one"
        waiting = {each.kept.seq for each in self.store.due("pager", 1_000, 1_000, 1_000)}
        last["told"] = len([each for each in alerts if each.seq not in waiting])
        assert waiting <= {each.seq for each in alerts}
        assert self.store.raw_notes("o") == [_seen(number).raw for number in range(1, last["observed"] + 1)]
        for what, number in kept:
            assert last[what] >= number, f"{what} {number} was promised; the last one is {last[what]}"
        assert (
            last["observed"] >= last["verified"] >= last["cosigned"] >= last["action"] >= last["proven"] >= last["told"]
        )
        assert last["told"] >= last["observed"] - 1
        assert verified is None or verified.frontier == b"%d" % verified.head.size
        self.say(last=last)

    async def state_close(self) -> None:
        """Let go of it; what SQLite does then nobody waits for."""
        self.say(closing=True)
        assert self.store is not None
        self.store.close()
        self.store = None

    # --- helpers ----------------------------------------------------------------------------------------------

    def _head(self) -> None:
        head = self.running.published.head
        self._tell("head", Checkpoint(self.table.origin, head.size, head.root))

    def _tell(self, what: str, head: Checkpoint) -> None:
        self.say(**{what: [head.origin, head.size, b64encode(head.root)]})

    async def _until(self, condition: Callable[[], bool]) -> None:
        sequencer = self.running.sequencer
        await until(lambda: condition() or sequencer.failed, PATIENCE_S)
        if sequencer.failed is not None:
            raise Ended(sequencer.failed)

    async def _close(self) -> None:
        if self.hosted is not None:
            await self.hosted.stop()
        if self.heads is not None:
            await self.heads.close()
        if self.store is not None:
            self.store.close()


def _seen(number: int) -> Head:
    """Return a signed head of a size, as a monitor keeps it."""
    note = b"note %d" % number
    times = ((KeyType.TREE_HEAD, number),)
    return Head("o", number, sha256(note).digest(), times, note, note + b" raw" + bytes(3_000))


async def _steps(run: Run, steps: list[list[Any]]) -> int:
    try:
        for name, *arguments in steps:
            step: Callable[..., Awaitable[None]] = getattr(run, name)
            await step(*arguments)
    except (Ended, LogError) as error:
        cause = run.failures[0] if run.failures else error.error if isinstance(error, Ended) else error
        run.say(error=f"{type(cause).__name__}: {cause}")
        if run.failures or run.store is not None:  # a node that ran ends in order; one that never began just ends
            await run._close()
        return _code(cause)
    if run.failures:
        run.say(error=str(run.failures[0]))
        return _code(run.failures[0])
    return EXIT_STOPPED


def _code(error: LogError) -> int:
    """Map an error as `log.process` does."""
    if isinstance(error, StoreFailed):
        return EXIT_STORE
    if isinstance(error, StateRefused | StorageError):
        return EXIT_STATE
    return EXIT_SETTINGS if isinstance(error, SettingsError) else EXIT_BROKEN


# --- one fork a run -----------------------------------------------------------------------------------------------


def _run(channel: socket.socket, request: dict[str, Any]) -> NoReturn:
    """Be the forked process."""
    text = channel.makefile("rw", encoding="utf-8", newline="\n")

    said = 0

    def say(**event: Any) -> None:
        nonlocal said
        said += 1
        with contextlib.suppress(FileNotFoundError):  # a mark among the calls: from here on it may be known
            os.open(Path(request["folder"]) / f"{MARK}{said}", os.O_RDONLY)
        text.write(json.dumps(event) + "\n")
        text.flush()

    def wait() -> None:
        if request["shim"] is not None:
            folder, record, data, slow_ms, kind, error, call, path, nth = request["shim"]
            arm = ctypes.CDLL(None).shim_arm
            arm(folder.encode(), record.encode(), data, slow_ms, kind, error, call.encode(), path.encode(), nth)
        else:
            ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)  # PR_SET_PTRACER: anyone
        text.readline()

    code = EXIT_BROKEN
    try:
        run = Run(Path(request["folder"]), FakeClock(request["now_ms"]), say, wait)
        code = asyncio.run(_steps(run, request["steps"]))
    except Exception:  # noqa: BLE001 - the lab raises it again
        say(broken=traceback.format_exc())
    finally:
        os._exit(code)


def _serve(control: socket.socket) -> None:
    """Fork for each request; answer with the process's id, and with its status once it has ended."""
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 1)
        if not message:
            return
        channel = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if pid == 0:
            control.close()
            _run(channel, json.loads(message))
        channel.close()
        control.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        _, status = os.waitpid(pid, 0)
        control.sendall(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
