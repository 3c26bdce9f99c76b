"""Feeding an outside witness, with all that witnesses in use do differently (C2SP tlog-witness; formats.md section 24).

The witness is one of the policy of hk's certificate log: one name with two keys, at http://out/w.
"""

import asyncio

import pytest

from log.crypto.notes import NoteSigner, open_note
from log.formats.checkpoint import parse_signed
from log.formats.note import KeyType, Note, Signature
from log.formats.policy import Policy
from monitor import keyring, settings
from monitor.feeder import Feeder
from monitor.loops import Stop
from monitor.outcome import BEHIND, Finding, Outcome
from monitor.watch import Watch
from tests.monitor.conftest import Monitor
from tests.support.engine import mldsa_signer, witness_signer
from tests.support.lying_log import LyingLog
from tests.support.outside import OutsideWitness

NAME = "out.example/witness"


@pytest.fixture
def out(monitor: Monitor) -> OutsideWitness:
    """The outside witness, on whom hk's certificate log depends from now on."""
    out = OutsideWitness([witness_signer(NAME, 50), mldsa_signer(NAME, 50)], monitor.world.clock)
    followed = monitor.world.hk_x509
    out.known[followed.origin] = followed.vkeys
    depend(monitor, out, "http://out/w")
    monitor.world.outside = out
    return out


def depend(monitor: Monitor, out: OutsideWitness, url: str) -> None:
    followed = monitor.world.hk_x509
    path = monitor.path.parent / "hk-x509.policy"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("group", "quorum"))]
    lines += [f"witness out{i} {vkey.encode()} {url}" for i, vkey in enumerate(out.vkeys)]
    lines += ["group outs all out0 out1", "group all all mon gd outs", "quorum all"]
    path.write_text("\n".join(lines) + "\n")
    followed.policy = Policy.parse(path.read_bytes())


async def healthy(monitor: Monitor) -> None:
    assert await monitor.once() == (Outcome.VOUCHED, [])


async def grow(followed: LyingLog, count: int = 7) -> None:
    followed.add(count)
    await followed.sign()


def sizes(out: OutsideWitness) -> list[tuple[int, int]]:
    """Every request so far: (old size, size)."""
    return [(request.old, parse_signed(request.note)[1].size) for request in out.asked]


def of(findings: list[Finding]) -> list[tuple[Outcome, str]]:
    return [(finding.outcome, finding.code) for finding in findings]


async def test_a_witness_with_two_keys_and_one_url_is_asked_once_and_both_lines_come_back(
    monitor: Monitor, out: OutsideWitness
) -> None:
    await healthy(monitor)
    assert sizes(out) == [(0, 300)]
    followed = monitor.world.hk_x509
    assert followed.witnessed is not None
    opened = open_note(followed.witnessed, [*followed.vkeys, *(w.vkey for w in followed.policy.witnesses)])
    assert set(out.vkeys) <= {line.vkey for line in opened.verified}
    await grow(followed)
    await healthy(monitor)
    assert sizes(out)[1:] == [(300, 307)], "what it answered is known: no try from a wrong size"


async def test_our_own_two_lines_are_handed_back(monitor: Monitor) -> None:
    await healthy(monitor)
    vkeys = [signer.vkey for signer in ours(monitor)]
    assert [vkey.type for vkey in vkeys] == [KeyType.COSIGNATURE, KeyType.MLDSA]
    for followed in monitor.world.logs:
        assert [line.vkey for line in open_note(followed.handed[-1], vkeys).verified] == vkeys


async def test_a_witness_of_unknown_size_is_asked_from_0_and_then_from_where_it_stands(
    monitor: Monitor, out: OutsideWitness
) -> None:
    out.manners.shows = False  # as litewitness: nothing is known of it before it answers
    followed = monitor.world.hk_x509
    await out.cosign(followed.note)
    await grow(followed)
    await healthy(monitor)
    assert sizes(out) == [(0, 307), (300, 307)]


async def test_at_most_three_requests_for_one_head(monitor: Monitor, out: OutsideWitness) -> None:
    out.manners.shows = False
    out.manners.names = [1, 2]
    await out.cosign((await monitor.world.hk_x509.branch(2, 0)).note)
    await healthy(monitor)
    assert [old for old, _ in sizes(out)] == [0, 1, 2]


async def test_a_witness_that_never_agrees_with_itself_is_left_alone_after_three(
    monitor: Monitor, out: OutsideWitness
) -> None:
    out.manners.shows = False
    out.manners.names = [1, 2, 3, 4, 5]
    outcome, findings = await monitor.once()
    assert (outcome, [old for old, _ in sizes(out)]) == (Outcome.UNREACHED, [0, 1, 2])
    assert "names another size each time" in findings[0].text


async def test_who_merely_names_a_larger_size_is_the_one_that_is_suspected(
    monitor: Monitor, out: OutsideWitness
) -> None:
    """It may have made that up; the log has signed nothing of the kind that anybody has seen."""
    out.manners.shows = False
    out.manners.names = [9_000] * 10
    _, findings = await monitor.once()
    [found] = [each for each in findings if each.code == BEHIND]
    assert (found.subject, found.about, found.outcome) == (NAME, monitor.world.hk_x509.origin, Outcome.UNVERIFIED)
    assert "says that it has cosigned size 9000" in found.text


@pytest.mark.parametrize("another_root", [422, 409])
@pytest.mark.parametrize("shows", [True, False])
async def test_row_1_another_root_at_one_size_is_an_alarm_and_never_tried_again(
    monitor: Monitor, out: OutsideWitness, another_root: int, shows: bool, caplog: pytest.LogCaptureFixture
) -> None:
    await healthy(monitor)
    monitor.world.time_ms += 5_000
    followed = monitor.world.hk_x509
    out.manners.another_root = another_root
    out.manners.shows = shows
    await out.cosign((await followed.branch(200, 100)).note)
    out.asked.clear()
    await followed.sign()
    with caplog.at_level("WARNING", "monitor"):
        outcome, findings = await monitor.once()
    if shows:  # its own note says what it holds: two roots of one size, signed by the log
        assert outcome is Outcome.PROVEN
        assert out.asked == [], "the survey found out before anything was fed"
        return
    assert (outcome, sizes(out)) == (Outcome.UNVERIFIED, [(300, 300)])
    assert of(findings)[0] == (Outcome.UNVERIFIED, "split")
    assert f"{another_root}" in findings[0].text
    assert "it cosigned a head of this very size" in findings[0].text
    assert {record.levelname for record in caplog.records if "split" in str(record.__dict__)} == {"ERROR"}


async def test_row_1_a_refused_proof_that_verified_here_is_an_alarm(monitor: Monitor, out: OutsideWitness) -> None:
    await healthy(monitor)
    out.manners.shows = False
    followed = monitor.world.hk_x509
    await out.cosign((await followed.branch(200, 100)).note)
    out.asked.clear()
    await grow(followed)
    outcome, findings = await monitor.once()
    assert (outcome, sizes(out)) == (Outcome.UNVERIFIED, [(300, 307)])
    assert "split" in {finding.code for finding in findings}


@pytest.mark.parametrize(("unknown", "words"), [(404, "does not know this log"), (403, "unknown log")])
async def test_row_2_a_witness_that_does_not_know_the_log_is_said_to(
    monitor: Monitor, out: OutsideWitness, unknown: int, words: str
) -> None:
    out.known.clear()
    out.manners.unknown = unknown
    outcome, findings = await monitor.once()
    assert (outcome, len(out.asked)) == (Outcome.UNREACHED, 1)
    assert of(findings)[0] == (Outcome.UNREACHED, "witness-refuses")
    assert words in findings[0].text
    assert monitor.world.hk_x509.handed, "the others' cosignatures are handed back all the same"


@pytest.mark.parametrize("status", [429, 503])
async def test_row_2_a_busy_witness_is_tried_again_and_is_no_lie(
    monitor: Monitor, out: OutsideWitness, status: int
) -> None:
    out.manners.busy = [(status, "120")]
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNREACHED
    assert "is busy" in findings[0].text
    await healthy(monitor)


@pytest.mark.parametrize(
    ("retry_after", "pause"), [("120", 120), ("301", 300), ("0", 0), ("", 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0)]
)
async def test_a_busy_witness_says_how_long_and_no_longer_than_our_limit(
    monitor: Monitor, out: OutsideWitness, retry_after: str, pause: float
) -> None:
    await healthy(monitor)
    watch, feeder = await fed(monitor)
    out.manners.busy = [(429, retry_after)]
    [finding] = await watch.feed(feeder)
    assert (finding.outcome, feeder.retry_after_s) == (Outcome.UNREACHED, pause)
    assert await watch.feed(feeder) == []
    assert feeder.retry_after_s == 0


class Slept(Exception):
    """Ends a loop that nobody stops."""


async def test_a_busy_witness_is_left_alone_that_long_also_when_there_is_a_new_head(
    monitor: Monitor, out: OutsideWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await healthy(monitor)
    watch, feeder = await fed(monitor)
    out.manners.busy = [(503, "120")]

    async def pause(seconds: float, stop: Stop) -> None:
        raise Slept(seconds)

    monkeypatch.setattr("monitor.standing.pause", pause)
    out.asked.clear()
    assert monitor.assembled is not None
    with pytest.raises(Slept, match="120"):
        async with asyncio.timeout(60):  # the loop has no other end
            await monitor.assembled.standing._feed_loop(watch, feeder, [], Stop())
    assert out.asked == []


async def fed(monitor: Monitor) -> tuple[Watch, Feeder]:
    """A monitor whose next step is to feed the outside witness."""
    monitor.stop()
    monitor.start()
    watch = monitor.watch(monitor.world.hk_x509)
    await watch.look()
    [feeder] = [each for each in watch.feeders if each.witness.vkey.name == NAME]
    return watch, feeder


async def test_row_11_lines_of_strangers_in_the_answer_are_not_passed_on(monitor: Monitor, out: OutsideWitness) -> None:
    out.manners.grease = True
    await healthy(monitor)
    followed = monitor.world.hk_x509
    known = {*followed.vkeys, *(witness.vkey for witness in followed.policy.witnesses)}
    known |= {signer.vkey for signer in ours(monitor)}
    for raw in followed.handed:
        assert all(any(vkey.owns(line) for vkey in known) for line in Note.parse(raw).signatures)


@pytest.mark.parametrize("total", [16, 100])
async def test_row_11_greased_heads_are_followed_fed_and_handed_back_without_their_grease(
    monitor: Monitor, out: OutsideWitness, total: int
) -> None:
    for followed in monitor.world.logs:
        followed.grease = total
    for count in (0, 7):
        await grow(monitor.world.hk_x509, count)
        await healthy(monitor)
    shown = [raw for followed in monitor.world.logs for raw in followed.handed]
    shown += [request.note for request in out.asked]
    shown += [raw for node in monitor.world.nodes for push in node.pushes for raw in push.own]
    shown += [raw for node in monitor.world.nodes for push in node.pushes for _, raw in push.peers if raw]
    known = {vkey for followed in monitor.world.logs for vkey in followed.vkeys}
    known |= {witness.vkey for followed in monitor.world.logs for witness in followed.policy.witnesses}
    known |= {signer.vkey for signer in ours(monitor)}
    assert shown
    for raw in shown:
        assert all(any(vkey.owns(line) for vkey in known) for line in Note.parse(raw).signatures)


async def test_row_11_a_head_of_101_lines_is_no_head(monitor: Monitor) -> None:
    followed = monitor.world.hk_x509
    followed.grease = 101
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert (Outcome.UNVERIFIED, "checkpoint") in of(findings)
    assert followed.handed == []
    followed.grease = 100
    await healthy(monitor)


async def test_a_bad_line_beside_a_good_one_spoils_the_answer(monitor: Monitor, out: OutsideWitness) -> None:
    good = out.cosign

    async def spoilt(raw: bytes) -> bytes:
        first, second = Note.parse(b"t\n\n" + await good(raw)).signatures
        bad = Signature(second.name, second.key_id, bytes(2428))
        return Note(b"t\n", (first, bad)).encode().removeprefix(b"t\n\n")

    out.cosign = spoilt  # type: ignore[method-assign]
    outcome, findings = await monitor.once()
    assert outcome is Outcome.UNVERIFIED
    assert of(findings)[0] == (Outcome.UNVERIFIED, "witness")
    assert not any(
        vkey.owns(line)
        for raw in monitor.world.hk_x509.handed
        for line in Note.parse(raw).signatures
        for vkey in out.vkeys
    )


def ours(monitor: Monitor) -> tuple[NoteSigner, ...]:
    return keyring.load(settings.load(monitor.path)).cosigners


async def test_a_monitor_that_is_in_no_policy_is_refused_and_nothing_is_wrong(monitor: Monitor) -> None:
    """One that a regulator runs by himself: it verifies, cosigns and shows; no log waits for its lines."""
    followed = monitor.world.hk_x509
    path = monitor.path.parent / "hk-x509.policy"
    kept = [line for line in path.read_text().splitlines() if not line.startswith(("witness mon", "group", "quorum"))]
    path.write_text("\n".join([*kept, "quorum gd\n"]))
    followed.policy = Policy.parse(path.read_bytes())
    await healthy(monitor)
    assert followed.refused == ["no line of a witness"]
