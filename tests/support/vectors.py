"""Reads the committed vectors; `tests/vectors/README.md` says where each came from."""

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


def vector(path: str) -> Any:
    """Return the decoded JSON of `tests/vectors/<path>.json`."""
    return json.loads((VECTORS / f"{path}.json").read_text(encoding="utf-8"))
