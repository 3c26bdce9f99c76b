"""Certificates out of files: DER, or PEM with one certificate, a chain, or a whole backlog.

Files are read as they are gone through: of a PEM file no more than one chain is in memory, of a folder no list of
its files. A block that is no certificate spoils itself and not its file.
"""

import os
from base64 import b64decode
from binascii import Error
from collections.abc import Iterable, Iterator
from pathlib import Path

from log.certs import certificate
from log.certs.certificate import Certificate
from log.errors import Malformed, NotFound

BEGIN = b"-----BEGIN CERTIFICATE-----"
END = b"-----END CERTIFICATE-----"
SUFFIXES = frozenset({".der", ".cer", ".crt", ".pem"})

MAX_CERTIFICATE_BYTES = 1 << 20  # of one certificate as it stands in a file; no log takes so much


def read(path: Path) -> list[bytes]:
    """Return the certificates (DER) of a file, in their order. `Malformed`; `NotFound` for no such file."""
    read = []
    for found in certificates(path):
        if isinstance(found, Malformed):
            raise Malformed(f"{path}: {found}")
        read.append(found.der)
    return read


def chains(path: Path, max_chain: int) -> Iterator[tuple[int, list[Certificate] | Malformed]]:
    """Yield what a file holds: (number of its first certificate, from 1; a chain, or why there is none).

    Certificates that stand one behind the other belong together as long as each has the next one's name for its
    issuer and is no root, up to `max_chain` of them. So a chain stays whole, and a file of many is many.
    `NotFound` for no such file.
    """
    chain: list[Certificate] = []
    first = 1
    for number, found in enumerate(certificates(path), 1):
        if isinstance(found, Certificate) and 0 < len(chain) < max_chain and _follows(found, chain[-1]):
            chain.append(found)
            continue
        if chain:
            yield first, chain
        chain, first = [], number
        if isinstance(found, Malformed):
            yield number, found
        else:
            chain = [found]
    if chain:
        yield first, chain


def _follows(issuer: Certificate, last: Certificate) -> bool:
    return last.issuer == issuer.subject and not last.self_issued


def certificates(path: Path) -> Iterator[Certificate | Malformed]:
    """Yield each certificate of a file, or why a block of it is none. `NotFound` for no such file."""
    try:
        with path.open("rb") as file:
            start = file.peek(2)[:2]
            if start[:1] == b"\x30" and start[1:] >= b"\x80":  # the head of every certificate, and of no text
                yield _parse(file.read(MAX_CERTIFICATE_BYTES + 1))
            else:
                yield from _of_pem(iter(lambda: file.readline(MAX_CERTIFICATE_BYTES), b""))
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error


def _of_pem(lines: Iterable[bytes]) -> Iterator[Certificate | Malformed]:
    text: bytearray | None = None  # of the block that is being read
    found = False
    for line in lines:
        rest = line
        if text is not None and line.startswith(BEGIN):
            yield Malformed("a PEM certificate without an end")
            text = None
        while rest:
            if text is None:
                _, begin, rest = rest.partition(BEGIN)
                text = bytearray() if begin else None
                found = found or bool(begin)
                continue
            inside, end, rest = rest.partition(END)
            if len(text) <= 2 * MAX_CERTIFICATE_BYTES:  # what is longer stays too long
                text += inside
            if end:
                yield _decode(text)
                text = None
    if text is not None:
        yield Malformed("a PEM certificate without an end")
    if not found:
        yield Malformed("not a certificate: neither DER nor PEM")


def _decode(text: bytearray) -> Certificate | Malformed:
    try:
        return _parse(b64decode(b"".join(text.split()), validate=True))
    except Error:
        return Malformed("a PEM certificate that is not base64")


def _parse(der: bytes) -> Certificate | Malformed:
    if len(der) > MAX_CERTIFICATE_BYTES:
        return Malformed(f"not a certificate: over {MAX_CERTIFICATE_BYTES} bytes")
    try:
        return certificate.parse(der)
    except Malformed as error:
        return Malformed(f"not a certificate: {error}")


def nowhere(paths: Iterable[Path]) -> NotFound:
    """Return the error for paths among and below which there is no certificate."""
    return NotFound(
        f"{', '.join(map(str, paths))}: no certificate; in folders it is files in {', '.join(sorted(SUFFIXES))}"
    )


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the certificate files among `paths` and below them, sorted within each, and folders nobody can list."""
    for path in paths:
        yield from sorted(walk([path]))


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield what `files` does, in the order in which the folders give it and without holding it."""
    for path in paths:
        if path.is_dir():
            yield from _below(path)
        else:
            yield path


def _below(folder: Path) -> Iterator[Path]:
    try:
        listed = os.scandir(folder)
    except OSError:
        yield folder  # gone since it was found, or not ours to read: whoever opens it is to say so
        return
    with listed as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _below(path)
            elif path.suffix.lower() in SUFFIXES and (entry.is_file() or (entry.is_symlink() and not entry.is_dir())):
                yield path  # also a link to nothing: whoever opens it is to say so
