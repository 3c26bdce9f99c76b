"""The layers are held by import-linter; the contracts stand in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def test_the_import_contracts_hold() -> None:
    linted = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "0 broken" in linted.stdout


def test_every_test_folder_is_a_package_so_that_none_hides_ours() -> None:
    folders = {file.parent for file in (CHECKOUT / "tests").rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


def test_no_variable_is_called_like_our_package() -> None:
    taken = [
        f"{file.relative_to(CHECKOUT)}:{number}"
        for package in ("log", "monitor", "tests")
        for file in (CHECKOUT / package).rglob("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if line.strip().startswith(("log = ", "import log ", "log: ")) and "#" not in line
    ]
    assert taken == []
