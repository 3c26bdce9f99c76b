"""By which rules each log of certificates admits, as the processes that check chains are told them.

Of shards each knows the others, and when those to come will be there: a refusal then says who takes the certificate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from log.certs.chain import Anchor
from log.checking.messages import Rules
from log.node import calendar
from log.tables import LogTable

YEARS_TO_COME = 10  # for which a refusal can say from when on their shard takes a certificate


@dataclass(frozen=True, slots=True)
class Admitting:
    """The tables of a log of certificates: its own, and that of the series it is a shard of, else the same one."""

    table: LogTable
    series: LogTable


def rules(
    own: Admitting, logs: Sequence[Admitting], anchors: Sequence[Anchor], max_chain: int, ahead_days: int
) -> Rules:
    """Return the rules of one of the `logs` of a node, under the issuers that are listed.

    `ahead_days` are the days before its year at which a shard comes into being.
    """
    return Rules(
        own.table.name,
        tuple((each.certificate, each.weak_hash) for each in anchors),
        own.table.precert_signing,
        own.table.window,
        max_chain,
        tuple(_takers(own, logs, ahead_days)),
    )


def _takers(own: Admitting, logs: Sequence[Admitting], ahead_days: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the other shards beside a shard with their windows, and those to come with when that will be."""
    if own.table is own.series:
        return
    there = [other.table for other in logs if other.series is own.series]
    yield from ((other.name, other.window) for other in there if other is not own.table and other.window)
    newest = max(int(other.name.rpartition("-")[2]) for other in there)
    for year in range(newest + 1, newest + 1 + YEARS_TO_COME):
        begins_ms = calendar.begins_ms(year, ahead_days)
        yield f"{own.series.name}-{year}, from {calendar.date(begins_ms)} on", calendar.window(year)
