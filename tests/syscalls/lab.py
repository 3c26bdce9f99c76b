"""Runs of the child, one fork each: on a fresh copy of a place, under a tool, then recovery and audit.

A `Place` is a node's folder as a process left it, with all that was promised on it so far. `Lab.run` does steps on
it and adds what they promised; `Lab.prove` starts it cleanly, audits it against every promise, goes on and audits
again. What a verdict demands is in `test_faults.py`.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.syscalls.calls import Call
from tests.syscalls.child import EXIT_BROKEN, EXIT_CRASHED
from tests.syscalls.tools import Fault, Tool

ROOT = Path(__file__).parents[2]
START_MS = 1_800_000_000_000
STEP_MS = 1_000_000  # between the clocks of two processes
PATIENCE_S = 60.0  # one run at most
MEMORY = Path("/dev/shm")  # noqa: S108 - where it is there, the syncs of a thousand small stores take no time

Steps = list[list[Any]]

SETTINGS = """\
node = "HK"
guards = []
[[logs]]
name = "x509"
family = "x509"
origin = "hk.example/x509"
policy = "x509.policy"
[limits]
write_buffer_bytes = 65536
"""


@dataclass(slots=True)
class Place:
    """A node's folder, and what left it: promises as [number, size, index, ms], heads as [origin, size, root]."""

    folder: Path
    now_ms: int = START_MS
    numbers: int = 0  # entries made so far
    promises: list[list[int]] = field(default_factory=list)
    heads: list[list[Any]] = field(default_factory=list)
    cosigned: list[list[Any]] = field(default_factory=list)
    kept: list[list[Any]] = field(default_factory=list)  # of a monitor's state: [what, number]

    def copy(self, folder: Path) -> Self:
        """Return the same place on a copy of the folder."""
        shutil.copytree(self.folder, folder)
        return self.moved(folder)

    def moved(self, folder: Path) -> Self:
        """Return the same place, whose folder is another one."""
        lists = list(self.promises), list(self.heads), list(self.cosigned), list(self.kept)
        return type(self)(folder, self.now_ms, self.numbers, *lists)

    def append(self, count: int, size: int = 30) -> list[Any]:
        """Return the step that submits new entries."""
        first, self.numbers = self.numbers, self.numbers + count
        return ["append", first, count, size]

    def learn(self, events: Sequence[dict[str, Any]]) -> None:
        """Take up what a run promised; two roots of one size are the end of a log."""
        self.promises += [event["promise"] for event in events if "promise" in event]
        self.heads += [event["head"] for event in events if "head" in event]
        self.cosigned += [event["cosigned"] for event in events if "cosigned" in event]
        self.kept += [event["kept"] for event in events if "kept" in event]
        roots: dict[tuple[str, int], str] = {}
        for origin, size, root in self.heads:
            assert roots.setdefault((origin, size), root) == root, f"two roots of {origin} at {size} had left"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended."""

    code: int  # negative: the signal that killed it
    events: list[dict[str, Any]]
    calls: list[Call]

    @property
    def opened(self) -> bool:
        """Whether the watched part began."""
        return any("window" in event for event in self.events)

    @property
    def said(self) -> str:
        return "\n".join(str(event.get("broken") or event.get("error") or "") for event in self.events).strip()


class Lab:
    """A server that forks children, the tool that watches them, and a folder for their places."""

    def __init__(self, tool: Tool, folder: Path) -> None:
        self.tool = tool
        self.folder = folder.resolve()
        self.runs = 0
        self._made = 0
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here.settimeout(PATIENCE_S)
        self._control = self._ends.enter_context(here)
        with there:
            command = [sys.executable, "-m", "tests.syscalls.child", str(there.fileno())]
            environment = {**os.environ, **self.tool.environment()}
            server = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[there.fileno()])
        self._ends.callback(server.wait)
        self._ends.callback(server.kill)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    # --- places -------------------------------------------------------------------------------------------------

    def fresh(self) -> Path:
        """Return a path for a new folder."""
        self._made += 1
        return self.folder / f"{self._made:05d}"

    def empty(self) -> Place:
        """Return a place with settings and nothing else."""
        place = Place(self.fresh())
        place.folder.mkdir(parents=True)
        (place.folder / "twinlog.toml").write_text(SETTINGS, encoding="ascii")
        (place.folder / "x509.policy").write_text("quorum none\n", encoding="ascii")
        return place

    def log(self, entries: int, size: int = 30) -> Place:
        """Return a log with so many entries, stopped in order."""
        place = self.empty()
        fill = [place.append(entries, size)] if entries else []
        self.must(place, [["keygen"], ["init"], ["open"], *fill, ["stop"]])
        return place

    def crashed(self, entries: int) -> Place:
        """Return a log that died between the two writes of a commit, its index behind."""
        place = self.log(entries)
        self.must(place, [["open"], place.append(1), ["crash"], place.append(2)], EXIT_CRASHED)
        shutil.rmtree(place.folder / "data" / "x509" / "index")
        return place

    def state(self, writes: int) -> Place:
        """Return a monitor's state after so many rounds, closed in order."""
        place = self.empty()
        self.must(place, [["state_init"], ["state_open"], ["state_write", 1, writes], ["state_close"]])
        return place

    @contextmanager
    def copied(self, place: Place) -> Iterator[Place]:
        """A copy of a place, removed at the end."""
        folder = self.fresh()
        try:
            yield place.copy(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # --- runs ---------------------------------------------------------------------------------------------------

    def run(
        self, place: Place, steps: Steps, fault: Fault | None = None, *, data: bool = False, slow_ms: int = 0
    ) -> Outcome:
        """Do the steps in a process of their own; from `window` on it is watched, and meets the fault.

        `slow_ms`: so long LevelDB waits before it compacts (the shim only).
        """
        self.runs += 1
        watched = ["window"] in steps
        record = self.folder / "record"
        record.unlink(missing_ok=True)
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE_S)
        own = self.tool.request(place.folder, record, fault, data=data, slow_ms=slow_ms) if watched else None
        request = {"folder": str(place.folder), "now_ms": place.now_ms, "steps": steps, "shim": own}
        place.now_ms += STEP_MS
        with theirs:
            socket.send_fds(self._control, [json.dumps(request).encode()], [theirs.fileno()])
        pid = int(self._answer()["pid"])
        events: list[dict[str, Any]] = []
        with ours, ours.makefile("rw", encoding="utf-8", newline="\n") as channel:
            for line in channel:
                events.append(json.loads(line))
                if "window" in events[-1]:
                    break
            opened = bool(events) and "window" in events[-1]
            watching = self.tool.watching(pid, place.folder, record, fault, data=data)
            with watching if opened else nullcontext():
                if opened:
                    channel.write("go\n")
                    channel.flush()
                    events += [json.loads(line) for line in channel]
        code = int(self._answer()["code"])
        place.learn(events)
        outcome = Outcome(code, events, self.tool.calls(place.folder, record) if watched else [])
        assert code != EXIT_BROKEN, f"{fault or 'undisturbed'}: {outcome.said[-600:]}"
        return outcome

    def _answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._control.recv(1 << 16))
        return answer

    def must(self, place: Place, steps: Steps, code: int = 0) -> Outcome:
        """Do steps that nothing disturbs."""
        outcome = self.run(place, steps)
        names = " ".join(name for name, *_ in steps)
        assert outcome.code == code, f"{names}: exit {outcome.code}: {outcome.said}"
        return outcome

    def prove_state(self, place: Place) -> None:
        """Open a monitor's state cleanly, hold it against every promise, go on, and again."""
        for _ in range(2):
            events = self.must(place, [["state_open"], ["state_check", place.kept], ["state_close"]]).events
            [last] = [event["last"] for event in events if "last" in event]
            if len(set(last.values())) > 1:
                return  # cut off within a round: another run of the same writes would only repeat them
            first = last["observed"] + 1
            self.must(place, [["state_open"], ["state_write", first, 2], ["state_close"]])

    def prove(self, place: Place, *, again: bool = False) -> None:
        """Start cleanly, audit against every promise, go on, audit again; `again`: also after one more start."""
        known = ["check", place.promises, place.heads, place.cosigned]
        outcome = self.must(place, [["open"], known, place.append(2), known, ["stop"]])
        assert sum("size" in event for event in outcome.events) == 2
        if again:
            self.must(place, [["open"], ["check", place.promises, place.heads, place.cosigned], ["stop"]])
