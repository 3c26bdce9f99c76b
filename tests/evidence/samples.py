"""One honest lie of each kind, under real keys."""

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from log.crypto.ecdsa import EcdsaSigner
from log.crypto.notes import cosign
from log.evidence import actions, cosigned, objects, prefix, promises, served
from log.evidence.check import Pinned
from log.evidence.heads import Head, Kind, read_head
from log.formats.checkpoint import Checkpoint
from log.formats.identity import Identity
from log.formats.note import KeyType, Note, Signature, VKey
from log.formats.sct import SCT, digitally_signed
from log.formats.tile_leaf import X509_ENTRY, TileLeaf
from log.governance.chains import arrange
from log.merkle.hashing import leaf_hash
from log.merkle.proof import consistency_ranges
from tests.client.heads import ORIGIN, TIME_MS, TREE_HEAD, VKEYS, ed25519, head
from tests.support import authorities, rfc6962
from tests.support.shared import data

WITNESS = ed25519("gd.twinlog.example/witness", KeyType.COSIGNATURE, 9)
PINNED = Pinned((Identity.make(ORIGIN, VKEYS),), (WITNESS.vkey,), authorities.genesis().hash)


@dataclass(frozen=True)
class Sample:
    """One object and the pins under which it proves something."""

    kind: Kind
    data: bytes
    pinned: Pinned = PINNED


def certificate(index: int, time_ms: int, salt: bytes = b"") -> bytes:
    """Return a MerkleTreeLeaf."""
    leaf = TileLeaf(time_ms, X509_ENTRY, b"\x30certificate" + salt, b"", index, b"", ())
    return leaf.merkle_tree_leaf()


def tree(size: int, salt: bytes = b"") -> list[bytes]:
    return [certificate(i, TIME_MS + i, salt) for i in range(size)]


def opened(raw: bytes) -> Head:
    return read_head(raw, ORIGIN, VKEYS)[0]


async def signed(d: Sequence[bytes], time_ms: int) -> Head:
    return opened(await head(d, time_ms=time_ms))


async def sct_of(leaf: bytes) -> bytes:
    signer = TREE_HEAD.signer
    assert isinstance(signer, EcdsaSigner)
    [der] = await signer.sign([leaf])
    time_ms, index = int.from_bytes(leaf[2:10]), int.from_bytes(leaf[-5:])
    return SCT(sha256(TREE_HEAD.vkey.key).digest(), time_ms, index, digitally_signed(der)).encode()


def spans(old: int, d: list[bytes]) -> list[bytes]:
    left, right = prefix.cover(old, len(d))
    return [rfc6962.mth(d[span.start : span.end]) for span in (*left, *right)]


async def cosigned_note(d: list[bytes], time_s: int) -> bytes:
    text = Checkpoint(ORIGIN, len(d), rfc6962.mth(d)).encode()
    return Note(text, (await cosign(text, time_s, WITNESS),)).encode()


async def _make() -> dict[str, Sample]:
    d, other = tree(11), tree(11, b"!")
    late_ms = TIME_MS + 1_000_000
    promised = certificate(5, TIME_MS, b"promised")
    sct = await sct_of(promised)
    future = [*d[:7], certificate(7, late_ms + 1), *d[8:]]
    eleven = await signed(d, late_ms)
    chains = arrange(
        authorities.genesis(),
        (
            authorities.Chainer(authorities.genesis(), "hk").say("log-freeze", {"origin": ORIGIN, "reason": ""}),
            authorities.Chainer(authorities.genesis(), "hk").say("log-freeze", {"origin": ORIGIN, "reason": "x"}),
        ),
    )
    [pair, *_] = chains.double_signed()
    both = await cosigned_note(d, 1_800_000_000)
    over_future = await signed(future, late_ms)
    made = {
        "E1": objects.encode(Kind.SAME_SIZE, ORIGIN, VKEYS, (eleven, await signed(other, late_ms + 1))),
        "E2": objects.encode(Kind.CROSS_SIZE, ORIGIN, VKEYS, (eleven, await signed(other[:5], TIME_MS)), spans(5, d)),
        "E3": objects.encode(Kind.ROLLBACK, ORIGIN, VKEYS, (eleven, await signed(d[:5], late_ms + 1000))),
        "E3b": objects.encode(Kind.SAME_TIME, ORIGIN, VKEYS, (eleven, await signed(d[:5], late_ms))),
        "E4": promises.broken_promise(ORIGIN, VKEYS, sct, promised, eleven, leaf_hash(d[5]), rfc6962.path(5, d)),
        "E5": promises.late(ORIGIN, VKEYS, sct, promised, await signed(d[:5], TIME_MS + 65_001)),
        "E6": promises.time_lie(ORIGIN, VKEYS, over_future, future[7], 7, rfc6962.path(7, future)),
        "E7": cosigned.witness_lied(WITNESS.vkey, (both, await cosigned_note(other[:5], 1_800_000_001)), spans(5, d)),
        "E8": served.unreproducible(ORIGIN, VKEYS, eleven, "tile/0/000.p/11", b"\0" * 352, ["hk"]),
        "E9": actions.encode(chains, pair),
    }
    return {name: Sample(Kind(name), made[name]) for name in made}


@cache
def samples() -> dict[str, Sample]:
    return asyncio.run(_make())


def venafi() -> Sample:
    """The real fork of 2017 (shared data): two heads signed with RSA, made into notes under 0x05 lines."""
    found = json.loads(data("venafi2017_fork.json").read_bytes())
    name = "ctlog.api.venafi.com"
    vkey = VKey.make(name, KeyType.TREE_HEAD, base64.b64decode(found["log_public_key_spki_b64"]))
    heads = []
    for sth in found["sths"]:
        text = Checkpoint(name, sth["tree_size"], base64.b64decode(sth["sha256_root_hash"])).encode()
        line = sth["timestamp"].to_bytes(8) + base64.b64decode(sth["tree_head_signature"])
        note = Note(text, (Signature(name, vkey.key_id, line),))
        heads.append(read_head(note.encode(), name, (vkey,))[0])
    old, size = heads[0].size, heads[1].size
    proof = dict(zip(consistency_ranges(old, size), found["consistency_proof_rfc6962"], strict=True))
    hashes = [base64.b64decode(proof[span]) for part in prefix.cover(old, size) for span in part]
    evidence = objects.encode(Kind.CROSS_SIZE, name, (vkey,), (heads[0], heads[1]), hashes)
    return Sample(Kind.CROSS_SIZE, evidence, Pinned((Identity.make(name, (vkey,)),)))
