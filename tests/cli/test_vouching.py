"""What a relying party is told during a partition: which side vouches, since when, and who does not."""

import pytest

from log.cli import vouching
from log.client.verifier import verify_checkpoint
from log.crypto.notes import NoteSigner, cosign
from log.formats.family import X509
from log.formats.note import KeyType, Note
from log.formats.policy import Policy
from tests.support.lying_log import LyingLog, ed25519

BEFORE_MS, NOW_MS = 1_800_000_000_000, 1_800_003_600_000  # 08:00 and 09:00


def witness(name: str) -> NoteSigner:
    return NoteSigner.make(f"{name}.example/witness", KeyType.COSIGNATURE, ed25519(name))


async def head(followed: LyingLog, time_ms: int, *witnesses: NoteSigner) -> bytes:
    note = Note.parse(await followed.sign(time_ms=time_ms))
    lines = [await cosign(note.text, time_ms // 1000 + 1, each) for each in witnesses]
    return note.with_signatures([*note.signatures, *lines]).encode()


async def test_before_and_during_a_partition_the_head_itself_says_who_vouches_since_when() -> None:
    gd, monitor = witness("gd"), witness("mon")
    followed = LyingLog("x509", "hk.example/x509", X509, lambda: NOW_MS)
    text = "".join(f"log {vkey.encode()}\n" for vkey in followed.vkeys)
    text += f"witness gd {gd.vkey.encode()}\nwitness mon {monitor.vkey.encode()}\ngroup all all gd mon\nquorum all\n"
    policy = Policy.parse(text)

    def say(raw: bytes) -> str:
        found = verify_checkpoint(raw, policy)
        origin, size = found.checkpoint.origin, found.checkpoint.size
        return vouching.who(origin, size, found.signed_ms, found.witnesses, found.missing)

    followed.add(3)
    before = await head(followed, BEFORE_MS, gd, monitor)
    assert verify_checkpoint(before, policy).satisfied
    assert say(before) == (
        "the head of size 3 is signed by hk.example/x509 at 2027-01-15T08:00:00+00:00, vouched for by"
        " gd.example/witness at 2027-01-15T08:00:01+00:00, mon.example/witness at 2027-01-15T08:00:01+00:00"
    )
    followed.add(1)
    during = await head(followed, NOW_MS, monitor)
    found = verify_checkpoint(during, policy)
    assert not found.satisfied
    assert say(during) == (
        "the head of size 4 is signed by hk.example/x509 at 2027-01-15T09:00:00+00:00, vouched for by"
        " mon.example/witness at 2027-01-15T09:00:01+00:00, not by gd.example/witness"
    )
    assert found.unmet.endswith("vouched for by mon.example/witness, not by gd.example/witness")
    alone = await head(followed, NOW_MS)
    assert say(alone).endswith("vouched for by no witness, not by gd.example/witness, mon.example/witness")


def test_a_witness_that_signs_with_two_keys_is_named_once() -> None:
    said = vouching.who("o", 1, None, (("w", BEFORE_MS), ("w", BEFORE_MS), ("w", NOW_MS)), ())
    assert said.endswith("by w at 2027-01-15T08:00:00+00:00 with 2 keys, w at 2027-01-15T09:00:00+00:00")


@pytest.mark.parametrize("signed_ms", [None, 0])
def test_a_head_without_a_time_is_said_without_one(signed_ms: int | None) -> None:
    assert vouching.who("o", 1, signed_ms, (), ()) == "the head of size 1 is signed by o, vouched for by no witness"


@pytest.mark.parametrize("ms", [253_402_300_800_000, 2**63 - 1, 2**80])  # the year 10000, and what a head can hold
def test_a_time_that_no_calendar_has_is_said_in_milliseconds(ms: int) -> None:
    said = vouching.who("o", 1, ms, (("w", ms),), ())
    assert said == f"the head of size 1 is signed by o at {ms} ms, vouched for by w at {ms} ms"
