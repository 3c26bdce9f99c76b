"""A backlog of thousands into a real node by `twinlog submit`: killed, gone on with, in any order, with refusals.

`python -m tests.backlog` does the same by hand with 100,000.
"""

import asyncio
import csv
import random
import signal
from collections import Counter
from pathlib import Path

from log.client.receipts import Receipt, walk
from tests.backlog import make, receipts, submit
from tests.support.nodes import World, client, unguard, world

COUNT, FEWER = 3000, 2000
REFUSED = 6


async def test_a_backlog_survives_a_kill_and_every_certificate_is_logged_once(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        await w.start()
        certificates, issuers, out = _folders(w, tmp_path, COUNT)
        options = ("--out", out, "--issuers", issuers)
        url = f"{w.site().url}/x509"
        first = await asyncio.to_thread(submit, (url, certificates, *options), tmp_path / "first", COUNT // 6)
        held = receipts(out)
        assert first.code == -signal.SIGKILL
        assert COUNT // 6 <= held < COUNT
        size = w.stored_head().size

        # Two receipts as a power cut may leave them, and every file in another place.
        for cut in sorted(walk(out))[:2]:
            cut.write_bytes(cut.read_bytes()[: cut.stat().st_size - 2])
        moved, rng = tmp_path / "moved", random.Random(7)
        certificates.rename(moved)
        for file in [file for file in moved.rglob("*.der") if file.is_file()]:
            file.rename(moved / f"{rng.getrandbits(64):016x}.crt")

        second = await asyncio.to_thread(submit, (url, moved, *options), tmp_path / "second")
        # What was answered and not yet written down at the kill goes twice, for the same SCT; so do the two cut ones.
        assert f"{COUNT - held + 2} logged, {held - 2} logged before, {REFUSED} refused" in second.printed
        assert (second.code, receipts(out)) == (1, COUNT)
        _check_refused(out / "refused.csv", moved)
        assert held <= size <= w.stored_head().size == COUNT

        third = await asyncio.to_thread(submit, (url, moved, *options), tmp_path / "third")
        assert f"0 logged, {COUNT} logged before, {REFUSED} refused" in third.printed
        _check_refused(out / "refused.csv", moved)
        for number, file in enumerate(rng.sample(sorted(walk(out)), 30)):
            receipt = Receipt.parse(file.read_bytes())
            w.promises.scts[number] = (receipt.certificate, receipt.sct)
        assert (await w.reckon(http)).size == COUNT


def _folders(w: World, folder: Path, count: int) -> tuple[Path, Path, Path]:
    """Write the backlog, what is refused in it, and the issuers to complete chains from; name a folder for receipts."""
    certificates, issuers = folder / "certificates", folder / "issuers"
    make(w.promises.issuer, certificates, range(4000 - count, 4000), random.Random(3))  # the last thousand in bundles
    bundle = next(certificates.rglob("*.pem"))
    spoilt = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"
    bundle.write_text(bundle.read_text().replace("-----BEGIN", f"{spoilt}-----BEGIN", 1))
    (certificates / "junk.der").write_bytes(b"no certificate")
    signed = w.promises.issuer.certificate(9)
    (certificates / "forged.pem.cer").write_bytes(signed[:-1] + bytes([signed[-1] ^ 1]))
    (certificates / "empty.crt").write_bytes(b"")
    (certificates / "gone.der").symlink_to(certificates / "nowhere")
    (certificates / "a folder, named.der").mkdir()
    (certificates / "a folder, named.der" / "long.der").write_bytes(b"\x30\x82\x00\x01\x00")
    issuers.mkdir()
    for n, der in enumerate(w.promises.issuer.issuers):
        (issuers / f"{n}.der").write_bytes(der)
    return certificates, issuers, folder / "receipts"


def _check_refused(path: Path, folder: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["source", "number", "fingerprint", "status", "reason"]
    assert len({(source, number) for source, number, *_ in rows}) == len(rows) == REFUSED
    assert all(Path(source).is_relative_to(folder) for source, *_ in rows)
    [forged] = [row for row in rows if row[3] == "400"]
    assert (len(forged[2]), "not signed by its issuer" in forged[4]) == (64, True)
    assert Counter(row[4].split(":")[0] for row in rows if not row[3]) == {
        "not a certificate": 4,
        str(folder / "gone.der"): 1,
    }


async def test_a_log_that_goes_away_ends_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path / "d") as w, client() as http:
        unguard(w.site())
        node = await w.start()
        certificates, issuers, out = _folders(w, tmp_path, FEWER)
        arguments = (f"{w.site().url}/x509", certificates, "--out", out, "--issuers", issuers, "--patience", "1")
        first = await asyncio.to_thread(submit, arguments, tmp_path / "first", 100, node.pid)
        assert await w.ended() == -signal.SIGKILL
        assert first.code == 2, first.printed
        assert first.printed.splitlines()[-1].startswith(f"twinlog: {w.site().url}/x509: ")
        assert " logged, 0 logged before, " in first.printed
        held = receipts(out)
        assert 100 <= held < FEWER
        again = await asyncio.to_thread(submit, arguments, tmp_path / "again")
        assert (again.code, receipts(out)) == (2, held)
        assert "ConnectError" in again.printed
        await w.start()
        second = await asyncio.to_thread(submit, arguments, tmp_path / "second")
        assert f"{FEWER - held} logged, {held} logged before, {REFUSED} refused" in second.printed
        assert (await w.reckon(http)).size == FEWER
