"""The monitor's own log lines: an event `alert` with all that other channels are told."""

import json
import logging

from monitor.store import KeptAlert

logger = logging.getLogger("monitor")

_LEVELS = {"critical": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


class Lines:
    """Standard output, where `twinlog-monitor run` writes its lines."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def send(self, kept: KeptAlert, body: bytes) -> None:
        """Write it."""
        fields = {"event": "alert", "alert": json.loads(body)}
        logger.log(_LEVELS[kept.alert.severity], kept.alert.text, extra={"fields": fields})
