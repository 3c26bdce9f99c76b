"""A node that stands alone, set up as the README says: from its issuers to a proof that verifies without it."""

import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

from log.demo.ca import MassIssuer
from log.demo.processes import Process

CHECKOUT = Path(__file__).resolve().parents[2]
SECTION = (CHECKOUT / "README.md").read_text(encoding="utf-8").partition("## Run a node of your own")[2]


def typed(command: str, folder: Path) -> str:
    """Type a command in a folder; return what it prints."""
    script = re.sub(r"\btwinlog (?=[a-z])", f"{sys.executable} -m log ", command)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ran = subprocess.run(
        ["bash", "-ec", script], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def pem(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{b64encode(der).decode()}\n-----END CERTIFICATE-----\n"


async def test_a_node_of_ones_own_is_what_the_readme_says(tmp_path: Path) -> None:
    trust, keygen, init, serve = (
        line[2:].partition("  #")[0].strip() for line in SECTION.splitlines() if line.startswith("$ ")
    )
    issuer = MassIssuer()
    leaf, *_ = chain = issuer.chain(1)
    (tmp_path / "issuers").mkdir()
    (tmp_path / "issuers" / "root.pem").write_text(pem(issuer.issuers[-1]))
    (tmp_path / "chain.pem").write_text("".join(map(pem, chain)))
    (tmp_path / "leaf.der").write_bytes(leaf)

    signer = typed(trust, tmp_path).rpartition("signed by ")[2].strip()
    settings = SECTION.partition("```toml\n")[2].partition("```")[0]
    [placeholder] = re.findall(r'signers = \["(.*)"\]', settings)
    settings = settings.replace(placeholder, signer).replace(":8800", ":0")
    (tmp_path / "twinlog.toml").write_text(settings, encoding="utf-8")
    printed = json.loads(typed(keygen, tmp_path))
    lines = [*(f"log {key}" for key in printed["hk.example/x509"]), "quorum none"]
    (tmp_path / "x509.policy").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert "1 logs created" in typed(init, tmp_path)

    node = Process("log", [*serve.split()[1:-1], str(tmp_path / "twinlog.toml")], tmp_path / "node.out")
    await node.start("listening on")
    try:
        url = (tmp_path / "node.out").read_text().partition("listening on ")[2].split()[0]
        assert "1 logged" in typed(f"twinlog submit {url}/x509 chain.pem", tmp_path)
        typed(f"twinlog prove {url}/x509 leaf.der -o leaf.tlog-proof", tmp_path)
    finally:
        assert await node.stop() == 0
    verified = typed("twinlog verify leaf.tlog-proof leaf.der --policy x509.policy", tmp_path)
    assert verified.startswith("VERIFIED: logged as entry 0 of hk.example/x509")
