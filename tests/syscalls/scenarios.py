"""What is watched: one small piece of a node's life each, from `window` on, on a place made for it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.syscalls.lab import Lab, Place, Steps

BIG = 30_000  # bytes of an entry; three of them make LevelDB's smallest write buffer overflow


@dataclass(frozen=True, slots=True)
class Scenario:
    """A place as it is before, and the steps on it."""

    name: str
    place: Callable[[Lab], Place]
    steps: Callable[[Place], Steps]
    whole: bool = False  # the window holds a process from its start, as a power cut needs it
    makes: bool = False  # the window holds `keygen` and `init`
    state: bool = False  # of a monitor's state, not of a node
    long: bool = False  # too many calls to be struck at each; recorded for power cuts


def _append(place: Place) -> Steps:
    return [["open"], ["window"], place.append(1), ["beat"], ["stop"]]


def _beat(place: Place) -> Steps:
    return [["open"], ["window"], ["beat"], ["beat"], ["stop"]]


def _compact(place: Place) -> Steps:
    """The write after the overflow begins the compaction; what failed in it, the write after it must say."""
    begun = [place.append(1, BIG), ["window"], place.append(2, BIG), place.append(1)]
    return [["open"], *begun, ["compacted"], place.append(1), ["stop"]]


def _swap(place: Place) -> Steps:
    return [["open"], ["window"], ["swap", 0, 3], ["swap", 3, 3], ["stop"]]


def _recover(place: Place) -> Steps:
    return [["load"], ["window"], ["open"], place.append(1), ["stop"]]


def _live(place: Place) -> Steps:
    life = [place.append(1), ["beat"], place.append(3), ["swap", 0, 3], place.append(1, BIG), ["beat"]]
    life += [place.append(2, BIG), ["beat"], place.append(1), ["swap", 3, 3]]
    return [["load"], ["window"], ["open"], *life, ["stop"], ["open"], place.append(1), ["stop"]]


def _index(place: Place) -> Steps:
    """Keys that overflow the write buffer: the next write begins a new log, first an index sync, then a put."""
    first = [place.append(1), place.append(400), ["beat"]]
    second = [place.append(400), place.append(3), ["beat"], place.append(1)]
    return [["load"], ["window"], ["open"], *first, *second, ["stop"]]


def _fold(place: Place) -> Steps:
    return [["fold_every", 3], ["open"], ["window"], ["beat"], place.append(1), ["beat"], ["beat"], ["stop"]]


def _make(place: Place) -> Steps:
    return [["window"], ["keygen"], ["init"], ["open"], place.append(1), ["stop"]]


def _write_state(place: Place) -> Steps:
    return [["fold_every", 5], ["state_open"], ["window"], ["state_write", 4, 3], ["state_close"]]


def _open_state(place: Place) -> Steps:
    return [["fold_every", 5], ["window"], ["state_open"], ["state_write", 4, 2], ["state_close"]]


def _make_state(place: Place) -> Steps:
    return [["window"], ["state_init"], ["state_open"], ["state_write", 1, 1], ["state_close"]]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("append", lambda lab: lab.log(3), _append),
        Scenario("heartbeat", lambda lab: lab.log(3), _beat),
        Scenario("tile", lambda lab: lab.log(255), _append),
        Scenario("compaction", lambda lab: lab.log(3), _compact),
        Scenario("witness", lambda lab: lab.log(3), _swap),
        Scenario("start", lambda lab: lab.log(3), _recover, whole=True),
        Scenario("recovery", lambda lab: lab.crashed(255), _recover, whole=True),
        Scenario("life", lambda lab: lab.log(254), _live, whole=True, long=True),
        Scenario("index", lambda lab: lab.log(3), _index, whole=True, long=True),
        Scenario("folding", lambda lab: lab.log(3), _fold),
        Scenario("init", Lab.empty, _make, whole=True, makes=True),
        Scenario("state", lambda lab: lab.state(3), _write_state, state=True),
        Scenario("state-start", lambda lab: lab.state(3), _open_state, whole=True, state=True),
        Scenario("state-init", Lab.empty, _make_state, whole=True, makes=True, state=True),
    )
}
