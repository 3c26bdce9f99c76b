"""PURE: contradictions as objects that anyone checks offline with the log's identity alone (monitoring.md §5.4).

    {"heads": [note, note], "kind": "E1" | "E2" | "E3" | "E3b", "log": {"origin", "vkeys"},
     "proof": {"a": [hash…], "b": [hash…]} | null, "type": "twinlog/evidence@v1"}

in RFC 8785 form, notes and hashes in base64; the smaller or earlier-seen head first, for E2 always the smaller.
The vkeys are there to be compared: a verifier uses those that it has pinned. No time and no source stands in it,
so that two monitors that hold the same two notes make the same object, with the same id.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from log.errors import BadProof, Malformed
from log.formats import jcs
from log.formats.names import EVIDENCE
from log.formats.note import VKey
from log.formats.text import b64decode, b64encode
from monitor import judge, prefix
from monitor.judge import Head, Kind

Read = Callable[[bytes], Head]  # a note into a head by pinned keys; raises `Malformed` or `BadSignature`


def encode(
    kind: Kind, origin: str, vkeys: Sequence[VKey], heads: tuple[Head, Head], hashes: Sequence[bytes] = ()
) -> bytes:
    """Write evidence; `hashes` are those of `prefix.spans`, for E2 only."""
    one, two = sorted(heads, key=lambda head: (head.size, head.time_ms or 0, head.note))
    proof = None
    if kind is Kind.CROSS_SIZE:
        left, _ = prefix.spans(one.size, two.size)
        proof = {
            "a": [b64encode(each) for each in hashes[: len(left)]],
            "b": [b64encode(each) for each in hashes[len(left) :]],
        }
    return jcs.encode(
        {
            "type": EVIDENCE,
            "kind": kind.value,
            "log": {"origin": origin, "vkeys": sorted(vkey.encode() for vkey in vkeys)},
            "heads": [b64encode(one.note), b64encode(two.note)],
            "proof": proof,
        }
    )


def identify(data: bytes) -> bytes:
    """Return the id of an evidence object."""
    return sha256(data).digest()


def check(data: bytes, read: Read) -> Kind:
    """Return what the object proves. `Malformed`, `BadSignature` or `BadProof` when it proves nothing."""
    value = jcs.parse(data)
    match value:
        case {
            "type": str(type_),
            "kind": str(kind_name),
            "log": {"origin": str(), "vkeys": [*_]},
            "heads": [str(first), str(second)],
            "proof": proof,
        } if type_ == EVIDENCE and isinstance(value, dict) and len(value) == 5:
            pass
        case _:
            raise Malformed("not an evidence object")
    try:
        kind = Kind(kind_name)
    except ValueError as e:
        raise Malformed("evidence of an unknown kind") from e
    one, two = read(b64decode(first)), read(b64decode(second))
    if kind is not Kind.CROSS_SIZE:
        if proof is not None or judge.contradiction(one, two) is not kind:
            raise BadProof(f"the two heads do not contradict each other as {kind.value}")
        return kind
    match proof:
        case {"a": [*left], "b": [*right]} if isinstance(proof, dict) and len(proof) == 2 and one.size < two.size:
            hashes = [b64decode(each) for each in (*left, *right) if isinstance(each, str)]
        case _:
            raise Malformed("evidence across sizes has a proof")
    if prefix.compare(one.size, two.size, one.root, two.root, hashes) is prefix.Prefix.SAME:
        raise BadProof("the smaller head is a prefix of the larger")
    return kind
