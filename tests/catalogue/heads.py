"""What a log signs: forks, set-backs, heads of no time and of no form (rows 1 to 6, 10, 16 to 19, 21, 42)."""

from collections.abc import AsyncIterator

from log.crypto.notes import sign_note
from log.evidence.heads import Kind
from log.formats.checkpoint import Checkpoint
from log.formats.note import Note, Signature, signature_line
from tests.catalogue.harness import ROUNDS, Case, O, P, S, Theme
from tests.support.lying_log import Fault, LyingLog, signers_of

HEADS = Theme()
DAY_MS = 86_400_000


def show(case: Case, note: bytes) -> None:
    """Serve this in the place of the head, and all else as it is."""
    case.truth.remembered = note
    case.truth.fault = Fault.OLD_HEAD


def stop(case: Case) -> None:
    case.truth.fault = None


@HEADS.row(1, "same size, different root", P, "fork", kinds=(Kind.SAME_SIZE,))
async def same_size(case: Case) -> AsyncIterator[None]:
    case.serve(await case.truth.branch(case.truth.size - 1, 1))
    for _ in ROUNDS:
        yield
    case.serve(case.truth)


@HEADS.row(2, "larger head that is no extension", P, "fork", kinds=(Kind.CROSS_SIZE,))
async def no_extension(case: Case) -> AsyncIterator[None]:
    case.serve(await case.truth.branch(case.chance.randrange(case.truth.size), case.truth.size))
    for _ in ROUNDS:
        yield
    case.serve(case.truth)


@HEADS.row(3, "smaller head with a forged root, below our position", P, "fork", kinds=(Kind.CROSS_SIZE,))
async def forged_below(case: Case) -> AsyncIterator[None]:
    forged = await case.truth.branch(100, 100)
    show(case, await forged.sign(time_ms=case.now_ms() - DAY_MS))
    for _ in ROUNDS:
        yield
    stop(case)


@HEADS.row(4, "smaller head, true prefix, older time", O, "stale", step_ms=25_000)
async def stale_replica(case: Case) -> AsyncIterator[None]:
    early = await case.truth.branch(case.truth.size - 20, 0)
    show(case, await early.sign(time_ms=case.now_ms() - 30_000))
    for number in ROUNDS:
        assert number == len(ROUNDS) - 1 or case.alerts() == [], "no alarm within a minute"
        yield
    stop(case)


@HEADS.row(5, "smaller head, newer time", P, "fork", kinds=(Kind.ROLLBACK,))
async def set_back(case: Case) -> AsyncIterator[None]:
    case.serve(await case.truth.branch(case.truth.size - 20, 0))
    for _ in ROUNDS:
        yield
    case.serve(case.truth)


@HEADS.row(6, "two heads at one moment", P, "fork", kinds=(Kind.SAME_TIME,))
async def one_moment(case: Case) -> AsyncIterator[None]:
    case.truth.add(3)
    case.truth.frozen = True
    await case.truth.sign(time_ms=case.truth._time_ms)
    for _ in ROUNDS:
        yield
    case.truth.frozen = False


@HEADS.row(10, "frozen head", O, "head-old", step_ms=31_000, also={"head-slow": O})
async def frozen(case: Case) -> AsyncIterator[None]:
    case.truth.frozen = True
    for _ in range(5):
        yield
    case.truth.frozen = False


@HEADS.row(16, "head whose signature does not verify", S, "checkpoint")
async def bad_line(case: Case) -> AsyncIterator[None]:
    await case.grow()
    case.truth.fault = Fault.BAD_LINE
    for number in ROUNDS:
        assert number == len(ROUNDS) - 1 or case.alerts() == [], "three in a row are an alarm, and no fewer"
        yield
    stop(case)


@HEADS.row(17, "unknown key, or the right key under another origin", S, "checkpoint")
async def strangers(case: Case) -> AsyncIterator[None]:
    size, root = case.truth.size, case.truth.root_at(case.truth.size)
    for other in ("stranger.example/x509", case.world.gd_x509.origin) * 2:
        if other.startswith("stranger"):
            text, signers = Checkpoint(case.truth.origin, size, root).encode(), signers_of(other, case.truth.family)
        else:
            text, signers = Checkpoint(other, size, root).encode(), case.truth.signers
        show(case, (await sign_note(text, case.now_ms(), signers)).encode())
        yield
    stop(case)


@HEADS.row(18, "two lines of one key, of which one does not verify", S, "checkpoint")
async def contradictory(case: Case) -> AsyncIterator[None]:
    note = Note.parse(case.truth.note)
    for number in ROUNDS:
        line = note.signatures[number % len(note.signatures)]
        bad = Signature(line.name, line.key_id, line.data[:-1] + bytes([line.data[-1] ^ 1]))
        lines = [*note.signatures, bad] if number % 2 else [bad, *note.signatures]
        show(case, note.with_signatures(lines).encode())
        yield
    stop(case)


@HEADS.row(19, "head of the future", S, "future-head", moves=True)
async def future(case: Case) -> AsyncIterator[None]:
    """After such a head an honest one of another size would contradict it: this log signs its tree once more."""
    case.truth.add(7)
    case.truth.frozen, case.grows = True, False
    for ahead_ms in (70_000, 70_000, 40 * DAY_MS, 40 * DAY_MS):
        await case.truth.sign(time_ms=case.now_ms() + ahead_ms)
        yield
    case.truth.frozen = False
    await case.truth.sign(time_ms=case.now_ms())


@HEADS.row(21, "heads of no form", S, "checkpoint")
async def malformed(case: Case) -> AsyncIterator[None]:
    origin, size = case.truth.origin, case.truth.size
    root = Checkpoint(origin, size, bytes(32)).encode().split(b"\n")[2]
    for text in (
        Checkpoint(origin, 0, bytes(32)).encode(),  # of nothing, and a root that is not that of nothing
        b"%s\n%d\n%s\n" % (origin.encode(), 1 << 63, root),
        b"%s\n0%d\n%s\n" % (origin.encode(), size, root),
        b"%s\r\n%d\r\n%s\r\n" % (origin.encode(), size, root),
        b"%s\n%d\n%s\nextension\n" % (origin.encode(), size, root),
        b"%s\n-1\n%s\n" % (origin.encode(), root),
    ):
        show(case, text + b"\n" + b"".join(map(signature_line, Note.parse(case.truth.note).signatures)))
        yield
    stop(case)


@HEADS.row(42, "starts again from an empty tree under the same key", P, "fork", kinds=(Kind.ROLLBACK,))
async def begins_anew(case: Case) -> AsyncIterator[None]:
    anew = LyingLog(case.truth.name, case.truth.origin, case.truth.family, case.world.clock)
    anew.add(1, "anew")
    case.world.time_ms += 1_000
    await anew.sign()
    case.serve(anew)
    for _ in ROUNDS:
        yield
    case.serve(case.truth)
