"""PURE: what somebody is told, and how sure it is (monitoring.md §6, classes).

An alert is told once while it lasts. Its key says which alert it is: whoever receives it twice knows by it that the
second is the first again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

SEVERITIES = ("info", "warning", "error", "critical")  # from the least on


class Class(Enum):
    """How sure a statement is, and about whom."""

    PROVEN = "proven"  # by signatures and hashes that anyone can check; ends by a person's word only
    SUSPECTED = "suspected"  # what an honest log does not do, without proof yet
    OPERATIONAL = "operational"  # something is slow, silent or busy, and may be well again by itself
    DEGRADED = "degraded"  # a promise to relying parties is kept in part only
    OWN = "own"  # about this monitor itself


@dataclass(frozen=True, slots=True)
class Alert:
    """One statement to be told."""

    key: str  # same key = same alert, told once until it ends
    cls: Class
    severity: str  # one of SEVERITIES
    subject: str  # an origin, a node's name, a witness's name
    code: str  # a stable word for machines
    text: str  # a sentence for people
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON: what it rests on, as `{"evidence": "<hex id>"}`


@dataclass(frozen=True, slots=True)
class Route:
    """Which alerts go to a channel."""

    channel: str  # its name
    classes: frozenset[Class] = frozenset(Class)
    least: str = "info"  # severity

    def takes(self, alert: Alert) -> bool:
        """Say whether this channel is told."""
        return alert.cls in self.classes and SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.least)
