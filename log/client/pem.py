"""Certificates out of files: DER, or PEM with one certificate or a chain."""

from base64 import b64decode
from binascii import Error
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from log.certs import certificate
from log.certs.certificate import Certificate
from log.errors import Malformed, NotFound

BEGIN = b"-----BEGIN CERTIFICATE-----"
END = b"-----END CERTIFICATE-----"
SUFFIXES = frozenset({".der", ".cer", ".crt", ".pem"})


def read(path: Path) -> list[bytes]:
    """Return the certificates (DER) of a file, in their order. `Malformed`; `NotFound` for no such file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    try:
        return [certificate.parse(der).der for der in (_blocks(data) if BEGIN in data else [data])]
    except Malformed as error:
        raise Malformed(f"{path}: not a certificate: {error}") from error


def _blocks(data: bytes) -> Iterator[bytes]:
    for block in data.split(BEGIN)[1:]:
        text, end, _ = block.partition(END)
        if not end:
            raise Malformed("a PEM certificate without an end")
        try:
            yield b64decode(b"".join(text.split()), validate=True)
        except Error as error:
            raise Malformed("a PEM certificate that is not base64") from error


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Return the certificate files among `paths` and below them, sorted within each folder."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        else:
            yield path


def complete(chain: Sequence[bytes], issuers: Iterable[bytes], max_chain: int) -> list[bytes]:
    """Append issuers (DER) whose subject is the last certificate's issuer, until none fits or it is a root.

    Names alone are compared; the log checks signatures.
    """
    by_subject: dict[bytes, Certificate] = {}
    for der in issuers:
        issuer = certificate.parse(der)
        by_subject.setdefault(issuer.subject, issuer)
    completed = list(chain)
    while len(completed) < max_chain:
        last = certificate.parse(completed[-1])
        above = by_subject.get(last.issuer)
        if above is None or above.der in completed or last.issuer == last.subject:
            break
        completed.append(above.der)
    return completed
