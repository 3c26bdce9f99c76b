"""One fault at one call of a scenario, and what must hold after it.

1. Who was killed is dead. Who met an error ended with an exit code of a node (2, 3, 4); or the call is of those that
   nobody has to ask (`HARMLESS`), and then it went on to its orderly end.
2. After an error of a call that changes a store the process put nothing more into that store. What was committed
   before may still move within it (`MOVES`): LevelDB compacts in its own thread, and SQLite folds its log back when
   it is closed.
3. A clean start finds every promise at its index, every head that left a prefix of the log, every cosigned head
   in the witness state; it goes on, and all that holds again.
"""

import errno
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tests.syscalls.calls import CHANGES, UNLINKS, Call
from tests.syscalls.child import MARK
from tests.syscalls.lab import Lab, Outcome, Place
from tests.syscalls.scenarios import Scenario
from tests.syscalls.tools import Fault

ENDINGS = frozenset({2, 3, 4})
LAST = "data/x509/data/LOCK"  # closing it is the last that happens to the stores of a log; then comes the head store

HARMLESS = re.compile(
    "|".join(
        (
            r"close .*",  # what counts was synced before; the kernel frees a descriptor all the same
            r"(fcntl|flock) .*",  # locks: taken again, or freed by the end of the process
            r"unlink(at)? .*",  # a file that is of no use any more stays
            r"\w+ .*/LOG(\.old)?",  # LevelDB's diary
            r"\w+ heads/heads\.sqlite-shm",  # shared memory over a file, rebuilt by who opens it next
            r"mkdir(at)? .*",  # LevelDB asks for its folder, which is there
            r"mmap .*",  # LevelDB reads the file instead
            r"(openat|fsync|fdatasync) heads",  # SQLite syncs names; the driver has done so itself, and asks
            r"(openat|fsync|fdatasync) monitor",  # so it is with a monitor's state
            r"\w+ monitor/state\.sqlite(\.new)?-shm",
            r"\w+ monitor/state\.sqlite\.new.*",  # a draft, which is renamed when all is in it
            r"\w+ .*(/\d+\.ldb|/MANIFEST-\d+)",  # a compaction: LevelDB fails the next write, if one comes
        )
    )
)
MOVES = re.compile(
    "|".join(
        (
            r"\w+ .*(/\d+\.ldb|/MANIFEST-\d+|/TWINLOG\.new)",  # the last is a draft that nobody reads
            r"f(data)?sync data/x509/(data|index)",
            r"\w+ heads/heads\.sqlite(-shm)?",
            r"f(data)?sync heads/heads\.sqlite-wal",
            r"\w+ monitor/state\.sqlite(-shm)?",
            r"f(data)?sync monitor/state\.sqlite-wal",
        )
    )
)


@dataclass(slots=True)
class Trial:
    """A scenario with its place made and its calls recorded, ready to be struck at each."""

    lab: Lab
    scenario: Scenario
    place: Place
    calls: list[Call]
    endings: Counter[str] = field(default_factory=Counter)  # how the struck processes ended
    closings: frozenset[Call] = frozenset()  # calls of a monitor's state when all promises had left
    missed: list[Fault] = field(default_factory=list)  # not met in that run, for the calls of threads interleave

    @classmethod
    def prepare(cls, lab: Lab, scenario: Scenario) -> "Trial":
        """Make the place and record one undisturbed run."""
        place = scenario.place(lab)
        with lab.copied(place) as copy:
            outcome = lab.run(copy, scenario.steps(copy))
            assert outcome.code == 0, outcome.said
        marks = [at for at, call in enumerate(outcome.calls) if call.path.startswith(MARK)]
        calls = [call for call in outcome.calls if not call.path.startswith(MARK)]
        after = frozenset(outcome.calls[marks[-1] :]) if scenario.state else frozenset()
        return cls(lab, scenario, place, calls, closings=after)

    def faults(self) -> Iterator[Fault]:
        """Yield every fault at every call."""
        for call in self.calls:
            for kind in self.lab.tool.kinds:
                yield Fault(call, kind)

    def strike(self, fault: Fault, *, again: bool = False) -> None:
        """Run the scenario under one fault, then start cleanly and audit; `again`: also after one more start."""
        with self.lab.copied(self.place) as place:
            outcome = self.lab.run(place, self.scenario.steps(place), fault)
            at = struck_at(outcome, fault)
            if at is None:
                self.missed.append(fault)
                assert outcome.code == 0, f"{fault} was not met, yet: exit {outcome.code}: {outcome.said}"
            else:
                self.endings[f"{fault.kind}: exit {outcome.code}"] += 1
                if not fault.kills:
                    self.judge(outcome, fault, at)
            try:
                finish(self.lab, self.scenario, place, again=again)
            except AssertionError as error:
                raise AssertionError(f"after {fault} (exit {outcome.code}, {outcome.said}): {error}") from error

    def judge(self, outcome: Outcome, fault: Fault, at: int) -> None:
        """Check how a process went on after an error."""
        story = f"{fault}: exit {outcome.code}: {outcome.said}"
        if outcome.code == 0:
            assert harmless(fault.call) or self.closing(fault.call), story
        else:
            assert outcome.code in ENDINGS, story
        if fault.call.name in CHANGES - UNLINKS and not harmless(fault.call):
            store = PurePosixPath(fault.call.path).parent
            later = [
                call
                for call in outcome.calls[at + 1 :]
                if call.done and call.name in CHANGES - UNLINKS and PurePosixPath(call.path).parent == store
            ]
            changed = [str(call) for call in later if not MOVES.fullmatch(f"{call.name} {call.path}")]
            assert not changed, f"{story}; and then still: {changed}"

    def closing(self, call: Call) -> bool:
        """Tell whether a call belongs to the closing of the head store, or of a monitor's state, after all promises."""
        if self.scenario.state:
            return call in self.closings
        closed = max((at for at, each in enumerate(self.calls) if each.path == LAST), default=len(self.calls))
        return call.path.startswith("heads/") and self.calls.index(call) > closed


def harmless(call: Call) -> bool:
    """Tell whether an error of this call may be passed over."""
    # Listing a folder (`opendir`): LevelDB looks there for files of no use any more, and leaves them.
    return HARMLESS.fullmatch(f"{call.name} {call.path}") is not None or "O_NONBLOCK" in call.flags


def struck_at(outcome: Outcome, fault: Fault) -> int | None:
    """Return the place of the struck call among the outcome's, None when the fault did not happen."""
    if fault.kills:
        return len(outcome.calls) if outcome.code == -signal.SIGKILL else None
    number = -int(getattr(errno, fault.kind))
    for at, call in enumerate(outcome.calls):
        same = (call.name, call.path, call.nth) == (fault.call.name, fault.call.path, fault.call.nth)
        if call.injected or (same and call.result == number):
            return at
    return None


def finish(lab: Lab, scenario: Scenario, place: Place, *, again: bool = False) -> None:
    """Start a place cleanly and audit it. A node that was half made may refuse, and is then made anew."""
    if scenario.state:
        finish_state(lab, scenario, place)
        return
    if scenario.makes and not place.heads:
        outcome = lab.run(place, [["open"], ["stop"]])
        assert outcome.code in {0, 2, 3}, f"half a node: exit {outcome.code}: {outcome.said}"
        if outcome.code:
            for name in ("keys", "data", "heads"):
                shutil.rmtree(place.folder / name, ignore_errors=True)
            lab.must(place, [["keygen"], ["init"]])
    lab.prove(place, again=again)


def finish_state(lab: Lab, scenario: Scenario, place: Place) -> None:
    """Open a monitor's state cleanly. One that was half made is not there, and is then made."""
    if scenario.makes and not place.kept:
        outcome = lab.run(place, [["state_open"], ["state_close"]])
        assert outcome.code in {0, 3}, f"half a state: exit {outcome.code}: {outcome.said}"
        if outcome.code:
            lab.must(place, [["state_init"]])
    lab.prove_state(place)


def spread(faults: Sequence[Fault], count: int) -> list[Fault]:
    """Return so many of the faults, evenly over them: the same ones each time."""
    if len(faults) <= count:
        return list(faults)
    return [faults[at * len(faults) // count] for at in range(count)]
