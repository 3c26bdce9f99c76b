"""Alerts, and the outbox from which channels are told (monitoring.md §5.3).

An alert and its outbox rows are written in one transaction, with the evidence where it rests on some: what is on
record is told, whatever happens in between. One alert of a key lasts at a time. It is *found* by sources (a look at a
log, the feeding of a witness, …) and lasts while one of them finds it; one that is proven lasts until a person has
acknowledged it besides.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.alert import Alert, Class, Route
from monitor.store.database import Database

WAITING, SENT, GIVEN_UP = "waiting", "sent", "given-up"

_COLUMNS = "seq, key, class, severity, subject, code, text, detail, raised_ms, ended_ms, acknowledged_by"
_OF_CERTIFICATES = "key GLOB 'rule *' OR key GLOB 'watch *'"  # they may be thousands, and are to bury nothing


@dataclass(frozen=True, slots=True)
class KeptAlert:
    """An alert on record."""

    seq: int
    alert: Alert
    raised_ms: int
    ended_ms: int | None  # None while it lasts
    acknowledged_by: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert on its way to one channel."""

    kept: KeptAlert
    channel: str
    state: str
    attempts: int
    next_ms: int  # not to be tried before


@dataclass(frozen=True, slots=True)
class Fault:
    """That a source finds something, since when, and how often in a row; of what is an alert no more is counted."""

    key: str
    source: str
    since_ms: int
    times: int


class AlertRows(Database):
    """The rows about alerts."""

    routes: tuple[Route, ...] = ()  # set once, before anything is raised

    def raise_alerts(self, alerts: Iterable[Alert], now_ms: int) -> list[Alert]:
        """Record these and what is to be told of them; return the new ones: those whose key no lasting alert has.

        Joins the transaction of the caller where there is one.
        """
        new = []
        with self._transaction() as database:
            for alert in alerts:
                row = database.execute(
                    "INSERT OR IGNORE INTO alert (key, class, severity, subject, code, text, detail, raised_ms)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        alert.key,
                        alert.cls.value,
                        alert.severity,
                        alert.subject,
                        alert.code,
                        alert.text,
                        json.dumps(dict(alert.detail), sort_keys=True),
                        now_ms,
                    ),
                )
                if row.rowcount != 1:
                    continue
                new.append(alert)
                database.executemany(
                    "INSERT INTO outbox VALUES (?, ?, ?, 0, ?)",
                    [(row.lastrowid, route.channel, WAITING, now_ms) for route in self.routes if route.takes(alert)],
                )
        return new

    def end_alerts(self, keys: Iterable[str], now_ms: int) -> list[str]:
        """Record that these are over; return those that were. What is proven and not acknowledged lasts."""
        ended = []
        with self._transaction() as database:
            for key in keys:
                row = database.execute(
                    "UPDATE alert SET ended_ms = ? WHERE key = ? AND ended_ms IS NULL"
                    " AND (class != ? OR acknowledged_by IS NOT NULL)",
                    (now_ms, key, Class.PROVEN.value),
                )
                ended += [key] * row.rowcount
        return ended

    def acknowledge(self, key: str, name: str, now_ms: int) -> bool:
        """Record who has seen a lasting alert; False when there is none. It ends unless somebody still finds it."""
        with self._transaction() as database:
            row = database.execute(
                "UPDATE alert SET acknowledged_by = ?, ended_ms = CASE WHEN"
                " NOT EXISTS (SELECT 1 FROM fault WHERE fault.key = alert.key) THEN ? END"
                " WHERE key = ? AND ended_ms IS NULL",
                (name, now_ms, key),
            )
            return row.rowcount == 1

    def alerts(self, *, lasting: bool = False, limit: int = 1_000) -> list[KeptAlert]:
        """Return the newest alerts, newest first."""
        where = "WHERE ended_ms IS NULL" if lasting else ""
        with self._reading() as database:
            query = f"SELECT {_COLUMNS} FROM alert {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - our own words
            return [_kept(row) for row in database.execute(query, (limit,))]

    def gravest(self, limit: int) -> list[KeptAlert]:
        """Return the gravest alerts that last: what is not about certificates first, by severity, newest first."""
        query = (
            f"SELECT {_COLUMNS} FROM alert WHERE ended_ms IS NULL ORDER BY {_OF_CERTIFICATES},"  # noqa: S608
            " CASE severity WHEN 'critical' THEN 0 WHEN 'error' THEN 1 WHEN 'warning' THEN 2 ELSE 3 END,"
            " seq DESC LIMIT ?"
        )
        with self._reading() as database:
            return [_kept(row) for row in database.execute(query, (limit,))]

    # --- what sources find -----------------------------------------------------------------------------------

    def faults(self) -> list[Fault]:
        """Return everything that is being found."""
        with self._reading() as database:
            return [Fault(*row) for row in database.execute("SELECT key, source, since_ms, times FROM fault")]

    def keep_faults(
        self, found: Iterable[Fault], gone: Iterable[tuple[str, str]], alerts: Iterable[Alert], now_ms: int
    ) -> tuple[list[Alert], list[str]]:
        """Record in one transaction what is found, what is (key, source) no longer, and the alerts that follow.

        Return the alerts that are new, and the keys of those that have ended.
        """
        gone = list(gone)
        with self._transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO fault VALUES (?, ?, ?, ?)",
                [(each.key, each.source, each.since_ms, each.times) for each in found],
            )
            database.executemany("DELETE FROM fault WHERE key = ? AND source = ?", gone)
            new = self.raise_alerts(alerts, now_ms)
            over = [key for key in dict.fromkeys(key for key, _ in gone) if not _found(database, key)]
            return new, self.end_alerts(over, now_ms)

    # --- the outbox ------------------------------------------------------------------------------------------

    def due(self, channel: str, now_ms: int, longest_ms: int, limit: int) -> list[Delivery]:
        """Return what is to be told to a channel now: what is not about certificates first, oldest first.

        Before all that comes what was not tried yet, so that one alert that a channel refuses holds up no other.

        What is to wait longer than anything does was put off by a clock that has been set back: it is due.
        """
        where = "state != 'sent' AND state = 'waiting' AND channel = ? AND (next_ms <= ? OR next_ms > ?)"
        return self._deliveries(where, (channel, now_ms, now_ms + longest_ms), limit)

    def undelivered(self, channels: Sequence[str], limit: int = 1_000) -> list[Delivery]:
        """Return what these channels were not told, though it was tried: waiting for another try, or given up."""
        marks = ", ".join("?" * len(channels))
        return self._deliveries(f"state != 'sent' AND attempts > 0 AND channel IN ({marks})", tuple(channels), limit)

    def keep_delivery(self, delivery: Delivery, state: str, next_ms: int) -> None:
        """Record one more attempt and what it came to."""
        with self._transaction() as database:
            database.execute(
                "UPDATE outbox SET state = ?, attempts = attempts + 1, next_ms = ? WHERE alert = ? AND channel = ?",
                (state, next_ms, delivery.kept.seq, delivery.channel),
            )

    def _deliveries(self, where: str, values: tuple[object, ...], limit: int) -> list[Delivery]:
        query = (
            f"SELECT {_COLUMNS}, channel, state, attempts, next_ms FROM outbox JOIN alert ON alert.seq = outbox.alert"  # noqa: S608
            f" WHERE {where} ORDER BY attempts > 0, {_OF_CERTIFICATES}, outbox.alert LIMIT ?"
        )
        with self._reading() as database:
            return [Delivery(_kept(row[:11]), *row[11:]) for row in database.execute(query, (*values, limit))]


def _found(database: sqlite3.Connection, key: str) -> bool:
    return database.execute("SELECT 1 FROM fault WHERE key = ? LIMIT 1", (key,)).fetchone() is not None


def _kept(row: tuple[object, ...]) -> KeptAlert:
    seq, key, cls, severity, subject, code, text, detail, raised_ms, ended_ms, by = row
    alert = Alert(str(key), Class(cls), str(severity), str(subject), str(code), str(text), json.loads(str(detail)))
    return KeptAlert(
        int(str(seq)),
        alert,
        int(str(raised_ms)),
        None if ended_ms is None else int(str(ended_ms)),
        None if by is None else str(by),
    )
