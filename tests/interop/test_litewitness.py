# ruff: noqa: F811 - a fixture is imported by its name
"""Witnesses that others wrote cosign our heads: our monitor feeds litewitness and omniwitness (C2SP tlog-witness)."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from log.client.verifier import verify_proof
from log.crypto.notes import open_note
from log.demo.deployment import SIDES
from log.formats.note import KeyType, VKey
from log.formats.policy import Policy
from monitor import main, settings
from monitor.outcome import Finding, Outcome
from tests.monitor.conftest import Monitor, monitor  # noqa: F401 - the fixture
from tests.support import plain
from tests.support.go_witnesses import GoWitness, litewitness, omniwitness
from tests.support.lying_log import LyingLog
from tests.support.nodes import client, eventually, world

Start = Callable[[Path, Mapping[str, VKey]], AbstractAsyncContextManager[GoWitness]]
PROGRAMS = pytest.mark.parametrize("start", [litewitness, omniwitness])


def note_key(vkeys: tuple[VKey, ...]) -> VKey:
    return next(vkey for vkey in vkeys if vkey.type is KeyType.ED25519)


def depend(monitor: Monitor, witness: GoWitness) -> None:
    """Let the policy of hk's certificate log ask for every key of the witness.

    Its clock is the machine's, the world's is not: how long ago it cosigned says nothing.
    """
    text = monitor.path.read_text()
    monitor.path.write_text(text.replace("[limits]\n", "[limits]\nlag_s = 1e9\ndegraded_s = 1e9\n"))
    followed, path = monitor.world.hk_x509, monitor.path.parent / "hk-x509.policy"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("group", "quorum"))]
    lines += [f"witness out{i} {vkey.encode()} {witness.url}" for i, vkey in enumerate(witness.vkeys)]
    names = " ".join(f"out{i}" for i in range(len(witness.vkeys)))
    lines += [f"group all all mon gd {names}", "quorum all"]
    path.write_text("\n".join(lines) + "\n")
    followed.policy = Policy.parse(path.read_bytes())


async def grow(followed: LyingLog, count: int = 7) -> None:
    followed.add(count)
    await followed.sign()


def cosigned(followed: LyingLog, witness: GoWitness) -> int:
    """Return the size of the witnessed head, every line of the witness on it verified."""
    assert followed.witnessed is not None
    opened = open_note(followed.witnessed, [*followed.vkeys, *witness.vkeys])
    assert set(witness.vkeys) <= {line.vkey for line in opened.verified}
    assert all(line.witnesses for line in opened.verified if line.vkey in witness.vkeys)
    return opened.checkpoint.size


def of(findings: list[Finding]) -> list[tuple[Outcome, str]]:
    return [(finding.outcome, finding.code) for finding in findings]


@PROGRAMS
async def test_a_foreign_witness_cosigns_a_log_as_it_grows(tmp_path: Path, monitor: Monitor, start: Start) -> None:
    followed = monitor.world.hk_x509
    async with start(tmp_path, {followed.origin: note_key(followed.vkeys)}) as witness:
        depend(monitor, witness)
        for count in (0, 1, 299, 57, 0):  # at 0 the same head is signed anew
            await grow(followed, count)
            assert await monitor.once() == (Outcome.VOUCHED, []), witness.output.read_text()
            assert cosigned(followed, witness) == followed.size


@PROGRAMS
async def test_a_monitor_that_knows_nothing_is_told_the_size_and_tries_again(
    tmp_path: Path,
    monitor: Monitor,
    start: Start,
) -> None:
    followed = monitor.world.hk_x509
    async with start(tmp_path, {followed.origin: note_key(followed.vkeys)}) as witness:
        depend(monitor, witness)
        assert await monitor.once() == (Outcome.VOUCHED, [])
        monitor.stop()
        for file in (tmp_path / "state").iterdir():
            file.unlink()
        for each in monitor.world.logs:
            each.witnessed = None  # where our own line, and the witness's, would be found again
        main.create_state(settings.load(monitor.path))
        await grow(followed)
        assert await monitor.once() == (Outcome.VOUCHED, []), witness.output.read_text()
        assert cosigned(followed, witness) == 307


@PROGRAMS
@pytest.mark.parametrize("more", [0, 7])
async def test_row_1_a_foreign_witness_that_was_shown_another_tree_is_an_alarm(
    tmp_path: Path,
    monitor: Monitor,
    start: Start,
    more: int,
) -> None:
    """Both show no head of their own, so nothing is proven, but it is said aloud and their line is not there."""
    followed = monitor.world.hk_x509
    fork = await followed.branch(200, 100)
    async with start(tmp_path, {followed.origin: note_key(followed.vkeys)}) as witness:
        body = b"old 0\n\n" + fork.note
        async with plain.client(trust_env=False) as http:
            assert (await http.post(f"{witness.url}/add-checkpoint", content=body)).status_code == 200
        monitor.world.time_ms += 1_000
        await grow(followed, more)
        depend(monitor, witness)
        outcome, findings = await monitor.once()
        assert outcome is Outcome.UNVERIFIED
        assert (Outcome.UNVERIFIED, "split") in of(findings), findings
        assert followed.witnessed is None
        assert monitor.world.gd_x509.witnessed is not None


@PROGRAMS
async def test_row_2_a_foreign_witness_that_does_not_know_the_log(
    tmp_path: Path,
    monitor: Monitor,
    start: Start,
) -> None:
    async with start(tmp_path, {}) as witness:
        depend(monitor, witness)
        outcome, findings = await monitor.once()
        assert outcome is Outcome.UNREACHED
        [finding] = [finding for finding in findings if finding.code == "witness-refuses"]
        assert f"{witness.unknown}" in finding.text


async def test_row_2_a_foreign_witness_that_pushes_back_is_fed_later(tmp_path: Path, monitor: Monitor) -> None:
    followed = monitor.world.hk_x509
    known = {followed.origin: note_key(followed.vkeys)}
    async with omniwitness(tmp_path, known, "--rate_limit=0.000001") as witness:
        depend(monitor, witness)
        found = [await monitor.once() for _ in range(4)]
        busy = [findings for outcome, findings in found if outcome is Outcome.UNREACHED]
        assert busy, "its first answers spend what it allows"
        assert any("429" in finding.text for finding in busy[-1])
    async with omniwitness(tmp_path, known) as witness:
        path = monitor.path.parent / "hk-x509.policy"
        lines = path.read_text().splitlines()
        path.write_text(
            "\n".join(f"{' '.join(line.split()[:3])} {witness.url}" if "outside" in line else line for line in lines)
            + "\n"
        )
        assert (await monitor.once())[0] is Outcome.VOUCHED
        assert cosigned(followed, witness) == followed.size


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as made:
        yield made


@PROGRAMS
async def test_two_nodes_and_a_foreign_witness_vouch_for_a_certificate(
    tmp_path: Path, http: httpx.AsyncClient, start: Start
) -> None:
    """Processes throughout: the head that all of them cosigned, and a proof that needs the foreign witness's word."""
    async with world(tmp_path / "d") as w:
        known = {
            line.vkey.name: line.vkey
            for side in SIDES
            for family in ("x509", "governance")
            for line in Policy.parse(w.site(side).policy(family).read_bytes()).logs
            if line.vkey.type is KeyType.ED25519
        }
        async with start(tmp_path, known) as witness:
            for side in SIDES:
                for family in ("x509", "governance"):
                    path = w.site(side).policy(family)
                    lines = [f"witness lite{i} {vkey.encode()} {witness.url}\n" for i, vkey in enumerate(witness.vkeys)]
                    names = "".join(f" lite{i}" for i in range(len(witness.vkeys)))
                    text = path.read_text().replace("group both all", "".join(lines) + "group both all")
                    path.write_text(text.replace(" outside\nquorum", f" outside{names}\nquorum"))
            for side in SIDES:
                await w.start(side)
            await w.start_monitor()
            for side in SIDES:
                await w.healthy(http, side)
            await w.submits(http, 5)
            await w.witnessed(http, 5)
            policy = Policy.parse(w.site().policy("x509").read_bytes())
            der, _ = w.promises.scts[0]
            fetched: dict[str, bytes] = {}

            async def proof() -> bool:
                answer = await http.get(
                    f"{w.site().url}/x509/tlog-proof", params={"fingerprint": sha256(der).hexdigest()}
                )
                fetched["proof"] = answer.content
                return answer.status_code == httpx.codes.OK

            await eventually("the proof is there", proof)
            proven = verify_proof(fetched["proof"], der, policy)
            assert not proven.provisional
            names_of = [name for name, _ in proven.witnesses]
            assert names_of.count(witness.vkeys[0].name) == len(witness.vkeys)
            await w.submits(http, 3)
            await w.witnessed(http, 8)
            await w.reckon(http)
