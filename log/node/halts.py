"""Why a log of this node may not sign any more, kept over restarts until an operator clears it.

Two cases write here: a head with our own signature that our tree does not bear out, and a peer's head with our
witness's signature that our witness state does not bear out. Both notes are kept: they are evidence, and
whoever clears a halt should have read them.

A third pair halts nothing: two heads of one size by which a log that our witness cosigns contradicts itself.
"""

import logging
from dataclasses import dataclass

from log.errors import Malformed, StateRefused, StoreFailed, Unavailable
from log.formats.text import b64decode, b64encode
from log.storage import HeadStore, Swap

logger = logging.getLogger("twinlog.halts")

PREFIX = "halt/"
FORK = "fork/"
CLEARED = b"cleared\n"


@dataclass(frozen=True, slots=True)
class Halted:
    """One halt: the origin it concerns, why, what we held and what came."""

    origin: str
    why: str
    ours: bytes
    theirs: bytes

    def encode(self) -> bytes:
        return f"{self.why}\n{b64encode(self.ours)}\n{b64encode(self.theirs)}\n".encode()

    @classmethod
    def parse(cls, origin: str, value: bytes) -> "Halted":
        try:
            why, ours, theirs, end = value.decode().split("\n")
            halted = cls(origin, why, b64decode(ours), b64decode(theirs))
        except ValueError as error:
            raise Malformed(f"the halt record of {origin} cannot be read") from error
        if end or halted.encode() != value:
            raise Malformed(f"the halt record of {origin} cannot be read")
        return halted


async def forks(heads: HeadStore) -> list[Halted]:
    """Return the pairs that the witness kept. `Malformed` when one cannot be read."""
    pairs = [(name.removeprefix(FORK), await heads.load(name)) for name in await heads.names(FORK)]
    return [Halted.parse(origin, value) for origin, value in pairs if value is not None]


class Halts:
    """The halts of a node. `halt` stops signing before it writes, so that a failing disk cannot keep it going."""

    def __init__(self, heads: HeadStore) -> None:
        self._heads = heads
        self._halted: dict[str, Halted] = {}

    async def load(self) -> None:
        """Take up what an earlier run left. `StateRefused` when a record cannot be read."""
        for name in await self._heads.names(PREFIX):
            value = await self._heads.load(name)
            if value is None or value == CLEARED:
                continue
            origin = name.removeprefix(PREFIX)
            try:
                self._halted[origin] = halted = Halted.parse(origin, value)
            except Malformed as error:
                raise StateRefused(f"head store: {error}") from error
            logger.error("signing is still halted", extra={"fields": {"origin": origin, "why": halted.why}})

    def all(self) -> list[Halted]:
        """Return every halt in force."""
        return list(self._halted.values())

    def why(self, origin: str) -> str:
        """Return why `origin` is halted, or ""."""
        halted = self._halted.get(origin)
        return halted.why if halted else ""

    def check(self, origin: str) -> None:
        """Raise `Unavailable` when `origin` is halted."""
        if why := self.why(origin):
            raise Unavailable(f"signing for {origin} is stopped until an operator clears it: {why}", reason="halted")

    async def halt(self, origin: str, why: str, ours: bytes, theirs: bytes) -> None:
        """Stop signing for `origin` at once, then write down why. The first halt of an origin stays."""
        if origin in self._halted:
            return
        self._halted[origin] = halted = Halted(origin, why, ours, theirs)
        logger.error("signing is halted until an operator clears it", extra={"fields": {"origin": origin, "why": why}})
        await self._write(origin, halted.encode())

    async def clear(self, origin: str) -> None:
        """Let `origin` sign again: an operator's decision."""
        if self._halted.pop(origin, None) is not None:
            await self._write(origin, CLEARED)

    async def _write(self, origin: str, value: bytes) -> None:
        name = PREFIX + origin
        if await self._heads.replace(name, await self._heads.load(name), value) is not Swap.OK:
            raise StoreFailed(f"head store: the halt of {origin} could not be written")
