"""What a submitter keeps: one file for each certificate that is logged, one line for each that was refused.

A receipt stands at `<ab>/<abcd…>.sct.json` below the folder, named by the SHA-256 of its certificate and put, by the
first two digits, into one of 256 folders: a backlog of 100,000 is 400 files in each. It is written under another name
and renamed, so that a killed process leaves no half of one; after a power cut a file may still be empty or cut, so a
receipt counts only when it reads back whole. It is not synced: what is lost is submitted again, for the same SCT.
"""

import csv
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from log.errors import Malformed, SettingsError
from log.formats.text import b64decode, b64encode

SUFFIX = ".sct.json"
SCT_MEMBERS = frozenset({"id", "timestamp", "extensions", "signature"})  # RFC 6962 section 4.1


@dataclass(frozen=True, slots=True)
class Receipt:
    """A log's answer to a certificate."""

    url: str  # of the log that answered
    certificate: bytes  # DER
    sct: dict[str, Any]  # as add-chain answered

    @classmethod
    def parse(cls, data: bytes) -> "Receipt":
        """Read a receipt; `Malformed` for anything that is not a whole one."""
        try:
            read = json.loads(data)
            url, der, sct = read["log"], b64decode(read["certificate"]), read["sct"]
            whole = isinstance(url, str) and sct.keys() >= SCT_MEMBERS
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Malformed("not a receipt of `submit`") from error
        if not whole:
            raise Malformed("a receipt of `submit` without its log or its SCT")
        return cls(url, der, sct)

    def encode(self) -> bytes:
        """Return the receipt as it stands in its file."""
        fields = {"log": self.url, "certificate": b64encode(self.certificate), "sct": self.sct}
        return (json.dumps(fields) + "\n").encode()


class Receipts:
    """A folder of one log's receipts."""

    def __init__(self, folder: Path, url: str) -> None:
        """Raises `OSError` for a folder that cannot be made."""
        self._folder = folder
        self._url = url.rstrip("/")
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, der: bytes) -> bool:
        """Say whether a whole receipt of this certificate is there. `SettingsError` when it is another log's."""
        path = self._path(der)
        try:
            receipt = Receipt.parse(path.read_bytes())
        except (FileNotFoundError, Malformed):
            return False
        if receipt.url != self._url:
            raise SettingsError(f"{path} is a receipt of {receipt.url}: a folder holds those of one log")
        return receipt.certificate == der

    def keep(self, der: bytes, sct: dict[str, Any]) -> None:
        """Write a receipt; any thread may. A file that is there under its name is whole. `SettingsError`."""
        path = self._path(der)
        try:
            _write(path, Receipt(self._url, der, sct).encode())
        except OSError as error:
            raise SettingsError(f"{path} cannot be written: {error.strerror}") from error

    def _path(self, der: bytes) -> Path:
        fingerprint = sha256(der).hexdigest()
        return self._folder / fingerprint[:2] / f"{fingerprint}{SUFFIX}"


def _write(path: Path, receipt: bytes) -> None:
    unfinished = f"{path}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        file = open(unfinished, "wb")  # noqa: PTH123, SIM115 -- a Path costs as much as the system call
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        file = open(unfinished, "wb")  # noqa: PTH123, SIM115
    with file:
        file.write(receipt)
    os.rename(unfinished, path)  # noqa: PTH104


def walk(path: Path) -> Iterator[Path]:
    """Yield the receipts in a folder and below it, in no order; a file yields itself."""
    if not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names if name.endswith(SUFFIX))


@dataclass(frozen=True, slots=True)
class Refusal:
    """One certificate that is not logged."""

    source: Path
    number: int  # of the certificate in its file, from 1
    fingerprint: str  # SHA-256 in hex, "" where there is no certificate
    status: str  # of HTTP when the log refused, else ""
    reason: str


class Refusals:
    """`refused.csv`: what one run was refused, each once. The next run begins a new one and asks again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None
        path.unlink(missing_ok=True)

    def add(self, refusal: Refusal) -> None:
        """Write a line, at once; before the first the header."""
        if self._file is None:
            self._file = self.path.open("w", newline="", encoding="utf-8")
            csv.writer(self._file).writerow(["source", "number", "fingerprint", "status", "reason"])
        fields = (refusal.source, refusal.number, refusal.fingerprint, refusal.status, refusal.reason)
        csv.writer(self._file).writerow(fields)
        self._file.flush()

    def close(self) -> None:
        """Close the file; without a refusal there is none."""
        if self._file is not None:
            self._file.close()
