"""Which shards exist, and how one, or a log that is added to a node, comes into being exactly once.

The head store keeps a record for each shard, `shard/<origin>`. A shard is made in four writes, and may be cut off
between any two:

    1. head store: the record, `creating`, where none stood. Nothing of the shard may lie anywhere before this: stores
       or a head without a record mean that the head store was lost or set back, and a new head would begin a second
       history beside the one that was signed.
    2. the stores, data and index: made, or found as an earlier try left them, empty.
    3. head store: the signed empty head, unless an earlier try got as far.
    4. head store: the record, `created`, by compare-and-swap. From here on what is missing is lost, never made again.

Nobody is served before 4, so what a `creating` record finds holds nothing that anybody was promised, and whoever
comes next goes on from 2. A record written after the state instead of before it could not tell a try that was cut
off from a head store that was set back; one record alone could not tell it from a state that was lost.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from log.errors import StateRefused, StoreFailed
from log.sequencer.head import store_name as head_name
from log.storage import HeadStore, Swap

CREATING = b"creating\n"
CREATED = b"created\n"
YEAR_DIGITS = 4


@dataclass(frozen=True, slots=True)
class NewShard:
    """What `create` needs of a shard's stores and keys."""

    origin: str
    exists: Callable[[], bool]  # whether anything of its stores lies on the disk
    make: Callable[[], Awaitable[None]]  # the stores, anew or again; `StateRefused` when they hold anything
    sign: Callable[[], Awaitable[None]]  # the empty head into the head store; again it changes nothing


def store_name(origin: str) -> str:
    """Return the head store's name for the record of a shard."""
    return f"shard/{origin}"


async def create(heads: HeadStore, shard: NewShard) -> None:
    """Make a shard, or finish one that was begun. `StateRefused` when it exists, or is lost; `StoreFailed`."""
    name = store_name(shard.origin)
    record = await heads.load(name)
    if record is None:
        if shard.exists() or await heads.load(head_name(shard.origin)) is not None:
            raise StateRefused(
                f"head store: {shard.origin} is not recorded, but something of it exists: it was there from the node's "
                "`init` on, or the head store was set back"
            )
        await _swap(heads, name, None, CREATING)  # 1
    elif record != CREATING:
        raise StateRefused(f"head store: {shard.origin} was created before; it is never created again")
    await shard.make()  # 2
    await shard.sign()  # 3
    await _swap(heads, name, CREATING, CREATED)  # 4


async def created_years(heads: HeadStore, origin: str) -> list[int]:
    """Return the years whose shards of the log `origin` were created, in order. `StateRefused` for a strange record."""
    prefix = store_name(origin) + "-"
    years = []
    for name in await heads.names(prefix):
        year = name.removeprefix(prefix)
        if len(year) != YEAR_DIGITS or not (year.isascii() and year.isdigit()):
            continue  # of another log whose origin goes on like this
        record = await heads.load(name)
        if record not in (CREATING, CREATED):
            raise StateRefused(f"head store: the record of {origin}-{year} cannot be read")
        if record == CREATED:
            years.append(int(year))
    return years


async def _swap(heads: HeadStore, name: str, old: bytes | None, new: bytes) -> None:
    swap = await heads.replace(name, old, new)
    if swap is Swap.STALE:
        raise StateRefused(f"head store: another process writes {name}")
    if swap is Swap.UNKNOWN:
        raise StoreFailed(f"head store: outcome of a write of {name} is unknown")
