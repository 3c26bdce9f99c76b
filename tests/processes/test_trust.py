"""Governance by the command line against a real node, and the trust bundle that verifies proofs years later."""

import json
import time
from pathlib import Path

from log.client.proofs import ProofSource
from log.formats.action import JOINT
from log.formats.policy import Policy
from log.formats.text import b64encode
from tests.support import forked
from tests.support.engine import witness_signer
from tests.support.nodes import client, world


def twinlog(*words: str, code: int = 0) -> str:
    done = forked.run("log", *words)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


async def test_a_proof_verifies_by_the_bundle_of_its_day_and_by_a_later_one(tmp_path: Path) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        for side in ("hk", "gd"):
            await w.start(side)
        await w.start_monitor()
        await w.healthy(http)
        await w.submits(http, 1)
        [(der, _)] = w.promises.scts.values()
        certificate, proof = tmp_path / "certificate.der", tmp_path / "certificate.tlog-proof"
        certificate.write_bytes(der)
        proof.write_bytes(await ProofSource(f"{w.site().url}/x509", http).by_certificate(der, patience_s=60))

        council, url = w.deployment.council, f"{w.site().url}/governance"
        folder = str(council.path)
        genesis = ["--genesis", b64encode(council.genesis().hash)]
        of_then, of_later = tmp_path / "then", tmp_path / "later"
        then, later = str(of_then), str(of_later)
        assert "0 of joint" in twinlog("trust", "export", url, then, *genesis)
        held = ["verify", str(proof), str(certificate), "--trust"]
        said = twinlog(*held, then, *genesis)
        assert "vouched" in said
        assert said.count("mutually recognised: absent; ") == 3  # issued, logged, now: its issuer is listed, no type is
        assert said.count("hk: issuer ") == said.count("gd: issuer ") == 3

        new = witness_signer("new.twinlog.example/witness", 77).vkey.encode()
        policy = Policy.parse(f"witness new {new}\nquorum new\n").encode()
        effective_ms = (int(time.time()) + 2) * 1000  # after every cosignature of today's proof
        await council.sign(JOINT, "policy", {"origin": w.site().origin("x509"), "policy": policy}, effective_ms)
        await council.sign("hk", "ca-suspend", {"id": "ca-1", "reason": "under examination"})
        assert twinlog("governance", "submit", folder, "--to", url).splitlines() == [
            "joint 1 policy: taken",
            "hk 1 ca-suspend: taken",
        ]
        assert (council.path / "joint-1.tlog-proof").read_bytes().startswith(b"c2sp.org/tlog-proof@v1\n")
        assert twinlog("governance", "show", url, *genesis).count(": counts") == 2
        twinlog("governance", "verify", url, *genesis)
        state = json.loads(twinlog("governance", "at", url, "2099-01-01T00:00:00Z", *genesis))
        assert state == json.loads(twinlog("governance", "at", folder, "2099-01-01T00:00:00Z"))
        assert state["policies"][w.site().origin("x509")] == policy
        twinlog("governance", "show", url, code=2)  # a node is not believed about its genesis
        twinlog("governance", "show", url, "--genesis", b64encode(bytes(32)), code=1)

        twinlog("trust", "export", url, later, *genesis)
        assert "vouched" in twinlog(*held, later, *genesis)
        assert "lacks" in twinlog("trust", "adopt", then, later, *genesis, code=1)
        assert "vouched" in twinlog(*held, later, *genesis)
        twinlog("trust", "adopt", later, then, *genesis)
        assert of_then.read_bytes() == of_later.read_bytes()
        shown = json.loads(twinlog("trust", "show", later, *genesis, "--at", "2099-01-01T00:00:00Z"))
        assert shown == state
        twinlog("trust", "verify", later, "--genesis", b64encode(bytes(32)), code=1)
        changed = json.loads(of_later.read_text())
        changed["actions"]["hk"] = changed["actions"]["joint"]
        of_later.write_text(json.dumps(changed, separators=(",", ":"), sort_keys=True))
        twinlog("trust", "verify", later, *genesis, code=1)
