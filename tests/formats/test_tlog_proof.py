"""The extra data of a proof: what it is, and when there is none."""

import hashlib

import pytest

from log.errors import Malformed
from log.formats import names
from log.formats.checkpoint import Checkpoint
from log.formats.note import Note, Signature
from log.formats.sct import SCT, digitally_signed
from log.formats.tlog_proof import TlogProof, X509Extra


def test_extra_data_with_an_unknown_tag_is_refused() -> None:
    sct = SCT(b"i" * 32, 5, 6, digitally_signed(b"s")).encode()
    raw = X509Extra(1, hashlib.sha256(b"issuer").digest(), sct).encode()

    assert raw[0] == names.EXTRA_X509
    for tag in (0, names.EXTRA_EVENT, 255):
        with pytest.raises(Malformed):
            X509Extra.parse(bytes([tag]) + raw[1:])
    with pytest.raises(Malformed):
        X509Extra.parse(X509Extra(2, b"", sct).encode())
    with pytest.raises(Malformed):
        X509Extra.parse(X509Extra(0, b"", sct + b"?").encode())


def test_a_proof_without_extra_data_has_no_line_for_it() -> None:
    line = Signature("hk.example/x509", b"\x01\x02\x03\x04", b"s" * 64)
    checkpoint = Note(Checkpoint("hk.example/x509", 3, b"r" * 32).encode(), (line,)).encode()

    assert TlogProof(0, (), checkpoint, b"").encode() == TlogProof(0, (), checkpoint).encode()
