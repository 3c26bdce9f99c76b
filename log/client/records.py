"""What a submission record proves: that a member asked for this, by its own key (`log.formats.submission`).

A record needs no node to be checked: the member's keys come from governance, the leaf that came of it names its
SHA-256. Bytes in, facts or an error out; no clock, no network.
"""

from collections.abc import Sequence
from hashlib import sha256

from log.crypto.member_keys import verify
from log.errors import BadSignature, Mismatch
from log.formats.event_batch import EventBatch, Submitted
from log.formats.logged_event import LoggedEvent
from log.formats.note import VKey
from log.formats.submission import Submission


def verify_record(raw: bytes, vkeys: Sequence[VKey], body: bytes | None = None) -> Submission:
    """Verify a record by the keys of its member, and that it was for this body where one is given.

    Raises `Malformed`; `BadSignature` when none of the keys is the one it names, or its signature does not verify;
    `Mismatch` for another body.
    """
    submission = Submission.parse(raw)
    named = [vkey for vkey in vkeys if submission.base.key.owns(vkey)]
    if not named:
        raise BadSignature(f"the record names the key {submission.base.key.encode()}, which is not among these")
    verify(named[0], submission.base.encode(), submission.signature)
    if body is not None and (found := sha256(body).digest()) != submission.base.digest:
        raise Mismatch("body", 0, (submission.base.digest or b"").hex(), found.hex())
    return submission


def verify_event(logged: LoggedEvent, member: str, raw: bytes, vkeys: Sequence[VKey], body: bytes) -> Submitted:
    """Verify that a logged event came of this record and body, and return it as its submitter sent it.

    `member` is the submitter that its entry names. Raises as `verify_record` does, and `Mismatch` when the entry
    speaks of another record, or says something else than the body.
    """
    submission = verify_record(raw, vkeys, body)
    if submission.hash != logged.record:
        raise Mismatch("record", 0, logged.record.hex(), submission.hash.hex())
    batch = EventBatch.parse(body)
    if not member == submission.member == batch.member:
        raise Mismatch("submitter", 0, submission.member, member)
    if batch.seq != logged.seq or not logged.line < len(batch.events):
        raise Mismatch("seq", 0, str(batch.seq), str(logged.seq))
    submitted = batch.events[logged.line]
    if submitted.event != logged.event:
        raise Mismatch(f"event {logged.line}", 0, submitted.event.encode().hex()[:64], logged.event.encode().hex()[:64])
    return submitted
