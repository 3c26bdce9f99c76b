"""The other end of a log: reading, proving, verifying and auditing it, over HTTP or in the same process.

    exchange    one request and its answer, bounded; `transport` and `connection` carry it where whole logs are read
    http        a log's reads over HTTP
    prover      proofs and roots, made from the hash tiles
    audit       a whole log rebuilt from its entries
    submit      chains sent to a log; `backlog` finds them, `receipts` keeps what was answered, `pace` holds back
    beyond      SCTs that a final head does not cover
    bearer      tokens, each for one place
    signed_request, records    a member's signature over a request, and what a court checks of it
    events      events made of signed documents; `held` until `event_sender` has brought them; `event_verifier`

All who read know a log as a `LogReader`, which the HTTP client and the log itself both are.
"""

from typing import Protocol


class LogReader(Protocol):
    """What anyone may read of one log. Nothing that it returns is verified; its callers do that.

    `size` is the tree size a reader holds a verified checkpoint for: it decides how wide the partial tiles
    are, so that nobody asks for one that no checkpoint implies (tlog-tiles). Ranges are start <= i < end and
    lie within that tree.

    Raises `NotFound` for what the log does not have, `Malformed` for an answer of another form or length,
    `Unreachable` for none, and in the same process `StorageError`.
    """

    async def checkpoint(self) -> bytes:
        """Return the newest checkpoint, a signed note."""

    async def witnessed(self) -> bytes | None:
        """Return the newest checkpoint that enough witnesses have cosigned, or None before there is one."""

    async def entries(self, start: int, end: int, size: int) -> list[bytes]:
        """Return the rows of the log's native tiles, one for each index."""

    async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
        """Return hashes of a tile level, 32 bytes each, counted from the level's beginning."""

    async def blob(self, digest: bytes) -> bytes | None:
        """Return the issuer certificate with this SHA-256 (32 bytes), or None. The caller hashes it."""
