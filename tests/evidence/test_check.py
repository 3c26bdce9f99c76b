"""Evidence proves what it says under pinned keys, and nothing once anything in it is changed (rows 34 and 42)."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from log.errors import BadProof, BadSignature, LogError, Malformed
from log.evidence import objects, promises
from log.evidence.check import Pinned, check
from log.evidence.heads import Kind, read_head
from log.formats import jcs
from log.formats.event import Entry
from log.formats.identity import Identity
from log.formats.names import CONTENT_JCS, EntryType
from log.formats.text import b64decode, b64encode
from log.merkle.hashing import leaf_hash
from tests.client.heads import ORIGIN, SIGNERS, TIME_MS, VKEYS, ed25519, head
from tests.evidence.samples import PINNED, Sample, certificate, samples, sct_of, signed, spans, tree, venafi
from tests.support import rfc6962

each_kind = pytest.mark.parametrize("name", list(samples()))


@each_kind
def test_each_kind_is_checked_for_what_it_claims(name: str) -> None:
    sample = samples()[name]
    verdict = check(sample.data, PINNED)
    assert verdict.kind is sample.kind
    assert verdict.proven is (sample.kind is not Kind.UNREPRODUCIBLE)
    assert verdict.subject in verdict.text or "number 1 of chain hk" in verdict.text


@each_kind
def test_without_pins_nothing_is_proven(name: str) -> None:
    with pytest.raises(BadSignature):
        check(samples()[name].data, Pinned())


@each_kind
def test_keys_that_the_object_brings_along_are_not_believed(name: str) -> None:
    stranger = Identity.make(ORIGIN, [ed25519(ORIGIN, vkey.type, 77).vkey for vkey in VKEYS if vkey.type in (1, 4)])
    witness = ed25519("gd.twinlog.example/witness", PINNED.witnesses[0].type, 78).vkey
    with pytest.raises((BadSignature, BadProof)):
        check(samples()[name].data, Pinned((stranger,), (witness,), bytes(32)))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [found for key in value for found in _places(value[key], (*path, key))]
    if isinstance(value, list):
        return [found for at, item in enumerate(value) for found in _places(item, (*path, at))]
    return [path]


def _changed(value: Any, path: tuple[Any, ...]) -> Any:
    head, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    old = copy[head]
    if rest:
        copy[head] = _changed(old, tuple(rest))
    elif isinstance(old, int):
        copy[head] = old ^ 1
    elif old is None:
        copy[head] = "AA=="
    else:
        try:
            raw = b64decode(old)
            copy[head] = b64encode(raw[:-1] + bytes([raw[-1] ^ 1]))
        except (Malformed, IndexError):
            copy[head] = old[:-1] + ("a" if old[-1] != "a" else "b")
    return copy


def changes(value: dict[str, Any]) -> Iterator[Any]:
    """Yield the object with each member changed in turn; only what is named and not relied on is left as it is."""
    for path in _places(value):
        if path[0] != "vantages" and path[:2] != ("log", "vkeys") and path != ("place",):
            yield _changed(value, path)


@each_kind
def test_whatever_is_changed_nothing_is_proven(name: str) -> None:
    for changed in changes(json.loads(samples()[name].data)):
        with pytest.raises(LogError):
            check(jcs.encode(changed), PINNED)


@each_kind
def test_a_member_more_or_fewer_is_no_evidence(name: str) -> None:
    value = json.loads(samples()[name].data)
    for key in value:
        with pytest.raises(LogError):
            check(jcs.encode({other: value[other] for other in value if other != key}), PINNED)
    with pytest.raises(Malformed):
        check(jcs.encode({**value, "more": 1}), PINNED)
    with pytest.raises(Malformed):
        check(json.dumps(value, indent=1).encode(), PINNED)


def test_swapped_roles_prove_nothing() -> None:
    value = json.loads(samples()["E2"].data)
    with pytest.raises(LogError):
        check(jcs.encode({**value, "heads": value["heads"][::-1]}), PINNED)
    for kind in ("E1", "E3", "E3b"):
        with pytest.raises(LogError):
            check(jcs.encode({**value, "kind": kind, "proof": None}), PINNED)


async def test_honest_heads_give_no_evidence() -> None:
    d = tree(11)
    small, large = await signed(d[:5], TIME_MS), await signed(d, TIME_MS + 1)
    for kind in (Kind.SAME_SIZE, Kind.CROSS_SIZE, Kind.ROLLBACK, Kind.SAME_TIME):
        made = objects.encode(kind, ORIGIN, VKEYS, (small, large), spans(5, d))
        with pytest.raises(BadProof):
            check(made, PINNED)


async def test_a_promise_that_was_kept_or_may_still_be_is_no_evidence() -> None:

    d = tree(11)
    sct = await sct_of(d[5])
    there = await signed(d, TIME_MS + 1_000_000)
    path = rfc6962.path(5, d)
    for made in (
        promises.broken_promise(ORIGIN, VKEYS, sct, d[5], there, leaf_hash(d[5]), path),
        promises.broken_promise(ORIGIN, VKEYS, sct, d[5], there, leaf_hash(d[6]), path),
        promises.late(ORIGIN, VKEYS, sct, d[5], there),
        promises.late(ORIGIN, VKEYS, sct, d[5], await signed(d[:5], TIME_MS + 5 + 65_000)),
        promises.time_lie(ORIGIN, VKEYS, there, d[5], 5, path),
    ):
        with pytest.raises(BadProof):
            check(made, PINNED)


async def test_a_whole_second_counts_to_its_end() -> None:
    """A head under 0x04 alone, signed within the second of its last leaf, is honest (design.md section 6)."""
    own = [signer for signer in SIGNERS if signer.vkey.type == 4]
    pinned = Pinned((Identity.make(ORIGIN, [own[0].vkey]),))
    time_ms = TIME_MS // 1000 * 1000
    for leaf_ms, proven in ((time_ms + 999, False), (time_ms + 1_000, True)):
        d = [Entry(EntryType.GENESIS, leaf_ms, b"node", (), CONTENT_JCS, b"{}").encode()]
        over = read_head(await head(d, time_ms=time_ms, signers=own), ORIGIN, [own[0].vkey])[0]
        made = promises.time_lie(ORIGIN, [own[0].vkey], over, d[0], 0, rfc6962.path(0, d))
        if proven:
            assert check(made, pinned).kind is Kind.TIME_LIE
        else:
            with pytest.raises(BadProof):
                check(made, pinned)


async def test_a_time_that_a_submitter_may_have_chosen_frames_nobody() -> None:
    """A log of raw entries holds whatever somebody adds: bytes that look like a leaf of another kind prove nothing."""
    without = [signer for signer in SIGNERS if signer.vkey.type != 5]
    entry = Entry(EntryType.GENESIS, TIME_MS * 2, b"node", (), CONTENT_JCS, b"{}").encode()
    for signers, leaf in ((without, certificate(0, TIME_MS * 2)), (SIGNERS, entry)):
        vkeys = [signer.vkey for signer in signers]
        over = read_head(await head([leaf], time_ms=TIME_MS, signers=signers), ORIGIN, vkeys)[0]
        made = promises.time_lie(ORIGIN, vkeys, over, leaf, 0, [])
        with pytest.raises(BadProof):
            check(made, Pinned((Identity.make(ORIGIN, vkeys),)))


def test_the_real_fork_of_2017_is_proven() -> None:
    """Venafi's two heads, each under its RSA key, and the log's own consistency proof (monitoring.md §5.4)."""
    sample: Sample = venafi()
    verdict = check(sample.data, sample.pinned)
    assert (verdict.kind, verdict.proven) == (Kind.CROSS_SIZE, True)
    value = json.loads(sample.data)
    for place in (("proof", "a", 0), ("proof", "b", 2), ("heads", 0)):
        with pytest.raises(LogError):
            check(jcs.encode(_changed(value, place)), sample.pinned)
    with pytest.raises(BadSignature):
        check(sample.data, replace(sample.pinned, logs=()))


async def test_a_log_that_begins_anew_under_the_same_key_is_proven_at_size_one() -> None:

    d, other = tree(11), tree(1, b"!")
    heads = await signed(other, TIME_MS + 1), await signed(d, TIME_MS)
    assert rfc6962.mth(other) != rfc6962.mth(d[:1])
    made = objects.encode(Kind.CROSS_SIZE, ORIGIN, VKEYS, heads, spans(1, d))
    assert check(made, PINNED).kind is Kind.CROSS_SIZE
