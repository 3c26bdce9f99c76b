"""Logging a signed document at a terminal, and verifying it elsewhere: with files, over HTTP, and as processes."""

import os
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from log.client.held import Held
from log.errors import (
    BadProof,
    BadSignature,
    Conflict,
    Denied,
    Malformed,
    NotFound,
    PolicyNotMet,
    Refused,
    SettingsError,
    Unreachable,
)
from log.formats.event_batch import EventBatch
from log.formats.event_codes import EventType
from log.formats.tlog_proof import EventExtra, TlogProof
from tests.cli.test_operator import twinlog
from tests.support.event_log import MEMBER, POLICY, EventLog, event_log
from tests.support.signers import signer

NAME, SUBJECT = "Chan Tai Man (synthetic)", "A123456(7)"
DOCUMENT = "租約 Lease of flat 3 (synthetic)\n".encode()


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The folder of whoever signed: document, certificate, signature, identifier; and a policy."""
    who = signer("p256", NAME)
    (tmp_path / "lease.pdf").write_bytes(DOCUMENT)
    (tmp_path / "signer.der").write_bytes(who.certificate)
    (tmp_path / "lease.sig").write_bytes(who.sign(DOCUMENT))
    (tmp_path / "id.txt").write_text(SUBJECT)
    (tmp_path / "events.policy").write_text(POLICY.encode())
    return tmp_path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[EventLog]:
    with event_log(tmp_path) as running:
        yield running


def arguments(desk: Path, *more: str | Path) -> list[str | Path]:
    return [
        "event", "sign", desk / "lease.pdf", "--certificate", desk / "signer.der", "--signature", desk / "lease.sig",
        "--member", MEMBER, "--ca", "digi-sign", "--signer-jurisdiction", "HK", "--platform-jurisdiction", "CN-GD",
        "--at", "2026-11-28T08:15Z", "--commit", f"subject={desk / 'id.txt'}", *more,
    ]  # fmt: skip


def online(desk: Path, served: EventLog) -> list[str | Path]:
    return ["--to", served.url, "--member-key", served.key_file]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_document_is_logged_and_proven(desk: Path, served: EventLog) -> None:
    policy = desk / "events.policy"
    old = os.umask(0)
    try:
        made = twinlog(*arguments(desk, *online(desk, served), "--policy", policy, "--with", "purpose=property"))
    finally:
        os.umask(old)
    receipt = desk / "lease.pdf.tlog-proof"
    assert made.exit_code == 0
    assert f"{receipt}: receipt and openings" in made.output
    assert "PROVISIONAL: one side" in made.output
    assert mode(receipt) == 0o600
    assert not (desk / "lease.pdf.event").exists()
    extra = EventExtra.parse(TlogProof.parse(receipt.read_bytes()).extra or b"")
    assert {opening.name for opening in extra.openings} == {"certificate", "document", "subject"}
    assert b"lease.pdf" not in receipt.read_bytes()
    event = EventBatch.parse(served.bodies[0]).events[0].event
    assert (event.type, event.purpose, event.certificate) == (EventType.SIGN, "property", None)

    with pytest.raises(PolicyNotMet):
        twinlog("verify", desk / "lease.pdf", receipt, "--policy", policy)
    one_side = twinlog("verify", desk / "lease.pdf", receipt, "--policy", policy, "--provisional")
    assert "PROVISIONAL" in one_side.output
    upgraded = twinlog("upgrade", receipt, "--policy", policy, "--url", served.url)
    assert (upgraded.exit_code, "which document it is of was not looked at" in upgraded.output) == (0, True)
    assert mode(receipt) == 0o600

    proven = twinlog("verify", desk / "lease.pdf", receipt, "--policy", policy, "--signature", desk / "lease.sig")
    assert "VERIFIED: this document." in proven.output
    assert "entry 0 of hk.twinlog.example/events" in proven.output
    assert f"by {MEMBER}, as sign at 2026-11-28T08:15Z" in proven.output
    fingerprint = sha256((desk / "signer.der").read_bytes()).hexdigest()
    assert f"of digi-sign (HK), SHA-256 {fingerprint}; not-logged" in proven.output
    assert "the signature over it verifies (ecdsa-sha256)" in proven.output
    (desk / "other.pdf").write_bytes(DOCUMENT + b" ")
    with pytest.raises(BadProof, match="another document"):
        twinlog("verify", desk / "other.pdf", receipt, "--policy", policy)
    (desk / "other.sig").write_bytes(signer("p256", NAME).sign(DOCUMENT))
    with pytest.raises(BadSignature, match="not the one that was logged"):
        twinlog("verify", desk / "lease.pdf", receipt, "--policy", policy, "--signature", desk / "other.sig")
    with pytest.raises(SettingsError, match="no receipt of an event"):
        twinlog("verify", receipt, desk / "lease.pdf", "--policy", policy, "--signature", desk / "lease.sig")


def test_what_is_sent_and_logged_says_nothing_of_person_or_document(desk: Path, served: EventLog) -> None:
    assert twinlog(*arguments(desk, *online(desk, served))).exit_code == 0
    certificate = (desk / "signer.der").read_bytes()
    secret = [
        NAME.encode(),
        b"Tai Man",
        SUBJECT.encode(),
        DOCUMENT,
        certificate,
        b"lease.pdf",
        *(b'"Lease', b" Lease", b"Lease of flat", b'"lease', b" lease"),  # five letters alone may stand in base64
    ]
    secret += [sha256(value).digest() for value in (NAME.encode(), SUBJECT.encode(), DOCUMENT, certificate)]
    for value in secret:
        for form in (value, value.hex().encode(), b64encode(value)):
            assert not any(form in sent for sent in (*served.bodies, *served.leaves))


def test_some_openings_are_given_away(desk: Path, served: EventLog) -> None:
    twinlog(*arguments(desk, *online(desk, served)))
    receipt, out = desk / "lease.pdf.tlog-proof", desk / "for-the-bank.tlog-proof"
    assert twinlog("event", "disclose", receipt, "-o", out).output == f"{out}: opens document\n"
    extra = TlogProof.parse(out.read_bytes()).extra
    assert extra is not None
    assert SUBJECT.encode() not in extra
    shown = twinlog("verify", desk / "lease.pdf", out, "--policy", desk / "events.policy", "--provisional")
    assert "committed to, not opened" in shown.output
    both: list[str | Path] = [
        "verify", desk / "lease.pdf", out, "--policy", desk / "events.policy", "--provisional",
        "--certificate", desk / "signer.der",
    ]  # fmt: skip
    with pytest.raises(BadProof, match="does not say that this certificate"):
        twinlog(*both)
    with pytest.raises(Malformed, match="does not open name"):
        twinlog("event", "disclose", receipt, "-o", out, "--field", "name")


def test_an_organisation_is_named(desk: Path, served: EventLog) -> None:
    who = signer("p256")
    (desk / "signer.der").write_bytes(who.certificate)
    (desk / "lease.sig").write_bytes(who.sign(DOCUMENT))
    twinlog(*arguments(desk, *online(desk, served), "--organisation"))
    event = EventBatch.parse(served.bodies[0]).events[0].event
    assert event.certificate == sha256(who.certificate).digest()
    shown = twinlog(
        "verify", desk / "lease.pdf", desk / "lease.pdf.tlog-proof", "--policy", desk / "events.policy",
        "--provisional", "--certificate", desk / "signer.der", "--signature", desk / "lease.sig",
    )  # fmt: skip
    assert "the signature over it verifies" in shown.output


def test_a_bank_finds_the_event_by_the_signature(desk: Path, served: EventLog) -> None:
    who = signer("p256")
    (desk / "signer.der").write_bytes(who.certificate)
    (desk / "lease.sig").write_bytes(who.sign(DOCUMENT))
    twinlog(*arguments(desk, *online(desk, served), "--organisation"))
    out = desk / "found.tlog-proof"
    find: list[str | Path] = ["event", "find", served.url, desk / "lease.sig", "--out", out]
    with pytest.raises(Denied, match="401"):
        twinlog(*find)
    asked = twinlog(*find, "--member", MEMBER, "--member-key", served.key_file)
    assert asked.exit_code == 0
    shown = twinlog(
        "verify", desk / "lease.pdf", out, "--policy", desk / "events.policy",
        "--certificate", desk / "signer.der", "--signature", desk / "lease.sig",
    )  # fmt: skip
    assert "VERIFIED: this document." in shown.output
    (desk / "other.sig").write_bytes(who.sign(DOCUMENT))
    with pytest.raises(NotFound):
        twinlog("event", "find", served.url, desk / "other.sig", "--out", out, "--member", MEMBER,
                "--member-key", served.key_file)  # fmt: skip


def test_a_second_signature_speaks_of_the_first(desk: Path, served: EventLog) -> None:
    twinlog(*arguments(desk, *online(desk, served)))
    first = (desk / "lease.pdf.tlog-proof").rename(desk / "first.tlog-proof")
    more: list[str | Path] = ["--type", "countersign", "--earlier", first]
    assert twinlog(*arguments(desk, *online(desk, served), *more)).exit_code == 0
    event = EventBatch.parse(served.bodies[1]).events[0].event
    assert [(ref.origin, ref.index) for ref in event.events] == [("hk.twinlog.example/events", 0)]
    with pytest.raises(Malformed, match="events is missing"):
        twinlog(*arguments(desk, "--offline", desk / "body", "--type", "countersign"))


def test_what_was_cut_off_is_sent_again_and_logged_once(desk: Path, served: EventLog) -> None:
    served.silent = 1
    with pytest.raises(Unreachable):
        twinlog(*arguments(desk, *online(desk, served)))
    held, receipt = desk / "lease.pdf.event", desk / "lease.pdf.tlog-proof"
    assert mode(held) == 0o600
    with pytest.raises(SettingsError, match="there already"):
        twinlog(*arguments(desk, *online(desk, served)))
    sent = twinlog("event", "send", held, *online(desk, served))
    assert (sent.exit_code, held.exists(), receipt.exists()) == (0, False, True)
    assert served.bodies[0] == served.bodies[1]
    assert len(served.leaves) == 1
    with pytest.raises(SettingsError, match="there already"):
        twinlog(*arguments(desk, *online(desk, served)))


def test_what_the_log_does_not_take_stays(desk: Path, served: EventLog) -> None:
    held = desk / "lease.pdf.event"
    served.refuse = "the certificate is not logged"
    refused = twinlog(*arguments(desk, *online(desk, served), "--seq", "7"))
    assert (refused.exit_code, "refused: the certificate is not logged" in refused.output) == (1, True)
    assert held.exists()
    held.unlink()
    with pytest.raises(Conflict, match="another request had this seq"):
        twinlog(*arguments(desk, *online(desk, served), "--seq", "7"))
    assert held.exists()
    twinlog("governance", "key", desk / "stranger.pem", "--name", "stranger.example/1")
    with pytest.raises(Denied, match="401"):
        twinlog("event", "send", held, "--to", served.url, "--member-key", desk / "stranger.pem")
    served.status = 410
    with pytest.raises(Refused, match="410"):
        twinlog("event", "send", held, *online(desk, served))
    served.status = 503
    with pytest.raises(Unreachable, match="503"):
        twinlog("event", "send", held, *online(desk, served))
    served.status = 0
    served.garbled = True
    with pytest.raises(Malformed):
        twinlog("event", "send", held, *online(desk, served))
    assert held.exists()


def test_a_machine_without_a_network_makes_events_too(desk: Path, served: EventLog) -> None:
    body, answer, held = desk / "body.json", desk / "answer.json", desk / "lease.pdf.event"
    made = twinlog(*arguments(desk, "--offline", body))
    assert f"twinlog event keep {held} ANSWER" in made.output
    assert body.read_bytes() == Held.parse(held.read_bytes()).batch.encode()
    with pytest.raises(SettingsError, match="--answer FILE"):
        twinlog("event", "send", body, *online(desk, served))
    with pytest.raises(SettingsError, match="--member-key"):
        twinlog("event", "send", body, "--to", served.url, "--answer", answer)
    assert "1 receipts, 0 refused" in twinlog("event", "send", body, *online(desk, served), "--answer", answer).output
    kept = twinlog("event", "keep", held, answer, "--policy", desk / "events.policy")
    assert (kept.exit_code, held.exists()) == (0, False)
    assert "PROVISIONAL" in kept.output
    served.refuse = "no"
    (desk / "lease.pdf.tlog-proof").unlink()
    twinlog(*arguments(desk, "--offline", body))
    assert twinlog("event", "send", body, *online(desk, served), "--answer", answer).exit_code == 1


@pytest.mark.parametrize(
    ("more", "error", "why"),
    [
        ([], SettingsError, "--offline"),
        (["--to", "http://127.0.0.1:1/events"], SettingsError, "--member-key"),
        (["--offline", "BODY", "--to", "http://127.0.0.1:1/events"], SettingsError, "--offline"),
        (["--offline", "BODY", "--with", "purpose"], SettingsError, "NAME=VALUE"),
        (["--offline", "BODY", "--with", "purpose=lease of a flat"], Malformed, "not a word of its list"),
        (["--offline", "BODY", "--with", "title=Lease"], Malformed, "'title' does not belong here"),
        (["--offline", "BODY", "--with", "sig_digest=AAAA"], Malformed, "follows from document and certificate"),
        (["--offline", "BODY", "--at", "yesterday"], Malformed, "not a date"),
    ],
)
def test_arguments_that_make_no_event(desk: Path, more: list[str], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        twinlog(*arguments(desk, *(str(desk / word) if word == "BODY" else word for word in more)))
    assert not (desk / "lease.pdf.event").exists()


def test_a_signature_over_another_document_is_not_logged(desk: Path, served: EventLog) -> None:
    (desk / "lease.pdf").write_bytes(DOCUMENT + b"!")
    with pytest.raises(BadSignature):
        twinlog(*arguments(desk, *online(desk, served)))
    assert not served.bodies


def test_from_sign_to_verify_with_processes(desk: Path, served: EventLog) -> None:
    policy, receipt = desk / "events.policy", desk / "lease.pdf.tlog-proof"
    for command in (
        arguments(desk, *online(desk, served)),
        ["upgrade", receipt, "--policy", policy, "--url", served.url],
        ["verify", desk / "lease.pdf", receipt, "--policy", policy],
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "log", *map(str, command)], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
    assert "VERIFIED: this document." in ran.stdout
    (desk / "lease.pdf").write_bytes(b"another")
    ran = subprocess.run([sys.executable, "-m", "log", *map(str, command)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, "twinlog: the receipt is of another document\n")
