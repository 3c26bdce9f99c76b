"""A log in a list, for tests of what verifies it: signed heads, proofs by the RFC's own recursion, certificates."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.notes import NoteSigner, sign_note
from log.formats.checkpoint import Checkpoint
from log.formats.note import KeyType
from tests.support import rfc6962

ORIGIN = "hk.twinlog.example/x509"
TIME_MS = 1_767_139_200_123


def ed25519(name: str, kind: KeyType, seed: int) -> NoteSigner:
    """Return an Ed25519 signer whose key follows from `seed`."""
    return NoteSigner.make(name, kind, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)))


def p256(name: str, secret: int) -> NoteSigner:
    """Return a 0x05 signer whose key follows from `secret`."""
    return NoteSigner.make(name, KeyType.TREE_HEAD, EcdsaSigner(ec.derive_private_key(secret, ec.SECP256R1())))


TREE_HEAD = p256(ORIGIN, 1)
NOTE = ed25519(ORIGIN, KeyType.ED25519, 2)
OWN = ed25519(ORIGIN, KeyType.COSIGNATURE, 3)
SIGNERS = (TREE_HEAD, NOTE, OWN)
VKEYS = tuple(signer.vkey for signer in SIGNERS)


def leaves(size: int, branch: str = "") -> list[bytes]:
    """Return `size` leaf inputs; two branches share none."""
    return [f"leaf {i} {branch}".encode() for i in range(size)]


async def head(
    d: Sequence[bytes],
    *,
    time_ms: int | None = None,
    signers: Sequence[NoteSigner] = SIGNERS,
    origin: str = ORIGIN,
    extensions: tuple[str, ...] = (),
) -> bytes:
    """Return the signed head of the tree over `d`; by default each larger tree was signed a second later."""
    text = Checkpoint(origin, len(d), rfc6962.mth(list(d)), extensions).encode()
    when = TIME_MS + 1000 * len(d) if time_ms is None else time_ms
    return (await sign_note(text, when, signers)).encode()


def consistency(old: int, d: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the proof from size `old` to all of `d`, empty from size 0."""
    return tuple(rfc6962.proof(old, list(d))) if old else ()


D = leaves(20)
