"""PURE: two heads that exclude each other (E1, E2, E3, E3b), as an object checked with the log's identity alone.

    {"heads": [note, note], "kind": "E1" | "E2" | "E3" | "E3b", "log": {"origin", "vkeys"},
     "proof": {"a": [hash…], "b": [hash…]} | null, "type": "twinlog/evidence@v1"}

in RFC 8785 form, notes and hashes in base64; the smaller or earlier-seen head first, for E2 always the smaller
(monitoring.md §5.4). The vkeys are there to be compared: a verifier uses those that it has pinned. No time and no
source stands in it, so that two monitors that hold the same two notes make the same object, with the same id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from log.errors import BadProof, Malformed
from log.evidence import prefix
from log.evidence.heads import Head, Kind, contradiction
from log.formats import jcs
from log.formats.names import EVIDENCE
from log.formats.note import VKey
from log.formats.text import b64decode, b64encode

Read = Callable[[bytes], Head]  # a note into a head by pinned keys; raises `Malformed` or `BadSignature`


def encode(
    kind: Kind, origin: str, vkeys: Sequence[VKey], heads: tuple[Head, Head], hashes: Sequence[bytes] = ()
) -> bytes:
    """Write evidence; `hashes` are those of `prefix.cover`, for E2 only."""
    one, two = sorted(heads, key=lambda head: (head.size, head.time_ms or 0, head.note))
    proof = encode_hashes(one.size, two.size, hashes) if kind is Kind.CROSS_SIZE else None
    return statement(kind, log=named(origin, vkeys), heads=[b64encode(one.note), b64encode(two.note)], proof=proof)


def check(data: bytes, read: Read) -> Kind:
    """Return what the object proves. `Malformed`, `BadSignature` or `BadProof` when it proves nothing."""
    match jcs.parse(data):
        case {"heads": [str(first), str(second)], "kind": str(name), "log": about, "proof": proof, **rest} if rest == {
            "type": EVIDENCE
        } and name in {kind.value for kind in _KINDS}:
            kind, (origin, vkeys) = Kind(name), read_log(about)
        case _:
            raise Malformed("not evidence of two heads")
    one, two = opened(first, read), opened(second, read)
    hashes: list[bytes] = []
    if kind is not Kind.CROSS_SIZE:
        if proof is not None or contradiction(one, two) is not kind:
            raise BadProof(f"the two heads do not contradict each other as {kind.value}")
    else:
        hashes = read_hashes(one.size, two.size, proof)
        if prefix.compare(one.size, two.size, one.root, two.root, hashes) is prefix.Prefix.SAME:
            raise BadProof("the smaller head is a prefix of the larger")
    if encode(kind, origin, vkeys, (one, two), hashes) != data:
        raise Malformed("evidence in another form than the one in which it is written")
    return kind


_KINDS = (Kind.SAME_SIZE, Kind.CROSS_SIZE, Kind.ROLLBACK, Kind.SAME_TIME)


# --- what all kinds share -------------------------------------------------------------------------------------


def statement(kind: Kind, **members: object) -> bytes:
    """Write an object of one kind."""
    return jcs.encode({"type": EVIDENCE, "kind": kind.value, **members})


def identify(data: bytes) -> bytes:
    """Return the id of an evidence object."""
    return sha256(data).digest()


def opened(text: str, read: Read) -> Head:
    """Read a note in base64 by pinned keys; as it stands, for whoever has pinned fewer keys than the log has."""
    raw = b64decode(text)
    return replace(read(raw), note=raw)


def named(origin: str, vkeys: Sequence[VKey]) -> Mapping[str, object]:
    """Return the member that names a log."""
    return {"origin": origin, "vkeys": sorted(vkey.encode() for vkey in vkeys)}


def read_log(value: jcs.JSON) -> tuple[str, list[VKey]]:
    """Read what `named` writes, or raise `Malformed`."""
    match value:
        case {"origin": str(origin), "vkeys": [*texts], **rest} if not rest:
            return origin, [VKey.parse(text) for text in strings(texts)]
    raise Malformed("a log is named by its origin and its keys")


def encode_hashes(old: int, size: int, hashes: Sequence[bytes]) -> dict[str, jcs.JSON]:
    """Return the proof of E2: `hashes` are those of `prefix.cover(old, size)`."""
    left = len(prefix.cover(old, size)[0])
    return {"a": [b64encode(each) for each in hashes[:left]], "b": [b64encode(each) for each in hashes[left:]]}


def read_hashes(old: int, size: int, value: jcs.JSON) -> list[bytes]:
    """Read what `encode_hashes` writes, or raise `Malformed`."""
    match value:
        case {"a": [*left], "b": [*right], **rest} if not rest and old < size:
            return [b64decode(text) for text in strings([*left, *right])]
    raise Malformed("evidence across sizes has a proof")


def strings(values: Sequence[object]) -> list[str]:
    """Return a list of texts as what it is, or raise `Malformed`."""
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) != len(values):
        raise Malformed("something else where a text must be")
    return texts
