"""Identities: all keys of one origin, in one order."""

import pytest

from log.errors import Malformed
from log.formats.identity import Identity
from log.formats.note import KeyType, VKey

ORIGIN = "hk.example/x509"
KEYS = [
    VKey.make(ORIGIN, KeyType.TREE_HEAD, b"spki"),
    VKey.make(ORIGIN, KeyType.ED25519, b"e" * 32),
    VKey.make(ORIGIN, KeyType.COSIGNATURE, b"c" * 32),
]


def test_an_identity_has_its_keys_in_order() -> None:
    identity = Identity.make(ORIGIN, KEYS)

    assert [vkey.type for vkey in identity.vkeys] == [1, 4, 5]
    assert identity.encode().decode().split("\n")[:2] == ["twinlog/identity@v1", ORIGIN]
    assert Identity.parse(identity.encode()) == identity


@pytest.mark.parametrize(
    "keys",
    [
        [],
        KEYS,
        [KEYS[1], KEYS[1]],
        [VKey.make("other", KeyType.ED25519, b"e" * 32)],
    ],
    ids=["none", "out of order", "twice", "another name"],
)
def test_identities_that_no_log_has(keys: list[VKey]) -> None:
    with pytest.raises(Malformed):
        Identity.parse(Identity(ORIGIN, tuple(keys)).encode())
