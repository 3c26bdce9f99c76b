"""The parts together: a monitor between two nodes judges what it verified; settings, files at hand, the commands."""

import base64
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from log.crypto.notes import sign_note
from log.errors import SettingsError
from log.formats.family import x509_parts
from monitor import main, pinned, settings
from monitor.cli import app
from tests.monitor.conftest import Monitor
from tests.monitor.rules.cases import NOW_MS, signed, usual, world
from tests.support.lying_world import World
from tests.support.memory_log import ED25519
from tests.support.odd_certificates import SHA1

RUN = CliRunner()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return World().write(tmp_path, {"hk": "http://hk", "gd": "http://gd"})


def files(folder: Path) -> list[str]:
    bad, issuer = folder / "bad.der", folder / "issuer.pem"
    bad.write_bytes(usual(serial=0)(world()))
    text = base64.b64encode(world().hk.certificate).decode()
    issuer.write_text(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    return [str(bad), str(issuer)]


def test_files_at_hand_are_judged(tmp_path: Path) -> None:
    bad, issuer = files(tmp_path)
    result = RUN.invoke(app, ["judge", bad, issuer])
    assert result.exit_code == 1
    assert "bad.der: P16 medium: a serial that is zero or negative" in result.output
    assert "issuer.pem: nothing found by P04, P09, P10, P11, P13, P16, P19\n" in result.output
    assert "not judged, for no trust list is known: P01, P02, J01, J03" in result.output
    assert RUN.invoke(app, ["judge", issuer]).exit_code == 0
    assert RUN.invoke(app, ["judge", str(tmp_path / "none")]).exit_code == 3


def test_findings_are_said_as_people_say_them(tmp_path: Path) -> None:
    made = {"one": usual(serial=1), "two": usual(serial=3), "old": signed(SHA1, 1_600_000_000_000)}
    paths = []
    for name, make in made.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(make(world()))
    said = RUN.invoke(app, ["judge", *map(str, paths)]).output
    assert "one: P16 medium: a serial of 1 bit, too short" in said
    assert "two: P16 medium: a serial of 2 bits, too short" in said
    assert "old: P11 high: signed with SHA-1 after its cut-off date" in said


async def test_lists_of_the_settings_count(path: Path) -> None:
    base, signer = world().base, ED25519
    folder = path.parent / "list"
    folder.mkdir()
    (folder / "trustlist.json").write_bytes(base.encode())
    note = (await sign_note(base.note_text(), NOW_MS, [signer])).encode()
    (folder / "trustlist.note").write_bytes(note)
    tables = "".join(
        f'[[trustlists]]\nside = "{side}"\npath = "list"\nsigners = ["{signer.vkey.encode()}"]\n'
        for side in ("hk", "gd")
    )
    loaded = _more(path, tables)
    assert pinned.trust_lists(loaded)["hk"] == base
    unlisted = path.parent / "unlisted.der"
    unlisted.write_bytes(world().unlisted.issue(world().profile(world().unlisted)))
    root = path.parent / "root.der"
    root.write_bytes(world().unlisted.certificate)
    found = dict(main.judge_files([unlisted, root], loaded))
    assert sorted(hit.code for hit in found["unlisted.der"]) == ["J01", "P01"]
    judged = RUN.invoke(app, ["judge", str(root), "--settings", str(path)]).output
    assert judged.startswith("root.der: nothing found by P01, P02, P04")
    (folder / "trustlist.note").write_bytes(note.replace(b"\n3\n", b"\n4\n"))
    with pytest.raises(SettingsError, match="trust list of hk"):
        pinned.trust_lists(loaded)


def _more(path: Path, tables: str) -> settings.Settings:
    path.write_text(path.read_text() + tables)
    return settings.load(path)


def test_limits_of_the_settings_count(path: Path) -> None:
    path.write_text(path.read_text() + '[rules]\nlimits = "limits.toml"\n')
    with pytest.raises(SettingsError, match="rules: limits"):
        pinned.rule_limits(settings.load(path))
    (path.parent / "limits.toml").write_text('version = "x"')
    with pytest.raises(SettingsError, match="missing"):
        pinned.rule_limits(settings.load(path))


def test_the_watchlist_is_read_again_and_a_broken_one_changes_nothing(path: Path) -> None:
    before = path.read_text()
    path.write_text(before + '[[watch]]\nname = "us"\nsuffixes = ["EXAMPLE.hk"]\nkeys = ["' + "ab" * 32 + '"]\n')
    watching = pinned.Watching(settings.load(path))
    [us] = watching().watched
    assert (us.name, us.suffixes, us.keys) == ("us", ("example.hk",), (b"\xab" * 32,))
    path.write_text(before + '[[watch]]\nname = "them"\norganisations = ["Ｔｈｅｙ  Limited"]\n')
    [them] = watching().watched
    assert them.organisations == ("they limited",)
    path.write_text(before + "[[watch]]\n")
    assert watching().watched == (them,)
    assert "name" in watching().trouble
    path.write_text(before)
    assert (watching().watched, watching().trouble) == ((), "")


async def test_a_monitor_judges_what_it_has_verified(monitor: Monitor) -> None:
    text = monitor.path.read_text()
    token = "token"
    monitor.path.write_text(f'{text}[page]\ntokens = ["{sha256(token.encode()).hexdigest()}"]\n')
    followed = monitor.world.hk_x509
    followed.put(x509_parts(usual(serial=0)(world()), []))
    await followed.sign()
    await monitor.once()
    assert monitor.assembled is not None
    while await monitor.assembled.judging.pass_over(monitor.assembled.to_judge()):
        pass
    assert monitor.store is not None
    found = [kept.finding for kept in monitor.store.findings(code="P16")]
    assert [(each.place.origin if each.place else "") for each in found] == [followed.origin]
    assert monitor.store.judged(followed.origin).size == followed.size
    transport = httpx.ASGITransport(monitor.assembled.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as web:
        assert "P16" not in (await web.get("/")).text
        shown = (await web.get("/", headers={"Authorization": f"Bearer {token}"})).text
        assert "P16" in shown
        assert followed.origin in shown
    number = str(monitor.store.findings(code="P16")[0].seq)
    listed = RUN.invoke(app, ["findings", "list", "--settings", str(monitor.path), "--code", "P16"])
    assert f"{number} P16 medium proven {followed.origin}" in listed.output
    shown_one = RUN.invoke(app, ["findings", "show", number, "--settings", str(monitor.path)])
    assert '"sightings": [' in shown_one.output
    assert RUN.invoke(app, ["findings", "show", "99999", "--settings", str(monitor.path)]).exit_code == 3
    status = RUN.invoke(app, ["status", "--settings", str(monitor.path)])
    assert f"judged up to {followed.size:,}" in status.output
