"""What an operator types: keys, state, trust lists. No process, no socket."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner, Result

from log import state
from log.cli import app_of
from log.demo.ca import Tree
from log.errors import BadSignature, LogError, Malformed, Mismatch, NotFound, SettingsError, StateRefused
from log.formats.note import KeyType, VKey
from log.node.halts import Halted
from log.settings import NodeSettings
from log.storage import Filed
from tests.support.members import Sender, batch, event

SETTINGS = """
node = "HK"
guards = []
[[logs]]
name = "x509"
family = "x509"
origin = "hk.example/x509"
policy = "x509.policy"
[[trustlists]]
side = "hk"
path = "list"
signers = ["{signer}"]
"""


def twinlog(*arguments: str | Path) -> Result:
    """Run a command; an error of ours comes out as the exception that `main` turns into one line.

    Its terminal is so wide that no message breaks within a word or two of it, however long the test's folder is called.
    """
    wide = CliRunner(env={"COLUMNS": "1000"})
    result = wide.invoke(app_of(str(arguments[0])), [str(argument) for argument in arguments])
    if isinstance(result.exception, LogError):
        raise result.exception
    return result


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder with settings, a policy and a signed trust list; no keys, no state."""
    (tmp_path / "x509.policy").write_text("quorum none\n")
    tree = Tree.make(1_767_225_600_000, Random(1), ["p256"])
    (tmp_path / "root.der").write_bytes(tree.roots[0])
    made = twinlog("trustlist", "make", tmp_path / "list", tmp_path / "root.der")
    assert "1 issuers" in made.output
    signed = twinlog(
        "trustlist", "sign", tmp_path / "list", "--key", tmp_path / "signer.pem", "--name", "hk.authority.example"
    )
    signer = signed.output.split("signed by ")[1].strip()
    settings = tmp_path / "twinlog.toml"
    settings.write_text(SETTINGS.format(signer=signer))
    return settings


def test_a_witness_of_one_key_gets_its_second_later(node: Path) -> None:
    first = json.loads(twinlog("keygen", "--settings", node).output)["hk.example/witness"]
    (node.parent / "keys" / "witness.mldsa.pem").unlink()
    second = json.loads(twinlog("keygen", "--settings", node, "--mldsa").output)["hk.example/witness"]
    assert second[0] == first[0]
    assert VKey.parse(second[1]).type is KeyType.MLDSA
    assert second[1] != first[1]
    with pytest.raises(SettingsError, match="never overwritten"):
        twinlog("keygen", "--settings", node, "--mldsa")


def test_halts_shows_the_logs_that_the_witness_saw_forked(node: Path) -> None:
    twinlog("keygen", "--settings", node)
    twinlog("init", "--settings", node)
    assert twinlog("halts", "--settings", node).output == ""

    async def fork() -> None:
        heads = state.open_heads(NodeSettings.load(node), create=False)
        pair = Halted("gd.example/x509", "two roots of one size", b"one head\n", b"another head\n")
        await heads.replace("fork/gd.example/x509", None, pair.encode())
        await heads.close()

    asyncio.run(fork())
    said = twinlog("halts", "--settings", node).output
    assert "gd.example/x509: two roots of one size, evidence against that log; it halts nothing here" in said
    assert "cosigned:\none head\n\nrefused:\nanother head\n" in said


def test_a_list_that_is_made_again_is_the_next_version(node: Path) -> None:
    folder, root = node.parent / "list", node.parent / "root.der"
    assert "version 2, 1 issuers" in twinlog("trustlist", "make", folder, root).output
    assert "version 7, 1 issuers" in twinlog("trustlist", "make", folder, root, "--version", "7").output
    (folder / "trustlist.json").write_bytes(b"no list")
    with pytest.raises(Malformed):
        twinlog("trustlist", "make", folder, root)
    assert (folder / "trustlist.json").read_bytes() == b"no list"
    empty = node.parent / "empty"
    empty.mkdir()
    with pytest.raises(NotFound, match=r"empty: no certificate; in folders it is files in \.cer, \.crt, \.der, \.pem"):
        twinlog("trustlist", "make", node.parent / "none", empty)
    assert not (node.parent / "none").exists()


def test_keygen_prints_what_others_pin_and_never_overwrites(node: Path) -> None:
    printed = json.loads(twinlog("keygen", "--settings", node).output)
    assert set(printed) == {"hk.example/x509", "hk.example/witness"}
    assert len(printed["hk.example/x509"]) == 3
    assert [VKey.parse(text).type for text in printed["hk.example/witness"]] == [KeyType.COSIGNATURE, KeyType.MLDSA]
    assert all(file.stat().st_mode & 0o077 == 0 for file in (node.parent / "keys").iterdir())
    (node.parent / "keys" / "x509.cosign.pem").unlink()
    before = {file: file.read_bytes() for file in (node.parent / "keys").iterdir()}
    again = json.loads(twinlog("keygen", "--settings", node).output)  # what is missing, and nothing else
    assert {file: file.read_bytes() for file in before} == before
    assert [vkey in printed["hk.example/x509"] for vkey in again["hk.example/x509"]] == [True, True, False]


def test_init_signs_an_empty_head_once(node: Path) -> None:
    twinlog("keygen", "--settings", node)
    assert twinlog("init", "--settings", node).exit_code == 0
    with pytest.raises(StateRefused):
        twinlog("init", "--settings", node)
    stored = sqlite3.connect(node.parent / "heads" / "heads.sqlite")
    names = {name for (name,) in stored.execute("SELECT name FROM head")}
    stored.close()
    assert names == {"log/hk.example/x509", "witness"}
    for named in (node, node.parent):  # the settings, or their folder
        audited = twinlog("audit", "--data", named, "--index")
        assert "hk.example/x509: 0 entries" in audited.output


@pytest.mark.parametrize(
    "url", ["hk.example", "ftp://hk.example", "https://", "https://hk.example:99999", "https://[hk"]
)
def test_a_public_url_that_is_none_is_refused(node: Path, url: str) -> None:
    node.write_text(f'public_url = "{url}"\n' + node.read_text())
    with pytest.raises(SettingsError, match="public_url"):
        NodeSettings.load(node)


def test_a_node_does_not_start_without_the_policy_of_shards_to_come(node: Path) -> None:
    later = '[[logs]]\nname = "later"\nfamily = "x509"\norigin = "hk.example/later"\npolicy = "absent.policy"\n'
    (node.parent / "x509.policy").write_text("quorum none\n")
    node.write_text(node.read_text() + later + 'shards = "yearly"\nfirst_year = 2099\n')
    twinlog("keygen", "--settings", node)
    twinlog("init", "--settings", node)
    served = subprocess.run(
        [sys.executable, "-m", "log", "serve", "--settings", node],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert served.returncode == 2
    assert "absent.policy" in served.stderr


@pytest.mark.parametrize("role", ["anonymous", "guard", "admin"])
def test_a_token_is_a_members(node: Path, role: str) -> None:
    token = f'[[tokens]]\nname = "t"\nrole = "{role}"\nside = "hk"\nsha256 = "{"0" * 64}"\nexpires = "2030-01-01"\n'
    node.write_text(node.read_text() + token)
    with pytest.raises(SettingsError, match=r"tokens.0.role"):
        NodeSettings.load(node)
    node.write_text(node.read_text().replace(f'"{role}"', '"relying-party"'))
    assert [str(each.role) for each in NodeSettings.load(node).tokens] == ["relying-party"]


OPEN = """
[[logs]]
name = "open"
family = "tlog-tiles"
origin = "test.hk.example/open"
policy = "x509.policy"
open_add = true
"""


def test_a_log_that_is_new_in_the_settings_is_added_once(node: Path) -> None:
    twinlog("keygen", "--settings", node)
    twinlog("init", "--settings", node)
    (node.parent / "x509.policy").write_text("quorum none\n")
    node.write_text(node.read_text() + OPEN)
    with pytest.raises(SettingsError, match="`twinlog keygen` makes the keys"):
        twinlog("init", "--settings", node, "--add", "open")
    twinlog("keygen", "--settings", node)
    with pytest.raises(StateRefused, match="`twinlog init --add NAME`"):
        twinlog("init", "--settings", node)
    served = subprocess.run(
        [sys.executable, "-m", "log", "serve", "--settings", node], capture_output=True, text=True, check=False
    )
    assert served.returncode == 3
    assert "`twinlog init --add open` makes it" in served.stderr
    assert "open created" in twinlog("init", "--settings", node, "--add", "open").output
    assert "test.hk.example/open: 0 entries" in twinlog("audit", "--data", node, "--index").output
    for name, why in (("open", "was created before"), ("x509", "`init` on")):
        with pytest.raises(StateRefused, match=why):
            twinlog("init", "--settings", node, "--add", name)
    with pytest.raises(SettingsError, match="none is called 'shut'"):
        twinlog("init", "--settings", node, "--add", "shut")


def test_a_head_store_under_the_data_folder_is_refused(node: Path) -> None:
    node.write_text('heads_file = "data/heads.sqlite"\n' + node.read_text())
    twinlog("keygen", "--settings", node)
    with pytest.raises(SettingsError, match="must not lie under data_dir"):
        twinlog("init", "--settings", node)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("heartbeats = 3\n", "heartbeats: no such setting"),
        ("heartbeat_s = 0\n", "heartbeat_s"),
        ('[[logs]]\nname = "t"\nfamily = "x509"\norigin = "o"\npolicy = "p"\nbodies = "all"\n', "logs.1.bodies"),
        ('[[logs]]\nname = "t"\nfamily = "x509"\norigin = "o"\npolicy = "p"\nbodies = "home-only"\n', "side: "),
        ('[[logs]]\nname = "t"\nfamily = "events"\norigin = "o"\npolicy = "p"\n', "side: "),
        ('authority = "https://hk.example"\n', "authority"),
        ('[[tokens]]\nname = "t"\nrole = "guard"\nside = "hk"\nexpires = "2999-01-01"\n', "tokens.0.role"),
        ('[[logs]]\nname = "witness"\nfamily = "x509"\norigin = "o"\npolicy = "p"\n', "a path of the node itself"),
        ('[[logs]]\nname = "t"\nfamily = "tlog-tiles"\norigin = "o"\npolicy = "p"\n', "needs open_add = true"),
        ('[[logs]]\nname = "t"\nfamily = "x509"\norigin = "o"\npolicy = "p"\nopen_add = true\n', "never open to all"),
        (
            '[[logs]]\nname = "t"\nfamily = "x509"\norigin = "o"\npolicy = "p"\nwindow = [2027-01-01, 2026-01-01]\n',
            "window: no notAfter is",
        ),
        ("[limits]\nmax_chain = -1\n", "limits.max_chain"),
        ("[limits]\nmax_chains = 1\n", "limits.max_chains: no such setting"),
    ],
)
def test_a_wrong_setting_is_named(node: Path, line: str, message: str) -> None:
    text = node.read_text()
    node.write_text(text + line if line.startswith("[") else line + text)
    with pytest.raises(SettingsError, match=message):
        twinlog("keygen", "--settings", node)


@pytest.mark.parametrize("when", ["2027-01-01", '"2027-01-01"', "2027-01-01T00:00:00", "2027-01-01T08:00:00+08:00"])
def test_a_date_is_written_as_toml_or_as_text(node: Path, when: str) -> None:
    table = f'[[tokens]]\nname = "t"\nrole = "monitor"\nside = "hk"\nsha256 = "{"0" * 64}"\nexpires = {when}\n'
    window = f"window = [2026-01-01, {when}]\n"
    node.write_text(node.read_text().replace('policy = "x509.policy"\n', f'policy = "x509.policy"\n{window}') + table)
    loaded = NodeSettings.load(node)
    midnight_ms = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * 1000
    assert loaded.tokens[0].expires == midnight_ms
    assert loaded.logs[0].window == (int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1000, midnight_ms)


def test_the_environment_overrides_and_an_unknown_variable_is_an_error(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINLOG_KEYS_DIR", "elsewhere")
    twinlog("keygen", "--settings", node)
    assert (node.parent / "elsewhere" / "witness.pem").exists()
    for name in ("TWINLOG_KEY_DIR", "TWINLOG_DATABASE"):  # TWINLOG_DATA itself names shared data
        monkeypatch.setenv(name, "typo")
        with pytest.raises(SettingsError, match=name):
            twinlog("keygen", "--settings", node)
        monkeypatch.delenv(name)
    monkeypatch.setenv("TWINLOG_LIMITS", "no table")
    with pytest.raises(SettingsError, match="limits"):
        twinlog("keygen", "--settings", node)


def test_a_trust_list_is_verified_and_a_changed_one_is_not(node: Path) -> None:
    folder = node.parent / "list"
    signer = node.read_text().split('signers = ["')[1].split('"')[0]
    assert "signatures in order" in twinlog("trustlist", "verify", folder, "--signer", signer).output
    assert "issuer-1" in twinlog("trustlist", "show", folder).output
    listed = (folder / "trustlist.json").read_bytes()
    (folder / "trustlist.json").write_bytes(listed.replace(b'"observed":false', b'"observed":true'))
    with pytest.raises(LogError):
        twinlog("trustlist", "verify", folder, "--signer", signer)


def test_a_second_signer_adds_a_line_and_the_first_one_stays(node: Path) -> None:
    folder = node.parent / "list"
    twinlog("trustlist", "sign", folder, "--key", node.parent / "second.pem", "--name", "second.example")
    again = twinlog("trustlist", "sign", folder, "--key", node.parent / "second.pem", "--name", "second.example")
    second = again.output.split("signed by ")[1].strip()
    first = node.read_text().split('signers = ["')[1].split('"')[0]
    verified = twinlog("trustlist", "verify", folder, "--signer", first, "--signer", second, "--threshold", "2")
    assert verified.exit_code == 0


@pytest.mark.parametrize("line", ['listen = "0.0.0.0:0"\n', 'listen = "127.0.0.1:0"\ntls_key = "key.pem"\n'])
def test_plain_http_for_other_machines_is_refused_at_start(node: Path, line: str) -> None:
    twinlog("keygen", "--settings", node)
    twinlog("init", "--settings", node)
    node.write_text(line + node.read_text())
    with pytest.raises(SettingsError, match="tls_certificate"):
        twinlog("serve", "--settings", node)


GUARD = '[[guards]]\nname = "monitor"\ncosigner = "{}"\npush = "{}"\n'


@pytest.mark.parametrize(
    ("place", "which"),
    [
        ("trustlists hk: signers", "placeholder"),
        ("trustlists hk: signers", "witness"),
        ("guard monitor: cosigner", "placeholder"),
        ("guard monitor: cosigner", "signer"),
        ("guard monitor: push", "witness"),
        ("witnessed gd.example/x509", "placeholder"),
    ],
)
def test_a_key_that_is_none_or_of_another_type_is_a_wrong_setting(node: Path, place: str, which: str) -> None:
    printed = json.loads(twinlog("keygen", "--settings", node).output)
    text = node.read_text()
    signer = text.split('signers = ["')[1].split('"')[0]
    keys = {"placeholder": "hk.authority.example+…", "signer": signer, "witness": printed["hk.example/witness"][0]}
    wrong = keys[which]
    tables = {
        "trustlists hk: signers": text.replace(signer, wrong),
        "guard monitor: cosigner": text.replace("guards = []\n", "") + GUARD.format(wrong, signer),
        "guard monitor: push": text.replace("guards = []\n", "") + GUARD.format(keys["witness"], wrong),
        "witnessed gd.example/x509": text + f'[[witnessed]]\norigin = "gd.example/x509"\nvkeys = ["{wrong}"]\n',
    }
    node.write_text(tables[place])
    with pytest.raises(SettingsError, match=place) as caught:
        twinlog("init", "--settings", node)
    assert which != "placeholder" or wrong in str(caught.value)
    assert not (node.parent / "heads").exists()


def test_a_node_never_witnesses_its_own_logs(node: Path) -> None:
    printed = json.loads(twinlog("keygen", "--settings", node).output)
    vkeys = json.dumps(printed["hk.example/x509"])
    node.write_text(node.read_text() + f'[[witnessed]]\norigin = "hk.example/x509"\nvkeys = {vkeys}\n')
    with pytest.raises(SettingsError, match="never witnesses its own"):
        twinlog("init", "--settings", node)


def test_submission_records_are_exported_and_verified_without_the_node(node: Path, tmp_path: Path) -> None:
    node.write_text(
        'side = "hk"\n' + node.read_text() + '[[logs]]\nname = "events"\nfamily = "events"\n'
        'origin = "hk.example/events"\npolicy = "x509.policy"\n'
    )
    twinlog("keygen", "--settings", node)
    twinlog("init", "--settings", node)
    settings = NodeSettings.load(node)
    senders = [Sender("hk/a"), Sender("hk/a-b")]
    bodies = {(sender.member, seq): batch(sender.member, seq, [event(seq)]) for sender in senders for seq in (1, 2)}

    async def fill() -> None:
        store = state.open_records(settings, settings.logs[1], create=False)
        for sender in senders:
            for seq in (1, 2):
                record = sender.submission(bodies[sender.member, seq], 1_800_000_000).encode()
                await store.file(Filed(sender.member, seq, record, b"[]"), bodies[sender.member, seq])
        await store.close()

    asyncio.run(fill())
    exported = twinlog("records", "export", tmp_path / "all", "--settings", node)
    assert exported.output.startswith("4 records")
    one = twinlog("records", "export", tmp_path / "one", "--settings", node, "--member", "hk/a")
    assert one.output.startswith("2 records")
    assert {str(f.relative_to(tmp_path / "one")) for f in (tmp_path / "one").rglob("*.record")} == {
        "hk/a/1.record",
        "hk/a/2.record",
    }
    record, key = tmp_path / "all" / "hk" / "a-b" / "2.record", senders[1].key.vkey.encode()
    said = twinlog("records", "verify", record, "--key", key, "--body", record.with_suffix(".body"))
    assert f"signed by {senders[1].keyid} at 2027-01-15T08:00:00Z" in said.output
    assert "POST /events/add-events at hk.twinlog.example" in said.output
    with pytest.raises(Mismatch):
        twinlog("records", "verify", record, "--key", key, "--body", record.with_name("1.body"))
    with pytest.raises(BadSignature):
        twinlog("records", "verify", record, "--key", senders[0].key.vkey.encode())
    with pytest.raises(SettingsError, match="no log of events"):
        twinlog("records", "export", tmp_path / "none", "--settings", node, "--log", "x509")
