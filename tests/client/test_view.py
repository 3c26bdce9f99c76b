"""One log over time: what a reader that remembers takes from it, and what is evidence against it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.client.verifier import LogView
from log.crypto.notes import sign_note
from log.errors import BadProof, BadSignature, Inconsistent, VerificationError
from log.formats.checkpoint import Checkpoint
from tests.client.heads import FORK, NOTE, ORIGIN, OWN, SIGNERS, TIME_MS, TREE_HEAD, VKEYS, D, consistency, head
from tests.support import rfc6962


async def view_at(size: int) -> LogView:
    view = LogView(ORIGIN, VKEYS)
    view.update(await head(D[:size]), ())
    return view


async def test_a_view_follows_a_growing_log() -> None:
    view = LogView(ORIGIN, VKEYS)
    for size in (0, 0, 1, 2, 2, 3, 7, 8, 13, 20):
        note, old = await head(D[:size]), view.size
        proof = consistency(old, D[:size]) if old != size else ()
        assert view.update(note, proof) == view.checkpoint == Checkpoint(ORIGIN, size, rfc6962.mth(D[:size]))
        assert (view.size, view.note) == (size, note)


async def test_a_view_asks_for_the_calls_in_their_order() -> None:
    view = LogView(ORIGIN, VKEYS)
    assert (view.size, view.note) == (0, b"")
    with pytest.raises(AssertionError):
        _ = view.checkpoint
    with pytest.raises(AssertionError):
        view.update(await head(D[:3]), consistency(2, D[:3]))
    with pytest.raises(AssertionError):
        LogView("elsewhere.example", VKEYS)
    with pytest.raises(AssertionError):
        LogView(ORIGIN, ())


async def test_a_proof_that_fails_is_no_proof_of_a_lie_and_the_view_stays() -> None:
    view, note = await view_at(5), await head(D[:9])
    before = view.note
    good = consistency(5, D[:9])
    for bad in ((), good[:-1], (*good, bytes(32)), good[::-1], (good[0][:-1], *good[1:])):
        with pytest.raises(BadProof):
            view.update(note, bad)
    with pytest.raises(BadProof):
        view.update(await head(FORK[:9]), consistency(5, FORK[:9]))
    with pytest.raises(BadProof):
        view.update(await head(D[:5]), good)
    assert view.note == before
    view.update(note, good)


async def test_two_roots_at_one_size_are_evidence() -> None:
    view = await view_at(5)
    fork = await head(FORK[:5])
    with pytest.raises(Inconsistent) as found:
        view.update(fork, ())
    assert (found.value.older, found.value.newer) == (await head(D[:5]), fork)


async def test_a_smaller_head_signed_later_is_evidence_and_one_signed_earlier_only_old() -> None:
    view = await view_at(5)
    with pytest.raises(VerificationError) as old:
        view.update(await head(D[:3]), ())
    assert not isinstance(old.value, Inconsistent | BadProof | BadSignature)
    later = TIME_MS + 60_000
    for signers in (SIGNERS, (TREE_HEAD, NOTE)):
        with pytest.raises(Inconsistent, match="size 3 was signed after size 5"):
            view.update(await head(D[:3], time_ms=later, signers=signers), ())
    assert view.size == 5


async def test_a_larger_head_signed_earlier_is_evidence() -> None:
    view = await view_at(5)
    with pytest.raises(Inconsistent, match="size 5 was signed after size 9"):
        view.update(await head(D[:9], time_ms=TIME_MS), consistency(5, D[:9]))


async def test_one_time_on_two_heads_is_evidence_in_milliseconds_only() -> None:
    time_ms = TIME_MS + 5000
    view = LogView(ORIGIN, VKEYS)
    view.update(await head(D[:5], time_ms=time_ms), ())
    with pytest.raises(Inconsistent, match="at one time"):
        view.update(await head(D[:9], time_ms=time_ms), consistency(5, D[:9]))
    # An honest log commits many times a second: the 0x04 line cannot tell those heads apart.
    view.update(await head(D[:9], time_ms=time_ms + 1), consistency(5, D[:9]))
    seconds = LogView(ORIGIN, [NOTE.vkey, OWN.vkey])
    for size in (5, 9):
        note = await head(D[:size], time_ms=time_ms, signers=[NOTE, OWN])
        seconds.update(note, consistency(seconds.size, D[:size]))


async def test_a_heartbeat_moves_on_and_an_old_one_changes_nothing() -> None:
    view = await view_at(5)
    newer = await head(D[:5], time_ms=TIME_MS + 50_000)
    view.update(newer, ())
    assert view.note == newer
    view.update(await head(D[:5], time_ms=TIME_MS + 20_000), ())
    assert view.note == newer


async def test_a_head_of_a_certificate_log_needs_both_lines() -> None:
    for signers in ((TREE_HEAD, OWN), (NOTE, OWN), (OWN,)):
        with pytest.raises(BadSignature):
            LogView(ORIGIN, VKEYS).update(await head(D[:5], signers=signers), ())


async def test_an_empty_tree_has_one_root() -> None:
    note = await sign_note(Checkpoint(ORIGIN, 0, b"\1" * 32).encode(), TIME_MS, SIGNERS)
    with pytest.raises(BadProof):
        LogView(ORIGIN, VKEYS).update(note.encode(), ())


BRANCHES = (D, [*D[:6], *FORK[6:]])


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(0, 4)), max_size=8))
async def test_a_view_never_leaves_its_history(steps: list[tuple[int, int, int]]) -> None:
    view, seen = LogView(ORIGIN, VKEYS), None
    for branch, size, late in steps:
        d = BRANCHES[branch][:size]
        note = await head(d, time_ms=TIME_MS + 1000 * late)
        proof = consistency(view.size, d) if seen is not None and view.size < size else ()
        try:
            view.update(note, proof)
        except VerificationError:
            continue
        assert seen is None or d[: len(seen)] == seen
        seen = d
    assert view.size == len(seen or [])
