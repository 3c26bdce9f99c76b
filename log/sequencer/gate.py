"""What may stop a log from taking entries or from signing, asked at the two moments that matter."""

from typing import Protocol


class Gate(Protocol):
    """The node's veto: guards, clocks, disk space, an operator's halt. Raises `Unavailable`, or returns."""

    def admit(self, origin: str) -> None:
        """Asked before a submission is taken into the pool of `origin`."""
        ...

    def permit(self, origin: str) -> None:
        """Asked right before a head of `origin` is signed."""
        ...
