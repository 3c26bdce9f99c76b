"""Private keys in files, one use each (contract, Crypto).

A node's key folder, where <log> is the short name of a log:

    <log>.ed25519.pem   0x01 lines of that log's heads
    <log>.cosign.pem    0x04 lines of that log's heads, under its origin
    <log>.p256.pem      0x05 lines and SCTs; x509 logs only
    witness.pem         0x04 lines on the heads of others
    witness.mldsa.pem   0x06 lines on them, beside the 0x04 lines; may be absent

A monitor has the witness's and guard.pem (0x01 lines on its guard notes). One key is never two of these: a 0x04
signature does not say whose it is, so a shared key would let one role's word stand for another's.

Files are PKCS#8 PEM without password. They are made with mode 0600, never overwritten, and refused when
group or others may read or write them.
"""

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from log.crypto import mldsa
from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.mldsa import MldsaSigner
from log.crypto.notes import NoteSigner
from log.errors import SettingsError
from log.folders import make_folder, sync_names
from log.formats.note import KeyType, VKey

MAX_FILE_BYTES = 16 * 1024  # far above any key; a wrong path must not be read into memory
_BEGIN = b"-----BEGIN PRIVATE KEY-----\n"


class Kind(StrEnum):
    """What a key file holds."""

    P256 = "p256"
    ED25519 = "ed25519"
    MLDSA = "mldsa"


# --- one file ---------------------------------------------------------------------------------------------


def generate_key(path: Path, kind: Kind) -> None:
    """Make a new key in a new file, synced to the disk.

    `SettingsError` when the file exists; `SuiteUnavailable` for ML-DSA where this machine has none.
    """
    pem = _new(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        make_folder(path.parent)
        _create(path, pem)
    except FileExistsError as e:
        raise SettingsError(f"{path} exists; a key is never overwritten") from e
    except OSError as e:
        raise SettingsError(f"cannot write the key file {path}: {e.strerror}") from e


def _new(kind: Kind) -> ec.EllipticCurvePrivateKey | Ed25519PrivateKey | MLDSA44PrivateKey:
    match kind:
        case Kind.P256:
            return ec.generate_private_key(ec.SECP256R1())
        case Kind.ED25519:
            return Ed25519PrivateKey.generate()
        case Kind.MLDSA:
            return mldsa.generate()


def _create(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read; it is whole and on the disk, or it is not there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    sync_names(path.parent)


def load_p256(path: Path) -> EcdsaSigner:
    """Return the P-256 key of a file, ready to sign.

    Raises `SettingsError` for a file that is absent, open to others, no PKCS#8 PEM, or of another kind, also when
    this machine lacks the kind.
    """
    key = _load(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SettingsError(f"{path} does not hold a P-256 key")
    return EcdsaSigner(key)


def load_ed25519(path: Path) -> Ed25519Signer:
    """Return the Ed25519 key of a file; raise `SettingsError` as `load_p256` does."""
    key = _load(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path} does not hold an Ed25519 key")
    return Ed25519Signer(key)


def load_member_signer(path: Path) -> Ed25519Signer | EcdsaSigner:
    """Return the key of a member, Ed25519 or P-256; raise `SettingsError` as `load_p256` does."""
    key = _load(path)
    if isinstance(key, Ed25519PrivateKey):
        return Ed25519Signer(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return EcdsaSigner(key)
    raise SettingsError(f"{path} holds neither an Ed25519 nor a P-256 key")


def load_mldsa(path: Path) -> MldsaSigner:
    """Return the ML-DSA-44 key of a file; raise `SettingsError` as `load_p256` does."""
    key = _load(path)
    if not isinstance(key, MLDSA44PrivateKey):
        raise SettingsError(f"{path} does not hold an ML-DSA-44 key")
    return MldsaSigner(key)


def _load(path: Path) -> object:
    try:
        # Non-blocking, because opening a pipe would hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            # Of the open file, not of its name, which might by then be another's.
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise SettingsError(f"the key file {path} is not a file")
            if mode & 0o077:
                raise SettingsError(f"the key file {path} is open to group or others: chmod 600 it")
            pem = file.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise SettingsError(f"cannot read the key file {path}: {e.strerror}") from e
    if len(pem) > MAX_FILE_BYTES or not pem.startswith(_BEGIN):
        raise SettingsError(f"{path} is not an unencrypted PKCS#8 key in PEM")
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise SettingsError(f"{path} does not hold a key that can be read") from e


# --- a node's and a monitor's keys ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogKeys:
    """What one log signs with. `note` and `own` sign every head; the P-256 key is an x509 log's alone."""

    note: NoteSigner  # 0x01
    own: NoteSigner  # 0x04
    tree_head: NoteSigner | None = None  # 0x05
    sct: EcdsaSigner | None = None  # the key of `tree_head`, for SCTs

    @property
    def signers(self) -> tuple[NoteSigner, ...]:
        """Return those that sign a head, in the order of its lines."""
        return tuple(signer for signer in (self.tree_head, self.note, self.own) if signer)

    @property
    def vkeys(self) -> tuple[VKey, ...]:
        """Return the verifier keys of the log's identity."""
        return tuple(signer.vkey for signer in self.signers)

    @property
    def log_id(self) -> bytes | None:
        """Return the log ID that stands in SCTs (RFC 6962 section 3.2), None for a log that gives none."""
        return log_id(self.sct.public) if self.sct else None


def log_id(spki: bytes) -> bytes:
    """Return the log ID of a key, given as SubjectPublicKeyInfo: its SHA-256."""
    return sha256(spki).digest()


def generate_log_keys(folder: Path, log_name: str, *, scts: bool) -> None:
    """Make the key files of one log that are not there yet; `scts` for an x509 log."""
    _generate_missing(folder / f"{log_name}.ed25519.pem", Kind.ED25519)
    _generate_missing(folder / f"{log_name}.cosign.pem", Kind.ED25519)
    if scts:
        _generate_missing(folder / f"{log_name}.p256.pem", Kind.P256)


def _generate_missing(path: Path, kind: Kind) -> None:
    if not path.exists():
        generate_key(path, kind)


def load_log_keys(folder: Path, log_name: str, origin: str, *, scts: bool) -> LogKeys:
    """Return the keys of one log under its origin; raise `SettingsError`."""
    note = NoteSigner.make(origin, KeyType.ED25519, load_ed25519(folder / f"{log_name}.ed25519.pem"))
    own = NoteSigner.make(origin, KeyType.COSIGNATURE, load_ed25519(folder / f"{log_name}.cosign.pem"))
    if not scts:
        return LogKeys(note, own)
    p256 = load_p256(folder / f"{log_name}.p256.pem")
    return LogKeys(note, own, NoteSigner.make(origin, KeyType.TREE_HEAD, p256), p256)


def generate_witness_keys(folder: Path) -> None:
    """Make the key files of a witness; that for 0x06 only where this machine has ML-DSA."""
    generate_key(folder / "witness.pem", Kind.ED25519)
    if mldsa.mldsa_available():
        generate_witness_mldsa_key(folder)


def generate_witness_mldsa_key(folder: Path) -> None:
    """Make the key file for a witness's 0x06 lines; `SuiteUnavailable` on a machine without ML-DSA."""
    generate_key(folder / "witness.mldsa.pem", Kind.MLDSA)


def load_witness_keys(folder: Path, witness_name: str) -> tuple[NoteSigner, ...]:
    """Return the keys with which a node or a monitor cosigns: 0x04, then 0x06 if its file is there.

    Raises `SettingsError`.
    """
    found = [NoteSigner.make(witness_name, KeyType.COSIGNATURE, load_ed25519(folder / "witness.pem"))]
    second = folder / "witness.mldsa.pem"
    if os.path.lexists(second):  # a dangling link is a key that is lost, not one that was never made
        found.append(NoteSigner.make(witness_name, KeyType.MLDSA, load_mldsa(second)))
    return tuple(found)


def generate_guard_key(folder: Path) -> None:
    """Make the key file of a guard."""
    generate_key(folder / "guard.pem", Kind.ED25519)


def load_guard_key(folder: Path, guard_name: str) -> NoteSigner:
    """Return the key with which a monitor signs its guard notes; raise `SettingsError`."""
    return NoteSigner.make(guard_name, KeyType.ED25519, load_ed25519(folder / "guard.pem"))


def require_distinct(signers: Iterable[NoteSigner]) -> None:
    """Raise `SettingsError` when two of these roles are one key, as after a copied file."""
    seen: dict[bytes, VKey] = {}
    for signer in signers:
        other = seen.setdefault(signer.vkey.key, signer.vkey)
        if other != signer.vkey:
            raise SettingsError(
                f"one private key serves as {other.name} ({other.type:#04x}) "
                f"and as {signer.vkey.name} ({signer.vkey.type:#04x})"
            )
