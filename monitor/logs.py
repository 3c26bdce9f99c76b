"""What the settings pin about the world: nodes, their logs, logs of others, the witnesses of each. Frozen values."""

from dataclasses import dataclass
from hashlib import sha256

from log.crypto.notes import HEAD_TYPES, Opened, open_note
from log.errors import Malformed
from log.formats.family import Family
from log.formats.note import KeyType, VKey
from log.formats.policy import Policy
from monitor.judge import Head

MAX_TIME_MS = 2**63 - 1  # a signed time beyond it is no time


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody who cosigns, at another place than here."""

    name: str  # as the settings call it
    vkeys: tuple[VKey, ...]  # one name, each type once, 0x04 before 0x06
    url: str  # submission and monitoring prefix, without slash at the end

    @property
    def vkey(self) -> VKey:
        """The key by which what it cosigned last is known."""
        return self.vkeys[0]


@dataclass(frozen=True, slots=True)
class FollowedLog:
    """One log under its pinned keys."""

    node: str  # "" for a log of others: it takes no cosignatures back and has no witnessed head
    name: str
    family: Family
    origin: str
    url: str  # without slash at the end
    vkeys: tuple[VKey, ...]
    policy: Policy
    witnesses: tuple[Witness, ...]  # whom its heads are fed to: never its own node, never this monitor

    @property
    def origin_hash(self) -> str:
        """The path segment by which a witness serves this log (C2SP tlog-witness)."""
        return sha256(self.origin.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class WatchedNode:
    """One node: what it logs, and the witness that it is for others. Logs of no node stand in one without name."""

    name: str
    url: str
    witness: Witness | None
    logs: tuple[FollowedLog, ...]
    guarded: bool  # whether we are a guard of this node
    poll_s: float


def owed(followed: FollowedLog) -> frozenset[KeyType]:
    """The signature types without which a head of this log is not cosigned (design.md §3)."""
    return HEAD_TYPES & {vkey.type for vkey in followed.vkeys}


def read_head(raw: bytes, followed: FollowedLog) -> tuple[Head, Opened]:
    """Read a note as a head of this log; `Malformed` or `BadSignature` when it is none.

    Cosignatures and other unknown lines are left out of `Head.note`, never out of `Head.raw`.
    """
    opened = open_note(raw, followed.vkeys)
    checkpoint = opened.checkpoint
    if checkpoint.origin != followed.origin:
        raise Malformed("a checkpoint of another origin")
    if checkpoint.extensions:
        raise Malformed("a checkpoint with extension lines, which are not witnessed")
    times = tuple(sorted((line.vkey.type, line.timestamp_ms) for line in opened.verified if line.timestamp_ms))
    if any(time > MAX_TIME_MS for _, time in times):
        raise Malformed("a signed time beyond all times")
    head = Head(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root,
        times=times,
        note=opened.reduced().encode(),
        raw=raw,
        complete=owed(followed) <= {line.vkey.type for line in opened.verified},
    )
    return head, opened
