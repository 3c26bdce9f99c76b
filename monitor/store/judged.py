"""What was judged: positions, findings, and the small rows that rules look up.

One batch of one log is one transaction: its index rows, first uses, findings and alerts, and the position behind it. A
crash repeats at most a batch; a finding is known by its code and what it is about, so it is there once.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from monitor.alert import Class
from monitor.rules.case import Case, Logged, Place, Use
from monitor.rules.engine import Finding
from monitor.store.database import Database

_USE = "SELECT fingerprint, at_ms, origin, idx FROM first_use"
_COLUMNS = "origin, idx, time_ms, signs, fold"
_LOGGED = f"SELECT {_COLUMNS} FROM issued"  # noqa: S608 - our own text, as all here
_FINDING = (
    "SELECT seq, code, about, severity, class, fingerprint, issuer, origin, idx, leaf_ms, text, evidence, produced,"
    " found_ms FROM finding"
)


_KEYS = 500  # of one query


@dataclass(frozen=True, slots=True)
class Position:
    """How far a log was judged."""

    size: int = 0
    time_ms: int = 0  # of the newest head that was judged whole; 0 before there is one
    judged_ms: int = 0


@dataclass(frozen=True, slots=True)
class KeptFinding:
    """A finding on record."""

    seq: int
    finding: Finding
    found_ms: int


class Looked:
    """The index, within one transaction: a `monitor.rules.case.Index`, and what adds to it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._serials: dict[bytes, list[Logged]] = {}  # of the cases that are expected: all there are, by `serial_key`
        self._uses: dict[bytes, Use | None] = {}  # of the same cases, by fingerprint: first uses that are not settled
        self._added: list[tuple[object, ...]] = []  # rows of certificates that are not in the table yet

    def expect(self, cases: Sequence[Case]) -> None:
        """Look up together what rules will ask of each of these cases: a query for each of them costs more than rules.

        Whatever is added or settled in this transaction from then on counts too.
        """
        self._serials = {case.serial_key: [] for case in cases}
        self._uses = dict.fromkeys(case.fingerprint for case in cases)
        for keys in _some(list(self._serials)):
            query = f"SELECT serial_key, {_COLUMNS} FROM issued WHERE serial_key {_one_of(keys)}"  # noqa: S608 - too
            for key, origin, index, time_ms, signs, fold in self._database.execute(query, keys):
                self._serials[key].append(Logged(origin, index, time_ms, bool(signs), fold))
        for keys in _some(list(self._uses)):
            query = f"{_USE} WHERE settled = 0 AND fingerprint {_one_of(keys)}"
            for key, *use in self._database.execute(query, keys):
                self._uses[key] = Use(*use)

    def flush(self) -> None:
        """Put into the table what was added."""
        if self._added:
            added, self._added = self._added, []
            self._database.executemany("INSERT OR REPLACE INTO issued VALUES (?, ?, ?, ?, ?, ?, ?)", added)

    def same_serial(self, serial_key: bytes, fold: bytes) -> Logged | None:
        """Return another certificate of this issuer and serial, or None."""
        if (known := self._serials.get(serial_key)) is not None:
            others = [each for each in known if each.fold != fold]
            return min(others, key=lambda each: (each.origin, each.index), default=None)
        return self._one("WHERE serial_key = ? AND fold != ? LIMIT 1", serial_key, fold)

    def logged(self, fingerprint: bytes) -> Logged | None:
        """Return the first entry of the certificate with this SHA-256, or None."""
        return self._one("WHERE fingerprint = ? ORDER BY time_ms LIMIT 1", fingerprint)

    def logged_in(self, origin: str, fold: bytes) -> bool:
        """Say whether a log holds a certificate, or its precertificate."""
        return self._one("WHERE fold = ? AND origin = ? LIMIT 1", fold, origin) is not None

    def unreadable_in(self, origin: str, digest: bytes) -> bool:
        """Say whether a log holds an entry with this SHA-256 of what cannot be read as a certificate."""
        query = "SELECT 1 FROM unreadable WHERE origin = ? AND digest = ?"
        return self._database.execute(query, (origin, digest)).fetchone() is not None

    def logged_at(self, origin: str, index: int) -> Logged | None:
        """Return the certificate or precertificate at an index, or None."""
        return self._one("WHERE origin = ? AND idx = ?", origin, index)

    def first_use(self, fingerprint: bytes) -> Use | None:
        """Return the first event that names the certificate, or None; also None once it is known how that stands."""
        if fingerprint in self._uses:
            return self._uses[fingerprint]
        query = "SELECT at_ms, origin, idx FROM first_use WHERE fingerprint = ? AND settled = 0"
        row = self._database.execute(query, (fingerprint,)).fetchone()
        return None if row is None else Use(*row)

    def add(self, case: Case) -> None:
        """Add a certificate that is in a log."""
        if case.place is None:
            raise AssertionError("only what is logged is in the index")
        origin, index, time_ms = case.place.origin, case.place.index, case.place.time_ms
        signs, serial_key = case.signs, case.serial_key
        self._added.append((origin, index, case.fingerprint, serial_key, case.fold, time_ms, int(signs)))
        if serial_key in self._serials:
            self._serials[serial_key].append(Logged(origin, index, time_ms, signs, case.fold))

    def add_unreadable(self, origin: str, digest: bytes) -> None:
        """Add what cannot be read as a certificate, by its SHA-256."""
        self._database.execute("INSERT OR IGNORE INTO unreadable VALUES (?, ?)", (origin, digest))

    def add_use(self, fingerprint: bytes, use: Use, place: Place, *, settled: bool) -> None:
        """Add an event that names a certificate; the earliest by its own time stays."""
        row = (fingerprint, use.at_ms, use.origin, use.index, place.time_ms, int(settled))
        self._database.execute(
            "INSERT INTO first_use VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (fingerprint) DO UPDATE SET"
            " at_ms = excluded.at_ms, origin = excluded.origin, idx = excluded.idx, leaf_ms = excluded.leaf_ms,"
            " settled = excluded.settled WHERE excluded.at_ms < at_ms",
            row,
        )

    def unsettled(self, before_ms: int, limit: int) -> list[tuple[bytes, Use, Place]]:
        """Return first uses, in leaves older than a time, of certificates that were not logged."""
        query = "SELECT fingerprint, at_ms, origin, idx, leaf_ms FROM first_use WHERE settled = 0 AND leaf_ms < ?"
        rows = self._database.execute(f"{query} LIMIT ?", (before_ms, limit))
        return [
            (key, Use(at_ms, origin, idx), Place(origin, idx, leaf_ms)) for key, at_ms, origin, idx, leaf_ms in rows
        ]

    def settle(self, fingerprint: bytes) -> None:
        """Note that it is known whether this certificate was logged before its first use."""
        if fingerprint in self._uses:
            if self._uses[fingerprint] is None:
                return  # nobody has used it, or that is settled
            self._uses[fingerprint] = None
        self._database.execute("UPDATE first_use SET settled = 1 WHERE fingerprint = ?", (fingerprint,))

    def keep(self, finding: Finding, now_ms: int) -> bool:
        """Keep a finding; False when it is there already."""
        place = finding.place
        row = self._database.execute(
            "INSERT OR IGNORE INTO finding (code, about, severity, class, fingerprint, issuer, origin, idx, leaf_ms,"
            " text, evidence, produced, found_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (finding.code, finding.about, finding.severity, finding.cls.value, finding.fingerprint, finding.issuer,
             "" if place is None else place.origin, 0 if place is None else place.index,
             0 if place is None else place.time_ms, finding.text, json.dumps(dict(finding.evidence), sort_keys=True),
             json.dumps(dict(finding.produced), sort_keys=True), now_ms),
        )  # fmt: skip
        return row.rowcount == 1

    def advance(self, origin: str, position: Position) -> None:
        """Set how far a log was judged."""
        row = (origin, position.size, position.time_ms, position.judged_ms)
        self._database.execute("INSERT OR REPLACE INTO judged VALUES (?, ?, ?, ?)", row)

    def _one(self, where: str, *values: object) -> Logged | None:
        self.flush()
        row = self._database.execute(f"{_LOGGED} {where}", values).fetchone()
        return None if row is None else Logged(row[0], row[1], row[2], bool(row[3]), row[4])


class JudgedRows(Database):
    """The rows about judging."""

    def judged(self, origin: str) -> Position:
        """Return how far a log was judged."""
        with self._reading() as database:
            query = "SELECT size, time_ms, judged_ms FROM judged WHERE origin = ?"
            row = database.execute(query, (origin,)).fetchone()
            return Position() if row is None else Position(*row)

    @contextmanager
    def judging(self) -> Iterator[Looked]:
        """Write what one batch came to, in one transaction."""
        with self._transaction() as database:
            looked = Looked(database)
            yield looked
            looked.flush()

    def findings(
        self, *, code: str = "", severity: str = "", before: int | None = None, limit: int = 100
    ) -> list[KeptFinding]:
        """Return findings, newest first; `before` is a `seq`, for the next page."""
        where, values = ["1"], list[object]()
        for column, value in (("code", code), ("severity", severity)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)
        if before is not None:
            where.append("seq < ?")
            values.append(before)
        query = f"{_FINDING} WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        with self._reading() as database:
            return [_kept(row) for row in database.execute(query, (*values, limit))]

    def finding(self, seq: int) -> KeptFinding | None:
        """Return one finding, or None."""
        with self._reading() as database:
            row = database.execute(f"{_FINDING} WHERE seq = ?", (seq,)).fetchone()
            return None if row is None else _kept(row)

    def finding_counts(self) -> dict[str, int]:
        """Return how many findings there are, by code."""
        with self._reading() as database:
            return dict(database.execute("SELECT code, findings FROM finding_tally ORDER BY code"))

    def sightings(self, fold: bytes, limit: int = 100) -> list[Place]:
        """Return where a certificate and its precertificate stand."""
        query = "SELECT origin, idx, time_ms FROM issued WHERE fold = ? ORDER BY time_ms LIMIT ?"
        with self._reading() as database:
            return [Place(*row) for row in database.execute(query, (fold, limit))]


def _some(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[at : at + _KEYS] for at in range(0, len(keys), _KEYS))


def _one_of(keys: Sequence[bytes]) -> str:
    return f"IN ({', '.join('?' * len(keys))})"


def _kept(row: Sequence[Any]) -> KeptFinding:
    seq, code, about, severity, cls, fingerprint, issuer, origin, idx, leaf_ms, text, evidence, produced, found_ms = row
    place = Place(origin, idx, leaf_ms) if origin else None
    finding = Finding(
        code, about, severity, Class(cls), fingerprint, issuer, place, text, json.loads(evidence), json.loads(produced)
    )
    return KeptFinding(seq, finding, found_ms)
