"""Heads under policies: who must vouch; and the identity of a log."""

from dataclasses import replace

import pytest

from log.client.verifier import verify_checkpoint, verify_identity, verify_leaf
from log.crypto.notes import NoteSigner, sign_note, sign_statement
from log.errors import BadProof, BadSignature, Malformed
from log.formats.checkpoint import Checkpoint
from log.formats.identity import Identity
from log.formats.note import KeyType, Note
from log.formats.policy import Policy
from log.formats.tlog_proof import TlogProof
from tests.client.heads import NOTE, ORIGIN, SIGNERS, TIME_MS, TREE_HEAD, VKEYS, D, ed25519, head
from tests.client.policies import GD, GD_MLDSA, OUTSIDE, cosigned, policy
from tests.support import rfc6962
from tests.support.vectors import vector


async def test_a_policy_says_who_must_vouch() -> None:
    raw = await head(D[:5])
    for witnesses, all_of, any_of in (((), False, False), ((GD,), False, True), ((GD, OUTSIDE), True, True)):
        note = await cosigned(raw, *witnesses)
        vouched = verify_checkpoint(note, policy())
        assert vouched.checkpoint == Checkpoint(ORIGIN, 5, rfc6962.mth(D[:5]))
        assert set(vouched.vkeys) == set(VKEYS)
        assert vouched.witnesses == tuple((witness.vkey.name, (TIME_MS // 1000 + 100) * 1000) for witness in witnesses)
        assert vouched.satisfied is all_of
        any_policy = policy(quorum="one", groups="group one any gd out\n")
        assert verify_checkpoint(note, any_policy).satisfied is any_of
        assert verify_checkpoint(note, policy(quorum="none", groups="")).satisfied


async def test_a_witness_with_two_keys_counts_by_what_the_policy_says() -> None:
    raw = await head(D[:5])
    keys = f"witness gd {GD.vkey.encode()}\nwitness gd-mldsa {GD_MLDSA.vkey.encode()}\n"
    logs = "".join(f"log {vkey.encode()}\n" for vkey in VKEYS)
    either, both = (Policy.parse(f"{logs}{keys}group gds {k} gd gd-mldsa\nquorum gds\n") for k in ("any", "all"))
    second = Policy.parse(f"{logs}witness gd-mldsa {GD_MLDSA.vkey.encode()}\nquorum gd-mldsa\n")
    for signers, by_either, by_both, by_second in (
        ((), False, False, False),
        ((GD,), True, False, False),
        ((GD_MLDSA,), True, False, True),
        ((GD_MLDSA, GD), True, True, True),
    ):
        note = await cosigned(raw, *signers)
        found = [verify_checkpoint(note, policy).satisfied for policy in (either, both, second)]
        assert found == [by_either, by_both, by_second]
    good = Note.parse(await cosigned(raw, GD))
    bad = Note.parse(await cosigned(await head(D[:6]), GD_MLDSA)).signatures[-1]
    with pytest.raises(BadSignature):  # a known line that fails spoils the head, beside a good one of the same witness
        verify_checkpoint(good.with_signatures([*good.signatures, bad]).encode(), either)


@pytest.mark.parametrize("witness", [GD, GD_MLDSA])
async def test_a_cosignature_without_a_time_counts_for_nothing(witness: NoteSigner) -> None:
    note = Note.parse(await head(D[:5]))
    timeless = await sign_note(note.text, 0, [witness])
    known = Policy.parse(
        "".join(f"log {vkey.encode()}\n" for vkey in VKEYS) + f"witness gd {witness.vkey.encode()}\nquorum gd\n"
    )
    vouched = verify_checkpoint(note.with_signatures([*note.signatures, *timeless.signatures]).encode(), known)
    assert (vouched.witnesses, vouched.satisfied) == ((), False)


async def test_witnesses_do_not_stand_in_for_the_log() -> None:
    note = await cosigned(await head(D[:5], signers=[NOTE]), GD, OUTSIDE)
    stranger = ed25519(ORIGIN, KeyType.ED25519, 99)
    with pytest.raises(BadSignature, match="no signature by"):
        verify_checkpoint(note, policy(logs=(stranger.vkey,)))
    with pytest.raises(BadSignature, match="not a log of this policy"):
        verify_checkpoint(note, policy(logs=(ed25519("elsewhere.example", KeyType.ED25519, 2).vkey,)))
    # The log's own 0x04 line is no witness's.
    assert verify_checkpoint(await head(D[:5]), policy()).witnesses == ()


async def test_a_known_witness_whose_line_fails_spoils_the_head() -> None:
    other = Note.parse(await cosigned(await head(D[:6]), GD))
    note = Note.parse(await head(D[:5]))
    with pytest.raises(BadSignature):
        verify_checkpoint(note.with_signatures((*note.signatures, other.signatures[-1])).encode(), policy())


def test_the_proof_of_the_tessera_log_verifies() -> None:
    published = vector("tlog_proof/two")
    known = Policy.parse(f"log {published['vkey']}\nquorum none\n")
    proof = TlogProof.parse(published["proof"].encode())
    assert verify_leaf(proof, published["leaf"].encode(), known).checkpoint.size == 3
    with pytest.raises(BadProof):
        verify_leaf(proof, b"three", known)
    with pytest.raises(BadProof):
        verify_leaf(replace(proof, index=2), published["leaf"].encode(), known)


async def test_an_identity_is_signed_by_every_key_it_names() -> None:
    identity = Identity.make(ORIGIN, VKEYS)
    raw = (await sign_statement(identity.encode(), TIME_MS, SIGNERS)).encode()
    assert verify_identity(raw) == identity
    assert verify_identity(raw, VKEYS) == identity
    with pytest.raises(BadSignature, match="not one of its identity"):
        verify_identity(raw, [ed25519(ORIGIN, KeyType.ED25519, 99).vkey])
    for missing in SIGNERS:
        some = [signer for signer in SIGNERS if signer is not missing]
        with pytest.raises(BadSignature, match="did not sign"):
            verify_identity((await sign_statement(identity.encode(), TIME_MS, some)).encode())
    with pytest.raises(Malformed):
        verify_identity(await head(D[:5]))


async def test_an_identity_cannot_take_in_a_key_of_someone_else() -> None:
    mine = ed25519(ORIGIN, KeyType.ED25519, 99)
    stolen = Identity.make(ORIGIN, (TREE_HEAD.vkey, mine.vkey))
    note = await sign_statement(stolen.encode(), TIME_MS, [mine])
    with pytest.raises(BadSignature):
        verify_identity(note.encode())
