"""Power cuts at every call of a run: the surviving disk is built beside, started, and audited.

A run is recorded once, with the data of its writes and a mark wherever a promise left the process. For each call and
each `Survival` the disk is computed as it would be had the power gone right after the call. What was promised before
must be there after a plain start. Equal disks with equal promises are tried once.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.syscalls.calls import Call
from tests.syscalls.child import MARK
from tests.syscalls.disk import Disk, Survival, write_out
from tests.syscalls.faults import finish
from tests.syscalls.lab import Lab, Outcome, Place
from tests.syscalls.scenarios import Scenario


@dataclass(slots=True)
class Cuts:
    """A recorded run on a place, ready to be cut off anywhere."""

    lab: Lab
    scenario: Scenario
    place: Place  # as it was before, with what was promised before
    outcome: Outcome
    tried: set[bytes] = field(default_factory=set)
    disks: Counter[str] = field(default_factory=Counter)  # started and audited, by Survival

    @classmethod
    def record(cls, lab: Lab, scenario: Scenario, place: Place, *, slow_ms: int = 0) -> "Cuts":
        """Do the scenario on a copy of the place, undisturbed; its window must hold the start."""
        with lab.copied(place) as copy:
            outcome = lab.run(copy, scenario.steps(copy), data=True, slow_ms=slow_ms)
            assert outcome.code == 0, outcome.said
            place.now_ms, place.numbers = copy.now_ms, copy.numbers
        return cls(lab, scenario, place, outcome)

    @property
    def calls(self) -> list[Call]:
        return self.outcome.calls

    def promised(self) -> list[int]:
        """Return the counts of calls right after which something had left: there a loss is a broken promise."""
        return [at for at, call in enumerate(self.calls, 1) if call.path.startswith(MARK)]

    def spread(self, count: int) -> list[int]:
        """Return so many counts of calls, evenly over all."""
        return sorted({at * len(self.calls) // count for at in range(count + 1)})

    def disk_after(self, count: int) -> tuple[Disk, list[dict[str, Any]]]:
        """Return the disk after so many calls, and the events that had left by then."""
        disk = Disk(self.place.folder)
        said = 0
        for call in self.calls[:count]:
            if call.path.startswith(MARK):
                said = int(call.path.removeprefix(MARK))
            disk.take(call)
        return disk, self.outcome.events[:said]

    def try_all(self, counts: Iterable[int], survivals: Iterable[Survival], seeds: Iterable[int] = (1,)) -> None:
        """Cut after each count of calls, in each way; seeds choose where there is a choice."""
        ways = [(survival, seed) for survival in survivals for seed in (seeds if _chooses(survival) else (0,))]
        for count in counts:
            disk, events = self.disk_after(count)
            for survival, seed in ways:
                self._try(count, disk.cut(survival, seed * 1_000_003 + count), events, f"{survival.value}/{seed}")

    def _try(self, count: int, files: dict[str, bytes | None], events: list[dict[str, Any]], way: str) -> None:
        fingerprint = hashlib.sha256(repr((sorted(files.items()), events)).encode()).digest()
        if fingerprint in self.tried:
            return
        self.tried.add(fingerprint)
        self.disks[way.partition("/")[0]] += 1
        folder = self.lab.fresh()
        write_out(files, folder)
        place = self.place.moved(folder)
        place.learn(events)
        try:
            _prove(self.lab, self.scenario, place, events)
        except AssertionError as error:
            last = self.calls[count - 1] if count else "nothing"
            raise AssertionError(f"power cut after call {count} ({last}), {way}: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _chooses(survival: Survival) -> bool:
    return survival in {Survival.CUT, Survival.TORN}


def _prove(lab: Lab, scenario: Scenario, place: Place, events: list[dict[str, Any]]) -> None:
    for event in events:
        if "keys" in event:
            lab.must(place, [["same_keys", event["keys"]]])
    if any("made" in event for event in events):
        (lab.prove_state if scenario.state else lab.prove)(place)
    else:
        finish(lab, scenario, place)
