"""What a channel is, and what it is given."""

import json
from typing import Protocol

from log.formats.names import ALERT
from monitor.store import KeptAlert


class Channel(Protocol):
    """A way to people. It may hang and fail; it may not keep anybody waiting who waits with a time limit."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    async def send(self, kept: KeptAlert, body: bytes) -> None:
        """Tell an alert, `body` being its JSON, or raise `Unreachable`. May be cancelled at any time."""


def body_of(kept: KeptAlert, monitor: str) -> bytes:
    """Return the JSON of an alert, one line of ASCII; `monitor` is the name of ours."""
    alert = kept.alert
    fields = {
        "type": ALERT,
        "monitor": monitor,
        "key": alert.key,
        "class": alert.cls.value,
        "severity": alert.severity,
        "subject": alert.subject,
        "code": alert.code,
        "text": alert.text,
        "detail": dict(alert.detail),
        "raised_ms": kept.raised_ms,
    }
    return json.dumps(fields, sort_keys=True).encode("ascii")


def title_of(kept: KeptAlert) -> str:
    """Return one line for a subject or a screen."""
    alert = kept.alert
    return " ".join(f"[twinlog] {alert.cls.value} {alert.severity}: {alert.code} {alert.subject}".split())
