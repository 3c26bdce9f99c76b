"""What this monitor cosigns, and when it says that it did."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from log.crypto.ed25519 import Ed25519Signer
from log.crypto.notes import NoteSigner, open_note, sign_note
from log.errors import Unavailable
from log.evidence.heads import Head
from log.formats.checkpoint import Checkpoint
from log.formats.note import KeyType
from monitor.own_witness import OwnWitness
from monitor.store import Store

ORIGIN = "hk.example/x509"
NOW_S = 1_800_000_000


def signer(name: str, key_type: KeyType) -> NoteSigner:
    return NoteSigner.make(name, key_type, Ed25519Signer(Ed25519PrivateKey.generate()))


OURS, LOG = signer("monitor.example", KeyType.COSIGNATURE), signer(ORIGIN, KeyType.ED25519)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Store.create(tmp_path / "state.sqlite", OURS.vkey.encode())
    return tmp_path / "state.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store.open(path, OURS.vkey.encode(), 100)
    yield opened
    opened.close()


async def times(store: Store, clock: list[int]) -> list[int]:
    """Return the times of the cosignatures made at these readings of our clock, in seconds."""
    witness = OwnWitness([OURS], store, lambda: clock[0] * 1000)
    found = []
    for now_s in list(clock):
        clock[0] = now_s
        raw = await witness.refresh(ORIGIN)
        assert raw is not None
        found.append((open_note(raw, [OURS.vkey]).verified[0].timestamp_ms or 0) // 1000)
    return found


async def test_cosignature_times_never_fall_also_over_a_restart(path: Path, store: Store) -> None:
    text = Checkpoint(ORIGIN, 3, bytes(32)).encode()
    note = (await sign_note(text, 0, [LOG])).encode()
    assert store.swap_witness(None, Head(ORIGIN, 3, bytes(32), (), note, note))
    assert await times(store, [NOW_S, NOW_S + 5, NOW_S + 4]) == [NOW_S, NOW_S + 5, NOW_S + 5]
    store.close()
    again = Store.open(path, OURS.vkey.encode(), 100)
    try:
        with pytest.raises(Unavailable, match="behind our last cosignature"):
            await times(again, [NOW_S])
        assert await times(again, [NOW_S + 6]) == [NOW_S + 6]
    finally:
        again.close()
