"""What HTTP asks of a node: the methods the handlers call, and no more.

`log.node` and `log.service` have them; so has the small node in memory with which the tests call the routes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from log.access import Bodies
from log.formats.sct import SCT
from log.formats.submission import Submission
from log.formats.tile_leaf import LeafEntry
from log.formats.tree_head import SignedTreeHead
from log.governance.ledger import Ledger
from log.node.reading import NodeReading
from log.service.events import EventAnswer
from log.service.reading import LogReading


class LogStatus(Protocol):
    """How a log is doing, for the status page and the metrics."""

    @property
    def name(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def head_age_ms(self) -> int: ...
    @property
    def witnessed_size(self) -> int | None:
        """None before the first witnessed head."""
        ...

    @property
    def witnessed_age_ms(self) -> int | None: ...
    @property
    def vouched_by(self) -> Sequence[str]:
        """Names of the witnesses whose cosignatures stand on the witnessed head."""
        ...

    @property
    def pool(self) -> int:
        """Submissions that wait for the next commit."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether this is a test log that takes any entry from anybody."""
        ...

    @property
    def guarded(self) -> bool: ...
    @property
    def last_error(self) -> str:
        """Why the log takes nothing or signs nothing now; empty when it does."""
        ...

    @property
    def closed(self) -> str:
        """Why the log takes no more entries, for ever; empty while it does."""
        ...


class ServedCertificates(Protocol):
    """The reads of RFC 6962: numbers that do not fit the log are `Malformed`, unknown hashes `NotFound`."""

    async def sth(self) -> SignedTreeHead: ...
    async def consistency(self, first: int, second: int) -> list[bytes]: ...
    async def proof_by_hash(self, leaf: bytes, tree_size: int) -> tuple[int, list[bytes]]: ...
    async def entries(self, start: int, end: int) -> tuple[list[LeafEntry], bool]:
        """Return entries from `start` to at most `end`, and whether the same will be returned for ever."""
        ...

    async def entry_and_proof(self, index: int, tree_size: int) -> tuple[LeafEntry, list[bytes]]: ...


class ServedTiles(Protocol):
    """Tiles below the published size: `NotFound` beyond it."""

    async def hash_tile(self, level: int, n: int, width: int) -> bytes: ...
    async def entry_tile(self, kind: str, n: int, width: int) -> bytes: ...
    async def entry_tile_gzip(self, kind: str, n: int) -> bytes: ...


class ServedLog(Protocol):
    """One origin. Nothing beyond its published size is ever returned: `NotFound`."""

    @property
    def origin(self) -> str: ...
    @property
    def bodies(self) -> Bodies:
        """To whom its entries are shown."""
        ...

    @property
    def certificates(self) -> ServedCertificates | None:
        """None for a family that holds no certificates."""
        ...

    @property
    def tiles(self) -> ServedTiles: ...
    async def checkpoint(self) -> bytes: ...
    async def witnessed(self) -> bytes | None: ...
    async def blob(self, digest: bytes) -> bytes | None: ...
    async def tlog_proof(self, *, leaf: bytes | None, fingerprint: bytes | None, newest: bool) -> bytes: ...
    async def event_proof(self, sig_digest: bytes, *, newest: bool) -> bytes: ...
    async def add_cosignatures(self, raw: bytes) -> None: ...
    def status(self) -> LogStatus: ...
    def reading(self) -> LogReading: ...


class ServedIntake(Protocol):
    """The way into a log of certificates."""

    def arrive(self, client: str) -> None:
        """Raise `Closed` or `RateLimited` before anything of a client's body is looked at."""
        ...

    async def add_chain(self, chain: Sequence[bytes], precert: bool, client: str) -> SCT: ...
    def roots(self) -> Sequence[bytes]: ...


class ServedOpenIntake(Protocol):
    """The way into an open test log."""

    async def add(self, entry: bytes) -> int:
        """Return the index of the first entry of these bytes."""
        ...


class ServedActions(Protocol):
    """The actions of governance that a node goes by."""

    @property
    def ledger(self) -> Ledger: ...
    async def add(self, raw: bytes) -> bytes:
        """Take an action and return its receipt, a tlog-proof."""
        ...

    async def proof(self, action_hash: bytes) -> bytes: ...


class ServedEvents(Protocol):
    """The way into a log of events, and to what its members signed."""

    def arrive(self, client: str) -> None:
        """Raise `Closed` or `RateLimited` before anything of a client's body is looked at."""
        ...

    async def add(self, signed: Submission, body: bytes, client: str) -> EventAnswer:
        """Return the answer to a request whose signature and digest are good."""
        ...

    async def record(self, digest: bytes) -> bytes | None: ...


class WitnessAnswer(Protocol):
    """What c2sp.org/tlog-witness lets a witness say: its codes and content types are its own."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def content_type(self) -> str: ...


class ServedWitness(Protocol):
    async def add_checkpoint(self, raw: bytes) -> WitnessAnswer: ...
    async def latest(self, origin_hash: str) -> bytes | None: ...


class ServedNode(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def logs(self) -> Mapping[str, ServedLog]: ...
    @property
    def intakes(self) -> Mapping[str, ServedIntake]: ...
    @property
    def open_intakes(self) -> Mapping[str, ServedOpenIntake]: ...
    @property
    def actions(self) -> Mapping[str, ServedActions]:
        """By name of the governance log; none for a node that goes by no genesis."""
        ...

    @property
    def events(self) -> Mapping[str, ServedEvents]: ...
    @property
    def witness(self) -> ServedWitness: ...
    @property
    def guards(self) -> Sequence[str]:
        """Names of the configured guards; none means not protected against restored images."""
        ...

    def well_known(self) -> Mapping[str, Any]: ...
    def log_list_entry(self, name: str) -> Mapping[str, Any]:
        """Return what a CT log list says of a log; `NotFound` unless it holds certificates."""
        ...

    async def reading(self) -> NodeReading: ...
    def health(self) -> tuple[bool, Mapping[str, Any]]: ...
    async def hear_guard(self, raw: bytes) -> Mapping[str, Any]: ...
