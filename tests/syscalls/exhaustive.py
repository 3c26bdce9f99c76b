"""Every fault at every call of every scenario under each tool, and a power cut after each: by `tests.soak --syscalls`.

Hours on a slow machine; the suite takes an even spread of the same. What does not hold is printed and the run goes on.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from tests.syscalls import tools
from tests.syscalls.disk import Survival
from tests.syscalls.faults import Trial
from tests.syscalls.lab import MEMORY, Lab
from tests.syscalls.power import Cuts
from tests.syscalls.scenarios import SCENARIOS, Scenario

SLOW_MS = 300  # LevelDB's compactions wait so long in the recorded run of `index`
SEEDS = 3  # for disks that chance decides


def run(names: Sequence[str], kinds: Sequence[str], seed: int) -> int:
    """Do the scenarios of these names ("all": every one) with faults of these kinds; return what did not hold."""
    chosen = list(SCENARIOS.values()) if "all" in names else [SCENARIOS[name] for name in names]
    broken = 0
    for tool in tools.names():
        with (
            tempfile.TemporaryDirectory(prefix="twinlog-syscalls-", dir=MEMORY if MEMORY.is_dir() else None) as name,
            Lab(tools.tool(tool, Path(name)), Path(name)) as lab,
        ):
            for scenario in chosen:
                broken += 0 if scenario.long else _faults(lab, scenario, kinds)
                if "power" in kinds and scenario.whole:
                    broken += _power(lab, scenario, range(seed, seed + SEEDS))
    return broken


def _faults(lab: Lab, scenario: Scenario, kinds: Sequence[str]) -> int:
    begun, runs = time.monotonic(), lab.runs
    trial = Trial.prepare(lab, scenario)
    faults = [fault for fault in trial.faults() if fault.kind.partition(" ")[0] in kinds]
    broken = sum(_broken(partial(trial.strike, fault, again=True)) for fault in faults)
    endings = ", ".join(f"{count} x {ending}" for ending, count in sorted(trial.endings.items()))
    print(
        f"{lab.tool.name} {scenario.name}: {len(trial.calls)} calls, {len(faults)} faults, {lab.runs - runs} runs, "
        f"{time.monotonic() - begun:.0f} s; {endings}; {len(trial.missed)} not met; {broken} broken",
        flush=True,
    )
    return broken


def _power(lab: Lab, scenario: Scenario, seeds: Iterable[int]) -> int:
    begun, runs = time.monotonic(), lab.runs
    slow_ms = SLOW_MS if scenario.name == "index" and lab.tool.name == "shim" else 0
    cuts = Cuts.record(lab, scenario, scenario.place(lab), slow_ms=slow_ms)
    counts = range(len(cuts.calls) + 1)
    broken = sum(_broken(partial(cuts.try_all, [at], Survival, seeds)) for at in counts)
    disks = ", ".join(f"{count} {survival}" for survival, count in Counter(cuts.disks).items())
    print(
        f"{lab.tool.name} {scenario.name}: power cut after each of {len(cuts.calls)} calls, {len(cuts.tried)} disks "
        f"({disks}), {lab.runs - runs} runs, {time.monotonic() - begun:.0f} s; {broken} broken",
        flush=True,
    )
    return broken


def _broken(trial: Callable[[], None]) -> bool:
    try:
        trial()
    except AssertionError as error:
        print(f"BROKEN: {error}", flush=True)
        return True
    return False
