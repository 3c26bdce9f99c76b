"""A kind of action as a value: in which chains it may stand, whether it restricts, and what it does.

`take` reads the payload strictly and applies it to the draft of the action's chain. It raises `Malformed` for a
payload that is not of its kind and never fails otherwise: see `draft`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from log.governance.draft import Draft, Payload


class Where(StrEnum):
    """The chains in which a kind of action may stand."""

    SIDE = "side"
    JOINT = "joint"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of action.

    One that restricts acts on arrival and needs no notice; two that contradict each other both hold. One that
    relaxes names a time ahead, and a doubt about it means that it does not hold.
    """

    where: Where
    restricts: bool
    take: Callable[[Draft, Payload, int], None]  # (draft of the chain, payload, effective from)
