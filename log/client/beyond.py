"""SCTs that submitters kept, and which of them a final head does not cover (design.md §6).

When a log must be closed below what it has signed, these are the promises that its final tree does not keep: each
certificate goes to a new origin. Files are receipts of `twinlog submit`, or answers of add-chain as they came.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from log.client.receipts import Receipt
from log.crypto.tree_heads import verify_sct
from log.errors import BadSignature, Malformed
from log.formats.family import X509, x509_parts
from log.formats.note import KeyType, VKey
from log.formats.sct import SCT


@dataclass(frozen=True, slots=True)
class Promise:
    """One SCT of the log, from a file."""

    file: Path
    sct: SCT
    signature: str  # "verified"; "not verified" where the file lacks what it signs, or it is wrong
    fingerprint: str  # SHA-256 of the certificate in hex, "" where the file holds none


def promises_beyond(paths: Iterable[Path], vkeys: Iterable[VKey], size: int) -> tuple[list[Promise], list[Path]]:
    """Return the SCTs by these keys whose leaf is not below `size`, by index, and the files that are no SCT."""
    signers = {sha256(vkey.key).digest(): vkey for vkey in vkeys if vkey.type is KeyType.TREE_HEAD}
    found, unread = [], []
    for file in _files(paths):
        try:
            sct, certificate = _read(file.read_bytes())
        except Malformed:
            unread.append(file)
            continue
        if sct.log_id in signers and sct.index >= size:
            fingerprint = sha256(certificate).hexdigest() if certificate else ""
            found.append(Promise(file, sct, _signature(sct, certificate, signers[sct.log_id]), fingerprint))
    return sorted(found, key=lambda promise: (promise.sct.index, promise.file)), unread


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from (path.rglob("*.json") if path.is_dir() else (path,))


def _read(data: bytes) -> tuple[SCT, bytes]:
    try:
        receipt = Receipt.parse(data)
    except Malformed:
        try:
            return SCT.from_json(json.loads(data)), b""
        except (ValueError, RecursionError) as error:
            raise Malformed("neither a receipt nor an answer of add-chain") from error
    return SCT.from_json(receipt.sct), receipt.certificate


def _signature(sct: SCT, certificate: bytes, vkey: VKey) -> str:
    """Check it over the certificate. What a precertificate's SCT signs needs its issuer, which no receipt holds."""
    if not certificate:
        return "not verified"
    leaf = X509.place(x509_parts(certificate, ()), sct.index, sct.timestamp_ms).leaf
    try:
        verify_sct(sct.encode(), leaf, vkey)
    except BadSignature:
        return "not verified"
    return "verified"
