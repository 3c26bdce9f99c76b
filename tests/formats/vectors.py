"""Case files: `tests/vectors/<format>/<subject>.json`."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "vectors"


def vector(name: str) -> Any:
    """The decoded case file `name`, such as `note/c2sp.json`. Numbers, text and lists: the test knows which."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))
