"""Chains checked in another process: what it says comes back as it was, and its end is nobody else's."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.certs import certificate
from log.checking import pool as checking
from log.checking.messages import Check, Frames, Refuse, Rules, frame
from log.checking.pool import Pool, PoolLimits
from log.demo.ca import MassIssuer
from log.errors import LogError, Malformed, Refused, SuiteUnavailable, TooLarge, Unavailable
from log.formats.family import x509_parts
from tests.support.nodes import eventually

ISSUER = MassIssuer()
ROOT = ISSUER.issuers[-1]
RULES = Rules("x509", ((ROOT, False), (ROOT, False)), precert_signing=True, window=None, max_chain=10)


async def started(limits: PoolLimits | None = None) -> Pool:
    pool = Pool(limits or PoolLimits())
    pool.admit(RULES)
    await pool.start()
    return pool


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = await started()
    yield pool
    await pool.stop()


def children(before: Collection[int] = ()) -> list[int]:
    """The process ids of this process's children, without those of before, which other tests may have left."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in map(int, listed) if pid not in before]


def digest(der: bytes) -> bytes:
    return sha256(der).digest()


async def test_a_chain_becomes_the_entry_and_the_certificates_behind_it(pool: Pool) -> None:
    leaf, middle, *_ = ISSUER.chain(1)
    behind = ((digest(middle), middle), (digest(ROOT), ROOT))
    for chain in ([leaf, middle, ROOT], [leaf, middle]):
        checked = await pool.check("x509", chain, precert=False)
        assert checked.parts == x509_parts(leaf, [digest(middle), digest(ROOT)])
        assert checked.certificates == behind
    assert (await pool.check("x509", [ROOT], precert=False)).certificates == ()


async def test_a_refusal_is_raised_as_it_was_and_harms_no_other(pool: Pool) -> None:
    good, bad = ISSUER.chain(1), ISSUER.chain(2)
    spoilt = [bad[0][:-1] + bytes([bad[0][-1] ^ 1]), *bad[1:]]
    answers = await asyncio.gather(
        *(pool.check("x509", chain, precert=False) for chain in (good, spoilt, [b"nonsense"], [], good)),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers] == ["Checked", "Refused", "Malformed", "Malformed", "Checked"]
    assert isinstance(answers[1], Refused)
    assert answers[1].reason == "bad-signature"
    with pytest.raises(Refused) as refused:
        await pool.check("x509", good, precert=True)
    assert refused.value.reason == "wrong-endpoint"


@pytest.mark.parametrize(
    "error", [Malformed("m"), Refused("r", "unknown-root"), TooLarge("t"), SuiteUnavailable("s")], ids=repr
)
def test_every_error_of_a_check_crosses_whole(error: LogError) -> None:
    copy = Refuse.of(1, error).error()
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert getattr(copy, "reason", None) == getattr(error, "reason", None)


async def test_a_bug_in_a_check_is_a_bug_here_and_others_are_answered(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match="KeyError"):
        await pool.check("a log without rules", [ROOT], precert=False)
    assert (await pool.check("x509", ISSUER.chain(1), precert=False)).certificates


async def test_rules_that_change_hold_from_the_next_check_on(pool: Pool) -> None:
    chain = ISSUER.chain(1)
    await pool.check("x509", chain, precert=False)
    pool.admit(Rules("x509", RULES.anchors, precert_signing=True, window=(0, 1), max_chain=10))
    with pytest.raises(Refused) as refused:
        await pool.check("x509", chain, precert=False)
    assert refused.value.reason == "outside-window"


async def test_roots_stand_once(pool: Pool) -> None:
    assert dict(pool.anchors("x509")) == {digest(ROOT): ROOT}


async def test_a_process_that_is_killed_is_replaced_and_what_it_held_is_answered() -> None:
    before = children()
    pool = await started(PoolLimits(processes=2))
    killed = children(before)
    for pid in killed:
        os.kill(pid, signal.SIGSTOP)  # so that it holds what it is asked
    asked = [asyncio.create_task(pool.check("x509", ISSUER.chain(n), precert=False)) for n in range(4)]
    await asyncio.sleep(0)  # each is asked
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, Unavailable)
        assert answer.reason == "checking"

    async def checked() -> bool:
        try:
            await pool.check("x509", ISSUER.chain(9), precert=False)
        except Unavailable:
            return False
        return True

    await eventually("another process checks", checked)
    await pool.stop()
    assert not children(before)


async def test_without_any_process_the_answer_is_to_come_again() -> None:
    pool = Pool(PoolLimits())
    pool.admit(RULES)
    assert not pool.working()
    with pytest.raises(Unavailable) as refused:
        await pool.check("x509", [ROOT], precert=False)
    assert refused.value.retry_after_s == 1


async def test_a_node_without_logs_of_certificates_starts_no_process() -> None:
    before = children()
    pool = Pool(PoolLimits())
    await pool.start()
    assert not children(before)
    assert pool.working()
    await pool.stop()


async def test_a_process_that_ends_at_once_is_replaced_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checking, "_WORKER", "log.checking.no_such_module")
    pool = await started(PoolLimits(restart_s=1e6))

    async def said() -> bool:
        await asyncio.sleep(0)
        return bool(caplog.records)

    await eventually("it is said that the process has ended", said)
    assert not pool.working()
    assert pool.restarts == 1
    assert len(caplog.records) == 1
    assert "another takes its place" in caplog.text
    await pool.stop()


async def test_a_process_that_cannot_be_started_now_is_started_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = children()
    pool = await started(PoolLimits(restart_s=0.01))
    [first] = children(before)
    with monkeypatch.context() as machine:
        machine.setattr(sys, "executable", "/nowhere/python")
        os.kill(first, signal.SIGKILL)

        async def said() -> bool:
            return "could not be started" in caplog.text

        await eventually("it is said that no process could be started", said)
    assert not pool.working()

    async def works() -> bool:
        return pool.working()

    await eventually("another process is there", works)
    await pool.check("x509", ISSUER.chain(9), precert=False)
    await pool.stop()
    assert not children(before)


async def test_chains_that_wait_for_their_check_are_bounded() -> None:
    pool = await started(PoolLimits(max_checking=2))
    answers = await asyncio.gather(
        *(pool.check("x509", ISSUER.chain(n), precert=False) for n in range(6)), return_exceptions=True
    )
    assert sum(isinstance(answer, Unavailable) for answer in answers) == 4
    assert (await pool.check("x509", ISSUER.chain(1), precert=False)).certificates
    await pool.stop()


async def test_who_comes_behind_a_storm_waits_for_a_turn_of_each_not_for_the_storm() -> None:
    pool = await started(PoolLimits(ahead=4))
    order: list[str] = []

    async def check(n: int, client: str, issuer: bytes) -> None:
        checked = await pool.check("x509", ISSUER.chain(n), False, client, issuer)
        assert checked.issuer == digest(certificate.parse(ISSUER.issuers[0]).spki)
        order.append(f"{client}, {issuer.decode()}")

    sources = [("a", b"storm")] * 60 + [("b", b"storm"), ("a", b"other")]
    await asyncio.gather(*(check(n, *source) for n, source in enumerate(sources)))
    assert len(order) == 62
    assert order.index("b, storm") <= 6
    assert order.index("a, other") <= 7
    await pool.stop()


async def test_what_waits_for_its_turn_is_answered_when_the_process_ends() -> None:
    before = children()
    pool = await started(PoolLimits(ahead=1, restart_s=1e6))
    asked = [asyncio.create_task(pool.check("x509", ISSUER.chain(n), precert=False)) for n in range(20)]
    gone = asked[10]
    gone.cancel()
    await asyncio.sleep(0)
    [checker] = children(before)
    os.kill(checker, signal.SIGKILL)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers[-1], Unavailable)
    assert isinstance(answers[10], asyncio.CancelledError)
    await pool.stop()


def test_the_process_ends_with_its_socket_and_at_no_signal() -> None:
    ours, theirs = socket.socketpair()
    with subprocess.Popen([sys.executable, "-m", "log.checking.worker"], stdin=theirs.fileno()) as process, ours:
        theirs.close()
        ours.settimeout(120)
        ours.sendall(frame(RULES) + frame(Check(1, "x509", ISSUER.chain(1), precert=False)))
        assert ours.recv(1 << 16)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        ours.sendall(frame(Check(2, "x509", ISSUER.chain(1), precert=False)))
        assert ours.recv(1 << 16)
        ours.close()
        assert process.wait(120) == 0


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 300), max_size=6))
def test_frames_are_cut_the_same_wherever_the_stream_is(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(len(body).to_bytes(4) + body for body in bodies)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    frames = Frames()
    found = [body for a, b in pairwise(edges) for body in frames.feed(stream[a:b])]
    assert found == bodies
