"""A backlog: what lies in files and folders and has no receipt yet, one chain after the other.

Nothing is held but the chain at hand: folders are gone through as they are listed, files as they are read. What was
logged before is passed over when its receipt is read, so the order of the files does not matter, nor whether they
were moved or renamed since the last run.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from log.client import pem
from log.client.issuers import Issuers
from log.client.receipts import Receipts
from log.errors import Malformed, NotFound


@dataclass(frozen=True, slots=True)
class Job:
    """A chain to submit (DER, leaf first), or what was found in its place."""

    chain: Sequence[bytes]
    source: Path = Path()
    number: int = 1  # of the certificate in its file
    unreadable: str = ""  # why there is no chain

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in hex, "" when there is none."""
        return sha256(self.chain[0]).hexdigest() if self.chain else ""


class Backlog:
    """The certificates in `paths`. Iterated once, by one thread; the counters may be read by another."""

    def __init__(self, paths: Sequence[Path], receipts: Receipts, issuers: Issuers, max_chain: int) -> None:
        """`max_chain` certificates of a file are one chain at most."""
        self._paths = paths
        self._receipts = receipts
        self._issuers = issuers
        self._max_chain = max_chain
        self._closed = threading.Event()
        self.read_bytes = 0  # of files, how far they were gone through
        self.logged_before = 0  # certificates

    def __iter__(self) -> Iterator[Job]:
        for path in pem.walk(self._paths):
            try:
                yield from self._of_file(path)
            except NotFound as error:  # gone since it was listed, or not ours to read
                yield Job((), path, unreadable=str(error))
            if self._closed.is_set():
                return

    def close(self) -> None:
        """End the iteration at the next file."""
        self._closed.set()

    def measure(self) -> int:
        """Return how many bytes all files have together: a second walk, for who wants to know how far it is."""
        total = 0
        for path in pem.walk(self._paths):
            if self._closed.is_set():
                break
            total += _size(path)
        return total

    def _of_file(self, path: Path) -> Iterator[Job]:
        before, size = self.read_bytes, _size(path)
        for number, found in pem.chains(path, self._max_chain):
            if isinstance(found, Malformed):
                yield Job((), path, number, str(found))
                continue
            # DER is shorter than PEM: a file is never further read than it is long.
            self.read_bytes = min(self.read_bytes + sum(len(each.der) for each in found), before + size)
            if self._receipts.has(found[0].der):
                self.logged_before += 1
            else:
                yield Job(self._issuers.complete(found), path, number)
        self.read_bytes = before + size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it is not there to be read either, and that is reported
        return 0
