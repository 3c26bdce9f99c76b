"""What an operator reads when something is missing: what it is, and what to do about it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from log.errors import StoreLocked
from monitor import freshness, keyring
from monitor import settings as config
from monitor.alert import Alert, Class
from monitor.cli import app
from monitor.limits import Limits
from monitor.store import Store

NOW_MS = 1_800_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.toml"
    path.write_text('name = "m.example"\nstate = "state"\nkeys = "keys"\n')
    return path


def said(path: Path, *words: str) -> Result:
    wide = {"COLUMNS": "200"}  # the terminal of whoever runs this may be so narrow that a message is broken anywhere
    return CliRunner(env=wide).invoke(app, [*words, "--settings", str(path)])


@pytest.mark.parametrize("words", [["status"], ["alerts", "list"], ["alerts", "acknowledge", "k", "--by", "Chan"]])
def test_who_has_no_state_is_told_how_to_make_one(settings: Path, words: list[str]) -> None:
    keyring.make(config.load(settings))
    found = said(settings, *words)
    assert found.exit_code == 3
    assert f"no state at {settings.parent / 'state'}: `twinlog-monitor init` makes one" in found.output


def test_who_has_no_keys_is_told_how_to_make_them(settings: Path) -> None:
    found = said(settings, "run", "--once")
    assert found.exit_code == 3
    assert f"no keys in {settings.parent / 'keys'}: `twinlog-monitor init` makes keys and state" in found.output


def test_settings_that_are_not_there_are_named_in_plain_words(tmp_path: Path) -> None:
    found = said(tmp_path / "none.toml", "status")
    assert (found.exit_code, found.output) == (
        3,
        f"twinlog-monitor: cannot read the settings {tmp_path / 'none.toml'}: No such file or directory\n",
    )


def test_a_second_monitor_on_a_state_is_told_that_one_runs(settings: Path) -> None:
    assert said(settings, "init").exit_code == 0
    witness = keyring.load(config.load(settings)).witness.vkey.encode()
    store = Store.open(settings.parent / "state", witness, 10)
    with pytest.raises(StoreLocked, match="a monitor runs on it already"):
        Store.open(settings.parent / "state", witness, 10)
    store.close()


@pytest.mark.parametrize(("option", "value", "one_of"), [("--severity", "bad", "critical"), ("--code", "P03", "P01")])
def test_findings_are_asked_for_by_words_that_there_are(settings: Path, option: str, value: str, one_of: str) -> None:
    assert said(settings, "init").exit_code == 0
    found = said(settings, "findings", "list", option, value)
    assert found.exit_code == 2
    assert f"one of {one_of}" in found.output
    assert said(settings, "findings", "list", option, one_of).exit_code == 0


def test_ages_are_said_in_units_that_people_count_in() -> None:
    texts = {30.4: "30 s", 119: "119 s", 120: "2 minutes", 7_199: "120 minutes", 7_200: "2 hours", 3_456_051: "40 days"}
    assert {seconds: freshness.span(seconds) for seconds in texts} == texts
    limits = Limits()
    old = freshness.head("hk", NOW_MS - 40 * 86_400_000, NOW_MS, limits)
    assert old is not None
    assert old.text.startswith("serves a head that was signed 40 days ago, at 2026-12-")
    ahead = freshness.head("hk", NOW_MS + 40 * 86_400_000, NOW_MS, limits)
    assert ahead is not None
    assert ahead.text.startswith("serves a head that was signed 40 days in the future, at 2027-02-")


def test_several_alerts_are_acknowledged_at_once_and_those_that_are_none_are_named(settings: Path) -> None:
    assert said(settings, "init").exit_code == 0
    witness = keyring.load(config.load(settings)).witness.vkey.encode()
    store = Store.open(settings.parent / "state", witness, 10)
    alerts = [Alert(f"rule P16 {n}", Class.PROVEN, "warning", "hk", "P16", "a serial of 1 bit") for n in range(3)]
    store.raise_alerts(alerts, NOW_MS)
    found = said(settings, "alerts", "acknowledge", "rule P16 0", "rule P16 2", "rule P16 9", "--by", "Chan")
    assert found.exit_code == 3
    assert "no alert with the key 'rule P16 9' lasts" in found.output
    assert [kept.alert.key for kept in store.gravest(10)] == ["rule P16 1"]
    store.close()
