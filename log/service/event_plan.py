"""PURE: what was decided about a request before anything of it was logged, and what it came to.

Both are kept beside the submission record, so that a request that was cut off goes on as it began, whatever the logs
hold by then, and one that is repeated gets the same answer to the byte. Canonical JSON:

    plan      ["own-log", {"refused": "<reason>"}, …]                  a standing or a reason for each event
    outcome   {"head": "<base64 of the note>", "indices": [7, 8, …]}   of those that were taken, in their order
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from log.errors import Malformed
from log.formats import jcs
from log.formats.event_batch import MAX_REASON
from log.formats.event_codes import Standing
from log.formats.fields import members, typed
from log.formats.text import b64decode, b64encode


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event was not taken."""

    reason: str  # one line, for people
    word: str = ""  # stable, for metrics; not kept


Verdict = Standing | Refusal


def encode_plan(verdicts: Sequence[Verdict]) -> bytes:
    """Write a plan; reasons are cut to what an answer may hold."""
    return jcs.encode(
        [
            {"refused": verdict.reason[:MAX_REASON]} if isinstance(verdict, Refusal) else str(verdict)
            for verdict in verdicts
        ]
    )


def parse_plan(data: bytes) -> tuple[Verdict, ...]:
    """Read a plan, or raise `Malformed`."""
    return tuple(_verdict(row) for row in typed(jcs.parse(data), list))


def _verdict(row: Any) -> Verdict:
    if isinstance(row, dict):
        return Refusal(typed(members(row, "refused")["refused"], str))
    if typed(row, str) not in set(Standing):
        raise Malformed("not a standing of a certificate")
    return Standing(row)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the events of a request stand, and the head that their receipts are made with."""

    head: bytes  # a signed note
    indices: tuple[int, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an outcome, or raise `Malformed`."""
        value = members(jcs.parse(data), "head", "indices")
        indices = tuple(typed(index, int) for index in typed(value["indices"], list))
        return cls(b64decode(typed(value["head"], str)), indices)

    def encode(self) -> bytes:
        return jcs.encode({"head": b64encode(self.head), "indices": self.indices})
