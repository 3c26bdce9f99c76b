"""A tree grown from its entries, chunk by chunk, from a verified frontier.

On the way it notes what is needed later and costs nothing to note: the roots at sizes at which other signed heads
wait for a verdict, the latest leaf below each of them, and the hashes of the consistency proof from the old size to the
new, so that a witness that stands where we stood is fed without asking the log for a single tile.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from log.errors import BadProof
from log.formats.family import Family
from log.merkle import proof
from log.merkle.frontier import Frontier
from log.merkle.proof import Span


@dataclass(frozen=True, slots=True)
class Latest:
    """A leaf of the latest time, the first of those."""

    index: int
    time_ms: int
    leaf: bytes  # as it is hashed


@dataclass(frozen=True, slots=True)
class Grown:
    """What the entries lead to."""

    frontier: Frontier
    root: bytes
    roots: dict[int, bytes]  # at the sizes asked for
    proof: tuple[bytes, ...]  # RFC 6962 consistency proof from the old size; empty from size 0
    latest: Mapping[int, Latest]  # at those sizes and the new one: of the leaves from the old size on, where told
    times: Mapping[int, tuple[int, int]]  # (time in ms, index) of the same, and of those at every so many sizes
    inclusion: tuple[bytes, ...] = ()  # RFC 6962 inclusion proof of the leaf that was sought


@dataclass(frozen=True, slots=True)
class Stage:
    """A place on the way to a tree: what entries have led to so far, and what of it is needed at the end."""

    frontier: Frontier
    last: Latest | None = None  # of the leaves since the tree that was verified last, where told
    roots: Mapping[int, bytes] = field(default_factory=dict)  # as `Grown` has them, since the stage before
    times: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fed:
    """What rows were found to be."""

    leaves: Sequence[bytes]  # the leaf hash of each
    chains: Collection[bytes]  # the runs of issuers' fingerprints that occur in them, each run end to end


class Passing:
    """The hashes of some perfect subtrees, made while the leaves behind a frontier pass by."""

    def __init__(self, frontier: Frontier, plan: Sequence[Span]) -> None:
        """`plan` is of one proof about a tree that holds the frontier's, and of no leaf below it."""
        rows = list(zip(proof.root_spans(frontier.size), frontier.hashes, strict=True))
        self._plan = plan
        self._at = frontier.size
        self._known = dict(rows)
        self._wanted = sorted((s for s in plan if s.end > frontier.size), key=lambda s: s.start, reverse=True)
        self._part = Frontier.empty()  # of the span wanted next
        if self._wanted and (begin := self._wanted[-1].start) < frontier.size:
            inside = b"".join(root for span, root in rows if span.start >= begin)
            self._part = Frontier.decode(frontier.size - begin, inside)

    def feed(self, leaves: Sequence[bytes]) -> None:
        """Take leaf hashes, in order: spans follow one another."""
        begin, end = self._at, self._at + len(leaves)
        while self._wanted and self._wanted[-1].start < end:
            span = self._wanted[-1]
            stop = min(span.end, end)
            self._part.extend(leaves[max(self._at, span.start) - begin : stop - begin])
            self._at = stop
            if stop < span.end:
                return
            self._known[span] = self._part.root()
            self._part = Frontier.empty()
            self._wanted.pop()
        self._at = end

    def hashes(self) -> list[bytes]:
        """Return the hashes in the order of the plan, once all leaves have passed."""
        return [self._known[span] for span in self._plan]


class Rebuild:
    """Feed it rows in order until `missing` is 0; then `finish`."""

    def __init__(
        self,
        frontier: Frontier,
        size: int,
        milestones: Iterable[int],
        family: Family | None,
        every: int | None = None,
        sought: int | None = None,
        last: Latest | None = None,
    ) -> None:
        """Rows are those of `family`; None where they are leaf hashes, and no entry is seen.

        `times` are noted at each multiple of `every` too, and the inclusion proof of the leaf `sought`, which is not
        below the frontier. `size` is what somebody says: only what is fed costs. `last` is the latest leaf below the
        frontier that counts.
        """
        self._old, self._size = frontier.size, size
        self._frontier = frontier.copy()
        self._family = family
        self._last = last
        self._latest: dict[int, Latest] = {}
        self._times: dict[int, tuple[int, int]] = {}
        self._every = every
        self._stops = sorted({stop for stop in milestones if self._old < stop <= size}, reverse=True)
        self._roots: dict[int, bytes] = {}
        self._plan = Passing(frontier, proof.consistency_spans(self._old, size)) if 0 < self._old < size else None
        self._sought = sought
        self._beside = None if sought is None else Passing(frontier, proof.inclusion_spans(sought, size))

    @property
    def missing(self) -> int:
        """How many rows are still to come."""
        return self._size - self._frontier.size

    def feed(self, start: int, rows: Sequence[bytes]) -> Fed:
        """Take the rows from index `start` on.

        They may begin below the old size: then those below it are held against the old frontier, and `BadProof` says
        that they are not the rows that were verified. Beyond that no row comes twice and none is left out.
        """
        if start > self._frontier.size or start + len(rows) > self._size:
            raise AssertionError(f"rows from {start} on do not follow {self._frontier.size}")
        every, times, chains = (rows, (), set[bytes]()) if self._family is None else self._family.unpack(rows)
        known = self._frontier.size - start
        if known:
            self._hold(start, every[:known])
        self._take(rows[known:], every[known:], times[known:])
        return Fed(every, chains)

    def _take(self, rows: Sequence[bytes], leaves: Sequence[bytes], times: Sequence[int]) -> None:
        """Grow, and note on the way what is to be noted."""
        for passing in filter(None, (self._plan, self._beside)):
            passing.feed(leaves)
        while (stop := self._next_stop()) <= self._frontier.size + len(leaves):
            count = stop - self._frontier.size
            self._note(rows[:count], times[:count])
            self._frontier.extend(leaves[:count])
            rows, leaves, times = rows[count:], leaves[count:], times[count:]
            asked = bool(self._stops) and self._stops[-1] == stop
            if asked:
                self._roots[self._stops.pop()] = self._frontier.root()
            self._keep_last(stop, asked=asked)
        self._note(rows, times)
        self._frontier.extend(leaves)

    def _next_stop(self) -> int:
        """Return the next size at which something is noted."""
        size = self._frontier.size
        regular = self._size + 1 if self._every is None else (size // self._every + 1) * self._every
        return min(regular, self._stops[-1]) if self._stops else regular

    def _keep_last(self, size: int, *, asked: bool) -> None:
        """Note the latest leaf below a size: as it is where it was asked for, else by its time alone."""
        if self._last is None:
            return
        self._times[size] = self._last.time_ms, self._last.index
        if asked:
            self._latest[size] = self._last

    def _note(self, rows: Sequence[bytes], times: Sequence[int]) -> None:
        """Keep the latest of the leaves of these rows, which follow the frontier."""
        if not times or self._family is None:
            return
        latest = max(times)
        if self._last is None or latest > self._last.time_ms:
            at = times.index(latest)
            self._last = Latest(self._frontier.size + at, latest, self._family.leaf_input(rows[at]))

    def _hold(self, start: int, leaves: Sequence[bytes]) -> None:
        """Grow the frontier's last part again. `start` is a multiple of a power of two above what follows it."""
        if self._frontier.size != self._old:
            raise AssertionError("only the first rows overlap")
        before = b"".join(self._frontier.hashes[: start.bit_count()])
        again = Frontier.decode(start, before)
        again.extend(leaves)
        if again.hashes != self._frontier.hashes:
            raise BadProof(f"entries from {start} on are not those that were verified")

    def stage(self) -> Stage:
        """Return how far it has come."""
        return Stage(self._frontier, self._last, self._roots, self._times)

    def finish(self) -> Grown:
        """Return the tree; only when nothing is missing."""
        if self.missing:
            raise AssertionError(f"{self.missing} rows are missing")
        path, beside = list[bytes](), list[bytes]()
        if self._plan is not None:
            path = proof.fold_consistency(self._old, self._size, self._plan.hashes())
        if self._beside is not None and self._sought is not None:
            beside = proof.fold_inclusion(self._sought, self._size, self._beside.hashes())
        self._keep_last(self._size, asked=True)
        root = self._frontier.root()
        return Grown(self._frontier, root, self._roots, tuple(path), self._latest, self._times, tuple(beside))
