"""PURE: what a log has signed about one entry and did not keep (E4, E5, E6 of monitoring.md §5.4, design.md §6).

An SCT with a leaf index is a promise that anyone can check offline: it names the place and the time.

    E4  another leaf stands at the promised index
        {"found": hash, "heads": [note], "kind": "E4", "leaf", "log", "path": [hash…], "sct", "type"}
    E5  a head signed more than the merge delay (and `GRACE_MS`) after the SCT does not reach that index
        {"heads": [note], "kind": "E5", "leaf", "log", "sct", "type"}
    E6  a leaf in the tree is of a later time than the head over it
        {"heads": [note], "index", "kind": "E6", "leaf", "log", "path": [hash…], "type"}

`leaf` is a MerkleTreeLeaf (for E6 also an Entry), `found` the leaf hash that is there instead, all in base64. The
length of a path follows from index and size, so no inner node can be passed off as a leaf. The merge delay is what logs
of Twinlog declare, and stands in no object.
"""

from collections.abc import Sequence

from log.crypto.tree_heads import verify_sct
from log.errors import BadProof, BadSignature, Malformed
from log.evidence.heads import Head, Kind
from log.evidence.objects import Read, named, opened, read_log, statement, strings
from log.formats import jcs
from log.formats.names import ENTRY_FORMAT, EVIDENCE
from log.formats.note import KeyType, VKey
from log.formats.sct import SCT
from log.formats.text import b64decode, b64encode
from log.formats.tile_leaf import LEAF_HEADER
from log.formats.wire import u16
from log.merkle.hashing import HASH_SIZE, leaf_hash
from log.merkle.proof import verify_inclusion

MERGE_DELAY_MS = 60_000  # that logs of Twinlog declare (monitoring.md §5.6)
GRACE_MS = 5_000  # beyond it, before being late is a lie

_SECOND_MS = 1_000


def broken_promise(
    origin: str, vkeys: Sequence[VKey], sct: bytes, leaf: bytes, head: Head, found: bytes, path: Sequence[bytes]
) -> bytes:
    """Write E4: `found` is the leaf hash at the SCT's index, `path` its inclusion proof in the tree of `head`."""
    return statement(
        Kind.BROKEN_PROMISE,
        log=named(origin, vkeys),
        heads=[b64encode(head.note)],
        sct=b64encode(sct),
        leaf=b64encode(leaf),
        found=b64encode(found),
        path=[b64encode(each) for each in path],
    )


def late(origin: str, vkeys: Sequence[VKey], sct: bytes, leaf: bytes, head: Head) -> bytes:
    """Write E5."""
    return statement(
        Kind.LATE, log=named(origin, vkeys), heads=[b64encode(head.note)], sct=b64encode(sct), leaf=b64encode(leaf)
    )


def time_lie(origin: str, vkeys: Sequence[VKey], head: Head, leaf: bytes, index: int, path: Sequence[bytes]) -> bytes:
    """Write E6: `path` is the inclusion proof of `leaf` at `index` in the tree of `head`."""
    return statement(
        Kind.TIME_LIE,
        log=named(origin, vkeys),
        heads=[b64encode(head.note)],
        leaf=b64encode(leaf),
        index=index,
        path=[b64encode(each) for each in path],
    )


def check(data: bytes, read: Read, vkeys: Sequence[VKey]) -> tuple[Kind, Head, int, int]:
    """Return (what is proven, the head, the time in ms of SCT or leaf, the index), under pinned `vkeys`.

    `Malformed`, `BadSignature` or `BadProof` when the object proves nothing.
    """
    match jcs.parse(data):
        case {
            "heads": [str(note)],
            "kind": str(name),
            "leaf": str(leaf_text),
            "log": about,
            "type": str(type_),
            **rest,
        } if type_ == EVIDENCE:
            head, leaf = opened(note, read), b64decode(leaf_text)
        case _:
            raise Malformed("not evidence about an entry")
    origin, given = read_log(about)
    match name, rest:
        case "E4", {"found": str(found_text), "path": [*path], "sct": str(sct_text), **more} if not more:
            sct, found = b64decode(sct_text), b64decode(found_text, HASH_SIZE)
            hashes = [b64decode(each, HASH_SIZE) for each in strings(path)]
            promised = _promise(sct, leaf, vkeys)
            if found == leaf_hash(leaf):
                raise BadProof("the leaf that was promised is the one that is there")
            _included(promised.index, head, found, hashes)
            again = broken_promise(origin, given, sct, leaf, head, found, hashes)
            kind, time_ms, index = Kind.BROKEN_PROMISE, promised.timestamp_ms, promised.index
        case "E5", {"sct": str(sct_text), **more} if not more:
            sct = b64decode(sct_text)
            promised = _promise(sct, leaf, vkeys)
            if not is_late(promised, head):
                raise BadProof("the head reaches the promised index, or the time for it was not over")
            again = late(origin, given, sct, leaf, head)
            kind, time_ms, index = Kind.LATE, promised.timestamp_ms, promised.index
        case "E6", {"index": int(index), "path": [*path], **more} if not more and not isinstance(index, bool):
            hashes = [b64decode(each, HASH_SIZE) for each in strings(path)]
            time_ms = _written_by_the_log(leaf, vkeys)
            if not is_later(time_ms, head):
                raise BadProof("the leaf is not later than the head")
            _included(index, head, leaf_hash(leaf), hashes)
            again, kind = time_lie(origin, given, head, leaf, index, hashes), Kind.TIME_LIE
        case _:
            raise Malformed("not evidence about an entry")
    if again != data:
        raise Malformed("evidence in another form than the one in which it is written")
    return kind, head, time_ms, index


def is_late(sct: SCT, head: Head) -> bool:
    """Say whether a head shows that the entry of an SCT was not there in time."""
    signed_ms = head.time_ms  # of a 0x04 or 0x06 line the second in which it was made: never later than the truth
    return head.size <= sct.index and signed_ms is not None and signed_ms > sct.timestamp_ms + MERGE_DELAY_MS + GRACE_MS


def is_later(leaf_ms: int, head: Head) -> bool:
    """Say whether a leaf's time is after a time of the head. Whole seconds, of 0x04 and 0x06, count to their end."""
    ends = (time if kind is KeyType.TREE_HEAD else time + _SECOND_MS - 1 for kind, time in head.times)
    return any(leaf_ms > end for end in ends)


def leaf_time_ms(leaf: bytes) -> int:
    """Return the time that stands in a leaf: of a MerkleTreeLeaf or of an Entry. `Malformed` for any other."""
    if leaf.startswith(LEAF_HEADER) and len(leaf) >= len(LEAF_HEADER) + 8:
        return int.from_bytes(leaf[len(LEAF_HEADER) : len(LEAF_HEADER) + 8])
    if leaf.startswith(u16(ENTRY_FORMAT)) and len(leaf) >= 12:  # format, type, time
        return int.from_bytes(leaf[4:12])
    raise Malformed("a leaf without a time")


def _written_by_the_log(leaf: bytes, vkeys: Sequence[VKey]) -> int:
    """Return the time in a leaf whose form says that the log itself wrote it there.

    In a log with a 0x05 key that is a MerkleTreeLeaf, else an Entry: anything else could be what a submitter chose. Of
    a log that takes raw entries from anybody this cannot be told: its identity has no place among the pins for this.
    """
    if leaf.startswith(LEAF_HEADER) is not any(vkey.type is KeyType.TREE_HEAD for vkey in vkeys):
        raise BadProof("the leaf is not of the kind that this log writes")
    return leaf_time_ms(leaf)


def _promise(sct: bytes, leaf: bytes, vkeys: Sequence[VKey]) -> SCT:
    """Verify the SCT by the log's one 0x05 key."""
    keys = [vkey for vkey in vkeys if vkey.type is KeyType.TREE_HEAD]
    if len(keys) != 1:
        raise BadSignature("a log with an SCT has one 0x05 key")
    return verify_sct(sct, leaf, keys[0])


def _included(index: int, head: Head, leaf: bytes, path: Sequence[bytes]) -> None:
    if not 0 <= index < head.size:
        raise BadProof(f"no leaf {index} in a tree of {head.size}")
    verify_inclusion(index, head.size, leaf, path, head.root)
