"""The state in plain sentences, one for each log, and one for each contradiction it is convicted of."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from monitor.logs import FollowedLog
from monitor.store import Store


def sentences(store: Store, logs: Iterable[FollowedLog]) -> Iterator[str]:
    """Describe what the state knows of each log. Nothing is asked over the network."""
    for followed in logs:
        yield _sentence(store, followed)
        for evidence in store.evidence(followed.origin):
            yield (
                f"{followed.origin}: PROVEN {evidence.kind.value} at {_time(evidence.found_ms)},"
                f" evidence {evidence.id.hex()}."
            )


def _sentence(store: Store, followed: FollowedLog) -> str:
    verified = store.verified(followed.origin)
    counts = store.counts(followed.origin)
    if verified is None:
        return f"{followed.origin}: nothing verified yet, {counts.observations} signed heads seen."
    head = verified.head
    signed = f", signed {_time(head.time_ms)}" if head.time_ms is not None else ""
    parts = [f"verified up to {head.size:,} entries at {_time(verified.verified_ms)}{signed}"]
    if counts.largest_seen > head.size:
        parts.append(f"signed heads seen up to {counts.largest_seen:,}")
    row = store.witness(followed.origin)
    parts.append("not cosigned by us" if row is None else f"cosigned by us at {row[0]:,}")
    for witness in followed.witnesses:
        vouched = store.cosigned(followed.origin, witness.vkey.encode())
        parts.append(
            f"not cosigned by {witness.vkey.name}"
            if vouched is None
            else f"cosigned by {witness.vkey.name} at {vouched.size:,} ({_time(vouched.time_s * 1000)})"
        )
    if counts.open:
        parts.append(f"{counts.open} signed heads not reconciled")
    return f"{followed.origin}: {'; '.join(parts)}."


def _time(time_ms: int) -> str:
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
