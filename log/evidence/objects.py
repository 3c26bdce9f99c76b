"""PURE: contradictions as objects that anyone checks offline with the log's identity alone (monitoring.md §5.4).

    {"heads": [note, note], "kind": "E1" | "E2" | "E3" | "E3b", "log": {"origin", "vkeys"},
     "proof": {"a": [hash…], "b": [hash…]} | null, "type": "twinlog/evidence@v1"}

in RFC 8785 form, notes and hashes in base64; the smaller or earlier-seen head first, for E2 always the smaller.
The vkeys are there to be compared: a verifier uses those that it has pinned. No time and no source stands in it,
so that two monitors that hold the same two notes make the same object, with the same id.

E9 is a side, or all of them, that signed two actions at one seq of a chain (design.md §5):

    {"actions": [note, note], "genesis": base64, "joint": [note…], "kind": "E9", "type": "twinlog/evidence@v1"}

`genesis` is whole, and whoever checks has pinned its SHA-256. `joint` is the beginning of the joint chain up to the
last action that gave a side new keys: empty while all are those of the genesis.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from log.errors import BadProof, Malformed
from log.evidence import prefix
from log.evidence.heads import Head, Kind, contradiction
from log.formats import jcs
from log.formats.action import JOINT
from log.formats.genesis import Genesis
from log.formats.names import EVIDENCE
from log.formats.note import VKey
from log.formats.text import b64decode, b64encode
from log.governance import chains as governance
from log.governance.chains import AUTHORITY_KEYS, Chains, Signed

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
        if proof is not None or contradiction(one, two) is not kind:
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


# --- E9: two actions at one seq -------------------------------------------------------------------------------


def encode_actions(chains: Chains, pair: tuple[Signed, Signed]) -> bytes:
    """Write evidence of two actions that both count; `pair` is one of `chains.double_signed()`."""
    one, two = sorted(pair, key=lambda signed: signed.hash)
    joint = chains.chains[JOINT].actions
    given = [at for at, signed in enumerate(joint, 1) if signed.action.type == AUTHORITY_KEYS]
    return jcs.encode(
        {
            "type": EVIDENCE,
            "kind": Kind.SAME_SEQ.value,
            "genesis": b64encode(chains.genesis.encode()),
            "joint": [b64encode(signed.note.encode()) for signed in joint[: given[-1] if given else 0]],
            "actions": [b64encode(one.note.encode()), b64encode(two.note.encode())],
        }
    )


def check_actions(data: bytes, genesis_hash: bytes) -> tuple[str, int]:
    """Return the chain and the seq that were signed twice, from a genesis that the caller has pinned.

    `Malformed`, `BadSignature`, `PolicyNotMet` or `BadProof` when the object proves nothing.
    """
    value = jcs.parse(data)
    match value:
        case {
            "type": str(type_),
            "kind": str(kind_name),
            "genesis": str(genesis_text),
            "joint": [*joint],
            "actions": [str(first), str(second)],
        } if (type_, kind_name) == (EVIDENCE, Kind.SAME_SEQ.value) and isinstance(value, dict) and len(value) == 5:
            pass
        case _:
            raise Malformed("not an evidence object about actions")
    genesis = Genesis.parse(b64decode(genesis_text))
    if genesis.hash != genesis_hash:
        raise BadProof("evidence of another genesis")
    given = [Signed.parse(b64decode(text)) for text in joint if isinstance(text, str)]
    if len(given) != len(joint):
        raise Malformed("an action is a note in base64")
    chains = governance.arrange(genesis, given)
    if len(chains.chains[JOINT].actions) != len(given):
        raise BadProof("the joint chain before it does not count")
    one, two = Signed.parse(b64decode(first)), Signed.parse(b64decode(second))
    place = one.action.chain, one.action.seq
    if place != (two.action.chain, two.action.seq) or one.hash == two.hash:
        raise BadProof("the two actions do not exclude each other")
    for signed in (one, two):
        chains.check(signed)
    return place
