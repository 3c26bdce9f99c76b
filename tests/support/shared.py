"""Where the shared test data lie: other projects' files, which are never copied into this tree."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def data(path: str) -> Path:
    """Return the path of a shared data file, or skip the test that asks where it is absent."""
    root = Path(os.environ.get("TWINLOG_DATA", CHECKOUT.parent / "shared" / "data"))
    found = root / path
    if not found.exists():
        pytest.skip(f"shared data absent: {path}")
    return found
