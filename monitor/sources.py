"""Several who may have the data of one log: the log itself, then its mirrors, peers and our own copy.

Nobody is believed: whoever reads holds what came against a signed root, and what does not lead there counts as not had.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from log.client import LogReader
from log.errors import BadProof, Malformed, NotFound, Unreachable

Further = Callable[[str], Sequence[LogReader]]  # who else may have the data of an origin
UNREAD = (Unreachable, BadProof, Malformed, NotFound)  # what says that a reader does not give what is asked

_T = TypeVar("_T")


def nobody(origin: str) -> Sequence[LogReader]:  # noqa: ARG001 - as `Further` has it
    """Return no further readers."""
    return ()


async def first(readers: Sequence[LogReader], read: Callable[[LogReader], Awaitable[_T]]) -> _T:
    """Return what the first reader gives that gives it; when none does, raise what the first of them said."""
    said: Exception | None = None
    for reader in readers:
        try:
            return await read(reader)
        except UNREAD as e:
            said = said or e
    if said is None:
        raise AssertionError("nobody to read from")
    raise said
