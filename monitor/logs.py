"""What is known of the world: nodes, their logs, logs of others, the witnesses of each. Frozen values."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from log.crypto.notes import Opened
from log.errors import Malformed
from log.evidence import heads
from log.evidence.heads import Head
from log.evidence.promises import leaf_time_ms
from log.formats.family import TILES, Family
from log.formats.note import KeyType, VKey
from log.formats.policy import Policy


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody who cosigns, at another place than here."""

    name: str  # as the settings call it
    vkeys: tuple[VKey, ...]  # one name, each type once, 0x04 before 0x06
    url: str  # submission and monitoring prefix, without slash at the end
    retiring: VKey | None = None  # an earlier 0x04 key under the same name, which counts beside them until `until_ms`
    until_ms: int = 0

    def counting(self, now_ms: int) -> tuple[VKey, ...]:
        """Return the keys by which its cosignatures count now."""
        if self.retiring is None or now_ms >= self.until_ms:
            return self.vkeys
        return (*self.vkeys, self.retiring)

    @property
    def every(self) -> tuple[VKey, ...]:
        """Return every key by which it is known, also one that counts no more."""
        return self.vkeys if self.retiring is None else (*self.vkeys, self.retiring)

    @property
    def vkey(self) -> VKey:
        """The key by which what it cosigned last is known."""
        return self.vkeys[0]


@dataclass(frozen=True, slots=True)
class Final:
    """The head with which governance closed a log, and from when on that holds."""

    size: int
    root: bytes
    closed_ms: int

    def excludes(self, head: Head) -> bool:
        """Say whether a head was signed after the closing on another tree than this, or on more of it."""
        late = head.time_ms is not None and head.time_ms > self.closed_ms
        return late and (head.size > self.size or (head.size == self.size and head.root != self.root))


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
    closed: bool = False  # by governance, and followed to its end: it is only asked whether it signs on
    final: Final | None = None  # where governance has closed it
    unread: bool = False  # its entries are not for us: it is followed by its hash tiles alone

    @property
    def origin_hash(self) -> str:
        """The path segment by which a witness serves this log (C2SP tlog-witness)."""
        return sha256(self.origin.encode()).hexdigest()

    @property
    def leaf_time_ms(self) -> Callable[[bytes], int] | None:
        """What reads the time of a leaf; None where we see none, or any bytes, which only look as if they had one."""
        return None if self.unread or self.family is TILES else _leaf_time_ms

    @property
    def tree_head_key(self) -> VKey | None:
        """The 0x05 key, with which it signs SCTs too; None of a log that gives none."""
        return next((vkey for vkey in self.vkeys if vkey.type is KeyType.TREE_HEAD), None)

    def is_same(self, other: "FollowedLog") -> bool:
        """Say whether both are the log of the same keys at the same place, whoever is to cosign it."""
        return replace(other, policy=self.policy, witnesses=self.witnesses) == self


@dataclass(frozen=True, slots=True)
class WatchedNode:
    """One node: what it logs, and the witness that it is for others. Logs of no node stand in one without name."""

    name: str
    url: str
    witness: Witness | None
    logs: tuple[FollowedLog, ...]
    guarded: bool  # whether we are a guard of this node
    poll_s: float


def unread(nodes: Iterable[WatchedNode], origins: Collection[str]) -> tuple[WatchedNode, ...]:
    """Return the nodes with the logs of these origins marked as such whose entries are not for us."""
    return tuple(
        replace(node, logs=tuple(replace(each, unread=each.origin in origins) for each in node.logs)) for node in nodes
    )


@dataclass(frozen=True, slots=True)
class OtherMonitor:
    """A monitor with which we exchange what we saw."""

    name: str  # as the settings call it
    url: str  # without slash at the end
    vkey: VKey  # the 0x04 key under which it cosigns: by it we know whose chain it is


@dataclass(frozen=True, slots=True)
class OtherSource:
    """Somebody who has what logs have signed: a mirror of one, or another monitor's copies."""

    url: str  # without slash at the end
    origin: str = ""  # "": copies of many, each below its origin hash

    def place(self, followed: FollowedLog) -> str:
        """Return the URL below which a log is read there, "" when it is not."""
        if not self.origin:
            return f"{self.url}/{followed.origin_hash}"
        return self.url if self.origin == followed.origin else ""


def _leaf_time_ms(leaf: bytes) -> int:
    try:
        return leaf_time_ms(leaf)
    except Malformed:
        return 0  # one that tells none is later than no head


def fed_to(known: Iterable[Witness], policy: Policy, never: Collection[str]) -> tuple[Witness, ...]:
    """Return whom heads are fed to: known witnesses, and those of the policy that have a URL.

    A witness is its key's name. The lines of one that has two keys are two in a policy, and one witness here.
    """
    found = {witness.vkey.name: witness for witness in known}
    for line in policy.witnesses:
        held = found.get(line.vkey.name)
        if held is None and line.url is not None:
            found[line.vkey.name] = Witness(line.name, (line.vkey,), line.url.rstrip("/"))
        elif held is not None and line.vkey.type not in {vkey.type for vkey in held.vkeys}:
            both = sorted((*held.vkeys, line.vkey), key=lambda vkey: vkey.type)
            found[line.vkey.name] = replace(held, vkeys=tuple(both))
    return tuple(witness for name, witness in found.items() if name not in never)


def read_head(raw: bytes, followed: FollowedLog) -> tuple[Head, Opened]:
    """Read a note as a head of this log; `Malformed` or `BadSignature` when it is none."""
    return heads.read_head(raw, followed.origin, followed.vkeys)
