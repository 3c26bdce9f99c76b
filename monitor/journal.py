"""What a monitor says while it runs: one JSON object a line, on stdout."""

import json
import logging
import sys
from datetime import UTC, datetime

logger = logging.getLogger("monitor")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, message, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": at, "level": record.levelname.lower()}
        line |= getattr(record, "fields", {"event": record.name})
        line["message"] = record.getMessage()
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_lines() -> None:
    """Send this monitor's log lines to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
