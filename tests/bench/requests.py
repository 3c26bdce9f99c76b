"""Files of ready-made HTTP requests: made before the clock runs, so that a load tool only has to send them.

A record is its length as eight decimal digits and then the request as it goes over the wire. Both tools read it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from log.demo.ca import MassIssuer
from log.demo.issuing import Suite
from log.formats.text import b64encode

LENGTH_DIGITS = 8
ADD_CHAIN = "/x509/ct/v1/add-chain"


def write(path: Path, requests: Iterable[bytes]) -> Path:
    """Write the requests to a new file."""
    with path.open("wb") as file:
        for request in requests:
            file.write(b"%0*d" % (LENGTH_DIGITS, len(request)) + request)
    return path


def read(path: Path) -> Iterator[bytes]:
    """Yield the requests of a file."""
    with path.open("rb") as file:
        while length := file.read(LENGTH_DIGITS):
            yield file.read(int(length))


def get(path: str) -> bytes:
    """Return a GET request."""
    return b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode()


def post(path: str, body: bytes) -> bytes:
    """Return a POST request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Chains:
    """add-chain requests of one CA, no certificate twice."""

    def __init__(self, suite: Suite = "p256") -> None:
        self._issuer = MassIssuer(suite)
        self._behind = "".join(f',"{b64encode(der)}"' for der in self._issuer.issuers)
        self._made = 0

    @property
    def root(self) -> bytes:
        """The root's certificate, DER, that a node has to list."""
        return self._issuer.issuers[-1]

    def requests(self, count: int) -> Iterator[bytes]:
        """Yield the next `count` requests: leaf, issuing CA and root, as most clients send them."""
        for n in range(self._made, self._made + count):
            self._made += 1
            chain = f'{{"chain":["{b64encode(self._issuer.certificate(n))}"{self._behind}]}}'
            yield post(ADD_CHAIN, chain.encode())
