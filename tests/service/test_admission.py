"""Rates and shares of clients and issuers, by counting: who pays for what, and whom a storm leaves alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from log.certs import certificate
from log.checking.pool import Checked, Pool, PoolLimits
from log.demo.ca import MassIssuer
from log.errors import Closed, Malformed, RateLimited, Refused, Unavailable
from log.service.admission import Admission, AdmissionLimits
from log.service.intake import CertificateIntake
from tests.service.test_intake import ISSUER, OTHER, RULES, Desk
from tests.support.engine import Engine, MemoryPlace, until


class Watched(Pool):
    """A pool that counts its checks and can be told to keep them waiting."""

    def __init__(self) -> None:
        super().__init__(PoolLimits())
        self.checks = 0
        self.held: asyncio.Event | None = None

    async def check(
        self, log_name: str, chain: Sequence[bytes], precert: bool, client: str = "", issuer: bytes = b""
    ) -> Checked:
        self.checks += 1
        if self.held is not None:
            await self.held.wait()
        return await super().check(log_name, chain, precert, client, issuer)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    engine = Engine(MemoryPlace())
    await engine.create()
    await engine.start()
    checks = Watched()
    checks.admit(RULES)
    await checks.start()
    yield Desk(engine, checks)
    await checks.stop()
    await engine.audited()
    await engine.stop()


def watched(desk: Desk) -> Watched:
    assert isinstance(desk.checks, Watched)
    return desk.checks


async def add(intake: CertificateIntake, chain: Sequence[bytes], client: str = "a") -> int:
    """Submit as the handler does; return the index."""
    intake.arrive(client)
    return (await intake.add_chain(chain, precert=False, client=client)).index


def spoilt(issuer: MassIssuer, n: int) -> list[bytes]:
    """A chain that claims the issuer, and that the issuer did not sign."""
    chain = issuer.chain(n)
    return [chain[0][:-1] + bytes([chain[0][-1] ^ 1]), *chain[1:]]


async def test_over_its_rate_an_issuer_is_refused_before_the_check_and_another_is_not(desk: Desk) -> None:
    desk.admission = AdmissionLimits(max_issuer_rate_per_s=2)
    intake = desk.intake()
    for n in range(2):
        await add(intake, ISSUER.chain(n))
    before = watched(desk).checks
    for chain in (ISSUER.chain(3), ISSUER.chain(4)[:2]):
        with pytest.raises(
            RateLimited, match="max_issuer_rate_per_s = 2 new entries a second of one issuer"
        ) as refused:
            await add(intake, chain)
        assert refused.value.retry_after_s == 1
    assert watched(desk).checks == before
    await add(intake, OTHER.chain(1))
    desk.engine.clock.advance(500)
    await add(intake, ISSUER.chain(3))
    with pytest.raises(RateLimited):
        await add(intake, ISSUER.chain(5))


async def test_the_issuer_is_the_key_that_signed_whatever_chain_it_comes_in(desk: Desk) -> None:
    """The first chain of an issuer claims nobody known, and another chain may lead to the same key."""
    desk.admission = AdmissionLimits(max_issuer_rate_per_s=2)
    intake = desk.intake()
    await add(intake, ISSUER.chain(0))
    await add(intake, ISSUER.chain(1)[:2])
    with pytest.raises(RateLimited):
        await add(intake, ISSUER.chain(2)[:2])
    root = certificate.parse(ISSUER.issuers[-1])
    await add(intake, [ISSUER.issuers[0]])  # the leaf alone, signed by the root: another issuer
    await add(intake, [root.der])  # a root as itself is its own
    with pytest.raises(RateLimited):
        await add(intake, [ISSUER.issuers[0]])
    assert desk.engine.size == 4


async def test_an_unknown_claim_over_its_rate_is_refused_after_the_check(desk: Desk) -> None:
    desk.admission = AdmissionLimits(max_issuer_rate_per_s=1)
    intake = desk.intake()
    answers = await asyncio.gather(*(add(intake, ISSUER.chain(n)) for n in range(4)), return_exceptions=True)
    assert watched(desk).checks == 4  # none was known when they came
    assert sum(isinstance(answer, RateLimited) for answer in answers) == 3
    assert desk.engine.size == 1


async def test_a_forged_claim_uses_nothing_of_the_issuer_and_all_of_its_client(desk: Desk) -> None:
    desk.admission = AdmissionLimits(max_issuer_rate_per_s=2, max_client_rate_per_s=10)
    intake = desk.intake()
    for n in range(8):
        with pytest.raises(Refused, match="not signed by its issuer"):
            await add(intake, spoilt(ISSUER, n), "forger")
    for bad in ([b"nonsense", ISSUER.issuers[0]], [b"nonsense"]):
        with pytest.raises(Malformed):
            await add(intake, bad, "forger")
    with pytest.raises(RateLimited, match="max_client_rate_per_s = 10 submissions a second of one client"):
        await add(intake, spoilt(ISSUER, 9), "forger")
    for n in range(2):
        await add(intake, ISSUER.chain(n), "issuer's own")


async def test_what_is_in_the_log_already_costs_its_issuer_nothing(desk: Desk) -> None:
    """Anyone can read it there and submit it again."""
    desk.admission = AdmissionLimits(max_issuer_rate_per_s=3)
    intake = desk.intake()
    known = ISSUER.chain(50)
    index = await add(intake, known)
    assert {await add(intake, known, "replay") for _ in range(20)} == {index}
    for n in range(2):
        await add(intake, ISSUER.chain(n))
    with pytest.raises(RateLimited):
        await add(intake, ISSUER.chain(2))


async def test_what_the_log_does_not_take_costs_its_issuer_nothing(desk: Desk) -> None:
    desk.admission = AdmissionLimits(max_issuer_rate_per_s=1)
    intake = desk.intake()
    desk.engine.gate.full = True
    for n in range(3):
        with pytest.raises(Unavailable):
            await add(intake, ISSUER.chain(n))
    desk.engine.gate.full = False
    assert await add(intake, ISSUER.chain(0)) == 0


async def test_a_client_over_its_rate_takes_nothing_from_the_rate_of_all(desk: Desk) -> None:
    desk.admission = AdmissionLimits(max_client_rate_per_s=1)
    desk.limits = type(desk.limits)(max_rate_per_s=2)
    intake = desk.intake()
    await add(intake, ISSUER.chain(0), "storm")
    for _ in range(20):
        with pytest.raises(RateLimited, match="max_client_rate_per_s"):
            await add(intake, ISSUER.chain(1), "storm")
    await add(intake, ISSUER.chain(1), "other")
    with pytest.raises(RateLimited, match="max_rate_per_s = 2 submissions a second, all together"):
        await add(intake, ISSUER.chain(2), "third")


async def test_a_storm_of_one_issuer_holds_its_share_and_leaves_room_at_its_own_client(desk: Desk) -> None:
    desk.admission = AdmissionLimits(submissions=40, issuer_abreast=40)
    intake = desk.intake()
    await add(intake, ISSUER.chain(0), "shared")  # from here its claim is known
    pool = watched(desk)
    pool.held = asyncio.Event()
    pool.checks = 0
    storm = [asyncio.create_task(add(intake, ISSUER.chain(n), "shared")) for n in range(1, 201)]
    await until(lambda: sum(task.done() for task in storm) == 190)
    assert pool.checks == 10  # a quarter
    others = [asyncio.create_task(add(intake, OTHER.chain(n), "shared")) for n in range(5)]
    others += [asyncio.create_task(add(intake, OTHER.chain(n), f"client {n}")) for n in range(5, 9)]
    await until(lambda: pool.checks == 19)
    pool.held.set()
    await asyncio.gather(*others)
    answers = await asyncio.gather(*storm, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, RateLimited)]
    assert len(refused) == 190
    assert all("in progress at once" in str(answer) for answer in refused)
    assert desk.engine.size == 1 + 10 + 9
    await asyncio.gather(*(add(intake, ISSUER.chain(n), "shared") for n in range(300, 310)))  # all was given back


async def test_large_chains_are_bounded_by_their_bytes(desk: Desk) -> None:
    chain = ISSUER.chain(1)
    weight = sum(map(len, chain)) + len(chain[0])
    desk.admission = AdmissionLimits(submitted_bytes=weight * 4)
    intake = desk.intake()
    watched(desk).held = asyncio.Event()
    waiting = asyncio.create_task(add(intake, chain))
    await until(lambda: watched(desk).checks)
    with pytest.raises(RateLimited, match="too many bytes"):
        await add(intake, ISSUER.chain(2))
    other = asyncio.create_task(add(intake, ISSUER.chain(3), "b"))
    await until(lambda: watched(desk).checks == 2)
    held = watched(desk).held
    assert held is not None
    held.set()
    await asyncio.gather(waiting, other)


async def test_a_closed_log_says_so_to_all_also_for_what_it_holds(desk: Desk) -> None:
    intake = desk.intake()
    await add(intake, ISSUER.chain(0))
    desk.engine.running.closed = "its window ended"
    for n in range(2):
        with pytest.raises(Closed, match="its window ended"):
            await add(intake, ISSUER.chain(n))
        with pytest.raises(Closed):
            await intake.add_chain(ISSUER.chain(n), precert=False)
    assert desk.engine.size == 1


async def test_beside_another_issuer_few_of_a_storm_are_under_way(desk: Desk) -> None:
    desk.admission = AdmissionLimits(issuer_abreast=2)
    intake, checks = desk.intake(), watched(desk)
    await add(intake, ISSUER.chain(0))  # from here on its claim is known
    await add(intake, OTHER.chain(0))
    checks.held, checks.checks = asyncio.Event(), 0
    storm = [asyncio.create_task(add(intake, ISSUER.chain(n))) for n in range(1, 8)]
    await until(lambda: checks.checks == 2)
    other = asyncio.create_task(add(intake, OTHER.chain(1)))
    await until(lambda: checks.checks == 3)  # the other one's is not behind them
    gone = storm.pop()
    gone.cancel()
    checks.held.set()
    indexes = await asyncio.gather(*storm, other)
    assert len(set(indexes)) == len(storm) + 1
    assert gone.cancelled() or await asyncio.gather(gone, return_exceptions=True)
    assert checks.checks == len(storm) + 1  # of one that went away nothing is checked


async def test_an_issuers_first_chain_is_no_company_to_its_second(desk: Desk) -> None:
    """Whose the first one is nobody knows before its check."""
    desk.admission = AdmissionLimits(issuer_abreast=2)
    intake, checks = desk.intake(), watched(desk)
    await add(intake, ISSUER.chain(0))
    checks.held, checks.checks = asyncio.Event(), 0
    storm = [asyncio.create_task(add(intake, ISSUER.chain(n))) for n in range(1, 8)]
    await until(lambda: checks.checks == len(storm))
    checks.held.set()
    await asyncio.gather(*storm)


async def test_what_is_refused_or_repeated_holds_up_nobody(desk: Desk) -> None:
    """Whoever has no issuer's key could else slow down everybody with a chain that anyone can read."""
    desk.admission = AdmissionLimits(issuer_abreast=2, issuer_alone_ms=10_000)
    intake, checks = desk.intake(), watched(desk)
    await add(intake, ISSUER.chain(0))
    await add(intake, OTHER.chain(0))
    desk.engine.clock.advance(10_000)
    await add(intake, OTHER.chain(0))
    with pytest.raises(Refused):
        await add(intake, spoilt(OTHER, 1))
    checks.held, checks.checks = asyncio.Event(), 0
    storm = [asyncio.create_task(add(intake, ISSUER.chain(n))) for n in range(1, 8)]
    await until(lambda: checks.checks == len(storm))
    checks.held.set()
    await asyncio.gather(*storm)


async def test_a_place_given_to_one_who_goes_away_is_given_on() -> None:
    admission = Admission(AdmissionLimits(issuer_abreast=1), lambda: 0)
    order: list[int] = []

    async def pass_by(n: int) -> None:
        async with admission.abreast("client", b"issuer"):
            order.append(n)

    admission.entered("client", b"other")
    async with admission.abreast("client", b"issuer"):
        tasks = [asyncio.create_task(pass_by(n)) for n in range(3)]
        await asyncio.sleep(0)
        assert order == []
        assert admission.held == 3
        tasks[1].cancel()
    tasks[0].cancel()  # in the round in which it was given the place
    _, forgotten = await asyncio.wait(tasks, timeout=60)
    assert not forgotten
    assert order == [2]
