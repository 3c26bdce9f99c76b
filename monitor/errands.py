"""What goes on in a monitor, by name: loops are called so, and by it the desk knows who found what."""

from monitor.carrier import Carrier
from monitor.coda import Coda
from monitor.egress import Egress
from monitor.feeder import Feeder
from monitor.gossip import Gossip
from monitor.guard import Guard
from monitor.watch import Watch

ROSTER = "governance"  # whom to follow
OWN = "own"  # ourselves
LOOK = "look"  # following a log
SURVEY = "survey"  # asking the witnesses of a log
AUDIT = "audit"  # auditing again what a witness of a log missed
CODA = "coda"  # asking a closed log whether it signs on
FRESH = "fresh"  # how old a log's head and cosignatures are
CARRY = "carry"  # carrying actions from and to a log
BRANCHES = "branches"  # reading the branches of a fork that we do not follow
PROMISES = "promises"  # what became of a log's SCTs


def of_log(errand: str, part: Watch | Coda | Carrier) -> str:
    """Return the name of what is done about a log."""
    return f"{errand} {part.log.origin}"


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
