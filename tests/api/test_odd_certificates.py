"""Every odd certificate over HTTP, through the whole node: the same table as at the checker (contract, "Answers")."""

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

import httpx
import pytest

from log import main
from log.api.app import Options, create_app
from log.client.verifier import verify_proof
from log.crypto.sm2 import sm2_available
from log.demo.deployment import Anchors, Deployment
from log.demo.issuing import POISON_EXTENSION, SUITES, Suite
from log.errors import BadProof
from log.formats.policy import Policy
from log.node.node import Node
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings
from tests.support.nodes import monitor, unguard
from tests.support.odd_certificates import CASES, Odd, world


@dataclass
class Running:
    """A node in this process, for all cases, and a client that calls its application.

    Its loop runs only while a request is answered, so the tests are plain functions.
    """

    node: Node
    client: httpx.AsyncClient
    runner: asyncio.Runner
    policy: Policy

    def submit(self, chain: list[bytes], endpoint: str) -> httpx.Response:
        body = {"chain": [b64encode(der).decode() for der in chain]}
        return self.runner.run(self.client.post(f"/x509/ct/v1/{endpoint}", json=body))

    def get(self, path: str) -> httpx.Response:
        return self.runner.run(self.client.get(path))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        node, client, policy = runner.run(_start(tmp_path_factory))
        yield Running(node, client, runner, policy)
        runner.run(client.aclose())
        runner.run(node.stop())


@pytest.fixture
def without_signing_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a node whose log has `precert_signing = false`."""
    with asyncio.Runner() as runner:
        node, client, policy = runner.run(_start(tmp_path_factory, "precert_signing = false"))
        yield Running(node, client, runner, policy)
        runner.run(client.aclose())
        runner.run(node.stop())


async def _start(tmp_path_factory: pytest.TempPathFactory, of_x509: str = "") -> tuple[Node, httpx.AsyncClient, Policy]:
    deployment = Deployment(tmp_path_factory.mktemp("odd") / "d", run_monitor=monitor)
    anchors = Anchors(
        tuple(anchor.certificate for anchor in world().anchors if not anchor.weak_hash),
        tuple(anchor.certificate for anchor in world().anchors if anchor.weak_hash),
    )
    await deployment.create({"hk": anchors, "gd": Anchors(())})
    site = deployment.sites["hk"]
    unguard(site)
    family = 'family = "x509"'
    site.settings.write_text(site.settings.read_text().replace(family, f"{family}\n{of_x509}"))
    node = await main.build(NodeSettings.load(site.settings), SystemClock(), site.url)
    await node.start()
    transport = httpx.ASGITransport(create_app(node, Options()))
    client = httpx.AsyncClient(transport=transport, base_url=site.url)
    return node, client, Policy.parse(site.policy("x509").read_bytes())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_odd_certificate_gets_the_answer_of_the_contract(case: Odd, running: Running) -> None:
    if case.needs_sm2 and not sm2_available():
        pytest.skip("libcrypto without SM2")
    size = running.node.logs["x509"].size
    chain = list(case.build(world()))
    answer = running.submit(chain, case.endpoint)
    assert answer.status_code == case.status, answer.text
    if case.status == httpx.codes.OK:
        size = running.node.logs["x509"].size
        assert running.submit(chain, case.endpoint).content == answer.content
        assert running.node.logs["x509"].size == size, "the same submission became a second entry"
        assert set(answer.json()) == {"sct_version", "id", "timestamp", "extensions", "signature"}
    else:
        status_text, reason = answer.text.splitlines()[:2]
        assert status_text == httpx.codes.get_reason_phrase(case.status)
        assert reason
        assert answer.headers["content-type"].startswith("text/plain")
        assert "cache-control" not in answer.headers
        assert running.node.logs["x509"].size == size, "a refused submission left the tree changed"


def test_the_same_submission_gets_the_same_bytes(running: Running) -> None:
    chain = world().issue(world().profile(4711))
    first = running.submit(chain, "add-chain")
    size = running.node.logs["x509"].size
    again = running.submit(chain, "add-chain")
    by_another_chain = running.submit(chain[:-1], "add-chain")  # without the root
    assert first.content == again.content == by_another_chain.content
    assert running.node.logs["x509"].size == size


def test_get_roots_names_every_issuer_that_admits(running: Running) -> None:
    roots = running.get("/x509/ct/v1/get-roots").json()["certificates"]
    assert {b64encode(anchor.certificate).decode() for anchor in world().anchors} == set(roots)


def test_a_wrong_method_names_the_right_one(running: Running) -> None:
    answer = running.get("/x509/ct/v1/add-chain")
    assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("suite", SUITES)
def test_proofs_hold_whatever_the_issuer_signs_with(suite: Suite, running: Running) -> None:
    if suite == "sm2" and not sm2_available():
        pytest.skip("libcrypto without SM2")
    precert = world().tree.precert(suite, 31)
    final = world().tree.final(precert, [b"an SCT"]).leaf
    for chain, endpoint, shown in (
        (world().tree.issue(suite, 30), "add-chain", ()),
        (precert, "add-pre-chain", (final,)),
    ):
        answer = running.submit(chain.submitted, endpoint)
        assert answer.status_code == httpx.codes.OK, answer.text
        fingerprint = sha256(chain.leaf).hexdigest()
        raw = running.get(f"/x509/tlog-proof?fingerprint={fingerprint}&head=newest").content
        for certificate in (chain.leaf, *shown):
            proven = verify_proof(raw, certificate, running.policy, provisional=True)
            assert (proven.timestamp_ms, proven.sct_verified) == (answer.json()["timestamp"], True)
        with pytest.raises(BadProof):
            verify_proof(raw, world().tree.issue(suite, 32).leaf, running.policy, provisional=True)


def test_signing_certificates_are_refused_where_the_setting_says_so(without_signing_certificates: Running) -> None:
    running, tree = without_signing_certificates, world().tree
    indirect = tree.precert("p256", 41, signing_certificate=True)
    refused = running.submit(indirect.submitted, "add-pre-chain")
    assert (refused.status_code, refused.text.splitlines()[0]) == (httpx.codes.BAD_REQUEST, "Bad Request")
    assert "takes no Precertificate Signing Certificates" in refused.text
    assert running.node.logs["x509"].size == 0
    assert running.submit(tree.precert("p256", 42).submitted, "add-pre-chain").status_code == httpx.codes.OK
    assert running.submit(tree.final(indirect, [b"an SCT"]).submitted, "add-chain").status_code == httpx.codes.OK
    roots = running.get("/x509/ct/v1/get-roots").json()["certificates"]
    assert {b64encode(anchor.certificate).decode() for anchor in world().anchors} == set(roots)


def test_both_ways_to_a_precertificate_get_one_answer(running: Running) -> None:
    tree = world().tree
    indirect = tree.precert("p256", 51, signing_certificate=True)
    extensions = (*indirect.profile.extensions[:2], POISON_EXTENSION, *indirect.profile.extensions[2:])
    ca = tree.branches["p256"]
    direct = [ca.issue(replace(indirect.profile, extensions=extensions)), *ca.issuers]
    first = running.submit(indirect.submitted, "add-pre-chain")
    size = running.node.logs["x509"].size
    assert running.submit(direct, "add-pre-chain").content == first.content
    assert running.node.logs["x509"].size == size
