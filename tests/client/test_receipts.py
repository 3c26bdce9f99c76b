"""Receipts: whole ones count, cut ones do not; refusals stand once each."""

import csv
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.client.receipts import Receipt, Receipts, Refusal, Refusals, walk
from log.errors import Malformed, SettingsError

URL = "https://hk.example/x509"
DER = b"a certificate"
SCT: dict[str, Any] = {"sct_version": 0, "id": "aWQ=", "timestamp": 1, "extensions": "", "signature": "c2ln"}


def test_a_receipt_stands_in_one_of_256_folders_under_its_fingerprint(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path / "out", f"{URL}/")
    assert not receipts.has(DER)
    receipts.keep(DER, SCT)
    fingerprint = sha256(DER).hexdigest()
    path = tmp_path / "out" / fingerprint[:2] / f"{fingerprint}.sct.json"
    assert list(walk(tmp_path)) == list(walk(path)) == [path]
    assert Receipt.parse(path.read_bytes()) == Receipt(URL, DER, SCT)
    assert [file for file in path.parent.iterdir() if file != path] == []
    assert receipts.has(DER)
    assert not receipts.has(DER + b"!")


def test_a_receipt_that_is_cut_or_another_certificates_counts_for_nothing(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path, URL)
    receipts.keep(DER, SCT)
    [path] = walk(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # the last byte is a line feed
        path.write_bytes(whole[:length])
        assert not receipts.has(DER)
    path.write_bytes(bytes(len(whole)))  # as a file system may leave it that lost power
    assert not receipts.has(DER)
    path.write_bytes(Receipt(URL, b"another", SCT).encode())
    assert not receipts.has(DER)
    receipts.keep(DER, SCT)
    assert (path.read_bytes(), receipts.has(DER)) == (whole, True)


def test_a_folder_holds_the_receipts_of_one_log(tmp_path: Path) -> None:
    Receipts(tmp_path, URL).keep(DER, SCT)
    with pytest.raises(SettingsError, match=r"is a receipt of https://hk\.example/x509"):
        Receipts(tmp_path, "https://gd.example/x509").has(DER)


def test_a_receipt_that_cannot_be_written_is_told_by_its_file(tmp_path: Path) -> None:
    """As on a full disk, for which the system's error names none."""
    (tmp_path / sha256(DER).hexdigest()[:2]).write_bytes(b"in the way")
    with pytest.raises(SettingsError, match=sha256(DER).hexdigest()):
        Receipts(tmp_path, URL).keep(DER, SCT)


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_any_bytes_are_a_receipt_or_malformed(data: bytes | str) -> None:
    with pytest.raises(Malformed):
        Receipt.parse(data.encode() if isinstance(data, str) else data)


@pytest.mark.parametrize(
    "change", [{"log": 1}, {"log": None}, {"certificate": 1}, {"certificate": "?"}, {"sct": []}, {"sct": {}}]
)
def test_members_of_another_kind_are_malformed(change: dict[str, Any]) -> None:
    fields = json.loads(Receipt(URL, DER, SCT).encode())
    with pytest.raises(Malformed):
        Receipt.parse(json.dumps({**fields, **change}).encode())


def test_refusals_are_written_at_once_under_a_header_and_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "refused.csv"
    refusals = Refusals(path)
    assert not path.exists()
    rows = [
        Refusal(tmp_path / 'with, a comma and "quotes".der', 1, "ab" * 32, "400", "certificate 0, \nsays the log"),
        Refusal(tmp_path / "junk.pem", 17, "", "", "not a certificate"),
    ]
    for n, row in enumerate(rows, 1):
        refusals.add(row)
        with path.open(newline="") as file:
            header, *read = csv.reader(file)
        assert (header, len(read)) == (["source", "number", "fingerprint", "status", "reason"], n)
        assert read[-1] == [str(row.source), str(row.number), row.fingerprint, row.status, row.reason]
    refusals.close()
    Refusals(path).close()
    assert not path.exists()
