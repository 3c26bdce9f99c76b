"""Each file call of a small run fails or is died at, then recovery and audit (logs.md 3.1 and 6.1, lesson 5).

What one case demands stands in `faults.py`. The suite takes every call of one append and of one recovery, and an even
spread over the other scenarios; `python -m tests.soak --syscalls all` takes all of them.
"""

import pytest

from tests.syscalls import tools
from tests.syscalls.calls import CHANGES
from tests.syscalls.child import STATE
from tests.syscalls.faults import Trial, spread
from tests.syscalls.lab import Lab
from tests.syscalls.scenarios import SCENARIOS

SPREAD = 6  # faults of each scenario that is not taken whole
FEWEST = {"append": 40, "recovery": 180, "init": 400}  # calls that a run has at least, or the tool sees too little


def test_every_call_of_one_append(lab: Lab) -> None:
    trial = Trial.prepare(lab, SCENARIOS["append"])
    changing = {"EIO", lab.tool.kinds[-1]}
    reading: set[str] = set()
    if lab.tool.name == tools.names()[0]:  # the other tool takes only calls that change something
        changing, reading = changing | {"ENOSPC"}, {"EIO"}
    assert len(trial.calls) > FEWEST["append"]
    for fault in trial.faults():
        if fault.kind in (changing if fault.call.name in CHANGES else reading):
            trial.strike(fault)
    assert len(trial.missed) <= len(trial.calls) // 10, [str(fault) for fault in trial.missed]
    assert trial.endings["EIO: exit 4"] > 8, trial.endings


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "killed before"])
def test_every_call_of_a_recovery(best_lab: Lab, kind: str) -> None:
    """The crash came between the two writes of a commit, with the index gone; then the recovery meets a fault."""
    trial = Trial.prepare(best_lab, SCENARIOS["recovery"])
    assert len(trial.calls) > FEWEST["recovery"]
    for fault in trial.faults():
        if fault.kind == kind and (kind == "EIO" or fault.call.name in CHANGES):
            trial.strike(fault)
    assert len(trial.missed) <= len(trial.calls) // 10, [str(fault) for fault in trial.missed]
    assert sum(trial.endings.values()) > FEWEST["recovery"] // 3, trial.endings


def test_a_recovery_is_struck_from_inside_too(shim_lab: Lab) -> None:
    trial = Trial.prepare(shim_lab, SCENARIOS["recovery"])
    assert len(trial.calls) > FEWEST["recovery"]
    for fault in spread(list(trial.faults()), 3 * SPREAD):
        trial.strike(fault)
    assert sum(trial.endings.values()) > 2 * SPREAD, trial.endings


@pytest.mark.parametrize("name", ["tile", "heartbeat", "folding", "compaction", "witness", "start"])
def test_calls_of_other_runs(best_lab: Lab, name: str) -> None:
    trial = Trial.prepare(best_lab, SCENARIOS[name])
    changes = [fault for fault in trial.faults() if fault.call.name in CHANGES]
    for fault in spread(changes, SPREAD):
        trial.strike(fault)
    assert len(trial.missed) <= SPREAD // 4, [str(fault) for fault in trial.missed]


def test_init_is_done_or_can_be_done_anew(best_lab: Lab) -> None:
    trial = Trial.prepare(best_lab, SCENARIOS["init"])
    assert len(trial.calls) > FEWEST["init"]
    for fault in spread(list(trial.faults()), 2 * SPREAD):
        trial.strike(fault)


@pytest.mark.parametrize("name", ["state", "state-start", "state-init"])
def test_calls_of_a_monitors_state(best_lab: Lab, name: str) -> None:
    trial = Trial.prepare(best_lab, SCENARIOS[name])
    changes = [fault for fault in trial.faults() if fault.call.name in CHANGES]
    for fault in spread(changes, 4 * SPREAD):
        trial.strike(fault)
    assert sum(trial.endings.values()) > 2 * SPREAD, trial.endings


@pytest.mark.parametrize("name", ["state", "state-start", "state-init"])
def test_calls_of_the_lock_of_a_monitors_state(best_lab: Lab, name: str) -> None:
    trial = Trial.prepare(best_lab, SCENARIOS[name])
    locking = [fault for fault in trial.faults() if fault.call.path == f"{STATE}.lock"]
    for fault in locking:
        trial.strike(fault)
    assert trial.endings["EIO: exit 0"] > 0, trial.endings


def test_an_error_while_a_monitors_state_is_folded_back_ends_the_process(best_lab: Lab) -> None:
    trial = Trial.prepare(best_lab, SCENARIOS["state"])
    folding = [fault for fault in trial.faults() if fault.kind == "EIO" and fault.call.path == STATE]
    for fault in folding:
        if fault.call.name in CHANGES and not trial.closing(fault.call):
            trial.strike(fault)
    assert trial.endings["EIO: exit 4"] == sum(trial.endings.values()) > 2, trial.endings


def test_an_error_while_the_head_stores_log_is_folded_back_ends_the_process(best_lab: Lab) -> None:
    """SQLite's own folding passes over it."""
    trial = Trial.prepare(best_lab, SCENARIOS["folding"])
    folding = [fault for fault in trial.faults() if fault.kind == "EIO" and fault.call.path == "heads/heads.sqlite"]
    for fault in folding:
        if fault.call.name in CHANGES and not trial.closing(fault.call):
            trial.strike(fault)
    assert trial.endings["EIO: exit 4"] == sum(trial.endings.values()) > 2, trial.endings
