"""The script that a court can read: it says of every object what `check` says, and needs `cryptography` alone."""

import ast
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from log.evidence import standalone
from log.formats import jcs
from tests.evidence.samples import PINNED, Sample, samples, venafi
from tests.evidence.test_check import changes

SCRIPT = Path(standalone.__file__)


def keys(sample: Sample, name: str) -> list[str]:
    """Return the keys that somebody would give who accuses a log, or a witness."""
    vkeys = sample.pinned.witnesses if name == "E7" else sample.pinned.logs[0].vkeys
    return [vkey.encode() for vkey in vkeys]


def run(data: bytes, given: list[str], folder: Path) -> tuple[int, str]:
    """Run a copy of the script by itself, as somebody would who was sent it."""
    script, file = folder / "check.py", folder / "evidence.json"
    script.write_bytes(SCRIPT.read_bytes())
    file.write_bytes(data)
    command = [sys.executable, "-I", str(script), str(file), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_it_is_short_and_needs_cryptography_alone() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 200
    found = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else alias.name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert found - set(sys.stdlib_module_names) == {"cryptography"}


@pytest.mark.parametrize(("name", "code"), [*((f"E{n}", 0) for n in range(1, 8)), ("E3b", 0), ("E8", 3), ("E9", 3)])
def test_it_says_what_each_kind_proves(tmp_path: Path, name: str, code: int) -> None:
    sample = samples()[name]
    found, said = run(sample.data, keys(sample, name), tmp_path)
    assert found == code, said
    assert name in said


def test_the_real_fork_of_2017_is_proven_by_it(tmp_path: Path) -> None:
    sample = venafi()
    assert run(sample.data, keys(sample, "E2"), tmp_path) == (0, "PROVEN E2 against ctlog.api.venafi.com\n")


def test_without_the_right_key_or_file_nothing_is_proven(tmp_path: Path) -> None:
    data = samples()["E1"].data
    assert run(data, [vkey.encode() for vkey in PINNED.witnesses], tmp_path)[0] == 1
    assert run(b"{}", keys(samples()["E1"], "E1"), tmp_path)[0] == 1
    assert run(b"no JSON", keys(samples()["E1"], "E1"), tmp_path)[0] == 1


@pytest.mark.parametrize("name", ["E1", "E2", "E3", "E3b", "E4", "E5", "E6", "E7"])
def test_whatever_is_changed_it_proves_nothing(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main: Callable[[list[str]], int] = runpy.run_path(str(SCRIPT))["main"]
    sample, file = samples()[name], tmp_path / "evidence.json"
    for changed in changes(json.loads(sample.data)):
        file.write_bytes(jcs.encode(changed))
        assert main([str(file), *keys(sample, name)]) == 1, changed
    assert "NOT PROVEN" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["evidence.json"]])
def test_whoever_names_no_key_is_told_how_to_ask(given: list[str]) -> None:
    done = subprocess.run([sys.executable, "-I", str(SCRIPT), *given], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "EVIDENCE.json KEY [KEY …]" in done.stderr
    assert "Traceback" not in done.stderr
