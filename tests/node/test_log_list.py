"""`log.v3.json`: what a list of CT logs says of a log."""

import base64
from hashlib import sha256

import pytest

from log.errors import NotFound
from log.formats.note import KeyType
from log.node.log_list import log_list_entry
from tests.support.engine import ORIGIN
from tests.support.side import SIGNERS, Side

WINDOW = (1_767_225_600_000, 1_782_864_000_500)


def test_an_element_has_the_fields_of_chromes_and_sunlights_lists() -> None:
    entry = log_list_entry("HK x509", b"spki", "https://hk.example/x509", 60, WINDOW)
    assert entry == {
        "description": "HK x509",
        "log_id": base64.b64encode(sha256(b"spki").digest()).decode(),
        "key": "c3BraQ==",
        "submission_url": "https://hk.example/x509/",
        "monitoring_url": "https://hk.example/x509/",
        "mmd": 60,
        "temporal_interval": {
            "start_inclusive": "2026-01-01T00:00:00Z",
            "end_exclusive": "2026-07-01T00:00:00.500000Z",
        },
    }


def test_a_log_that_takes_every_not_after_has_no_interval() -> None:
    assert "temporal_interval" not in log_list_entry("", b"spki", "", 60, None)


async def test_a_node_lists_its_logs_of_certificates_and_no_other() -> None:
    side = Side()
    await side.create()
    node = await side.start()
    entry = node.log_list_entry("x509")
    (tree_head,) = [signer.vkey for signer in SIGNERS[ORIGIN] if signer.vkey.type is KeyType.TREE_HEAD]
    assert base64.b64decode(entry["key"]) == tree_head.key
    assert entry["monitoring_url"] == "http://hk.example/x509/"
    assert entry["mmd"] == 60
    for name in ("governance", "elsewhere"):
        with pytest.raises(NotFound):
            node.log_list_entry(name)
    await side.crash()
