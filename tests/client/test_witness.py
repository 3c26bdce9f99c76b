"""The witness's decision: the table of formats.md section 9.1, then a property that no sequence of requests breaks."""

import asyncio
import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.client.witness import Answer, Cosign, decide
from log.crypto.notes import NoteSigner, open_note, sign_note
from log.formats.checkpoint import Checkpoint
from log.formats.note import KeyType, Note, Signature, VKey
from log.formats.witness_request import AddCheckpoint
from tests.client.heads import (
    NOTE,
    ORIGIN,
    OWN,
    SIGNERS,
    TREE_HEAD,
    VKEYS,
    consistency,
    ed25519,
    head,
    leaves,
)
from tests.support import rfc6962
from tests.support.vectors import vector

KNOWN = {ORIGIN: VKEYS}
D = leaves(9)


def last(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, rfc6962.mth(D[:size]))


def ask(old: int, proof: tuple[bytes, ...], note: bytes, state: Checkpoint | None) -> Cosign | Answer:
    return decide(AddCheckpoint(old, proof, note), KNOWN, state)


def status(decision: Cosign | Answer) -> int:
    return 200 if isinstance(decision, Cosign) else decision.status


async def test_ten_requests_in_a_row() -> None:
    """The conformance script of litewitness in its order, with our own log; codes as HEAD of tlog-witness has them."""
    stranger = ed25519(ORIGIN, KeyType.ED25519, 77)
    elsewhere = ed25519("elsewhere.example", KeyType.ED25519, 78)
    state: Checkpoint | None = None
    requests = [
        (0, (), await head(D[:1]), 200),
        (1, (), await head(D[:1], signers=[stranger]), 403),  # a key that is not known
        (0, (), await head(D[:1], signers=[elsewhere], origin="elsewhere.example"), 404),
        (1, consistency(1, D[:3])[::-1], await head(D[:3]), 422),  # a proof out of order
        (1, (), await head(leaves(1, "fork")), 422),  # another root at the size cosigned last
        (1, consistency(1, D[:3]), await head(D[:3]), 200),
        (1, consistency(1, D[:5]), await head(D[:5]), 409),
        (3, consistency(3, D[:5]), await head(D[:5]), 200),
        (3, consistency(3, D[:4]), await head(D[:4]), 409),
        (5, (), await head(D[:5]), 200),  # again: a fresh cosignature
    ]
    for old, proof, note, expected in requests:
        decision = ask(old, proof, note, state)
        assert status(decision) == expected
        if isinstance(decision, Cosign):
            state = decision.checkpoint
        elif expected == 409:
            assert state is not None
            assert (decision.body, decision.content_type) == (b"%d\n" % state.size, "text/x.tlog.size")
        else:
            assert decision.content_type.startswith("text/plain")


def test_the_request_of_the_tessera_log_is_cosigned() -> None:
    published = vector("witness_request/tessera_3_to_15")
    vkey = VKey.parse(published["vkey"])
    request = AddCheckpoint.parse(published["body"].encode())
    root = base64.b64decode("Wqx3HImawpLnS/Gv4ubjAvi1WIOy0b8Ze0amvqbavKk=")
    decision = decide(request, {vkey.name: [vkey]}, Checkpoint(vkey.name, 3, root))
    assert isinstance(decision, Cosign)
    assert decision.checkpoint.size == 15
    assert decision.note == request.note


async def test_1_extension_lines_are_400_even_of_an_unknown_origin() -> None:
    for origin in (ORIGIN, "elsewhere.example"):
        note = await head(D[:3], signers=[NOTE], origin=origin, extensions=("extension",))
        assert status(ask(0, (), note, None)) == 400
    assert status(ask(0, (), b"no note", None)) == 400


async def test_3_both_lines_of_a_certificate_log_must_be_there() -> None:
    for signers in ([NOTE, OWN], [TREE_HEAD, OWN], [OWN], [TREE_HEAD]):
        assert status(ask(0, (), await head(D[:3], signers=signers), None)) == 403
    assert status(ask(0, (), await head(D[:3], signers=[TREE_HEAD, NOTE]), None)) == 200
    # A log without a 0x05 key needs none.
    known = {ORIGIN: [NOTE.vkey]}
    request = AddCheckpoint(0, (), await head(D[:3], signers=[NOTE]))
    assert isinstance(decide(request, known, None), Cosign)


@pytest.mark.parametrize("signer", SIGNERS)
async def test_3_a_line_of_a_known_key_that_fails_is_403(signer: NoteSigner) -> None:
    other = Note.parse(await head(D[:4]))
    note = Note.parse(await head(D[:3]))
    bad = other.signatures[SIGNERS.index(signer)]
    for lines in (
        tuple(bad if line.key_id == bad.key_id else line for line in note.signatures),
        (*note.signatures, bad),
    ):
        assert status(ask(0, (), note.with_signatures(lines).encode(), None)) == 403


async def test_4_an_old_size_above_the_checkpoint_is_400_before_it_is_409() -> None:
    assert status(ask(4, (), await head(D[:3]), last(3))) == 400
    assert status(ask(4, (), await head(D[:3]), last(4))) == 400


async def test_5_the_empty_tree_has_one_root() -> None:
    assert status(ask(0, (), await head([]), None)) == 200
    assert status(ask(0, (), await head([]), last(0))) == 200
    wrong = await sign_note(Checkpoint(ORIGIN, 0, b"\1" * 32).encode(), 1, SIGNERS)
    for state in (None, last(3)):  # said before the 409
        decision = ask(0, (), wrong.encode(), state)
        assert (status(decision), isinstance(decision, Answer) and decision.fork) == (422, False)


async def test_6_an_old_size_that_is_not_ours_is_told() -> None:
    for old, size, state in ((0, 5, last(3)), (3, 5, None), (2, 5, last(3)), (0, 0, last(3)), (4, 5, last(5))):
        decision = ask(old, (), await head(D[:size]), state)
        assert isinstance(decision, Answer)
        assert decision.status == 409
        assert decision.body == (b"0\n" if state is None else b"%d\n" % state.size)
        assert decision.content_type == "text/x.tlog.size"


async def test_7_proofs_are_there_when_they_must_be_and_not_when_not() -> None:
    note = await head(D[:5])
    good = consistency(3, D[:5])
    assert status(ask(3, good, note, last(3))) == 200
    for bad in ((), good[:-1], (*good, good[0]), good[::-1], (bytes(32), *good[1:])):
        assert status(ask(3, bad, note, last(3))) == 422
    assert status(ask(0, good, note, None)) == 422
    assert status(ask(5, good, note, last(5))) == 422
    assert status(ask(3, good, note, Checkpoint(ORIGIN, 3, b"\1" * 32))) == 422


async def test_7_a_second_root_at_one_size_is_kept_as_evidence() -> None:
    fork = await head(leaves(5, "fork"))
    for old, expected in ((5, 422), (3, 409)):  # whatever size the client names
        decision = ask(old, (), fork, last(5))
        assert isinstance(decision, Answer)
        assert (decision.status, decision.fork) == (expected, True)
    honest = ask(3, (), await head(D[:5]), last(5))
    assert isinstance(honest, Answer)
    assert not honest.fork


async def test_only_lines_of_the_log_are_passed_on() -> None:
    note = Note.parse(await head(D[:3]))
    grease = Signature("grease.invalid", b"\0\0\0\1", b"x")
    decision = ask(0, (), note.with_signatures([grease, *note.signatures, grease]).encode(), None)
    assert isinstance(decision, Cosign)
    assert decision.note == note.encode()
    assert open_note(decision.note, VKEYS).checkpoint == decision.checkpoint == last(3)


async def test_the_state_of_another_origin_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        ask(0, (), await head(D[:3]), Checkpoint("elsewhere.example", 0, rfc6962.mth([])))


FORK = [*D[:4], *leaves(9, "fork")[4:]]
BRANCHES = (D, FORK)
NOTES = {(branch, size): asyncio.run(head(BRANCHES[branch][:size])) for branch in range(2) for size in range(10)}


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),  # branch of the head
            st.integers(0, 9),  # size
            st.one_of(st.none(), st.integers(0, 9)),  # old, or what the witness holds
            st.integers(0, 1),  # branch of the proof
        ),
        max_size=8,
    )
)
def test_whatever_is_cosigned_extends_what_was_cosigned_before(
    requests: list[tuple[int, int, int | None, int]],
) -> None:
    state: Checkpoint | None = None
    before: list[bytes] = []
    for branch, size, named, other in requests:
        held = 0 if state is None else state.size
        old = held if named is None else named
        d = BRANCHES[other][:size]
        proof = consistency(old, d) if 0 < old < size else ()
        decision = ask(old, proof, NOTES[branch, size], state)
        d = BRANCHES[branch][:size]
        if isinstance(decision, Cosign):
            assert d[: len(before)] == before
            state, before = decision.checkpoint, d
        elif old == held and other == branch and d[: len(before)] == before and size >= held:
            pytest.fail("an honest request was refused")
