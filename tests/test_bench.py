"""The benchmarks as a program: their rows, their arithmetic, their clients. Nothing here is timed."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from log.certs import certificate
from log.formats.text import b64decode
from tests import soak_monitor
from tests.bench import __main__ as program
from tests.bench import (
    client,
    cpu,
    limits,
    load,
    machine,
    requests,
    row_audit,
    row_company,
    row_monitor,
    row_proof_reads,
    row_storm,
    row_vouch,
    wrk,
)
from tests.bench.client import Connection, Job, Outcome, run
from tests.bench.ground import Ground, Scale
from tests.bench.monitor import Reached
from tests.bench.rows import Result, Row
from tests.bench.stats import a_second, median, per_million, percentile
from tests.bench.table import ROWS

TINY = Scale(seconds=0.2, repeats=1, entries=300, judged_entries=40, connections=2)


async def nothing(_ground: Ground) -> Result:
    raise AssertionError("not run")


RATE = Row("a_rate", "/s", 100, "a limit", nothing)
TIME = Row("a_time", "ms", 100, "a limit", nothing)


# --- rows and statistics ----------------------------------------------------------------------------------


def test_a_load_too_small_to_measure_divides_by_nothing() -> None:
    idle, busy = cpu.Spent(1.0, 0.0, 0.0, 0.0), cpu.Spent(1.0, 0.5, 0.0, 0.0)
    assert (idle.rate(300), busy.rate(300), busy.rate(0)) == (math.inf, 600, 0)
    assert "inf entries a CPU-second" in str(Reached(300, idle, 0.0, 20.0))
    assert (per_million(0.0), per_million(250.0)) == (math.inf, 4000)
    assert (a_second(300, 0.0), a_second(300, 0.5)) == (math.inf, 600)


def test_the_rows_are_those_of_the_design_with_their_goals() -> None:
    assert {row.name: (row.unit, row.goal) for row in ROWS} == {
        "add_chain_p256": ("/s", 3000),
        "add_chain_rsa2048": ("/s", None),
        "add_chain_sm2": ("/s", 3000),
        "add_chain_p99_at_1000": ("ms", 100),
        "add_chain_in_company": ("ms", 30),
        "storm_p99": ("ratio", None),
        "tile_reads": ("/s", 20_000),
        "proof_reads": ("/s", 10_000),
        "get_entries": ("/s", None),
        "audit": ("/s", 100_000),
        "start_1m": ("s", 1),
        "memory_1m": ("MB", 300),
        "growth_1m": ("ratio", 1.2),
        "monitor_verify": ("/s", 200_000),
        "monitor_follow": ("/s", 80_000),
        "monitor_memory": ("MB", 300),
        "monitor_pipeline": ("/s", 8_000),
        "vouch_p99": ("s", 5),
    }


def test_percentiles_are_values_that_happened() -> None:
    times = [float(n) for n in range(1000, 0, -1)]
    assert [percentile(times, p) for p in (50, 99, 99.9, 100)] == [500, 990, 999, 1000]
    assert percentile([7.0], 1) == 7
    assert median([3.0, 1.0, 2.0, 10.0]) == 2
    with pytest.raises(AssertionError):
        percentile([], 50)


def test_a_rate_must_be_over_its_goal_and_a_time_under_it() -> None:
    assert [RATE.reached(Result(value, 1, "")) for value in (100, 99.9, None)] == [True, False, False]
    assert [TIME.reached(Result(value, 1, "")) for value in (100, 100.1, None)] == [True, False, False]


def test_a_row_without_a_goal_says_so_and_fails_only_where_it_has_no_figure() -> None:
    row = replace(RATE, goal=None)
    assert [row.reached(Result(value, 1, "")) for value in (1, None)] == [True, False]
    assert "(no goal set)" in next(iter(row.lines(Result(50, 200, ""))))


def test_a_row_as_json_has_the_keys_of_the_contract_first() -> None:
    told = RATE.to_json(Result(50, 200, "by hand"))
    assert list(told)[:5] == ["name", "value", "unit", "limit", "ratio"]
    assert (told["value"], told["ratio"], told["reached"]) == (50, 0.25, False)
    failed = RATE.to_json(Result(None, None, "errors"))
    assert (failed["value"], failed["limit"], failed["ratio"]) == (None, None, None)


def test_a_missed_goal_is_printed_with_its_reason_and_a_reached_one_without() -> None:
    missed = "\n".join(RATE.lines(Result(50, 200, "by hand", "it is slow")))
    assert "a_rate: 50/s (to reach: >= 100/s): NOT REACHED" in missed
    assert "limit 200/s: a limit; ratio 0.25" in missed
    assert "why: it is slow" in missed
    reached = "\n".join(TIME.lines(Result(50, None, "by hand", "it is slow")))
    assert "50 ms (to reach: <= 100 ms): reached" in reached
    assert "slow" not in reached


def test_an_scts_wait_ends_with_the_first_head_that_covers_its_index() -> None:
    sights = [(1.0, 0), (2.0, 10), (3.5, 25)]
    assert row_vouch.waits_s([(1.5, 9), (1.5, 10), (3.0, 24), (2.5, 3)], sights) == [0.5, 2.0, 0.5, 0.0]
    assert row_vouch.waits_s([(1.0, 25)], sights) is None


async def test_a_run_prints_the_machine_and_writes_every_row_even_a_failed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def good(_ground: Ground) -> Result:
        return Result(120, 240, "by hand")

    async def broken(_ground: Ground) -> Result:
        raise RuntimeError("a load client ended with 1")

    monkeypatch.setattr(machine, "SYNCS", 2)
    rows = [Row("one", "/s", 100, "a limit", good), Row("two", "ms", 1, "a limit", broken)]
    told = json.loads(json.dumps(await program.measure(rows, Ground(tmp_path, TINY))))
    assert [(row["name"], row["value"]) for row in told["rows"]] == [("one", 120), ("two", None)]
    assert told["machine"]["libraries"]["cryptography"]
    printed = capsys.readouterr().out
    assert "cores: " in printed
    assert "ns a turn of a loop" in printed
    assert "RuntimeError: a load client ended with 1" in printed
    assert "not reached: two" in printed


# --- clients ----------------------------------------------------------------------------------------------


class Slow:
    """A server of one connection's requests in turn; it notes what came and can be told to answer with errors."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.status = b"200 OK"
        self.held: asyncio.Event | None = None  # no answer before it is set
        self.first = asyncio.Event()  # a request has come

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.seen.append(line.split()[1])
                self.first.set()
                while (await reader.readline()).strip():
                    pass
                if self.held is not None:
                    await self.held.wait()
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 5\r\n\r\nhello" % self.status)
        finally:
            writer.close()


@pytest.fixture
async def slow() -> AsyncIterator[tuple[Slow, int]]:
    server = Slow()
    listener = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    yield server, listener.sockets[0].getsockname()[1]
    listener.close()


def paths(folder: Path, count: int) -> str:
    """Write that many GET requests; return the file's path."""
    return str(requests.write(folder / "requests", (requests.get(f"/{n}") for n in range(count))))


async def test_an_open_loop_sends_every_request_of_its_share_once(tmp_path: Path, slow: tuple[Slow, int]) -> None:
    server, port = slow
    job = Job(port, paths(tmp_path, 40), first=1, step=2, connections=2, seconds=0.1, rate=200, keep=5)
    outcome = await run(job)
    assert sorted(server.seen) == sorted(b"/%d" % n for n in range(1, 40, 2))
    assert (len(outcome.latencies_ms), dict(outcome.errors)) == (20, {})
    assert [body for _, body in outcome.kept] == ["hello"] * 4


async def test_an_open_loop_counts_latency_from_the_moment_a_request_was_due(
    tmp_path: Path, slow: tuple[Slow, int]
) -> None:
    server, port = slow
    server.held = asyncio.Event()
    doing = asyncio.create_task(run(Job(port, paths(tmp_path, 20), connections=1, seconds=0.1, rate=200)))
    await server.first.wait()
    asyncio.get_running_loop().call_later(0.2, server.held.set)
    outcome = await doing
    # Nineteen requests were due within the 100 ms in which the only connection waited: all count their wait.
    assert len(outcome.latencies_ms) == 20
    assert min(outcome.latencies_ms) > 50


def test_an_answer_may_come_in_any_pieces() -> None:
    answers: list[tuple[int, bytes]] = []
    connection = Connection(lambda _, status, body: answers.append((status, body)), lambda: None)
    for piece in b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 5\r\nX: y\r\n\r\nhello":
        assert not answers
        connection.data_received(bytes([piece]))
    connection.data_received(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert answers == [(200, b"hello"), (404, b"")]


def ends(monkeypatch: pytest.MonkeyPatch, over: Callable[[], bool]) -> None:
    """Let the time of the client's closed loops be up when this says so, and not before."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while seconds > 0 and not over():
                await asyncio.sleep(0)

    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: 1000.0 if over() else 0.0))
    monkeypatch.setattr(client, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))


async def test_a_closed_loop_starts_over_and_an_exhausted_one_is_an_error(
    tmp_path: Path, slow: tuple[Slow, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = slow
    file = paths(tmp_path, 3)
    ends(monkeypatch, lambda: len(server.seen) > 9)
    outcome = await run(Job(port, file, again=True, connections=2))
    assert len(outcome.latencies_ms) > 3
    assert set(server.seen) == {b"/0", b"/1", b"/2"}
    loop = client._Load(Job(port, file, connections=2))
    ends(monkeypatch, lambda: loop.outcome.errors.total() == 2)  # each connection has found none left
    outcome = await loop.run()
    assert len(outcome.latencies_ms) == 3
    assert outcome.errors["the prepared requests ran out"] > 0


async def test_answers_after_a_closed_loops_time_count_in_no_rate_but_as_answers(
    tmp_path: Path, slow: tuple[Slow, int]
) -> None:
    server, port = slow
    server.held = asyncio.Event()
    doing = asyncio.create_task(run(Job(port, paths(tmp_path, 3), connections=2, seconds=0.05)))
    await server.first.wait()
    asyncio.get_running_loop().call_later(0.5, server.held.set)
    outcome = await doing
    assert (outcome.latencies_ms, outcome.late, dict(outcome.errors)) == ([], 2, {})
    summary = load.summary(load.merged([outcome, outcome]))
    assert (summary.requests, summary.answers) == (0, 4)


async def test_an_answer_other_than_200_is_an_error(tmp_path: Path, slow: tuple[Slow, int]) -> None:
    server, port = slow
    server.status = b"503 Service Unavailable"
    outcome = await run(Job(port, paths(tmp_path, 3), connections=1, seconds=0.03, rate=100))
    assert not outcome.latencies_ms
    assert dict(outcome.errors) == {"status 503: hello": 3}


async def test_what_clients_of_their_own_saw_comes_back_with_its_errors(tmp_path: Path, slow: tuple[Slow, int]) -> None:
    server, port = slow
    server.status = b"503 Service Unavailable"
    outcome = await load.spread(Job(port, paths(tmp_path, 4), connections=2, seconds=0.2, rate=20))
    assert (outcome.latencies_ms, outcome.kept) == ([], [])
    assert dict(outcome.errors) == {"status 503: hello": 4}


def test_what_several_clients_saw_is_one_outcome() -> None:
    one = Outcome(1.0, [1.0, 2.0], Counter({"no answer": 1}), [(2.0, "b")])
    two = Outcome(2.0, [3.0], Counter({"no answer": 2}), [(1.0, "a")])
    whole = load.merged([one, two])
    assert (whole.seconds, whole.latencies_ms, whole.kept) == (2.0, [1.0, 2.0, 3.0], [(1.0, "a"), (2.0, "b")])
    summary = load.summary(whole)
    assert (summary.rate, summary.requests, summary.errors) == (1.5, 3, "3 x no answer")


def test_prepared_chains_are_distinct_and_read_back(tmp_path: Path) -> None:
    chains = requests.Chains()
    made = [*chains.requests(3), *chains.requests(2)]
    file = requests.write(tmp_path / "requests", made)
    assert list(requests.read(file)) == made
    leaves = [b64decode(json.loads(one.partition(b"\r\n\r\n")[2])["chain"][0]) for one in made]
    assert len({certificate.parse(leaf).serial for leaf in leaves}) == 5


def test_wrks_script_names_its_file_and_how_to_read_it(tmp_path: Path) -> None:
    script = wrk.script(tmp_path / "r", again=False)
    assert f'io.open("{tmp_path / "r"}", "rb")' in script
    assert "local again = false" in script
    assert "file:read(8)" in script
    assert '{"requests": %d' in script


def test_the_disks_limit_can_be_measured_again_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SWAPS", 2)
    assert limits.commit_ms(tmp_path) > 0
    assert limits.commit_ms(tmp_path) > 0


# --- a row from end to end --------------------------------------------------------------------------------


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time as some kernels count it, in ticks: what is tiny is done within one."""
    monkeypatch.setattr(time, "process_time", lambda: 0.0)


@pytest.mark.usefixtures("ticks")
async def test_the_audit_row_fills_a_log_through_its_sequencer_and_audits_it(tmp_path: Path) -> None:
    ground = Ground(tmp_path, TINY)
    result = await row_audit.whole(ground)
    assert await (await ground.big_node()).size() == 300
    assert result.value
    assert result.limit
    assert "300 entries of 1500 bytes" in result.detail


async def test_the_proof_row_asks_a_real_node_and_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_proof_reads, "TILES", 2)
    monkeypatch.setattr(wrk, "available", lambda: False)  # of a slow node it has no answer in time, and ours a late one
    result = await row_proof_reads.reads(Ground(tmp_path, TINY))
    assert result.value, result.detail
    assert "20 leaves of 300" in result.detail


@pytest.mark.usefixtures("ticks")
async def test_the_monitor_rows_follow_a_real_node_once_and_verify_its_entries(tmp_path: Path) -> None:
    ground = Ground(tmp_path, TINY)
    results = [await row(ground) for row in (row_monitor.verify, row_monitor.follow, row_monitor.memory)]
    assert all(result.value and result.limit for result in results)
    assert "300 entries" in results[1].detail
    assert ground.followed is not None
    assert results[2].value == ground.followed.peak_mb > 20


async def test_the_pipeline_row_finds_nothing_about_certificates_that_are_well(tmp_path: Path) -> None:
    result = await row_monitor.pipeline(Ground(tmp_path, TINY))
    assert result.value, result.detail
    assert "40 P-256 certificates" in result.detail


async def test_memory_is_of_the_node_and_of_its_checking_process(tmp_path: Path) -> None:
    server = await (await Ground(tmp_path, TINY).empty_node("alone")).start()
    try:
        assert len(cpu.family(server.pid)) == 2
        assert cpu.of_server(server.pid) > 0
    finally:
        await server.stop()


async def test_the_storm_row_answers_all_others_and_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_storm, "WARM_UP_S", 0.1)
    monkeypatch.setattr(load, "START_S", 0.2)
    result = await row_storm.others(Ground(tmp_path, TINY))
    assert result.value, result.detail
    assert "others at 100/s" in result.detail


async def test_the_row_in_company_has_its_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_company, "WARM_UP_S", 0.1)
    monkeypatch.setattr(load, "START_S", 0.2)
    result = await row_company.latency(Ground(tmp_path, replace(TINY, few_entries=300, rate=50)))
    assert result.value, result.detail
    assert "20 answers" in result.detail
    assert "and 0 audits" not in result.detail


def test_a_soak_is_run_from_here_and_says_what_was_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost: list[str] = []
    counts: list[int] = []

    async def kills(_folder: Path, count: int, _seed: int) -> list[str]:
        counts.append(count)
        return lost

    monkeypatch.setattr(soak_monitor, "kills", kills)
    assert program.main(["--soak", "3"]) == 0
    lost.append("entry 7 is not in the index")
    assert program.main(["--soak", "1000"]) == 1
    assert counts == [3, 1000]
    assert "entry 7 is not in the index" in capsys.readouterr().out
