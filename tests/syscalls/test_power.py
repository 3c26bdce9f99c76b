"""Power cuts, simulated from recorded calls: what was not synced is gone, torn, or there, and every promise holds.

compact_log lost an SCT this way (logs.md section 4, 2025-06): `kill -9` leaves the page cache, a power cut does not.
"""

import pytest

from tests.syscalls.calls import SYNCS
from tests.syscalls.disk import Survival
from tests.syscalls.lab import Lab
from tests.syscalls.power import Cuts
from tests.syscalls.scenarios import SCENARIOS

SLOW_MS = 300  # how long LevelDB waits with a compaction, as on a busy disk
BOTH_ENDS = (Survival.SYNCED, Survival.TORN)


def test_whatever_was_promised_survives_in_the_life_of_a_log(lab: Lab) -> None:
    """Appends, heartbeats, cosignatures, a full write buffer, an orderly end and a second start."""
    scenario = SCENARIOS["life"]
    cuts = Cuts.record(lab, scenario, scenario.place(lab))
    cuts.try_all(cuts.promised(), BOTH_ENDS)
    cuts.try_all(cuts.spread(8), (Survival.JOURNAL, Survival.NAMES, Survival.CUT))
    assert cuts.disks["synced"] > 10, cuts.disks
    assert len(cuts.tried) > 25, cuts.disks


def test_recovery_can_be_cut_off_too(best_lab: Lab) -> None:
    scenario = SCENARIOS["recovery"]
    cuts = Cuts.record(best_lab, scenario, scenario.place(best_lab))
    cuts.try_all(cuts.spread(8), (Survival.SYNCED, Survival.CUT, Survival.TORN))


def test_an_index_never_speaks_for_keys_that_it_lost(shim_lab: Lab) -> None:
    """LevelDB begins a new log while the end of the old one is not synced, and is slow to make a table of it."""
    scenario = SCENARIOS["index"]
    cuts = Cuts.record(shim_lab, scenario, scenario.place(shim_lab), slow_ms=SLOW_MS)
    synced = [at for at, call in enumerate(cuts.calls, 1) if call.name in SYNCS and "/index" in call.path]
    cuts.try_all(synced, (Survival.SYNCED, Survival.JOURNAL))
    assert len(cuts.tried) > 3, cuts.disks


def test_keys_that_were_printed_and_a_node_that_was_made_are_there(best_lab: Lab) -> None:
    scenario = SCENARIOS["init"]
    cuts = Cuts.record(best_lab, scenario, scenario.place(best_lab))
    cuts.try_all(cuts.promised(), (Survival.SYNCED, Survival.CUT))
    cuts.try_all(cuts.spread(10), (Survival.SYNCED, Survival.CUT))


@pytest.mark.parametrize("name", ["state-start", "state-init"])
def test_what_a_monitor_keeps_survives(best_lab: Lab, name: str) -> None:
    scenario = SCENARIOS[name]
    cuts = Cuts.record(best_lab, scenario, scenario.place(best_lab))
    cuts.try_all(cuts.promised(), (Survival.SYNCED, Survival.TORN))
    cuts.try_all(cuts.spread(8), (Survival.SYNCED, Survival.CUT))
    assert len(cuts.tried) > 5, cuts.disks


@pytest.mark.parametrize("survival", list(Survival))
def test_an_orderly_stop_leaves_all(best_lab: Lab, survival: Survival) -> None:
    scenario = SCENARIOS["append"]
    place = scenario.place(best_lab)
    steps = scenario.steps(place)
    steps.remove(["window"])
    whole = type(scenario)("whole", scenario.place, lambda _: [["load"], ["window"], *steps])
    cuts = Cuts.record(best_lab, whole, place)
    cuts.try_all([len(cuts.calls)], [survival])
