"""Governance at a terminal: drafts, signatures by people apart, what holds on a date."""

import json
import re
from pathlib import Path

import pytest

from log.client.actions import Folder
from log.errors import Malformed, SettingsError
from log.formats.text import b64encode
from tests.cli.test_operator import twinlog

FREEZE = '{"origin": "hk.example/x509", "reason": "asked by a court"}'


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with a genesis of two sides of three keys, which lie beside it."""
    for side in ("hk", "gd"):
        vkeys = [_vkey(tmp_path, side, number) for number in range(3)]
        (tmp_path / f"{side}.vkeys").write_text("\n".join(vkeys) + "\n")
    sides = [part for side in ("hk", "gd") for part in ("--side", f"{side}={tmp_path / side}.vkeys")]
    printed = twinlog("governance", "genesis", tmp_path / "g", *sides, "--notice-s", "0")
    assert "pin " in printed.output
    return tmp_path


def _key(folder: Path, side: str, number: int) -> list[str | Path]:
    return ["--key", folder / f"{side}-{number}.pem", "--name", f"{side}.authority.example/{number}"]


def _vkey(folder: Path, side: str, number: int) -> str:
    _, file, *name = _key(folder, side, number)
    return twinlog("governance", "key", file, *name).output.strip()


def sign(folder: Path, file: Path, side: str, *numbers: int) -> Path:
    for number in numbers:
        printed = twinlog("governance", "sign", file, *_key(folder, side, number))
        file = Path(printed.output.split(": ", maxsplit=1)[0])
    return file


def draft(folder: Path, *arguments: str) -> Path:
    return Path(twinlog("governance", "draft", folder / "g", *arguments).output.strip())


def pinned(folder: Path) -> list[str]:
    return ["--genesis", b64encode(Folder(folder / "g").genesis().hash)]


def test_an_action_is_drafted_signed_by_two_apart_and_holds_from_its_date_on(made: Path) -> None:
    written = draft(made, "hk", "log-freeze", FREEZE, "--effective", "2099-05-01T00:00:00Z")
    assert written.name == "hk-1.draft"
    action = sign(made, written, "hk", 0)
    assert "not signed enough" in twinlog("governance", "show", made / "g").output
    failed = twinlog("governance", "verify", made / "g", *pinned(made))
    assert failed.exit_code == 1
    assert "hk-1.action: not signed enough" in failed.output
    assert sign(made, action, "hk", 2) == action
    assert re.search(
        r"hk 1 log-freeze from 2099-05-01T00:00:00Z: counts", twinlog("governance", "show", made / "g").output
    )
    whole = twinlog("governance", "verify", made / "g", *pinned(made))
    assert (whole.exit_code, "hk: 1 actions count" in whole.output) == (0, True)
    for date, frozen in (("2099-04-30T23:59:59Z", []), ("2099-05-01T00:00:00Z", ["hk.example/x509"])):
        assert json.loads(twinlog("governance", "at", made / "g", date).output)["frozen_logs"] == frozen


def test_the_next_draft_follows_what_counts_and_is_not_written_twice(made: Path) -> None:
    sign(made, draft(made, "hk", "log-freeze", FREEZE), "hk", 0, 1)
    second = draft(made, "hk", "log-unfreeze", FREEZE)
    assert second.name == "hk-2.draft"
    with pytest.raises(SettingsError, match="there already"):
        draft(made, "hk", "log-unfreeze", FREEZE)


def test_a_seq_signed_twice_is_told_and_the_exit_code_says_so(made: Path) -> None:
    first = draft(made, "hk", "log-freeze", FREEZE)
    sign(made, first, "hk", 0, 1)
    first.unlink()
    (made / "g" / "hk-1.action").rename(made / "kept")
    second = draft(made, "hk", "ca-suspend", '{"id": "ca-1", "reason": ""}')
    (made / "kept").rename(made / "g" / "hk-1.action")
    other = sign(made, second, "hk", 1, 2)
    assert re.fullmatch(r"hk-1-[0-9a-f]{8}\.action", other.name)
    found = twinlog("governance", "verify", made / "g", *pinned(made))
    assert found.exit_code == 1
    assert found.output.count("seq 1 is signed twice") == 2
    with pytest.raises(Malformed, match="signed twice"):
        draft(made, "hk", "log-unfreeze", FREEZE)


def test_another_genesis_than_the_pinned_one_is_refused(made: Path) -> None:
    with pytest.raises(Malformed, match="not the pinned one"):
        twinlog("governance", "verify", made / "g", "--genesis", b64encode(bytes(32)))


def test_what_is_no_action_is_refused_before_anybody_signs_it(made: Path) -> None:
    for chain, kind, payload, why in (
        ("xx", "log-freeze", FREEZE, "has the chains hk, gd, joint"),
        ("hk", "log-melt", FREEZE, "no action is called log-melt"),
        ("hk", "policy", FREEZE, "stands in no chain called hk"),
        ("hk", "log-freeze", "[]", "not a JSON object"),
        ("hk", "log-freeze", "{}", "members"),
    ):
        with pytest.raises(Malformed, match=why):
            draft(made, chain, kind, payload)
    assert not list((made / "g").glob("*.draft"))


def test_json_that_is_nested_without_end_is_no_payload(made: Path) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        draft(made, "hk", "log-freeze", '{"a":' * 100_000)


def test_a_genesis_is_never_replaced(made: Path) -> None:
    with pytest.raises(SettingsError, match="never replaced"):
        twinlog("governance", "genesis", made / "g", "--side", f"hk={made / 'hk'}.vkeys")
