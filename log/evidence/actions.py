"""PURE: a side, or all of them, that signed two actions at one seq of a chain (E9, design.md §5).

    {"actions": [note, note], "genesis": base64, "joint": [note…], "kind": "E9", "type": "twinlog/evidence@v1"}

`genesis` is whole, and whoever checks has pinned its SHA-256. `joint` is the beginning of the joint chain up to the
last action that gave a side new keys: empty while all are those of the genesis.
"""

from log.errors import BadProof, Malformed
from log.evidence.heads import Kind
from log.evidence.objects import statement, strings
from log.formats import jcs
from log.formats.action import JOINT
from log.formats.genesis import Genesis
from log.formats.names import EVIDENCE
from log.formats.text import b64decode, b64encode
from log.governance import chains as governance
from log.governance.chains import AUTHORITY_KEYS, Chains, Signed


def encode(chains: Chains, pair: tuple[Signed, Signed]) -> bytes:
    """Write evidence of two actions that both count; `pair` is one of `chains.double_signed()`."""
    one, two = sorted(pair, key=lambda signed: signed.hash)
    joint = chains.chains[JOINT].actions
    given = [at for at, signed in enumerate(joint, 1) if signed.action.type == AUTHORITY_KEYS]
    return statement(
        Kind.SAME_SEQ,
        genesis=b64encode(chains.genesis.encode()),
        joint=[b64encode(signed.note.encode()) for signed in joint[: given[-1] if given else 0]],
        actions=[b64encode(one.note.encode()), b64encode(two.note.encode())],
    )


def check(data: bytes, genesis_hash: bytes) -> tuple[str, int]:
    """Return the chain and the seq that were signed twice, from a genesis that the caller has pinned.

    `Malformed`, `BadSignature`, `PolicyNotMet` or `BadProof` when the object proves nothing.
    """
    match jcs.parse(data):
        case {"actions": [str(first), str(second)], "genesis": str(text), "joint": [*joint], **rest} if rest == {
            "type": EVIDENCE,
            "kind": Kind.SAME_SEQ.value,
        }:
            genesis = Genesis.parse(b64decode(text))
        case _:
            raise Malformed("not an evidence object about actions")
    if genesis.hash != genesis_hash:
        raise BadProof("evidence of another genesis")
    given = [Signed.parse(b64decode(each)) for each in strings(joint)]
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
