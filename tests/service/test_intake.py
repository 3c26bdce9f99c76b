"""Certificates in, SCTs out: one certificate, one SCT, to the byte (promises 1, 6 and 8)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from log.checking.messages import Rules
from log.checking.pool import Pool, PoolLimits
from log.crypto.ecdsa import EcdsaSigner, EcdsaVerifier
from log.demo.ca import MassIssuer
from log.errors import Malformed, RateLimited, Refused, SettingsError
from log.formats.family import X509
from log.formats.note import KeyType
from log.formats.sct import split_digitally_signed
from log.service.admission import Admission, AdmissionLimits
from log.service.intake import CertificateIntake, IntakeLimits
from log.service.scts import SctIssuer
from tests.support.engine import Engine, MemoryPlace, log_signers

ISSUER = MassIssuer()
OTHER = MassIssuer("rsa2048")
ANCHORS = tuple((issuer.issuers[-1], False) for issuer in (ISSUER, OTHER))
RULES = Rules("x509", ANCHORS, precert_signing=False, window=None, max_chain=10)


@dataclass(slots=True)
class Desk:
    """An engine with its intake, over restarts."""

    engine: Engine
    checks: Pool
    limits: IntakeLimits = field(default_factory=IntakeLimits)
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)

    def intake(self) -> CertificateIntake:
        signer = next(signer for signer in log_signers() if signer.vkey.type is KeyType.TREE_HEAD)
        assert isinstance(signer.signer, EcdsaSigner)
        log_id = self.engine.running.identity.log_id
        assert log_id is not None
        scts = SctIssuer(log_id, signer.signer)
        clock = self.engine.clock
        admission = Admission(self.admission, clock.mono_ms)
        return CertificateIntake(self.engine.running, scts, self.checks, admission, clock, self.limits)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    engine = Engine(MemoryPlace())
    await engine.create()
    await engine.start()
    checks = Pool(PoolLimits())
    checks.admit(RULES)
    await checks.start()
    yield Desk(engine, checks)
    await checks.stop()
    await engine.audited()
    await engine.stop()


async def test_an_sct_verifies_over_the_leaf_at_its_index(desk: Desk) -> None:
    scts = [await desk.intake().add_chain(ISSUER.chain(n), precert=False) for n in range(3)]
    spki = next(signer.vkey.key for signer in log_signers() if signer.vkey.type is KeyType.TREE_HEAD)
    rows = await desk.engine.running.entries(0, 3, 3)
    for index, sct in enumerate(scts):
        assert sct.index == index
        leaf = X509.leaf_input(rows[index])
        EcdsaVerifier(spki).verify(leaf, split_digitally_signed(sct.signature))


async def test_the_same_certificate_gets_the_same_bytes_at_once_later_and_after_a_restart(desk: Desk) -> None:
    chain = ISSUER.chain(7)
    intake = desk.intake()
    at_once = await asyncio.gather(*(intake.add_chain(chain, precert=False) for _ in range(5)))
    desk.engine.clock.advance(60_000)
    later = await intake.add_chain(chain[:2], precert=False)
    await desk.engine.restart()
    desk.engine.gate.full = True
    again = await desk.intake().add_chain(chain, precert=False)
    assert {sct.encode() for sct in [*at_once, later, again]} == {again.encode()}
    assert desk.engine.size == 1
    desk.engine.gate.full = False


async def test_a_refused_submission_leaves_the_tree_as_it_was(desk: Desk) -> None:
    chain = ISSUER.chain(1)
    spoilt = chain[0][:-1] + bytes([chain[0][-1] ^ 1])
    for bad in ([spoilt, *chain[1:]], chain[:1], [b"nonsense"], []):
        with pytest.raises((Refused, Malformed)):
            await desk.intake().add_chain(bad, precert=False)
    with pytest.raises(Refused):
        await desk.intake().add_chain(chain, precert=True)
    assert desk.engine.size == 0


async def test_one_bad_chain_of_a_batch_harms_no_other(desk: Desk) -> None:
    good, bad = ISSUER.chain(1), ISSUER.chain(2)
    bad[0] = bad[0][:-1] + bytes([bad[0][-1] ^ 1])
    intake = desk.intake()
    submitted = [good, bad, ISSUER.chain(3)]
    answers = await asyncio.gather(
        *(intake.add_chain(chain, precert=False) for chain in submitted), return_exceptions=True
    )
    assert isinstance(answers[1], Refused)
    assert desk.engine.size == 2


async def test_a_chain_that_comes_as_the_last_check_ends_is_checked_too(desk: Desk) -> None:
    """Whoever was just answered may come again before the task that checked has been reaped."""
    intake = desk.intake()
    bad = ISSUER.chain(1)
    bad[0] = bad[0][:-1] + bytes([bad[0][-1] ^ 1])
    with pytest.raises(Refused):
        await intake.add_chain(bad, precert=False)
    async with asyncio.timeout(60):  # in this very task, unlike `wait_for`
        assert (await intake.add_chain(ISSUER.chain(2), precert=False)).index == 0


async def test_over_the_rate_is_an_answer(desk: Desk) -> None:
    desk.limits = IntakeLimits(max_rate_per_s=2)
    intake = desk.intake()
    for n in range(2):
        await intake.add_chain(ISSUER.chain(n), precert=False)
    with pytest.raises(RateLimited) as refused:
        await intake.add_chain(ISSUER.chain(2), precert=False)
    assert refused.value.retry_after_s == 1
    desk.engine.clock.advance(500)
    await intake.add_chain(ISSUER.chain(2), precert=False)
    with pytest.raises(RateLimited):
        await intake.add_chain(ISSUER.chain(3), precert=False)


async def test_get_roots_is_every_certificate_that_admits(desk: Desk) -> None:
    assert tuple(desk.intake().roots()) == (ISSUER.issuers[-1], OTHER.issuers[-1])


def test_an_sct_key_that_does_not_sign_the_same_twice_is_refused() -> None:
    class Random:
        deterministic = False
        public = b""

        async def sign(self, messages: object) -> list[bytes]:
            return []

    with pytest.raises(SettingsError):
        SctIssuer(bytes(32), Random())
