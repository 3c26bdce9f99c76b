"""A log as lists of CT logs name it: one element of `tiled_logs` (formats.md section 6.3).

The names are those of the schema of Chrome's list, version 3; Sunlight serves the same at `log.v3.json`. What only
who keeps a list can say of a log, its `state`, is left to them.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from log.crypto.keys import log_id
from log.formats.text import b64encode

MIN_MMD_S = 60  # seconds; the least that deployed static-ct logs state

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def log_list_entry(
    description: str, spki: bytes, url: str, mmd_s: int, window: tuple[int, int] | None
) -> dict[str, Any]:
    """Return the element for a log with the 0x05 key `spki` (DER) at `url` (no final slash).

    `window` is the range of notAfter that the log takes, POSIX milliseconds; None takes all.
    """
    entry: dict[str, Any] = {
        "description": description,
        "log_id": b64encode(log_id(spki)),
        "key": b64encode(spki),
        "submission_url": f"{url}/",
        "monitoring_url": f"{url}/",
        "mmd": mmd_s,
    }
    if window is not None:
        start, end = map(_rfc3339, window)
        entry["temporal_interval"] = {"start_inclusive": start, "end_exclusive": end}
    return entry


def _rfc3339(timestamp_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=timestamp_ms)
    return moment.isoformat().replace("+00:00", "Z")
