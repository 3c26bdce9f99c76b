"""What a member sends to a log of events, and what it gets back: canonical JSON (RFC 8785).

The body of a signed request:

    {"format": "twinlog/events@v1",
     "member": "hk/iam-smart",            side and id; the request is signed with a key of that member
     "seq": 7,                            the member's own count of its requests
     "events": [{"event": {…},            `signature_event`
                 "certificate_proof": "<base64 tlog-proof>" | null}, …]}

The proof is that of `certificate_ref` where this is a leaf of another node's log. The answer has a result for
each event, in their order: its receipt, a tlog-proof, or why there is none.

    {"results": [{"receipt": "<base64 tlog-proof>"} | {"refused": "<reason>"}, …]}
"""

from dataclasses import dataclass
from typing import Any, Self

from log.errors import Malformed
from log.formats import jcs
from log.formats import text as txt
from log.formats.fields import member_id, members, typed
from log.formats.logged_event import MAX_EVENTS
from log.formats.names import EVENTS
from log.formats.signature_event import Event
from log.formats.tlog_proof import TlogProof

MAX_REASON = 500  # characters of why an event was refused


@dataclass(frozen=True, slots=True)
class Submitted:
    """One event on its way to a log."""

    event: Event
    certificate_proof: bytes | None = None  # a tlog-proof


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The events of one request."""

    member: str  # <side>/<id>
    seq: int  # from 1
    events: tuple[Submitted, ...]  # 1 to MAX_EVENTS

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a request's body, or raise `Malformed`. Nothing is verified."""
        value = members(jcs.parse(data), "format", "member", "seq", "events")
        if value["format"] != EVENTS:
            raise Malformed("not a batch of events of version 1")
        rows = typed(value["events"], list)
        if not 1 <= len(rows) <= MAX_EVENTS:
            raise Malformed(f"a request has 1 to {MAX_EVENTS} events")
        if typed(value["seq"], int) < 1:
            raise Malformed("a member's requests are counted from 1")
        return cls(member_id(value["member"]), value["seq"], tuple(map(_submitted, rows)))

    def encode(self) -> bytes:
        return jcs.encode(
            {
                "format": EVENTS,
                "member": self.member,
                "seq": self.seq,
                "events": [
                    {"event": each.event.to_json(), "certificate_proof": _b64_or_none(each.certificate_proof)}
                    for each in self.events
                ],
            }
        )


def _submitted(row: Any) -> Submitted:
    value = members(row, "event", "certificate_proof")
    proof = value["certificate_proof"]
    return Submitted(Event.of(value["event"]), None if proof is None else _proof(proof))


def _b64_or_none(data: bytes | None) -> str | None:
    return None if data is None else txt.b64encode(data)


def _proof(value: Any) -> bytes:
    raw = txt.b64decode(typed(value, str))
    TlogProof.parse(raw)
    return raw


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one event: exactly one of the two is there."""

    receipt: bytes | None  # a tlog-proof whose extra is the entry (`tlog_proof.EntryExtra`)
    refused: str | None = None  # why, for people: one line of up to MAX_REASON characters


@dataclass(frozen=True, slots=True)
class EventResults:
    """The answer to a batch: a result for each event."""

    results: tuple[Result, ...]  # 1 to MAX_EVENTS

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an answer, or raise `Malformed`. Nothing is verified."""
        rows = typed(members(jcs.parse(data), "results")["results"], list)
        if not 1 <= len(rows) <= MAX_EVENTS:
            raise Malformed(f"an answer has 1 to {MAX_EVENTS} results")
        return cls(tuple(map(_result, rows)))

    def encode(self) -> bytes:
        return jcs.encode(
            {
                "results": [
                    {"refused": each.refused} if each.receipt is None else {"receipt": txt.b64encode(each.receipt)}
                    for each in self.results
                ]
            }
        )


def _result(row: Any) -> Result:
    if typed(row, dict).keys() == {"receipt"}:
        return Result(_proof(row["receipt"]))
    reason = typed(members(row, "refused")["refused"], str)
    if not 1 <= len(reason) <= MAX_REASON or not reason.isprintable():
        raise Malformed(f"a reason is one line of up to {MAX_REASON} characters")
    return Result(None, reason)
