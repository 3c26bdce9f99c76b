"""What a node says while it runs: one line an event on standard error, as JSON or as text.

Lines are made from the standard library's records. Fields come as `extra={"fields": {…}}`, words of this code and of
the settings. Three things keep a log safe to keep and to send on:

- An exception is told by its class and the lines of code it passed, not by its words, which may quote what a stranger
  sent; only our own errors, whose messages hold no secrets (log/errors.py), and the system's are quoted.
- One line is one event: whatever could end a line or write to a terminal is escaped.
- Of lines of one kind so many pass in a minute. The rest is counted, and one line says how many were left out.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from log.errors import LogError

WINDOW_MS = 60_000
MAX_FRAMES = 50  # of an exception, the last ones
MAX_KINDS = 256  # kinds of lines told apart; whatever comes beyond shares one
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def told(record: logging.LogRecord) -> dict[str, object]:
    """Return a record as it is told: time (UTC), level, logger, message, its fields, and the exception if there is one.

    A field never takes the place of the first four.
    """
    moment = datetime.fromtimestamp(record.created, UTC)
    line: dict[str, object] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    fields: Mapping[str, object] = getattr(record, "fields", {})
    line |= {name: value for name, value in fields.items() if name not in line}
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        line |= {"error": describe(error), "trace": trace(error)}
    return line


def describe(error: BaseException) -> str:
    """Return the class of an exception, and its words where they are ours or the system's."""
    kind = type(error).__name__
    if isinstance(error, LogError):
        return f"{kind}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{kind}: {error.strerror}"
    return kind


def trace(error: BaseException) -> list[str]:
    """Return the lines of code that an exception passed, the one that raised it last; what it came from goes before."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [] if cause is None else [*trace(cause), f"{describe(cause)}, then"]
    frames = traceback.extract_tb(error.__traceback__, -MAX_FRAMES)
    return [*lines, *(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)]


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(told(record), ensure_ascii=True, default=str)  # escapes whatever could end a line


class TextLines(logging.Formatter):
    """For a person at a terminal: time, level, logger, message, then `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = told(record)
        head = [str(line.pop(name)) for name in ("time", "level", "logger", "message")]
        passed = line.pop("trace", [])
        text = " ".join([*head, *(f"{name}={value}" for name, value in line.items())])
        frames = passed if isinstance(passed, list) else []
        return "\n    ".join(_UNPRINTABLE.sub(_escaped, part) for part in (text, *frames))


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


@dataclass(slots=True)
class _Kind:
    """Lines of one kind within a minute."""

    since: float  # seconds of the clock of records
    passed: int = 0
    left_out: int = 0


class Repeats(logging.Filter):
    """Lets so many lines of a kind pass in a minute: same logger, same level, same message before its values."""

    def __init__(self, per_minute: int, say: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._per_minute = per_minute
        self._say = say  # writes the line that says how many were left out
        self._kinds: dict[tuple[str, int, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        self.sum_up(record.created)
        key = (record.name, record.levelno, str(record.msg))
        if key not in self._kinds and len(self._kinds) >= MAX_KINDS:
            key = ("", record.levelno, "lines of other kinds")
        kind = self._kinds.setdefault(key, _Kind(record.created))
        if kind.passed < self._per_minute:
            kind.passed += 1
            return True
        kind.left_out += 1
        return False

    def sum_up(self, now: float | None = None) -> None:
        """Say what was left out of the kinds whose minute is over, or of all; their counting starts anew.

        `now` is in POSIX seconds. A minute that begins later than now is over too: the clock was set back, and nobody
        is to wait until it is past that again.
        """
        held = self._kinds.items()
        over = [key for key, kind in held if now is None or not 0 <= now - kind.since < WINDOW_MS / 1000]
        for key in over:
            kind = self._kinds.pop(key)
            if kind.left_out:
                name, level, message = key
                summary = {
                    "name": name or __name__,
                    "levelno": level,
                    "levelname": logging.getLevelName(level),
                    "msg": "lines were left out",
                    "fields": {"left_out": kind.left_out, "of": message},
                }
                self._say(logging.makeLogRecord(summary))


@contextmanager
def kept(form: str, level: str, per_minute: int, stream: TextIO = sys.stderr) -> Iterator[None]:
    """Write the records of every logger, of libraries too, to `stream` while the block lasts.

    `form` is "json", "text", or "auto": text on a terminal, else JSON. `level` is a name of `logging`, in lower case.
    """
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    repeats = Repeats(per_minute, handler.emit)
    handler.addFilter(repeats)
    root = logging.getLogger()
    before, reports = root.level, logging.raiseExceptions
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Below `debug` uvicorn would trace every connection, and asks its own logger, not the root, whether it should.
    logging.getLogger("uvicorn.error").setLevel(level.upper())
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a full disk must not stop what a line is about
    try:
        yield
    finally:
        repeats.sum_up()
        logging.raiseExceptions = reports
        logging.captureWarnings(capture=False)
        root.setLevel(before)
        root.removeHandler(handler)
        handler.flush()


def task_failed(_loop: object, context: dict[str, Any]) -> None:
    """Log what a task or a callback raised and nobody awaited: the event loop's own line would quote its values."""
    error = context.get("exception")
    logging.getLogger("twinlog.process").error(
        "%s", context.get("message", "a task failed"), exc_info=error if isinstance(error, BaseException) else None
    )
