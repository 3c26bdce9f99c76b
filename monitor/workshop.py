"""The parts of one monitor: those that `crew` asks for, and those that `main` puts beside them."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import httpx

from log.client import LogReader
from log.client.http import HttpLog, is_on_this_machine
from log.client.http import Limits as ReaderLimits
from log.merkle.hashing import EMPTY_ROOT
from monitor.belated import Belated
from monitor.carrier import Carrier
from monitor.charges import Charges
from monitor.checked import CheckedReader
from monitor.clock import Clock
from monitor.coda import Coda
from monitor.connections import USUAL
from monitor.copy.folder import Copies
from monitor.copy.reader import CopyReader, Lent
from monitor.egress import Egress, Way
from monitor.feeder import Feeder
from monitor.follower import Follower
from monitor.gossip import Archive, Gossip, Known
from monitor.governed import Governed
from monitor.guard import Guard
from monitor.hash_tiles import HashTiles
from monitor.judging import Source
from monitor.keyring import Keys
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog, OtherMonitor, OtherSource, WatchedNode, Witness
from monitor.own_witness import OwnWitness
from monitor.peer import Peer
from monitor.pollination import Pollination
from monitor.promises import Promises
from monitor.shelf import Shelf
from monitor.sources import Further, nobody
from monitor.store import Store
from monitor.watch import Watch


class Parts:
    """Makes the parts of one monitor around an open store and an HTTP client."""

    def __init__(
        self,
        signing: Keys,
        store: Store,
        client: httpx.AsyncClient,
        limits: Limits,
        clock: Clock,
        shelf: Shelf | None,
        governed: Governed | None,
        held_back: Callable[[], str] = lambda: "",
        further: Further = nobody,
        copies: Copies | None = None,
    ) -> None:
        """`further` are others than a log itself that may have its data."""
        self._copies = copies
        self._further = further
        self._signing = signing
        self._store = store
        self._client = client
        self._limits = limits
        self._clock = clock
        self._shelf = shelf
        self._governed = governed
        self._peer = Peer(client, limits.request_s, limits.max_answer_bytes, clock)
        self.own = OwnWitness(signing.cosigners, store, clock.now_ms, clock.fit_to_sign, held_back)
        self._ledger = Ledger(store, limits, clock.now_ms, further)
        self._charges = Charges(store, limits, clock.now_ms, signing.witness.vkey.name, further)
        self._belated = Belated(store, self._charges, limits, self._copy_of)

    def watch(self, followed: FollowedLog, poll_s: float) -> Watch:
        """Return what follows and feeds one log."""
        reader = self._reader(followed)
        copy = None if self._copies is None or followed.unread else self._copies.of(followed)
        follower = Follower(
            followed,
            reader,
            self._store,
            self._ledger,
            self._charges,
            self._limits,
            self._clock,
            copy,
            self._further,
        )

        def feeder(witness: Witness) -> Feeder:
            return Feeder(
                followed,
                witness,
                reader,
                self._peer,
                self._store,
                self._ledger,
                self._limits,
                self._clock,
                self.own.vkey,
            )

        return Watch(
            followed,
            reader,
            follower,
            HashTiles(followed, reader, self._store, self._charges, self._limits),
            feeder,
            self.own,
            self._ledger,
            self._charges,
            self._store,
            self._peer,
            poll_s,
            self._limits,
            self._clock,
            self._shelf,
            self._belated,
        )

    def coda(self, followed: FollowedLog) -> Coda:
        """Return what asks a closed log whether it signs on."""
        return Coda(followed, self._reader(followed), self._ledger, self._charges, self._belated)

    def guard(self, node: WatchedNode, foreign: Sequence[FollowedLog]) -> Guard:
        """Return what guards one node, which witnesses these logs of others."""
        return Guard(node, foreign, self._signing.guard, self.own, self._store, self._peer, self._clock.now_ms)

    def archive(self, known: Callable[[], Known]) -> Archive:
        """Return what takes evidence that others bring."""
        return Archive(self._store, known, self._limits, self._clock.now_ms)

    def gossip(self, other: OtherMonitor, archive: Archive, known: Callable[[], Known]) -> Gossip:
        """Return what exchanges with one other monitor."""
        own, limits = self._signing.witness.vkey, self._limits
        pages = Peer(self._client, limits.request_s, limits.page_bytes, self._clock)
        return Gossip(other, own, self._peer, pages, self._store, self._ledger, archive, known, limits)

    def promises(self, logs: Callable[[], Mapping[str, FollowedLog]]) -> Promises:
        """Return what takes SCTs, and looks what became of them."""
        return Promises(self._store, logs, self._limits, self._clock.now_ms)

    def pollination(self, logs: Callable[[], Mapping[str, FollowedLog]]) -> Pollination:
        """Return what takes heads from whoever was shown some."""
        return Pollination(self._store, self._ledger, self._belated, logs, self._limits, self._clock.now_ms)

    def egress(self, way: Way, client: httpx.AsyncClient, ways: Sequence[Way]) -> Egress:
        """Return what asks every log another way."""
        peer = Peer(client, self._limits.request_s, self._limits.max_answer_bytes, self._clock)
        others = [USUAL, *(each for each in ways if each is not way)]
        return Egress(way, peer, self._ledger, self._store, others)

    def source(self, followed: FollowedLog) -> Source:
        """Return what there is to judge of a log: its entries as far as they are verified, read again and checked.

        They are read from our copy; the log is asked while that is not whole.
        """
        verified, reader = self._store.verified(followed.origin), self._reader(followed)
        if followed.unread:  # nothing of it is ever judged, and S11 says of nothing that it stands in no log
            return Source(followed.origin, followed.family, reader, 0, 0)
        size, root, time_ms = 0, EMPTY_ROOT, 0
        if verified is not None:
            size, root, time_ms = verified.head.size, verified.head.root, verified.head.time_ms or 0
        copy = None if self._copies is None else CopyReader(self._copies.of(followed))
        whole = copy is not None and copy.size >= size
        checked = CheckedReader(copy if copy is not None and whole else reader, followed.family, size, root)
        return Source(followed.origin, followed.family, checked, size, time_ms)

    def _copy_of(self, followed: FollowedLog) -> Lent | None:
        return None if self._copies is None or followed.unread else Lent(self._copies.of(followed))

    def views(self, followed: FollowedLog, clients: Iterable[httpx.AsyncClient]) -> list[LogReader]:
        """Return what reads a log itself: as we do, and through other clients."""
        return [self._reader(followed), *(self._reader(followed, client=client) for client in clients)]

    def others(self, followed: FollowedLog, sources: Sequence[OtherSource]) -> list[LogReader]:
        """Return who else may have a log's data: those that the settings name, and our own copy."""
        found: list[LogReader] = [self._reader(followed, url) for each in sources if (url := each.place(followed))]
        copy = self._copy_of(followed)
        return found if copy is None else [*found, copy]

    def _reader(self, followed: FollowedLog, url: str = "", client: httpx.AsyncClient | None = None) -> HttpLog:
        bounds = ReaderLimits(
            deadline_s=self._limits.request_s,
            checkpoint_bytes=self._limits.max_answer_bytes,
            packed=not is_on_this_machine(url or followed.url),
        )
        return HttpLog(url or followed.url, followed.family, client or self._client, bounds)

    def carrier(self, followed: FollowedLog) -> Carrier | None:
        """Return what carries actions from and to one governance log; None where the settings pin no genesis."""
        if self._governed is None:
            return None
        now = self._clock.now_ms
        return Carrier(followed, self._governed, self._peer, self._ledger, self._store, self._limits, now)
