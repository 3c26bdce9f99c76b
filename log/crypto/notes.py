"""What the signature lines of a note say, and whether it is true.

C2SP signed-note, tlog-cosignature and, for 0x05, static-ct-api.

A line is by the key whose name *and* id it bears. Of five types:

| type | signs | tells |
|---|---|---|
| 0x01 | the text | nothing more |
| 0x02 | the text, by ECDSA | nothing more; here only as the P-256 key's word on an identity (`statement_key`) |
| 0x04 | the text behind a time in seconds | when the cosigner had seen nothing larger |
| 0x05 | time in milliseconds, size and root | the RFC 6962 tree head |
| 0x06 | cosigner, time in seconds, origin, size and root, by ML-DSA-44 | what 0x04 tells; without a time, less |

A 0x05 or 0x06 line covers no extension lines. A 0x04 or 0x06 line of time 0 says that the tree is the log's, not that
its cosigner had seen nothing larger: it verifies, and is nobody's word on a head (`Verified.witnesses`).

Lines of unknown keys are ignored, keys of other types count as unknown. Every line of a known key must
verify: one that does not spoils the note, also beside a good one of the same key. Of several good ones the
first counts.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from log.crypto import KeyVerifier, Signer
from log.crypto.ecdsa import EcdsaVerifier
from log.crypto.ed25519 import Ed25519Verifier
from log.crypto.mldsa import MldsaVerifier
from log.crypto.tree_heads import TreeHeadVerifier
from log.errors import BadSignature, Malformed
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.cosignature import (
    MAX_NAME_BYTES,
    MLDSA44_SIZE,
    cosignature_message,
    decode_timestamped,
    encode_timestamped,
    subtree_message,
)
from log.formats.note import KeyType, Note, Signature, VKey
from log.formats.sct import digitally_signed
from log.formats.tree_head import decode_tree_head_signature, encode_tree_head_signature, tree_head_message

CACHED_VERIFIERS = 512  # parsed public keys, under 1 kB each, of ML-DSA some 20 kB

_VERIFIERS: dict[KeyType, Callable[[bytes], KeyVerifier]] = {
    KeyType.ED25519: Ed25519Verifier,
    KeyType.ECDSA: EcdsaVerifier,
    KeyType.COSIGNATURE: Ed25519Verifier,
    KeyType.TREE_HEAD: TreeHeadVerifier,
    KeyType.MLDSA: MldsaVerifier,
}

HEAD_TYPES = frozenset({KeyType.ED25519, KeyType.TREE_HEAD, KeyType.MLDSA})  # by which a log's readers know its heads
WITNESSED_TYPES = frozenset({KeyType.ED25519, KeyType.MLDSA})  # one of which a head needs to be cosigned by others
COSIGNER_TYPES = frozenset({KeyType.COSIGNATURE, KeyType.MLDSA})


# --- signing ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A private key under the name and type of its lines."""

    vkey: VKey
    signer: Signer

    @classmethod
    def make(cls, name: str, key_type: KeyType, signer: Signer) -> Self:
        """Name a key; raise `Malformed` where name, type and key do not go together."""
        return cls(VKey.make(name, key_type, signer.public), signer)


def statement_key(vkey: VKey) -> VKey:
    """Return the key under which the owner of `vkey` signs a text that is no checkpoint.

    A 0x05 line cannot: what it signs is a tree head. Its P-256 key signs such a text with a 0x02 line, which
    cannot be taken for an SCT or a tree head, because those begin with a zero byte and a text does not.
    """
    if vkey.type is KeyType.TREE_HEAD:
        return VKey.make(vkey.name, KeyType.ECDSA, vkey.key)
    return vkey


async def sign_note(text: bytes, timestamp_ms: int, signers: Sequence[NoteSigner]) -> Note:
    """Return the note with one line of each signer, in their order.

    `timestamp_ms` stands in 0x05 lines as it is, in 0x04 and 0x06 lines in whole seconds. The text of a note with a
    0x05 signer must be a checkpoint without extension lines (`AssertionError`), with a 0x06 signer a checkpoint.
    """
    return Note(text, tuple([await _sign_line(text, timestamp_ms, signer) for signer in signers]))


async def sign_statement(text: bytes, timestamp_ms: int, signers: Sequence[NoteSigner]) -> Note:
    """Return a note over a text that is no checkpoint, such as an identity, with one line of each signer."""
    under = [NoteSigner(statement_key(signer.vkey), signer.signer) for signer in signers]
    return await sign_note(text, timestamp_ms, under)


async def cosign(text: bytes, timestamp_s: int, signer: NoteSigner) -> Signature:
    """Return the 0x04 or 0x06 line of a cosigner over a checkpoint's text; `timestamp_s` > 0, in POSIX seconds."""
    if signer.vkey.type not in COSIGNER_TYPES or timestamp_s <= 0:
        raise AssertionError("a cosignature has a 0x04 or 0x06 key and a time")
    return await _sign_line(text, timestamp_s * 1000, signer)


async def cosign_all(text: bytes, timestamp_s: int, signers: Sequence[NoteSigner]) -> tuple[Signature, ...]:
    """Return the line of each key of one cosigner, in their order and of one time."""
    return tuple([await cosign(text, timestamp_s, signer) for signer in signers])


async def _sign_line(text: bytes, timestamp_ms: int, signer: NoteSigner) -> Signature:
    vkey = signer.vkey
    match vkey.type:
        case KeyType.ED25519 | KeyType.ECDSA:
            [data] = await signer.signer.sign([text])
        case KeyType.COSIGNATURE:
            timestamp_s = timestamp_ms // 1000
            [signature] = await signer.signer.sign([cosignature_message(timestamp_s, text)])
            data = encode_timestamped(timestamp_s, signature)
        case KeyType.TREE_HEAD:
            [der] = await signer.signer.sign([_tree_head(timestamp_ms, text)])
            data = encode_tree_head_signature(timestamp_ms, digitally_signed(der))
        case KeyType.MLDSA:
            timestamp_s = timestamp_ms // 1000
            [signature] = await signer.signer.sign([_cosigned(vkey, timestamp_s, text)])
            data = encode_timestamped(timestamp_s, signature)
        case _:
            raise AssertionError(f"no signer makes lines of type {vkey.type:#04x}")
    return Signature(vkey.name, vkey.key_id, data)


def _tree_head(timestamp_ms: int, text: bytes) -> bytes:
    """Return what a 0x05 line signs. It leaves extension lines out, so there must be none."""
    checkpoint = Checkpoint.parse(text)
    if checkpoint.extensions:
        raise AssertionError("a 0x05 line does not cover extension lines")
    return tree_head_message(timestamp_ms, checkpoint.size, checkpoint.root)


def _cosigned(vkey: VKey, timestamp_s: int, text: bytes) -> bytes:
    """Return what a 0x06 line signs of a checkpoint; `Malformed` for a text that is none, or names over 255 bytes."""
    checkpoint = Checkpoint.parse(text)
    if max(len(vkey.name.encode()), len(checkpoint.origin.encode())) > MAX_NAME_BYTES:
        raise Malformed(f"a name of over {MAX_NAME_BYTES} bytes has no place in a 0x06 line")
    return subtree_message(vkey.name, timestamp_s, checkpoint.origin, 0, checkpoint.size, checkpoint.root)


# --- verifying --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verified:
    """A line that verified."""

    vkey: VKey
    timestamp_ms: int | None  # what it tells; of 0x04 and 0x06 lines in whole seconds, None for 0x01 and 0x02
    line: Signature

    @property
    def witnesses(self) -> bool:
        """Whether this is a cosignature with a time: as of then its key's owner had seen nothing larger."""
        return self.vkey.type in COSIGNER_TYPES and bool(self.timestamp_ms)


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint with at least one good line of a known key."""

    note: Note
    checkpoint: Checkpoint
    verified: tuple[Verified, ...]  # one for each known key that signed, in the order of the lines

    def signed_by(self, vkey: VKey) -> Verified | None:
        """Return this key's line, or None when it did not sign."""
        return next((verified for verified in self.verified if verified.vkey == vkey), None)

    def reduced(self) -> Note:
        """Return the note with only the lines that verified: what may be stored and passed on."""
        return self.note.with_signatures(verified.line for verified in self.verified)


def open_note(raw: bytes, vkeys: Iterable[VKey]) -> Opened:
    """Read a signed checkpoint by known keys. Raises `Malformed`, or `BadSignature` as `verify_note` does."""
    note, checkpoint = parse_signed(raw)
    return Opened(note, checkpoint, verify_note(note, vkeys))


def open_head(raw: bytes, vkeys: Iterable[VKey]) -> Opened:
    """Read a log's head by that log's keys, as witnesses and monitors must: `open_note`, and more.

    Where a 0x01 key of the log is known a 0x01 line must be there, and likewise for 0x05 and 0x06 (design
    section 3): else a head could reach some readers under one key and others under the other. Every
    key must bear the origin as its name. Raises `Malformed` and `BadSignature`.
    """
    known = tuple(vkeys)
    opened = open_note(raw, known)
    signed = {verified.vkey.type for verified in opened.verified}
    missing = {vkey.type for vkey in known if vkey.type in HEAD_TYPES} - signed
    if missing:
        raise BadSignature(f"no line of type {', '.join(f'{kind:#04x}' for kind in sorted(missing))}")
    if any(vkey.name != opened.checkpoint.origin for vkey in known):
        raise BadSignature(f"the head is of {opened.checkpoint.origin}, the keys are another log's")
    return opened


def verify_note(note: Note, vkeys: Iterable[VKey]) -> tuple[Verified, ...]:
    """Verify every line of a known key and return the first of each.

    Raises `BadSignature` when any such line fails, when there is none, or when two known keys share name
    and id.
    """
    known: dict[tuple[str, bytes], VKey] = {}
    for vkey in vkeys:
        if vkey.type in _VERIFIERS and known.setdefault((vkey.name, vkey.key_id), vkey) != vkey:
            raise BadSignature(f"two known keys share the name {vkey.name} and an id")
    verified: dict[VKey, Verified] = {}
    for line in dict.fromkeys(note.signatures):  # a line repeated byte for byte is verified once
        owner = known.get((line.name, line.key_id))
        if owner is not None:
            verified.setdefault(owner, Verified(owner, verify_line(note.text, line, owner), line))
    if not verified:
        raise BadSignature("no signature by a known key")
    return tuple(verified.values())


def verify_line(text: bytes, signature: Signature, vkey: VKey) -> int | None:
    """Verify one line of `vkey` over a note's text and return its time in ms, None for 0x01 and 0x02.

    Raises `BadSignature`, whatever is wrong with the line, and for keys of types that are not verified here;
    `SuiteUnavailable` for a 0x06 key on a machine without ML-DSA.
    """
    if not vkey.owns(signature):
        raise AssertionError("the line is of another key")
    try:
        verifier = _verifier(vkey.type, vkey.key)
        match vkey.type:
            case KeyType.COSIGNATURE:
                timestamp_s, raw = decode_timestamped(signature.data)
                verifier.verify(cosignature_message(timestamp_s, text), raw)
                return timestamp_s * 1000
            case KeyType.TREE_HEAD:
                timestamp_ms, signed = decode_tree_head_signature(signature.data)
                checkpoint = Checkpoint.parse(text)
                if checkpoint.extensions:
                    raise BadSignature(f"{vkey.name}: a 0x05 line does not cover extension lines")
                verifier.verify(tree_head_message(timestamp_ms, checkpoint.size, checkpoint.root), signed)
                return timestamp_ms
            case KeyType.MLDSA:
                timestamp_s, raw = decode_timestamped(signature.data, MLDSA44_SIZE)
                verifier.verify(_cosigned(vkey, timestamp_s, text), raw)
                return timestamp_s * 1000
            case _:
                verifier.verify(text, signature.data)
                return None
    except Malformed as e:
        raise BadSignature(f"{vkey.name}: a line of type {vkey.type:#04x} that is not in its form") from e


@lru_cache(CACHED_VERIFIERS)
def _verifier(key_type: KeyType, key: bytes) -> KeyVerifier:
    kind = _VERIFIERS.get(key_type)
    if kind is None:
        raise BadSignature(f"signatures of type {key_type:#04x} are not verified here")
    return kind(key)
