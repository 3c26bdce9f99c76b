"""The state in plain sentences: logs and what they are convicted of, chains of governance and who holds them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from log.evidence.heads import Kind
from log.formats.family import GOVERNANCE
from monitor.governed import Governed
from monitor.logs import FollowedLog
from monitor.store import Store


def sentences(store: Store, logs: Iterable[FollowedLog]) -> Iterator[str]:
    """Describe what the state knows of each log. Nothing is asked over the network."""
    for followed in logs:
        yield _sentence(store, followed)
        for evidence in store.evidence(followed.origin):
            yield (
                f"{followed.origin}: PROVEN {evidence.kind.value} at {utc(evidence.found_ms)},"
                f" evidence {evidence.id.hex()}."
            )


def governance(store: Store, governed: Governed, logs: Iterable[FollowedLog]) -> Iterator[str]:
    """Describe how far the chains have come, what each governance log held of them, and what we carried there."""
    for name, chain in governed.chains.chains.items():
        disputed = f", seq {chain.next_seq} is signed twice" if chain.disputed else ""
        yield f"chain {name}: {len(chain.actions)} actions count{disputed}."
    for followed in logs:
        held = store.holding(followed.origin) if followed.family is GOVERNANCE and followed.node else None
        if held is not None:
            yield (
                f"{followed.origin}: held {held.count} of {governed.count} actions at {utc(held.seen_ms)};"
                f" {held.carried} of them were carried there by us."
            )
    for evidence in store.evidence_of(Kind.SAME_SEQ):
        yield f"{evidence.origin}: PROVEN E9 at {utc(evidence.found_ms)}, evidence {evidence.id.hex()}."


def _sentence(store: Store, followed: FollowedLog) -> str:
    verified = store.verified(followed.origin)
    counts = store.counts(followed.origin)
    if verified is None:
        return f"{followed.origin}: nothing verified yet, {counts.observations} signed heads seen."
    head = verified.head
    signed = f", signed {utc(head.time_ms)}" if head.time_ms is not None else ""
    parts = [f"verified up to {head.size:,} entries at {utc(verified.verified_ms)}{signed}"]
    if counts.largest_seen > head.size:
        parts.append(f"signed heads seen up to {counts.largest_seen:,}")
    row = store.witness(followed.origin)
    parts.append("not cosigned by us" if row is None else f"cosigned by us at {row[0]:,}")
    for witness in followed.witnesses:
        vouched = store.cosigned(followed.origin, witness.vkey.encode())
        parts.append(
            f"not cosigned by {witness.vkey.name}"
            if vouched is None
            else f"cosigned by {witness.vkey.name} at {vouched.size:,} ({utc(vouched.time_s * 1000)})"
        )
    if followed.closed:
        parts.append("closed")
    if counts.open:
        parts.append(f"{counts.open} signed heads not reconciled")
    return f"{followed.origin}: {'; '.join(parts)}."


def utc(time_ms: int) -> str:
    """Return a time for people."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
