"""Events: their bytes, what each type must have and may not, and that nothing of a person fits in."""

import base64
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings

from log.errors import Malformed
from log.formats import event_codes as codes
from log.formats import jcs
from log.formats.commitment import Opening
from log.formats.event import Entry, event_entry
from log.formats.event_batch import EventBatch, EventResults, Result, Submitted
from log.formats.event_codes import EventType, Standing
from log.formats.logged_event import MAX_EVENTS, LoggedEvent
from log.formats.names import CONTENT_JCS, EntryType
from log.formats.ref import Ref
from log.formats.signature_event import MAX_EVENT_BYTES, Event
from log.formats.tlog_proof import EntryExtra, EventExtra
from tests.formats import strategies as s

AT_MS = 1_795_853_700_000  # 2026-11-28T08:15Z
LEAF = Ref("hk.twinlog.example/x509-2026", 7, b"h" * 32)
EARLIER = Ref("gd.twinlog.example/events", 3, b"e" * 32)
DOCUMENT = Opening("document", b"s" * 32, b"d" * 32)
SEAL = Opening("seal", b"t" * 32, b"SESeal")
PERSON = Opening("certificate", b"u" * 32, b"certificate")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def commit(*openings: Opening) -> dict[str, bytes]:
    return {opening.name: opening.commitment for opening in openings}


OF_CERTIFICATE: dict[str, Any] = {"ca": "gdca", "signer_jurisdiction": "CN-GD", "key_algorithm": "sm2"}
OF_SIGNATURE: dict[str, Any] = {
    "signature_algorithm": "sm2-sm3",
    "sig_digest": b"g" * 32,
    "container": "raw",
    "document_algorithm": "sm3",
}
OF_SEAL: dict[str, Any] = {"seal_kind": "enterprise", "seal_version": 4}


def event(kind: EventType, **members: Any) -> Event:
    return Event(type=kind, at_ms=AT_MS, platform_jurisdiction="HK", **members)


EXAMPLES = {
    EventType.SIGN: event(
        EventType.SIGN,
        **OF_CERTIFICATE,
        **OF_SIGNATURE,
        certificate=b"c" * 32,
        certificate_ref=LEAF,
        not_before_ms=AT_MS - 60_000,
        not_after_ms=AT_MS + 60_000,
        commitments=commit(DOCUMENT),
    ),
    EventType.COUNTERSIGN: event(
        EventType.COUNTERSIGN, **OF_CERTIFICATE, **OF_SIGNATURE, events=(EARLIER,), commitments=commit(DOCUMENT, PERSON)
    ),
    EventType.SEAL_ISSUE: event(
        EventType.SEAL_ISSUE, **OF_CERTIFICATE, **OF_SEAL, certificate=b"c" * 32, commitments=commit(SEAL)
    ),
    EventType.SEAL_USE: event(
        EventType.SEAL_USE,
        **OF_CERTIFICATE,
        **OF_SIGNATURE,
        **OF_SEAL,
        certificate=b"c" * 32,
        events=(EARLIER,),
        commitments=commit(DOCUMENT, SEAL),
    ),
    EventType.SEAL_REVOKE: event(EventType.SEAL_REVOKE, **OF_SEAL, reason="lost", commitments=commit(SEAL)),
    EventType.CERTIFICATE_REVOCATION: event(
        EventType.CERTIFICATE_REVOCATION, **OF_CERTIFICATE, reason="key-compromise", commitments=commit(PERSON)
    ),
    EventType.PERSONAL_CERTIFICATE: event(
        EventType.PERSONAL_CERTIFICATE, **OF_CERTIFICATE, policy_oids=("1.2.344.5",), commitments=commit(PERSON)
    ),
}

each_type = pytest.mark.parametrize("kind", EventType)


def test_an_event_is_canonical_json() -> None:
    assert EXAMPLES[EventType.SIGN].encode() == (
        b'{"at":"2026-11-28T08:15Z","ca":"gdca","certificate":"Y2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2M=",'
        b'"certificate_ref":{"index":7,"leaf_hash":"aGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGg=",'
        b'"origin":"hk.twinlog.example/x509-2026"},'
        b'"commitments":{"document":"' + jcs.encode(_b64(DOCUMENT.commitment))[1:-1] + b'"},"container":"raw",'
        b'"document_algorithm":"sm3","format":"twinlog/event@v1","key_algorithm":"sm2",'
        b'"not_after":"2026-11-28T08:16Z","not_before":"2026-11-28T08:14Z","platform_jurisdiction":"HK",'
        b'"sig_digest":"Z2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2c=","signature_algorithm":"sm2-sm3",'
        b'"signer_jurisdiction":"CN-GD","type":"sign"}'
    )


@each_type
def test_an_event_of_each_type_is_read_back(kind: EventType) -> None:
    assert Event.parse(EXAMPLES[kind].encode()) == EXAMPLES[kind]


@each_type
def test_every_bit_that_is_flipped_is_refused_or_makes_another_event(kind: EventType) -> None:
    raw = EXAMPLES[kind].encode()
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            other = Event.parse(bytes(flipped))
        except Malformed:
            continue
        assert other != EXAMPLES[kind]
        assert other.encode() == flipped


def test_every_bit_of_a_receipts_extra_that_is_flipped_is_refused_or_makes_another() -> None:
    logged = LoggedEvent(EXAMPLES[EventType.SIGN], b"r" * 32, 1, 0, Standing.OWN_LOG)
    extra = EventExtra(event_entry(AT_MS, "hk/iam-smart", logged), (DOCUMENT,))
    raw = extra.encode()
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            other = EventExtra.parse(bytes(flipped))
        except Malformed:
            continue
        assert other != extra
        assert other.openings == extra.openings  # what is opened is what is committed to
        assert other.encode() == flipped


@each_type
def test_what_a_type_must_have_is_missed(kind: EventType) -> None:
    whole = json.loads(EXAMPLES[kind].encode())
    optional = {"certificate_ref", "events" if kind is EventType.SEAL_USE else "", "policy_oids"}
    for name in whole.keys() - optional:
        with pytest.raises(Malformed):
            Event.of({key: value for key, value in whole.items() if key != name})
    for name in whole["commitments"]:
        with pytest.raises(Malformed):
            Event.of(whole | {"commitments": {k: v for k, v in whole["commitments"].items() if k != name}})


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        # A natural person's certificate is the same in all events of that person; so nothing says which it is.
        (EventType.COUNTERSIGN, {"certificate_ref": {"origin": "hk/x", "index": 1, "leaf_hash": _b64(b"h" * 32)}}),
        (EventType.COUNTERSIGN, {"not_before": "2026-01-01T00:00Z", "not_after": "2027-01-01T00:00Z"}),
        (EventType.COUNTERSIGN, {"certificate": _b64(b"c" * 32)}),
        (EventType.PERSONAL_CERTIFICATE, {"certificate": _b64(b"c" * 32)}),
        (EventType.PERSONAL_CERTIFICATE, {"sig_digest": _b64(b"c" * 32)}),
        (EventType.SIGN, {"not_before": "2026-01-01T00:00:00Z"}),
        (EventType.SIGN, {"at": "2026-11-28T08:15:00Z"}),
        (EventType.SIGN, {"at": "2026-02-30T08:15Z"}),
        (EventType.SIGN, {"at": "2026-11-28T08:15+08:00"}),
        (EventType.SIGN, {"title": "Lease of flat 3"}),
        (EventType.SIGN, {"signer": "Chan Tai Man"}),
        (EventType.SIGN, {"ca": "GDCA"}),
        (EventType.SIGN, {"ca": "陳大文"}),
        (EventType.SIGN, {"purpose": "lease"}),
        (EventType.SIGN, {"purpose": None}),
        (EventType.SIGN, {"city": "Shenzhen"}),
        (EventType.SIGN, {"platform_jurisdiction": "CN"}),
        (EventType.SIGN, {"type": "signature"}),
        (EventType.SIGN, {"type": ["sign"]}),
        (EventType.SIGN, {"format": "twinlog/event@v2"}),
        (EventType.SIGN, {"key_bits": 0}),
        (EventType.SIGN, {"key_bits": True}),
        (EventType.SIGN, {"policy_oids": []}),
        (EventType.SIGN, {"policy_oids": ["1.2.03"]}),
        (EventType.SIGN, {"policy_oids": ["3.2.3"]}),
        (EventType.SIGN, {"policy_oids": ["1"]}),
        (EventType.SIGN, {"policy_oids": ["1.2"] * 9}),
        (EventType.SIGN, {"policy_oids": ["1." + "2" * 80]}),
        (EventType.SIGN, {"sig_digest": _b64(b"g" * 31)}),
        (EventType.SIGN, {"sig_digest": "g" * 64}),
        (EventType.SIGN, {"time_stamp": "2026-11-28T08:15Z"}),
        (EventType.SIGN, {"tsa": _b64(b"t" * 32)}),
        (EventType.SIGN, {"status": "good", "status_source": "ocsp"}),
        (EventType.SIGN, {"reason": "lost"}),
        (EventType.SIGN, {"seal_kind": "enterprise", "seal_version": 4}),
        (EventType.SIGN, {"events": [{"origin": "hk/x", "index": 1, "leaf_hash": _b64(b"h" * 32)}]}),
        (EventType.COUNTERSIGN, {"events": []}),
        (EventType.COUNTERSIGN, {"events": [{"origin": "hk/x", "index": 1, "leaf_hash": _b64(b"h" * 32)}] * 2}),
        (EventType.COUNTERSIGN, {"events": [{"origin": "hk/x", "index": -1, "leaf_hash": _b64(b"h" * 32)}]}),
        (EventType.COUNTERSIGN, {"events": [{"origin": "Chan Tai Man", "index": 1, "leaf_hash": _b64(b"h" * 32)}]}),
        (EventType.SEAL_USE, {"seal_version": 2}),
        (EventType.SEAL_USE, {"seal_version": True}),
        (EventType.SEAL_REVOKE, {"commitments": {"seal": _b64(b"s" * 32), "colour": _b64(b"s" * 32)}}),
        (EventType.SEAL_REVOKE, {"commitments": {"seal": _b64(b"s" * 33)}}),
        (EventType.SEAL_REVOKE, {"commitments": {"seal": {}}}),
    ],
)
def test_events_that_no_log_takes(kind: EventType, members: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        Event.parse(jcs.encode(json.loads(EXAMPLES[kind].encode()) | members))


def test_an_event_has_a_largest_size() -> None:
    largest = jcs.encode("x" * (MAX_EVENT_BYTES - 2))
    with pytest.raises(Malformed, match="dict expected"):
        Event.parse(largest)
    with pytest.raises(Malformed, match="over 8192 bytes"):
        Event.parse(largest + b" ")


def test_words_are_identifiers_in_no_case_but_one() -> None:
    lists = [value for name, value in vars(codes).items() if name.isupper() and isinstance(value, frozenset)]
    words = {word for each in lists for word in each if isinstance(word, str)} - codes.JURISDICTIONS
    assert words
    assert all(word == word.lower() and word.isascii() and " " not in word for word in words)
    assert len(codes.JURISDICTIONS) == 2 + 31


# --- as it is logged ------------------------------------------------------------------------------------------


def logged(kind: EventType, standing: Standing = Standing.NOT_LOGGED, **place: int) -> LoggedEvent:
    return LoggedEvent(EXAMPLES[kind], b"r" * 32, place.get("seq", 1), place.get("line", 0), standing)


def test_the_content_of_an_entry_says_what_the_node_knew() -> None:
    content = logged(EventType.SEAL_REVOKE, seq=3, line=9).encode()

    assert json.loads(content).keys() == {"event", "record", "seq", "line", "certificate_standing"}
    assert content.startswith(b'{"certificate_standing":"not-logged","event":{"at":')
    assert content.endswith(b'},"line":9,"record":"cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=","seq":3}')


@pytest.mark.parametrize(
    ("kind", "entry_type"),
    [
        (EventType.COUNTERSIGN, EntryType.SIGNATURE_EVENT),
        (EventType.SEAL_ISSUE, EntryType.SEAL_EVENT),
        (EventType.SEAL_USE, EntryType.SEAL_EVENT),
        (EventType.SEAL_REVOKE, EntryType.SEAL_EVENT),
        (EventType.CERTIFICATE_REVOCATION, EntryType.REVOCATION_EVENT),
        (EventType.PERSONAL_CERTIFICATE, EntryType.SIGNATURE_EVENT),
    ],
)
def test_an_events_entry_has_its_type_submitter_and_refs(kind: EventType, entry_type: EntryType) -> None:
    entry = event_entry(AT_MS, "hk/iam-smart", logged(kind))

    assert (entry.entry_type, entry.submitter, entry.content_type) == (entry_type, b"hk/iam-smart", CONTENT_JCS)
    assert entry.refs == EXAMPLES[kind].refs
    assert Entry.parse(entry.encode()) == entry
    assert entry.logged_event() == logged(kind)


def test_a_reference_to_a_certificate_stands_before_those_to_events() -> None:
    used = Event.of(
        EXAMPLES[EventType.SEAL_USE].to_json()
        | {"certificate_ref": {"origin": LEAF.origin, "index": LEAF.index, "leaf_hash": _b64(LEAF.leaf_hash)}}
    )
    assert used.refs == (LEAF, EARLIER)


def _entry(**changes: Any) -> Entry:
    parts: dict[str, Any] = {
        "entry_type": EntryType.SIGNATURE_EVENT,
        "timestamp_ms": AT_MS,
        "submitter": b"hk/iam-smart",
        "refs": (LEAF,),
        "content_type": CONTENT_JCS,
        "content": logged(EventType.SIGN, Standing.OWN_LOG).encode(),
    }
    return Entry(**(parts | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"entry_type": EntryType.SEAL_EVENT},
        {"submitter": b"iam-smart"},
        {"submitter": b"hk/Chan Tai Man"},
        {"refs": ()},
        {"refs": (EARLIER,)},
        {"refs": (LEAF, EARLIER)},
        {"content_type": "text/plain"},
        {"content": EXAMPLES[EventType.SIGN].encode()},
        {"content": logged(EventType.SIGN).encode()},
        {"content": logged(EventType.SIGN, Standing.OWN_LOG, seq=0).encode()},
        {"content": logged(EventType.SIGN, Standing.OWN_LOG, line=MAX_EVENTS).encode()},
        {"content": logged(EventType.SIGN, Standing.OWN_LOG).encode().replace(b"own-log", b"our-log")},
        {"content": logged(EventType.PERSONAL_CERTIFICATE, Standing.OWN_LOG).encode(), "refs": ()},
    ],
)
def test_entries_of_events_that_no_log_takes(changes: dict[str, Any]) -> None:
    Entry.parse(_entry().encode())
    with pytest.raises(Malformed):
        Entry.parse(_entry(**changes).encode())


def test_openings_are_those_of_the_event() -> None:
    entry = _entry()
    for strange in (SEAL, Opening("document", b"x" * 32, DOCUMENT.value), Opening("document", DOCUMENT.salt, b"y")):
        with pytest.raises(Malformed):
            EventExtra.parse(EventExtra(entry, (strange,)).encode())
    assert EventExtra.parse(EventExtra(entry, ()).encode()).openings == ()
    with pytest.raises(Malformed):
        EventExtra.parse(EntryExtra(entry).encode())
    with pytest.raises(Malformed):
        EntryExtra.parse(EventExtra(entry, ()).encode())


# --- on its way -----------------------------------------------------------------------------------------------


def test_a_request_has_1_to_1000_events() -> None:
    one = Submitted(EXAMPLES[EventType.SEAL_REVOKE])
    assert len(EventBatch.parse(EventBatch("hk/iam-smart", 1, (one,) * 1000).encode()).events) == 1000
    for wrong in (
        EventBatch("hk/iam-smart", 1, ()),
        EventBatch("hk/iam-smart", 1, (one,) * 1001),
        EventBatch("hk/iam-smart", 0, (one,)),
        EventBatch("iam-smart", 1, (one,)),
        EventBatch("hk/iam/smart", 1, (one,)),
        EventBatch("hk/iam-smart", 1, (Submitted(one.event, b"no proof"),)),
    ):
        with pytest.raises(Malformed):
            EventBatch.parse(wrong.encode())
    raw = EventBatch("hk/iam-smart", 1, (one,)).encode()
    for spoilt in (raw.replace(b"events@v1", b"events@v2"), raw.replace(b'"seq":1', b'"seq":true')):
        with pytest.raises(Malformed):
            EventBatch.parse(spoilt)


@pytest.mark.parametrize("reason", ["", "x" * 501, "two\nlines", "\x1b[2J"])
def test_reasons_are_one_line(reason: str) -> None:
    with pytest.raises(Malformed):
        EventResults.parse(EventResults((Result(None, reason),)).encode())


@given(s.opened_entries())
@settings(max_examples=25, deadline=None)
def test_nothing_that_is_committed_to_is_in_an_entry(drawn: tuple[Entry, tuple[Opening, ...]]) -> None:
    """Salts and values are not those that were drawn, which may be public as well: zeros, or the hash of a leaf."""
    entry, openings = drawn
    secrets = [
        Opening(name, sha256(b"salt of " + name.encode()).digest(), b"\xfevalue of " + name.encode())
        for name in (opening.name for opening in openings)
    ]
    logged = entry.logged_event()
    event = replace(logged.event, commitments=commit(*secrets))
    raw = event_entry(entry.timestamp_ms, entry.submitter.decode(), replace(logged, event=event)).encode()
    assert Entry.parse(raw).logged_event().event == event
    for secret in secrets:
        for part in (secret.value, secret.salt):
            for form in (part, part.hex().encode(), _b64(part).encode()):
                assert form not in raw
