"""What a node says of itself, as JSON: PURE.

`/.well-known/twinlog.json` is never a source of trust: whoever relies on keys pins them.
"""

from typing import Any

from log.formats.text import b64encode
from log.node.witness import NodeWitness
from log.service.log import Log, LogStatus


def of_log(hosted: Log, url: str, window: tuple[int, int] | None) -> dict[str, Any]:
    """Describe a log of the node at `url`; `window` are the notAfter dates that it takes, POSIX milliseconds."""
    identity = hosted.identity
    return {
        "name": hosted.name,
        "family": hosted.family.name,
        "origin": hosted.origin,
        "identity": b64encode(identity.statement),
        "url": f"{url}/{hosted.name}",
        "vkeys": [vkey.encode() for vkey in identity.vkeys],
        "log_id": None if identity.log_id is None else b64encode(identity.log_id),
        "window": window,
        "closed": hosted.closed or None,
        "policy": identity.policy.encode(),
    }


def of_witness(witness: NodeWitness, url: str) -> dict[str, Any]:
    """Describe the witness of the node at `url`."""
    return {
        "name": witness.name,
        "vkey": witness.vkey.encode(),
        "vkeys": [vkey.encode() for vkey in witness.vkeys],
        "url": f"{url}/witness",
    }


def of_status(status: LogStatus) -> dict[str, Any]:
    """Describe the condition of a log, for `/healthz`."""
    return {
        "name": status.name,
        "origin": status.origin,
        "size": status.size,
        "head_age_ms": status.head_age_ms,
        "witnessed_size": status.witnessed_size,
        "witnessed_age_ms": status.witnessed_age_ms,
        "vouched_by": status.vouched_by,
        "pool": status.pool,
        "guarded": status.guarded,
        "last_error": status.last_error,
        "closed": status.closed or None,
    }
