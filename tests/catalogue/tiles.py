"""What a log serves of its tree: entries withheld, spoiled, too many, too late (rows 12 to 15, 20, 27)."""

from collections.abc import AsyncIterator, Callable

from log.evidence.heads import Kind
from log.merkle.tiles import TILE_WIDTH
from tests.catalogue.harness import ROUNDS, Case, P, S, Theme
from tests.catalogue.people import bring
from tests.monitor.test_charges import append
from tests.monitor.test_feedback import certificate_at
from tests.support.lying_log import LyingLog

TILES = Theme()
Change = Callable[[str, bytes | None], bytes | None]  # path and answer to another answer
E8 = (Kind.UNREPRODUCIBLE,)


def rows_of(case: Case, path: str) -> list[bytes]:
    """Return the true rows of an entry tile."""
    number, _, _ = path.removeprefix("tile/data/").partition(".p/")
    at = int(number) * TILE_WIDTH
    return case.truth.rows[at : at + TILE_WIDTH]


def spoil(case: Case, begin: str, change: Change) -> None:
    """Change every answer whose path begins so."""

    def changed(path: str, answer: bytes | None) -> bytes | None:
        return change(path, answer) if path.startswith(begin) else answer

    case.truth.alter = changed


def whole(case: Case) -> None:
    case.truth.alter = lambda _, answer: answer


def flipped(answer: bytes | None, at: int) -> bytes | None:
    return None if answer is None else answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]


@TILES.row(
    12, "another leaf stands at the index of an SCT", P, "broken-promise", kinds=(Kind.BROKEN_PROMISE,), moves=True
)
async def another_leaf(case: Case) -> AsyncIterator[None]:
    certificate, time_ms = certificate_at(case.truth, 5)
    assert (await bring(case, certificate, 9, time_ms)).json() == {"kept": 1}
    for _ in ROUNDS:
        yield


@TILES.row(13, "entries withheld: fewer in a tile, or none at all", S, "data", kinds=E8)
async def withheld(case: Case) -> AsyncIterator[None]:
    await case.grow()
    case.world.hk.seen.clear()
    for number in ROUNDS:
        if number % 2:
            spoil(case, "tile/data/", lambda path, _: case.truth.family.join(rows_of(case, path)[:-1]))
        else:
            spoil(case, "tile/data/", lambda *_: None)
        yield
    assert "GET /x509/tile/data/001" in case.world.hk.seen, "a partial tile may have made way for the full one"
    whole(case)


@TILES.row(14, "a leaf is not that of its hash", S, "data", kinds=E8)
async def other_leaf(case: Case) -> AsyncIterator[None]:
    await case.grow()
    at = case.truth.size - 3
    place = sum(map(len, rows_of(case, "tile/data/001")[: at - TILE_WIDTH])) + 40
    spoil(case, "tile/data/001", lambda _, answer: flipped(answer, place))
    for _ in ROUNDS:
        yield
    [kept] = [each for each in case.store.evidence(case.truth.origin) if each.kind is Kind.UNREPRODUCIBLE][-1:]
    assert f"entry {at}".encode() in kept.object, "it is pinpointed"
    whole(case)


@TILES.row(15, "a hash tile is wrong, the leaves are right", S, "hashes", kinds=E8, moves=True)
async def wrong_tiles(case: Case) -> AsyncIterator[None]:
    for number in ROUNDS:
        await case.grow()
        spoil(case, f"tile/{number % 2}/", lambda _, answer: flipped(answer, 7))
        yield
        assert case.size(case.truth) == case.truth.size, "our own hashes are used"
    whole(case)


@TILES.row(20, "a leaf of a later time than the head over it", P, "time-lie", kinds=(Kind.TIME_LIE,), moves=True)
async def later_leaf(case: Case) -> AsyncIterator[None]:
    append(case.truth, case.now_ms() + 60_000)
    await case.truth.sign()
    for _ in ROUNDS:
        yield
        assert (case.truth.size, case.truth.root_at(case.truth.size)) not in case.monitor.cosigned(case.truth)
    case.world.time_ms += 60_000


@TILES.row(27, "entries too many, overlapping, in another order", S, "data", kinds=E8)
async def another_range(case: Case) -> AsyncIterator[None]:
    await case.grow(300)
    truth: LyingLog = case.truth
    join = truth.family.join
    for change in (
        lambda path, _: join([*rows_of(case, path), truth.rows[0]]),
        lambda path, _: join([truth.rows[0], *rows_of(case, path)[:-1]]),
        lambda path, _: join(rows_of(case, path)[::-1]),
        lambda _, answer: None if answer is None else answer + b"\x00",
    ):
        spoil(case, "tile/data/", change)
        yield
    whole(case)
