"""How a log answers, or whoever stands in between (rows 22 to 26)."""

from collections.abc import AsyncIterator

from tests.catalogue.harness import ROUNDS, Case, D, O, S, Theme
from tests.support import hostile
from tests.support.hostile import Reply

TRANSPORT = Theme()


def answers(case: Case, reply: Reply | None, begin: str = "") -> None:
    """Answer whatever begins so with this."""
    case.truth.reply = lambda path: reply if path.startswith(begin) else None


@TRANSPORT.row(22, "200 with a page, half an answer, nothing", O, "garbled")
async def garbled(case: Case) -> AsyncIterator[None]:
    for number, reply in enumerate((hostile.HTML, hostile.JSON, hostile.EMPTY, hostile.packed(hostile.HTML))):
        assert case.real or number == len(ROUNDS) - 1 or case.alerts() == [], "class by persistence"
        answers(case, reply, "checkpoint")
        yield
    answers(case, None)


@TRANSPORT.row(23, "a body of gigabytes, a gzip bomb", O, "garbled")
async def too_much(case: Case) -> AsyncIterator[None]:
    for reply in (hostile.long(), hostile.bomb(), hostile.long(), hostile.bomb()):
        answers(case, reply)
        yield
    answers(case, None)


@TRANSPORT.row(24, "slow-loris: a byte a second; a cut body", O, "silent")
async def loris(case: Case) -> AsyncIterator[None]:
    for number in ROUNDS:
        answers(case, hostile.CUT if number % 2 else hostile.LORIS)
        yield
    answers(case, None)


@TRANSPORT.row(25, "redirects: to another host, to itself, to a tile", S, "redirect")
async def redirected(case: Case) -> AsyncIterator[None]:
    there = len(case.world.gd.seen)
    for url in ("http://gd/x509/checkpoint", "http://hk/x509/checkpoint", "https://hk/x509/checkpoint", "//gd"):
        answers(case, hostile.redirect(url))
        yield
    assert case.world.gd.seen.count("GET /x509/checkpoint") <= len(ROUNDS) + there, "nobody went there"
    answers(case, None)


def asked(case: Case) -> int:
    """How often something was asked of the log."""
    return len([each for each in case.world.hk.seen if each.startswith("GET /x509/")])


@TRANSPORT.row(
    26, "429 and 503 with Retry-After of a day; 404 for ever", D, "not-followed", also={"busy": O, "garbled": O}
)
async def busy(case: Case) -> AsyncIterator[None]:
    case.world.hk.seen.clear()
    case.restarts = False  # a new process asks once, too
    answers(case, hostile.busy(503, 86_400))
    yield
    yield
    assert case.real or asked(case) == 1, "it is left alone"
    case.step_ms = 300_000
    for times in (2, 3, 4):
        yield
        assert case.real or asked(case) == times, "and for no more than five minutes"
    answers(case, hostile.NOT_FOUND)
    for _ in range(3):
        yield
    [told] = [kept.alert for kept in case.alerts() if kept.alert.code == "not-followed"]
    assert "the log answers 503" in told.text, "and whose fault it is"
    answers(case, None)
