"""Lines of the log: one event each, in their form, bounded, and without what a stranger sent."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from log import journal
from log.errors import Mismatch, Unavailable

SECRET = "5e5510n-70k3n"
logger = logging.getLogger("twinlog.test")


def written(form: str, say: Callable[[], None], *, level: str = "debug", per_minute: int = 60) -> str:
    """Return what is written while `say` runs."""
    stream = io.StringIO()
    with journal.kept(form, level, per_minute, stream):
        say()
    return stream.getvalue()


def lines(say: Callable[[], None], *, level: str = "debug", per_minute: int = 60) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written("json", say, level=level, per_minute=per_minute).splitlines()]


def test_a_line_of_json_has_time_level_logger_message_and_fields() -> None:
    [line] = lines(lambda: logger.warning("slow %s", "commit", extra={"fields": {"log": "x509", "ms": 12.5}}))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "warning",
        "logger": "twinlog.test",
        "message": "slow commit",
        "log": "x509",
        "ms": 12.5,
    }


def test_a_field_cannot_pass_for_the_line_itself() -> None:
    [line] = lines(lambda: logger.info("true", extra={"fields": {"message": "forged", "level": "x", "time": "x"}}))
    assert (line["message"], line["level"], line["time"][-1]) == ("true", "info", "Z")


def test_the_time_is_utc_to_the_millisecond() -> None:
    record = logging.makeLogRecord({"created": 1_700_000_000.0126, "levelname": "INFO", "msg": "x"})
    assert journal.told(record)["time"] == "2023-11-14T22:13:20.012Z"


@pytest.mark.parametrize("form", ["json", "text"])
def test_one_event_is_one_line_whatever_it_quotes(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps what is logged for its report, and half a surrogate pair cannot be sent to whoever gathers reports.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    forged = "a\r\nb\x1b[2J\u2028c\x00\ud800"
    text = written(form, lambda: logger.error("%s", forged, extra={"fields": {"why": forged}}))
    assert text.count("\n") == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u2028\ud800]", text)


def test_text_is_for_people() -> None:
    text = written("text", lambda: logger.info("recovered", extra={"fields": {"size": 9}}))
    assert re.fullmatch(r"\S+Z info twinlog\.test recovered size=9\n", text)


@pytest.mark.parametrize("terminal", [True, False])
def test_auto_is_text_on_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    with journal.kept("auto", "info", 60, stream):
        logger.info("here")
    assert stream.getvalue().startswith("{") is not terminal


def test_the_level_holds_for_every_logger() -> None:
    def say() -> None:
        for name in ("twinlog.test", "uvicorn.error", "asyncio"):
            logging.getLogger(name).info("unheard")
            logging.getLogger(name).warning("heard")

    assert [line["message"] for line in lines(say, level="warning")] == ["heard"] * 3


def test_an_exception_is_told_without_its_words() -> None:
    sent: dict[str, str] = {}

    def say() -> None:
        try:
            try:
                sent[SECRET]
            except KeyError as error:
                raise ValueError(f"not a certificate: {SECRET}") from error
        except ValueError:
            logger.exception("it failed")

    [line] = lines(say)
    assert line["error"] == "ValueError"
    first, then, last = line["trace"]
    assert then == "KeyError, then"
    assert all(re.search(r"test_journal\.py:\d+ say$", part) for part in (first, last))
    assert SECRET not in written("json", say) + written("text", say)
    assert written("text", say).count("\n    ") == 3


def test_our_own_errors_and_the_systems_are_quoted() -> None:
    assert journal.describe(Mismatch("tile/0/001", 7, "aa", "bb")).startswith("Mismatch: tile/0/001: byte 7")
    assert journal.describe(OSError(28, "No space left on device", SECRET)) == "OSError: No space left on device"
    assert journal.describe(OSError(SECRET)) == "OSError"


def test_lines_of_one_kind_are_bounded_and_the_rest_is_counted() -> None:
    def say() -> None:
        for number in range(10):
            logger.info("refused %d", number)
        logger.info("another kind")

    told = lines(say, per_minute=3)
    assert [line["message"] for line in told] == [
        "refused 0",
        "refused 1",
        "refused 2",
        "another kind",
        "lines were left out",
    ]
    assert (told[-1]["left_out"], told[-1]["of"], told[-1]["logger"]) == (7, "refused %d", "twinlog.test")


def test_what_was_left_out_is_told_when_the_minute_is_over_and_counting_starts_anew() -> None:
    said: list[logging.LogRecord] = []
    repeats = journal.Repeats(2, said.append)

    def at(seconds: float, message: str = "again") -> bool:
        return repeats.filter(logging.makeLogRecord({"created": seconds, "msg": message, "name": "x"}))

    assert [at(0.0), at(1.0), at(2.0), at(59.9)] == [True, True, False, False]
    assert said == []
    assert at(60.0, "other")
    assert [vars(record)["fields"]["left_out"] for record in said] == [2]
    assert [at(60.1), at(60.2), at(60.3)] == [True, True, False]
    # A clock that is set back begins a minute anew: until it is past the last one again, it may be a day.
    assert [at(-86_400.0), at(-86_399.0), at(-86_398.0)] == [True, True, False]
    assert [vars(record)["fields"]["left_out"] for record in said] == [2, 1]


def test_kinds_are_bounded_too() -> None:
    """What a library puts into the message itself makes a new kind each time."""

    def say() -> None:
        for number in range(2 * journal.MAX_KINDS):
            logger.info(f"text {number}")

    told = lines(say, per_minute=5)
    assert len(told) == journal.MAX_KINDS + 5 + 1
    assert told[-1]["left_out"] == journal.MAX_KINDS - 5


async def test_a_task_that_nobody_awaited_is_told_without_its_words() -> None:
    stream = io.StringIO()

    async def fail() -> None:
        raise ValueError(SECRET)

    with journal.kept("json", "debug", 60, stream):
        asyncio.get_running_loop().set_exception_handler(journal.task_failed)
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task  # nobody looks at what it raised
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a callback failed", "exception": Unavailable("x")}
        )
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {(line["message"], line["error"]) for line in told if line["level"] == "error"} == {
        ("Task exception was never retrieved", "ValueError"),
        ("a callback failed", "Unavailable: x"),
    }
    assert SECRET not in stream.getvalue()


def test_afterwards_logging_is_as_before() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with pytest.raises(KeyError), journal.kept("json", "debug", 60, io.StringIO()):
        raise KeyError
    assert (root.level, list(root.handlers)) == before
