"""What parsers must refuse, one broken rule a case: `tests/vectors/<format>/refused.json`."""

from collections.abc import Callable

import pytest

from log.errors import Malformed
from log.formats import jcs
from log.formats.checkpoint import Checkpoint
from log.formats.note import Note, VKey
from log.formats.policy import Policy
from log.formats.tlog_proof import TlogProof
from log.formats.witness_request import AddCheckpoint
from tests.formats.vectors import FOLDER, vector

PARSERS: dict[str, Callable[[bytes], object]] = {
    "note": Note.parse,
    "vkey": lambda data: VKey.parse(data.decode()),
    "checkpoint": Checkpoint.parse,
    "tlog_proof": TlogProof.parse,
    "witness_request": AddCheckpoint.parse,
    "policy": Policy.parse,
    "jcs": jcs.parse,
}

CASES = [
    pytest.param(name, case["input"], id=f"{name}: {case['why']}")
    for name in PARSERS
    for case in vector(f"{name}/refused.json")["cases"]
]


@pytest.mark.parametrize(("name", "raw"), CASES)
def test_a_broken_rule_is_malformed(name: str, raw: str) -> None:
    with pytest.raises(Malformed):
        PARSERS[name](raw.encode("utf-8"))


def test_every_list_of_refused_inputs_has_its_parser() -> None:
    listed = {path.parent.name for path in FOLDER.glob("*/refused.json")}

    assert set(PARSERS) <= listed


@pytest.mark.parametrize("raw", [b"9" * 5000, b"[" * 100_000, b'"\xff"', b'"\xed\xa0\x80"'])
def test_json_that_would_upset_the_reader_of_the_standard_library_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        jcs.parse(raw)
