"""A log whose origin begins with `test.` takes certificates from a CA that rehearses, and nothing there counts."""

from base64 import b64encode
from pathlib import Path

import httpx
import pytest

from log.client.proofs import ProofSource
from log.client.verifier import verify_proof
from log.client.witness import check_witnessable
from log.demo.ca import MassIssuer
from log.errors import Malformed, PolicyNotMet, Refused
from log.formats.action import JOINT
from log.formats.event_batch import Submitted
from log.formats.policy import Policy
from log.formats.ref import Ref
from log.governance.chains import check_kind
from log.service.references import References
from tests.bench.node import LoneNode
from tests.support import plain
from tests.support.members import of_certificate

HOST = "test.hk.twinlog.example"
ORIGIN = f"{HOST}/x509"


async def test_it_answers_as_any_log_and_counts_for_nothing(tmp_path: Path) -> None:
    issuer = MassIssuer()
    node = LoneNode(tmp_path / "node", host=HOST)
    await node.create(issuer.issuers[-1])
    der = issuer.certificate(1)
    server = await node.start()
    async with plain.client(base_url=f"http://127.0.0.1:{server.port}") as http:
        chain = {"chain": [b64encode(part).decode() for part in (der, *issuer.issuers)]}
        answer = await http.post("/x509/ct/v1/add-chain", json=chain)
        assert answer.status_code == httpx.codes.OK
        raw = await ProofSource(f"http://127.0.0.1:{server.port}/x509", http).by_certificate(der)
        assert "a rehearsal: nothing here counts" in (await http.get("/")).text
    await server.stop()
    policy = Policy.parse((node.folder / "x509.policy").read_bytes())  # which asks for nobody's cosignature
    with pytest.raises(PolicyNotMet):
        verify_proof(raw, der, policy)
    proven = verify_proof(raw, der, policy, provisional=True)
    assert (proven.origin, proven.provisional, proven.sct_verified) == (ORIGIN, True, True)

    vkeys = policy.log_vkeys(ORIGIN)
    with pytest.raises(Malformed, match="rehearsal"):
        check_witnessable(ORIGIN, vkeys)
    named = {"origin": ORIGIN, "node": "HK", "name": "x509", "family": "x509", "window": None}
    with pytest.raises(Malformed, match="rehearsal"):
        check_kind("log-add", JOINT, {**named, "vkeys": [vkey.encode() for vkey in vkeys]}, 0)


async def test_an_event_refers_to_no_leaf_of_it() -> None:
    references = References(lambda: {ORIGIN: None}, lambda: ())  # type: ignore[dict-item]
    with pytest.raises(Refused, match="rehearsal"):
        await references.own(Submitted(of_certificate(b"a certificate", Ref(ORIGIN, 0, bytes(32)))))
