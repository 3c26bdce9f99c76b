"""Members and events at a real node: its own process, real stores, real signatures over real HTTP."""

import asyncio
import json
import shutil
import signal
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from log.client.audit import audit
from log.client.http import HttpLog
from log.client.records import verify_event
from log.client.verifier import verify_leaf
from log.crypto.notes import sign_note
from log.crypto.sm2 import sm2_available
from log.errors import Unreachable
from log.formats.checkpoint import Checkpoint
from log.formats.event_batch import EventResults, Submitted
from log.formats.event_codes import Standing
from log.formats.family import EVENTS, X509
from log.formats.note import Note, VKey, parse_signature_lines
from log.formats.policy import Policy
from log.formats.ref import Ref
from log.formats.signature_event import Event
from log.formats.submission import Submission
from log.formats.tlog_proof import EntryExtra, TlogProof
from log.formats.witness_request import AddCheckpoint
from log.merkle.hashing import leaf_hash, node_hash
from tests.support import plain
from tests.support.event_node import FOREIGN, FOREIGN_SIGNERS, EventNode, event_node
from tests.support.members import Sender, batch, event, of_certificate
from tests.support.node_process import set_clock

PLATFORM, CA, REGULATOR = Sender(), Sender("hk/hongkong-post", "ca"), Sender("hk/dpo", "regulator")
ELSEWHERE = Sender("gd/yue-qi-qian", "platform")
TRIES, FEW = 10, 5  # of reading beside events; answers that one gets who is not served meanwhile
OK, UNAUTHORIZED, FORBIDDEN = httpx.codes.OK, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN
TOKENS = f"""\
[[tokens]]
name = "bank"
role = "relying-party"
side = "gd"
sha256 = "{sha256(b"token of a bank").hexdigest()}"
expires = "2999-01-01"
"""


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[EventNode]:
    async with event_node(tmp_path / "node", table=TOKENS) as made:
        made.let_in(PLATFORM, CA, REGULATOR, ELSEWHERE)
        await made.start()
        yield made


def receipts(answer: httpx.Response) -> list[TlogProof]:
    assert answer.status_code == OK, answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    return [TlogProof.parse(each.receipt) for each in EventResults.parse(answer.content).results if each.receipt]


async def vkeys(node: EventNode, name: str) -> list[VKey]:
    known = (await node.http.get(f"{node.url}/.well-known/twinlog.json")).json()
    return [VKey.parse(text) for each in known["logs"] if each["name"] == name for text in each["vkeys"]]


async def size(node: EventNode) -> int:
    checkpoint = await node.http.get(f"{node.url}/events/checkpoint")
    return Checkpoint.parse(Note.parse(checkpoint.content).text).size


async def test_a_thousand_events_in_one_request_are_logged_proven_and_recorded(node: EventNode) -> None:
    events = [event(number) for number in range(1000)]
    body = batch(PLATFORM.member, 1, events)
    first = await node.send(PLATFORM, body)
    proofs = receipts(first)
    assert len(proofs) == await size(node) == 1000
    own = await vkeys(node, "events")
    policy = Policy.parse("".join(f"log {vkey.encode()}\n" for vkey in own) + "quorum none\n")
    for line, proof in enumerate(proofs):
        entry = EntryExtra.parse(proof.extra or b"").entry
        verify_leaf(proof, entry.encode(), policy)
        assert entry.logged_event().event == events[line]
    # A court, with the record, the body and the member's key.
    entry = EntryExtra.parse(proofs[500].extra or b"").entry
    record = await node.read(REGULATOR, f"/events/record/{entry.logged_event().record.hex()}")
    assert record.status_code == OK
    verify_event(entry.logged_event(), PLATFORM.member, record.content, [PLATFORM.key.vkey], body)
    # The same body, signed later, gets the same bytes, also from the next process.
    assert (await node.send(PLATFORM, body, int(time.time()) - 200)).content == first.content
    await node.process.stop()
    await node.start()
    assert (await node.send(PLATFORM, body)).content == first.content
    # Whoever may read the entries can rebuild the log from them.
    headers = {"authorization": "Bearer token of a bank"}
    async with plain.client(headers=headers, timeout=90) as bank:
        assert (await audit(HttpLog(f"{node.url}/events", EVENTS, bank), EVENTS, own)).size == 1000
    metrics = (await node.http.get(f"{node.url}/metrics")).text
    assert 'twinlog_log_store_bytes{log="events",store="records"}' in metrics


async def test_only_members_of_the_right_role_and_side_write(node: EventNode) -> None:
    for sender, status in ((PLATFORM, OK), (CA, OK), (REGULATOR, FORBIDDEN), (ELSEWHERE, FORBIDDEN)):
        answer = await node.send(sender, batch(sender.member, 1, [event()]))
        assert answer.status_code == status, answer.text
    url = f"{node.url}/events/add-events"
    body = batch(PLATFORM.member, 2, [event()])
    for headers in ({}, {"authorization": "Bearer token of a bank"}):
        assert (await node.http.post(url, content=body, headers=headers)).status_code == UNAUTHORIZED
    assert await size(node) == 1  # that of the platform; the CA's was refused, for its type


async def test_a_member_that_is_suspended_or_unknown_is_401_and_one_answer(node: EventNode) -> None:
    body = batch(PLATFORM.member, 1, [event()])
    assert (await node.send(PLATFORM, body)).status_code == OK
    node.let_in(PLATFORM, CA, suspended=[PLATFORM])
    suspended = await node.send(PLATFORM, body)
    unknown = await node.send(Sender("hk/nobody"), batch("hk/nobody", 1, [event()]))
    impostor = Sender("hk/hongkong-post", "ca")
    impostor.key = Sender("hk/hongkong-post", kind="p256").key
    other_key = await node.send(impostor, batch(impostor.member, 1, [event()]))
    assert [each.status_code for each in (suspended, unknown, other_key)] == [UNAUTHORIZED] * 3
    assert suspended.text == unknown.text == other_key.text
    assert PLATFORM.member not in suspended.text
    node.let_in(PLATFORM)
    assert (await node.send(PLATFORM, body)).status_code == OK


async def test_time_place_and_body_must_be_those_that_were_signed(node: EventNode) -> None:
    body = batch(PLATFORM.member, 1, [event()])
    now_s = int(time.time())
    for created_s in (now_s - 400, now_s + 400):
        answer = await node.send(PLATFORM, body, created_s)
        assert (answer.status_code, "300 s" in answer.text) == (UNAUTHORIZED, True)
    elsewhere = Sender(authority="gd.twinlog.example")
    assert (await node.send(elsewhere, body)).status_code == UNAUTHORIZED
    url = f"{node.url}/events/add-events"
    headers = PLATFORM.headers("POST", url, body, now_s)
    tampered = await node.http.post(url, content=body.replace(b'"seq":1', b'"seq":2'), headers=headers)
    assert (tampered.status_code, "another body" in tampered.text) == (UNAUTHORIZED, True)
    moved = await node.http.post(f"{node.url}/x509/add-events", content=body, headers=headers)
    assert moved.status_code == UNAUTHORIZED
    misled = await node.http.post(url, content=body, headers={**headers, "host": "gd.twinlog.example"})
    assert misled.status_code == OK  # Host has no say
    replayed = await node.http.post(url, content=body, headers=headers)
    assert replayed.content == misled.content
    other = await node.send(PLATFORM, batch(PLATFORM.member, 1, [event(2)]))
    assert (other.status_code, "number 1" in other.text) == (httpx.codes.CONFLICT, True)
    assert await size(node) == 1


async def test_what_counts_is_the_nodes_clock(node: EventNode) -> None:
    await node.process.stop()
    set_clock(node.folder, wall_ms=1_000_000, mono_ms=1_000_000)
    await node.start()
    body = batch(PLATFORM.member, 1, [event()])
    assert (await node.send(PLATFORM, body)).status_code == UNAUTHORIZED
    assert (await node.send(PLATFORM, body, int(time.time()) + 1000)).status_code == OK


@pytest.mark.parametrize("kind", ["p256", "sm2"])
async def test_members_sign_with_p256_and_sm2(node: EventNode, kind: str) -> None:
    if kind == "sm2" and not sm2_available():
        pytest.skip("no SM2 here")
    sender = Sender("hk/seals", "platform", kind=kind)
    node.let_in(sender)
    assert len(receipts(await node.send(sender, batch(sender.member, 1, [event(platform="seals")])))) == 1


async def test_entries_are_read_by_members_by_signature_or_token(node: EventNode) -> None:
    await node.send(PLATFORM, batch(PLATFORM.member, 1, [event()]))
    path = "/events/tile/entries/000.p/1"
    assert (await node.http.get(node.url + path)).status_code == UNAUTHORIZED
    for sender in (PLATFORM, REGULATOR, ELSEWHERE):
        answer = await node.read(sender, path)
        assert (answer.status_code, answer.headers["cache-control"]) == (OK, "private, no-store")
    token = await node.http.get(node.url + path, headers={"authorization": "Bearer token of a bank"})
    assert token.status_code == OK
    for public in ("/events/checkpoint", "/events/tile/0/000.p/1"):
        assert (await node.http.get(node.url + public)).status_code == OK


async def test_a_certificate_is_referred_to_in_an_own_log_and_in_the_other_sides(node: EventNode) -> None:
    der = node.issuer.certificate(1)
    chain = {"chain": [b64encode(part).decode() for part in (der, *node.issuer.issuers)]}
    sct = await node.http.post(f"{node.url}/x509/ct/v1/add-chain", json=chain)
    assert sct.status_code == OK, sct.text
    tile = await node.read(REGULATOR, "/x509/tile/data/000.p/1")
    [row] = X509.split(tile.content)
    own = of_certificate(der, Ref("hk.example/x509", 0, leaf_hash(X509.leaf_input(row))))
    # The other side's log has two leaves; this node's witness cosigns its head, as monitors bring it.
    leaves = [leaf_hash(b"leaf %d" % n) for n in range(2)]
    text = Checkpoint(FOREIGN, 2, node_hash(*leaves)).encode()
    note = await sign_note(text, int(time.time()) * 1000, FOREIGN_SIGNERS)
    request = AddCheckpoint(0, (), note.encode()).encode()
    cosigned = await node.http.post(f"{node.url}/witness/add-checkpoint", content=request)
    assert cosigned.status_code == OK, cosigned.text
    lines = parse_signature_lines(cosigned.content)
    proof = TlogProof(1, (leaves[0],), note.with_signatures((*note.signatures, *lines)).encode()).encode()
    foreign = of_certificate(b"\x30 foreign", Ref(FOREIGN, 1, leaves[1]))
    wrong = of_certificate(b"\x30 another", own.certificate_ref)
    rows: list[Event | Submitted] = [own, Submitted(foreign, proof), foreign, event(), wrong]
    answer = await node.send(PLATFORM, batch(PLATFORM.member, 1, rows))
    standings = [
        EntryExtra.parse(proof.extra or b"").entry.logged_event().certificate_standing for proof in receipts(answer)
    ]
    assert standings == [
        Standing.OWN_LOG,
        Standing.FOREIGN_PROVEN,
        Standing.FOREIGN_UNPROVEN,
        Standing.NOT_LOGGED,
    ]
    assert EventResults.parse(answer.content).results[4].refused == "entry 0 of hk.example/x509 is another certificate"
    metrics = (await node.http.get(f"{node.url}/metrics")).text
    assert 'twinlog_log_submissions_total{log="events",outcome="refused",reason="reference"} 1.0' in metrics


@pytest.mark.parametrize(
    ("moment", "filed", "logged"),
    [
        ("before the record", False, 0),
        ("after the record", True, 0),
        ("before the outcome", True, 20),
        ("after the outcome", True, 20),
    ],
)
async def test_a_kill_between_two_writes_is_made_good_by_the_same_body(
    tmp_path: Path, moment: str, filed: bool, logged: int
) -> None:
    async with event_node(tmp_path / "node") as node:
        node.let_in(PLATFORM, REGULATOR)
        await node.start(kill=moment)
        body = batch(PLATFORM.member, 1, [event(number) for number in range(20)])
        now_s = int(time.time())
        with pytest.raises(httpx.HTTPError):
            await node.send(PLATFORM, body, now_s)
        assert await node.ended() == -signal.SIGKILL
        await node.start()
        assert await size(node) == logged
        first, second = (PLATFORM.submission(body, created_s) for created_s in (now_s, now_s + 1))
        again = await node.send(PLATFORM, body, now_s + 1)
        assert len(receipts(again)) == await size(node) == 20
        records = {EntryExtra.parse(p.extra or b"").entry.logged_event().record for p in receipts(again)}
        assert records == {first.hash if filed else second.hash}
        kept = await node.read(REGULATOR, f"/events/record/{records.pop().hex()}")
        assert Submission.parse(kept.content) == (first if filed else second)
        assert (await node.send(PLATFORM, body)).content == again.content
        other = await node.send(PLATFORM, batch(PLATFORM.member, 1, [event(99)]))
        assert other.status_code == httpx.codes.CONFLICT


async def test_reads_and_certificates_go_on_while_events_are_taken_in(node: EventNode) -> None:
    """Nothing here measures time: some of these must be answered before the thousand events are.

    A hundred are, and one or two of a node that does nothing else meanwhile. Who reads may be kept waiting by the
    machine just then, and tries again. In what pieces a node takes events in: tests/service/test_event_turns.py.
    """
    for seq in range(1, TRIES + 1):
        body = batch(PLATFORM.member, seq, [event(1000 * seq + number) for number in range(1000)])
        sending = asyncio.create_task(node.send(PLATFORM, body))
        answered = 0
        while not sending.done():
            assert (await node.http.get(f"{node.url}/x509/checkpoint")).status_code == OK
            answered += 1
        assert len(receipts(await sending)) == 1000
        if answered > FEW:
            return
    pytest.fail(f"{answered} reads were answered beside a thousand events")


async def test_requests_larger_than_their_limit_and_more_events_than_allowed_are_413(tmp_path: Path) -> None:
    limits = "[limits]\nmax_events = 10\nmax_events_bytes = 20000\n"
    async with event_node(tmp_path / "node", table=f"{limits}") as node:
        node.let_in(PLATFORM)
        await node.start()
        many = await node.send(PLATFORM, batch(PLATFORM.member, 1, [event(n) for n in range(11)]))
        assert (many.status_code, "max_events = 10" in many.text) == (httpx.codes.REQUEST_ENTITY_TOO_LARGE, True)
        large = await node.send(PLATFORM, batch(PLATFORM.member, 1, [event(n) for n in range(40)]))
        assert (large.status_code, "max_events_bytes" in large.text) == (httpx.codes.REQUEST_ENTITY_TOO_LARGE, True)
        few = await node.send(PLATFORM, batch(PLATFORM.member, 1, [event(n) for n in range(10)]))
        assert len(receipts(few)) == 10


async def test_a_policy_refuses_events_by_how_their_certificate_stands(tmp_path: Path) -> None:
    async with event_node(tmp_path / "node", table='refuse = ["foreign-unproven"]') as node:
        node.let_in(PLATFORM)
        await node.start()
        rows = [of_certificate(b"\x30", Ref(FOREIGN, 1, bytes(32))), event()]
        answer = json.loads((await node.send(PLATFORM, batch(PLATFORM.member, 1, rows))).content)
        assert answer["results"][0] == {"refused": "this log takes no event whose certificate is foreign-unproven"}
        assert answer["results"][1].keys() == {"receipt"}


async def test_records_that_are_lost_keep_the_node_from_starting(tmp_path: Path) -> None:
    async with event_node(tmp_path / "node") as node:
        node.let_in(PLATFORM)
        await node.start()
        await node.send(PLATFORM, batch(PLATFORM.member, 1, [event()]))
        await node.process.stop()
        shutil.rmtree(node.folder / "data" / "events" / "records")
        with pytest.raises(Unreachable, match="ended with 3"):
            await node.start()
