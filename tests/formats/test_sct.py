"""An SCT as the answer of add-chain."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.errors import Malformed
from log.formats.sct import SCT, digitally_signed, parse_sct_list
from tests.formats import strategies as s


@given(s.SCTS)
def test_an_sct_survives_json(sct: SCT) -> None:
    answer = sct.to_json()

    assert list(answer) == ["sct_version", "id", "timestamp", "extensions", "signature"]
    assert SCT.from_json(json.loads(json.dumps(answer))) == sct
    assert SCT.from_json({**answer, "unknown": 1}) == sct


@pytest.mark.parametrize(
    "change",
    [
        {"sct_version": 1},
        {"id": "AA=="},
        {"id": None},
        {"timestamp": "5"},
        {"timestamp": True},
        {"timestamp": -1},
        {"timestamp": 2**64},
        {"timestamp": 5.0},
        {"extensions": ""},
        {"extensions": "AAAFAAAAAAAAAA=="},
        {"signature": "BAMAAA=="},
        {"signature": "BAEAAXM="},
    ],
)
def test_answers_that_are_no_sct_of_ours(change: dict[str, object]) -> None:
    good = SCT(b"i" * 32, 5, 6, digitally_signed(b"s")).to_json()

    with pytest.raises(Malformed):
        SCT.from_json({**good, **change})


@given(st.none() | st.booleans() | st.lists(st.integers()) | st.dictionaries(st.text(), st.integers()))
def test_json_that_is_no_answer_is_malformed(answer: object) -> None:
    with pytest.raises(Malformed):
        SCT.from_json(answer)


@pytest.mark.parametrize("raw", ["", "0000", "00020000", "0004000101", "00030001010a"])
def test_sct_lists_that_no_certificate_has(raw: str) -> None:
    with pytest.raises(Malformed):
        parse_sct_list(bytes.fromhex(raw))


def test_an_sct_list_gives_scts_of_any_log_as_they_are() -> None:
    assert parse_sct_list(bytes.fromhex("0007000101000201ff")) == [b"\x01", b"\x01\xff"]
