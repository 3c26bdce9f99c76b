"""What goes on in a monitor, by name: loops are called so, and by it the desk knows who found what."""

from enum import StrEnum

from monitor.carrier import Carrier
from monitor.coda import Coda
from monitor.egress import Egress
from monitor.feeder import Feeder
from monitor.gossip import Gossip
from monitor.guard import Guard
from monitor.watch import Watch

ROSTER = "governance"  # whom to follow
OWN = "own"  # ourselves


class Errand(StrEnum):
    """What is done about one log."""

    LOOK = "look"  # following it
    SURVEY = "survey"  # asking its witnesses
    AUDIT = "audit"  # auditing again what a witness missed
    BRANCHES = "branches"  # reading the branches of a fork that we do not follow
    FRESH = "fresh"  # how old its head and cosignatures are
    PROMISES = "promises"  # what became of its SCTs
    CODA = "coda"  # asking it, when it is closed, whether it signs on
    CARRY = "carry"  # carrying actions from and to it

    def of(self, part: Watch | Coda | Carrier) -> str:
        """Return the name of doing this about a log."""
        return f"{self} {part.log.origin}"


# of one that is open
WATCHING = (Errand.LOOK, Errand.SURVEY, Errand.AUDIT, Errand.BRANCHES, Errand.FRESH, Errand.PROMISES)
ENDED = (Errand.CODA, Errand.BRANCHES)  # of one that is closed


def feeding(watch: Watch, feeder: Feeder) -> str:
    """Return the name of feeding a log to a witness."""
    return f"feed {watch.log.origin} to {feeder.witness.vkey.name}"


def guarding(guard: Guard) -> str:
    """Return the name of guarding a node."""
    return f"guard {guard.node.name}"


def seeing(egress: Egress) -> str:
    """Return the name of asking through an egress."""
    return f"egress {egress.way.name}"


def exchanging(gossip: Gossip) -> str:
    """Return the name of exchanging with another monitor."""
    return f"monitor {gossip.other.name}"


def telling(channel: str) -> str:
    """Return the name of telling a channel."""
    return f"channel {channel}"
