"""A court and a submission record: whose it is, for which body, and which leaf came of it."""

from dataclasses import replace

import pytest

from log.client.records import verify_event, verify_record
from log.crypto.sm2 import sm2_available
from log.errors import BadSignature, Malformed, Mismatch
from log.formats.event_codes import Standing
from log.formats.logged_event import LoggedEvent
from log.formats.signature_base import KeyId
from tests.support.members import Sender, batch, event

NOW_S = 1_800_000_000
EVENTS = [event(number) for number in range(3)]
SENDER = Sender()
BODY = batch(SENDER.member, 7, EVENTS)
RECORD = SENDER.submission(BODY, NOW_S)
VKEYS = [SENDER.key.vkey]


@pytest.mark.parametrize("kind", ["ed25519", "p256", "sm2"])
def test_a_record_verifies_by_its_members_key_and_its_body(kind: str) -> None:
    if kind == "sm2" and not sm2_available():
        pytest.skip("no SM2 here")
    sender = Sender(kind=kind)
    record = sender.submission(BODY, NOW_S)
    others = [Sender("hk/other").key.vkey, sender.key.vkey]
    assert verify_record(record.encode(), others) == record
    assert verify_record(record.encode(), others, BODY) == record


def test_another_body_key_or_signature_is_found_out() -> None:
    with pytest.raises(Mismatch):
        verify_record(RECORD.encode(), VKEYS, BODY + b" ")
    with pytest.raises(BadSignature, match="not among"):
        verify_record(RECORD.encode(), [Sender("hk/other").key.vkey])
    with pytest.raises(BadSignature):
        verify_record(replace(RECORD, signature=bytes(64)).encode(), VKEYS)
    later = replace(RECORD, base=replace(RECORD.base, created_s=NOW_S + 1))
    with pytest.raises(BadSignature):
        verify_record(later.encode(), VKEYS)
    renamed = replace(RECORD, base=replace(RECORD.base, key=KeyId("gd/iam-smart", RECORD.base.key.key_id)))
    with pytest.raises(BadSignature):
        verify_record(renamed.encode(), VKEYS)
    with pytest.raises(Malformed):
        verify_record(RECORD.encode()[:-1], VKEYS)


def test_a_leaf_is_matched_with_the_request_it_came_of() -> None:
    logged = LoggedEvent(EVENTS[1], RECORD.hash, 7, 1, Standing.NOT_LOGGED)
    assert verify_event(logged, SENDER.member, RECORD.encode(), VKEYS, BODY).event == EVENTS[1]
    for changed, member in (
        (replace(logged, record=bytes(32)), SENDER.member),
        (replace(logged, line=2), SENDER.member),
        (replace(logged, line=3), SENDER.member),
        (replace(logged, seq=8), SENDER.member),
        (replace(logged, event=event(9)), SENDER.member),
        (logged, "hk/other"),
    ):
        with pytest.raises(Mismatch):
            verify_event(changed, member, RECORD.encode(), VKEYS, BODY)
    foreign = Sender().submission(batch("hk/other", 7, EVENTS), NOW_S)  # whoever signs for another
    with pytest.raises(Mismatch, match="submitter"):
        verify_event(
            replace(logged, record=foreign.hash), SENDER.member, foreign.encode(), VKEYS, batch("hk/other", 7, EVENTS)
        )
