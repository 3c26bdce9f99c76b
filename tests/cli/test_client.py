"""What a submitter, a relying party and an auditor type, against a real pair of nodes with their monitor."""

import asyncio
import base64
import csv
import json
import textwrap
from hashlib import sha256
from pathlib import Path

import pytest

from log.cli import main
from log.errors import BadProof, BadSignature, LogError, Malformed, NotFound, SettingsError, Unreachable
from log.formats.note import KeyType, VKey
from tests.cli.test_operator import twinlog
from tests.support.nodes import World, client, world


def pem(*certificates: bytes) -> str:
    """Write certificates as one PEM file."""
    blocks = ("\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64)) for der in certificates)
    return "".join(f"-----BEGIN CERTIFICATE-----\n{block}\n-----END CERTIFICATE-----\n" for block in blocks)


async def test_from_a_folder_of_certificates_to_vouched_proofs(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        await asyncio.gather(w.start("hk"), w.start("gd"))
        await w.start_monitor()
        await asyncio.gather(w.healthy(http, "hk"), w.healthy(http, "gd"))
        # The commands have loops of their own: they run in a thread, one after the other.
        await asyncio.to_thread(_script, w, tmp_path)


def _script(w: World, folder: Path) -> None:
    url, policy = f"{w.site().url}/x509", w.site().policy("x509")
    issuer = w.promises.issuer
    certificates, issuers, out = folder / "certificates", folder / "issuers", folder / "receipts"
    certificates.mkdir()
    issuers.mkdir()
    (certificates / "one.pem").write_text(pem(issuer.certificate(1), *issuer.issuers))
    (certificates / "two.der").write_bytes(issuer.certificate(2))  # its chain comes from --issuers
    (certificates / "junk.crt").write_bytes(b"no certificate")
    forged = issuer.certificate(3)
    (certificates / "unlisted.der").write_bytes(forged[:-1] + bytes([forged[-1] ^ 1]))
    for number, der in enumerate(issuer.issuers):
        (issuers / f"{number}.der").write_bytes(der)

    first = twinlog("submit", url, certificates, "--out", out, "--issuers", issuers)
    assert first.exit_code == 1
    assert "2 logged, 0 logged before, 2 refused" in first.output
    header, *refused = csv.reader((out / "refused.csv").read_text().splitlines())
    [junk, unlisted] = sorted(refused)
    assert header == ["source", "number", "fingerprint", "status", "reason"]
    assert junk[:4] == [str(certificates / "junk.crt"), "1", "", ""]
    assert "not a certificate" in junk[4]
    assert unlisted[:4] == [
        str(certificates / "unlisted.der"),
        "1",
        sha256((certificates / "unlisted.der").read_bytes()).hexdigest(),
        "400",
    ]
    assert "not signed by its issuer" in unlisted[4]
    second = twinlog("submit", url, certificates / "one.pem", certificates / "two.der", "--out", out)
    assert second.exit_code == 0
    assert second.output.startswith("0 logged, 2 logged before, 0 refused in ")
    assert not (out / "refused.csv").exists()
    other = folder / "other"
    other.mkdir()
    (other / "one.p7b").write_bytes(b"of a kind that is not read")
    nothing = twinlog("submit", url, other, "--out", out)  # "everything is logged" would be a lie
    assert (nothing.exit_code, f"{other}: no certificate" in nothing.output) == (2, True)
    typo = twinlog("submit", f"{url}-typo", certificates, "--out", folder / "typo")
    assert (typo.exit_code, "get-roots answers 404 Not Found / this node has no log" in typo.output) == (2, True)
    bare = twinlog("submit", url.removeprefix("http://"), certificates, "--out", folder / "typo")
    assert (bare.exit_code, "a URL begins with https:// or http://" in bare.output) == (2, True)
    nowhere = twinlog("submit", url, folder / "nowhere", "--out", folder / "typo")
    assert (nowhere.exit_code, "does not exist" in nowhere.output) == (2, True)
    elsewhere = twinlog("submit", url.replace("x509", "governance"), certificates, "--out", out)
    assert elsewhere.exit_code == 2  # it takes no certificates

    one, proof = certificates / "one.pem", folder / "one.tlog-proof"
    provisional = twinlog("prove", url, one, "--newest", "-o", proof)
    assert provisional.exit_code == 0
    said = twinlog("verify", proof, one, "--policy", policy, "--provisional")
    assert "entry 0 of hk.twinlog.example/x509" in said.output or "entry 1 of" in said.output
    upgraded = twinlog("upgrade", proof, "--policy", policy, "--url", url, "--certificate", one)
    while upgraded.exit_code:  # the witnesses have not vouched for it yet, and the command said so
        upgraded = twinlog("upgrade", proof, "--policy", policy, "--url", url, "--certificate", one)
    assert "VERIFIED" in upgraded.output
    whole = twinlog("verify", proof, one, "--policy", policy).output
    assert ("VERIFIED" in whole, "SCT" in whole) == (True, False)
    keyless = folder / "keyless.policy"  # of somebody who relies on the tree alone
    keyless.write_text("\n".join(line for line in policy.read_text().split("\n") if not _of_scts(line)))
    alone = twinlog("verify", proof, one, "--policy", keyless).output
    assert ("VERIFIED" in alone, "the signature of its SCT was not looked at" in alone) == (True, True)
    with pytest.raises(BadProof):
        twinlog("verify", proof, certificates / "two.der", "--policy", policy)
    nobody = folder / "nobody.policy"
    nobody.write_text(policy.read_text().replace("quorum both", "quorum none"))
    assert "VERIFIED" in twinlog("verify", proof, one, "--policy", nobody).output
    strangers = folder / "strangers.policy"
    strangers.write_text("\n".join(["quorum none", ""]))
    with pytest.raises(BadSignature):
        twinlog("verify", proof, one, "--policy", strangers)

    receipts = sorted(out.glob("*/*.sct.json"))
    assert [len(file.parent.name) for file in receipts] == [2, 2]
    assert json.loads(receipts[0].read_text())["log"] == url
    while twinlog("get", url, "witnessed").output.splitlines()[1] != "2":
        pass  # the head that the first proof got may be from between the two
    vouched = twinlog("upgrade", out, "--policy", policy)
    assert vouched.exit_code == 0
    assert vouched.output.count("VERIFIED") == 2
    assert len(list(out.glob("*/*.tlog-proof"))) == 2

    (folder / "unknown.der").write_bytes(issuer.certificate(4))
    with pytest.raises(NotFound):
        twinlog("prove", url, folder / "unknown.der")
    with pytest.raises(Malformed, match=r"junk\.crt: not a certificate"):
        twinlog("prove", url, certificates / "junk.crt")

    vkeys = [line.split(" ")[1] for line in policy.read_text().splitlines() if line.startswith("log ")]
    assert "2 entries" in twinlog("audit", url, "--vkey", vkeys[0], "--deep").output
    with pytest.raises(LogError):
        twinlog("audit", url, "--vkey", vkeys[0].replace("hk.", "gd."))
    with pytest.raises(NotFound, match=r"the log answers 404: checkpoint \(audited as a log of the family x509\)"):
        twinlog("audit", f"{url}-typo", "--vkey", vkeys[0])
    with pytest.raises(SettingsError, match="cannot get 'last': it is checkpoint, "):
        twinlog("get", url, "last")
    assert twinlog("get", url, "checkpoint").output.startswith("hk.twinlog.example/x509\n2\n")
    assert "hk.twinlog.example/x509" in twinlog("get", url, "witnessed").output
    assert twinlog("get", url, "roots").output == "1 roots\n"
    assert bytes.fromhex(twinlog("get", url, "0").output.strip())[8:10] == b"\x00\x00"
    with pytest.raises(NotFound, match="2 entries"):
        twinlog("get", url, "2")
    with pytest.raises(Unreachable):
        twinlog("get", f"{url}-typo", "roots")
    assert twinlog("get", url, "--family", "unknown").exit_code == 2
    (folder / "spoilt.sct.json").write_text("{}")
    spoilt = twinlog("upgrade", folder / "spoilt.sct.json", "--policy", policy)
    assert (spoilt.exit_code, "not a receipt" in spoilt.output) == (1, True)
    with pytest.raises(SystemExit, match="2"):
        run_main("verify", proof, one, "--policy", folder / "nowhere.policy")


def _of_scts(line: str) -> bool:
    """Whether a line of a policy names the key that signs SCTs."""
    return line.startswith("log ") and VKey.parse(line.split()[1]).type is KeyType.TREE_HEAD


def run_main(*arguments: str | Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["twinlog", *map(str, arguments)])
        main()
