"""The state in plain sentences: logs and what they are convicted of, chains of governance and who holds them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from log.client.exchange import printable
from log.evidence.heads import Kind
from log.formats.dates import date
from log.formats.family import EVENTS, GOVERNANCE, X509
from monitor.governed import Governed
from monitor.limits import Limits
from monitor.logs import FollowedLog
from monitor.store import WAITING, Evidence, KeptAlert, Store

SHOWN = 20  # alerts: the others are counted


def sentences(store: Store, logs: Iterable[FollowedLog], limits: Limits, now_ms: int) -> Iterator[str]:
    """Describe what the state knows of each log. Nothing is asked over the network."""
    for followed in logs:
        yield _sentence(store, followed, limits, now_ms)
        for evidence in store.evidence(followed.origin):
            yield _against(evidence)
        for each in store.apart(followed.origin, limits.page_rows):
            how = "refuted" if each.refuted else "not settled"
            yield (
                f"{followed.origin}: also signed: {each.size:,} entries, root {each.root.hex()}, {how},"
                f" from {printable(each.source)} at {date(each.since_ms)}."
            )
    for evidence in store.evidence_of(Kind.COSIGNED_BOTH):
        yield _against(evidence)


def _against(evidence: Evidence) -> str:
    kind = evidence.kind
    word = "PROVEN" if kind.proven else "SUSPECTED"
    return (
        f"{evidence.origin}: {word} {kind.value} at {date(evidence.found_ms)}, {kind.title},"
        f" evidence {evidence.id.hex()}."
    )


def governance(store: Store, governed: Governed, logs: Iterable[FollowedLog]) -> Iterator[str]:
    """Describe how far the chains have come, what each governance log held of them, and what we carried there."""
    for name, chain in governed.chains.chains.items():
        disputed = f", seq {chain.next_seq} is signed twice" if chain.disputed else ""
        count = len(chain.actions)
        yield f"chain {name}: {f'{count} actions count' if count else 'no action counts yet'}{disputed}."
    for followed in logs:
        held = store.holding(followed.origin) if followed.family is GOVERNANCE and followed.node else None
        if held is not None:
            yield (
                f"{followed.origin}: held {held.count} of {governed.count} actions at {date(held.seen_ms)};"
                f" {held.carried} of them were carried there by us."
            )
    for evidence in store.evidence_of(Kind.SAME_SEQ):
        yield _against(evidence)


def alerts(store: Store, channels: Sequence[str]) -> Iterator[str]:
    """Describe the gravest alerts that last, how many more there are, and what channels were not told though tried."""
    counts = store.alert_counts()
    for kept in store.gravest(SHOWN):
        yield alert(kept)
    if (further := sum(counts.values()) - SHOWN) > 0:
        yield f"{further:,} further alerts: `twinlog-monitor alerts list` prints them too."
    waiting: Counter[tuple[str, str]] = Counter()
    for delivery in store.undelivered(channels):
        waiting[delivery.channel, delivery.state] += 1
    for (channel, state), count in sorted(waiting.items()):
        words = "not told, to be tried again" if state == WAITING else "given up: never told"
        yield f"channel {channel}: {count} alerts {words}."


def alert(kept: KeptAlert) -> str:
    """Describe one alert."""
    found = kept.alert
    parts = [f"raised {date(kept.raised_ms)}"]
    if kept.ended_ms is not None:
        parts.append(f"over {date(kept.ended_ms)}")
    if kept.acknowledged_by is not None:
        parts.append(f"acknowledged by {printable(kept.acknowledged_by)}")
    told = f"{found.cls.value} {found.severity}: {found.subject}: {found.text}"
    return f"ALERT {told} ({'; '.join(parts)}; key {found.key!r})."


def _sentence(store: Store, followed: FollowedLog, limits: Limits, now_ms: int) -> str:
    verified = store.verified(followed.origin)
    counts = store.counts(followed.origin)
    if verified is None:
        way = store.halfway(followed.origin)
        read = "" if way is None else f", read up to {way.size:,} of {way.goal:,} entries"
        return f"{followed.origin}: nothing verified yet{read}, {counts.observations} signed heads seen."
    head = verified.head
    signed = f", signed {date(head.time_ms)}" if head.time_ms is not None else ""
    parts = [f"verified up to {head.size:,} entries at {date(verified.verified_ms)}{signed}"]
    if counts.announced > head.size:
        parts.append(f"announced up to {counts.announced:,}")
    if (way := store.halfway(followed.origin)) is not None and way.begun == head.size:
        parts.append(f"read on to {way.size:,} of {way.goal:,} entries")
    if followed.family in (X509, EVENTS) and not followed.unread:
        parts.append(f"judged up to {store.judged(followed.origin).size:,}")
    row = store.witness(followed.origin)
    parts.append("not cosigned by us" if row is None else f"cosigned by us at {row[0]:,}")
    for witness in followed.witnesses:
        vouched = store.cosigned(followed.origin, witness.vkey.encode())
        parts.append(
            f"not cosigned by {witness.vkey.name}"
            if vouched is None
            else f"cosigned by {witness.vkey.name} at {vouched.size:,} ({date(vouched.time_s * 1000)})"
        )
        if vouched is not None and now_ms - vouched.time_s * 1000 > limits.degraded_s * 1000:
            parts[-1] = f"not cross-witnessed by {witness.vkey.name} since {date(vouched.time_s * 1000)}"
            parts[-1] += f" (size {vouched.size:,})"
    if promises := store.promises(followed.origin):
        told = ", ".join(f"{count:,} {state}" for state, count in promises.items())
        parts.append(f"SCTs that we were brought: {told}")
    if followed.unread:
        parts.append("entries not seen here: by its hash tiles alone")
    if followed.closed:
        parts.append("closed")
    if counts.open:
        parts.append(f"{counts.open} signed heads not reconciled")
    return f"{followed.origin}: {'; '.join(parts)}."
