"""`twinlog verify-evidence`, and what a monitor exports: a stranger checks it with the script in the file."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from log.crypto.notes import sign_statement
from log.errors import BadSignature, LogError, Malformed, SettingsError
from log.evidence.heads import read_head
from log.evidence.objects import identify
from log.formats.identity import Identity
from log.formats.note import KeyType
from log.formats.text import b64encode
from monitor import cli, export, keyring
from monitor import settings as config
from monitor.store import Evidence, Store
from tests.cli.test_operator import twinlog
from tests.client.heads import ORIGIN, SIGNERS, TIME_MS, VKEYS
from tests.evidence.samples import PINNED, WITNESS, samples, venafi

SETTINGS = 'name = "m.example"\nstate = "state"\nkeys = "keys"\n'


@pytest.mark.parametrize("name", list(samples()))
def test_it_says_in_a_sentence_what_is_proven(tmp_path: Path, name: str) -> None:
    file = tmp_path / "evidence.json"
    file.write_bytes(samples()[name].data)
    assert PINNED.genesis is not None
    keys = [part for vkey in (*VKEYS, WITNESS.vkey) for part in ("--key", vkey.encode())]
    done = twinlog("verify-evidence", file, *keys, "--genesis", PINNED.genesis.hex())
    assert (done.exit_code, done.output.split(":")[0]) == (
        (3, f"SUSPECTED ({name})") if name == "E8" else (0, f"PROVEN ({name})")
    )
    with pytest.raises(BadSignature):
        twinlog("verify-evidence", file, "--key", venafi().pinned.logs[0].vkeys[0].encode())


async def test_a_published_identity_or_a_policy_pins_the_log(tmp_path: Path) -> None:
    file, identity, policy = tmp_path / "evidence.json", tmp_path / "identity", tmp_path / "policy"
    file.write_bytes(samples()["E1"].data)
    identity.write_bytes((await sign_statement(Identity.make(ORIGIN, VKEYS).encode(), TIME_MS, SIGNERS)).encode())
    lines = [f"log {vkey.encode()}" for vkey in VKEYS if vkey.type is not KeyType.COSIGNATURE]
    policy.write_text("\n".join([*lines, f"witness w {WITNESS.vkey.encode()}", "quorum w\n"]))
    assert twinlog("verify-evidence", file, "--identity", identity).exit_code == 0
    assert twinlog("verify-evidence", file, "--policy", policy).exit_code == 0
    file.write_bytes(samples()["E7"].data)
    assert twinlog("verify-evidence", file, "--policy", policy).exit_code == 0
    shown = {"logs": [{"origin": ORIGIN, "identity": b64encode(identity.read_bytes())}]}
    kept, other = tmp_path / "twinlog.json", tmp_path / "other.json"
    kept.write_text(json.dumps(shown))
    other.write_text("{}")
    file.write_bytes(samples()["E1"].data)
    assert twinlog("verify-evidence", file, "--identity", kept).exit_code == 0
    nested = tmp_path / "nested.json"
    nested.write_bytes(b'{"logs":' * 100_000)
    wrongs: tuple[list[str | Path], ...] = (
        [],
        ["--genesis", "xyz"],
        ["--key", "nonsense"],
        ["--identity", other],
        ["--identity", file],
        ["--identity", nested],
        ["--policy", file],
    )
    for wrong in wrongs:
        with pytest.raises(SettingsError):
            twinlog("verify-evidence", file, *wrong)
    file.write_bytes(b"{}")
    with pytest.raises(LogError):
        twinlog("verify-evidence", file, "--policy", policy)


def test_a_monitor_lists_shows_and_exports_what_a_stranger_checks(tmp_path: Path) -> None:
    settings, out = tmp_path / "monitor.toml", tmp_path / "e.zip"
    settings.write_text(SETTINGS)

    def command(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli.app, [*arguments, "--settings", str(settings)])
        return done.exit_code, done.output

    assert command("init")[0] == 0
    witness = keyring.load(config.load(settings)).witness.vkey.encode()
    store = Store.open(tmp_path / "state", witness, 10)
    sample = samples()["E2"]
    kept = Evidence(identify(sample.data), sample.kind, ORIGIN, sample.data, TIME_MS)
    [small, large] = export.notes(kept)
    head, _ = read_head(large, ORIGIN, VKEYS)
    store.observe(head, "witness gd", TIME_MS)
    store.convict(kept, head, "convicted", 10)

    code, listed = command("evidence", "list")  # beside the running monitor
    assert (code, listed) == (0, f"{kept.id.hex()} E2 {ORIGIN} 2025-12-31 00:00:00 UTC: {sample.kind.title}\n")
    code, shown = command("evidence", "show", kept.id.hex()[:8])
    assert "met first from witness gd" in shown
    assert small.decode() in shown
    assert command("evidence", "show", "00")[0] == 3
    assert command("evidence", "export", kept.id.hex(), "--out", str(out))[0] == 0
    store.close()

    pins = [part for vkey in VKEYS for part in ("--key", vkey.encode())]
    assert twinlog("verify-evidence", out, *pins).output == (
        f"PROVEN (E2): {ORIGIN} signed a longer history that does not contain the shorter one which it signed too.\n"
    )
    with zipfile.ZipFile(out) as archive:
        archive.extractall(tmp_path / "court")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(Malformed, match="no zip with"):
        twinlog("verify-evidence", tmp_path / "empty.zip", *pins)
    court = tmp_path / "court"
    assert [(court / f"notes/{n}.txt").read_bytes() for n in (1, 2)] == [small, large]
    assert json.loads((court / "context.json").read_bytes())["met"] == [
        None,
        {"received_ms": TIME_MS, "source": "witness gd"},
    ]
    keys = [vkey.encode() for vkey in VKEYS]
    checked = subprocess.run([sys.executable, "-I", "verify.py", "evidence.json", *keys], cwd=court, check=False)
    assert checked.returncode == 0
    assert f"E2 against {ORIGIN}: {sample.kind.title}." in (court / "VERIFY.txt").read_text()
