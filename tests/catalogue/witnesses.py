"""What others are shown, and what witnesses say (rows 7 to 9, 30 to 32, 35, 43)."""

from collections.abc import AsyncIterator

from log.client.witness import Answer
from log.crypto.notes import cosign
from log.evidence.heads import Kind
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.note import Signature, signature_line
from log.formats.witness_request import SIZE_CONTENT_TYPE, AddCheckpoint
from tests.catalogue.harness import ROUNDS, Case, D, O, P, S, Theme
from tests.catalogue.people import post, set_more
from tests.monitor.test_egress import GD, View
from tests.monitor.test_feedback import POLLINATION, text
from tests.support.lying_log import LyingLog

WITNESSES = Theme()


@WITNESSES.row(7, "two egresses are shown two trees", P, "fork", kinds=(Kind.SAME_SIZE,), moves=True)
async def two_views(case: Case) -> AsyncIterator[None]:
    view = View(case.monitor)
    fork = view.logs[case.truth.origin] = await case.truth.branch(case.truth.size - 3, 3)
    set_more(case, GD)
    async with view.client() as outside:
        case.monitor.outside = {"gd": outside}
        for _ in ROUNDS:
            yield
        met = {case.store.met(note) for note in (case.truth.note, fork.note)}
        assert "egress gd" in {each[0] for each in met if each is not None}, "the vantage is named"
        case.monitor.outside = {}
        case.monitor.stop()


async def cosign_fork(case: Case, at: int, more: int) -> LyingLog:
    """Let the other side's witness cosign another branch, and nothing of what the log shows us since."""
    fork = await case.truth.branch(at, more)
    await case.world.gd.witness.cosign(fork.note)
    return fork


def reset(case: Case) -> None:
    """Let the operator of the other side's witness set it back to the true log."""
    case.world.gd.witness.state.pop(case.truth.origin)


@WITNESSES.row(8, "the other side's witness was shown another tree", P, "fork", kinds=(Kind.CROSS_SIZE,), moves=True)
async def shown_elsewhere(case: Case) -> AsyncIterator[None]:
    await cosign_fork(case, case.truth.size, 10)
    case.world.time_ms += 1_000
    await case.grow(20)
    for _ in ROUNDS:
        yield
    reset(case)


@WITNESSES.row(9, "only a relying party was shown another tree", P, "fork", kinds=(Kind.SAME_SIZE,), moves=True)
async def pollinated(case: Case) -> AsyncIterator[None]:
    fork = await case.truth.branch(case.truth.size - 3, 3)
    thanks = (await post(case, POLLINATION, {"notes": [text(fork.note)]})).json()
    assert thanks["evidence"] == [each.id.hex() for each in case.store.evidence(case.truth.origin)]
    for _ in ROUNDS:
        yield
        assert (await post(case, POLLINATION, {"notes": [text(fork.note)]})).status_code == 200


@WITNESSES.row(30, "a witness names a larger size than the log shows", S, "behind", step_ms=25_000, moves=True)
async def names_more(case: Case) -> AsyncIterator[None]:
    witness, known = case.world.gd.witness, case.world.gd.witness.truth

    async def more(raw: bytes) -> Answer:
        origin = parse_signed(AddCheckpoint.parse(raw).note)[1].origin
        if origin != case.truth.origin:
            return await known(raw)
        return Answer(409, b"%d\n" % (case.truth.size + 5), SIZE_CONTENT_TYPE)

    witness.answers = more
    for _ in ROUNDS:
        yield
    assert [each.alert.subject for each in case.alerts()] == [witness.signer.vkey.name], "nobody else says so"
    witness.answers = None


@WITNESSES.row(
    31, "cosignatures that are bad, without time, of unknown keys, of another size", S, "witness", moves=True
)
async def bad_cosignatures(case: Case) -> AsyncIterator[None]:
    witness, known = case.world.gd.witness, case.world.gd.witness.truth
    for number in ROUNDS:

        async def bad(raw: bytes, number: int = number) -> Answer:
            note, checkpoint = parse_signed(AddCheckpoint.parse(raw).note)
            if checkpoint.origin != case.truth.origin:
                return await known(raw)
            other = Checkpoint(checkpoint.origin, checkpoint.size + 1, checkpoint.root).encode()
            signer = case.world.hk.witness.signer if number == 2 else witness.signer
            line = await cosign(other if number == 3 else note.text, case.now_ms() // 1000, signer)
            if number == 0:
                line = Signature(line.name, line.key_id, line.data[:-1] + bytes([line.data[-1] ^ 1]))
            if number == 1:
                [signed] = await signer.signer.sign([b"cosignature/v1\ntime 0\n" + note.text])
                line = Signature(line.name, line.key_id, bytes(8) + signed)
            return Answer(200, signature_line(line), "text/plain")

        witness.answers = bad
        assert number == len(ROUNDS) - 1 or case.alerts() == [], "an alarm when it goes on"
        yield
    witness.answers = None


@WITNESSES.row(
    32, "a witness cosigned both branches", P, "witness-lied", kinds=(Kind.SAME_SIZE, Kind.COSIGNED_BOTH),
    moves=True, also={"fork": P},
)  # fmt: skip
async def cosigned_both(case: Case) -> AsyncIterator[None]:
    await cosign_fork(case, case.truth.size - 100, 100)
    for _ in ROUNDS:
        yield
    reset(case)


@WITNESSES.row(
    35, "a partition, healed with heads that exclude each other", P, "fork", kinds=(Kind.CROSS_SIZE,),
    moves=True, also={"witness-refuses": O, "not-cross-witnessed": D},
)  # fmt: skip
async def partition(case: Case) -> AsyncIterator[None]:
    """A minute, an hour, two days; `tests/monitor/test_partition.py` cuts a real link."""
    witness, known = case.world.gd.witness, case.world.gd.witness.truth

    async def cut(raw: bytes) -> Answer:
        if parse_signed(AddCheckpoint.parse(raw).note)[1].origin != case.truth.origin:
            return await known(raw)
        return Answer(503, b"Service Unavailable\n", "text/plain")

    witness.answers = cut
    for step_ms in (20_000, 20_000, 20_000, 3_600_000, 2 * 86_400_000):
        assert "not-cross-witnessed" not in case.codes() or step_ms > 3_600_000
        case.step_ms = step_ms
        yield
        await case.grow()
    case.step_ms = 1_000
    fork = await case.truth.branch(case.truth.size - 7, 5)
    case.world.time_ms += 1_000
    await case.grow()
    await witness.cosign(fork.note)
    witness.answers = None
    yield
    yield
    reset(case)


@WITNESSES.row(43, "two egresses by one way", D, "one-path", moves=True)
async def one_path(case: Case) -> AsyncIterator[None]:
    before = case.monitor.path.read_text()
    set_more(case, '[[egresses]]\nname = "gd"\n')
    async with View(case.monitor).client() as outside:
        case.monitor.outside = {"gd": outside}
        for _ in ROUNDS:
            yield
        case.monitor.path.write_text(before)
        case.monitor.outside = {}
        case.monitor.stop()
