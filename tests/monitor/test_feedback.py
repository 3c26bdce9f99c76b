"""What relying parties bring: SCTs whose promise is looked after (rows 11 and 12), heads that only they saw (row 9)."""

import base64
import json
from hashlib import sha256
from typing import Any

import httpx
import pytest

from log.crypto.ecdsa import EcdsaSigner
from log.evidence.check import check
from log.evidence.heads import Kind
from log.formats.note import KeyType
from log.formats.sct import SCT, digitally_signed
from log.formats.tile_leaf import TileLeaf
from log.formats.tree_head import signed_tree_head
from monitor import keyring, main, settings, status
from monitor.limits import Limits
from monitor.outcome import Finding, Outcome
from monitor.store import Store
from tests.monitor.conftest import Monitor
from tests.support.lying_log import LyingLog

FEEDBACK = "/.well-known/ct/v1/sct-feedback"
POLLINATION = "/.well-known/ct/v1/sth-pollination"


class Served:
    """A monitor, its rounds, and its server in this process."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.made = self.open()

    def open(self) -> main.Monitor:
        self.monitor.stop()
        loaded = settings.load(self.monitor.path)
        signing = keyring.load(loaded)
        self.monitor.store = Store.open(loaded.state, signing.witness.vkey.encode(), 10_000)
        return main.assemble(loaded, signing, self.monitor.store, self.monitor.client, self.monitor.world.clock)

    @property
    def store(self) -> Store:
        assert self.monitor.store is not None
        return self.monitor.store

    async def once(self) -> list[Finding]:
        self.monitor.world.time_ms += 1_000
        return await self.made.rounds.once()

    async def post(self, path: str, body: object, host: str = "203.0.113.1") -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        transport = httpx.ASGITransport(self.made.app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
            return await client.post(path, content=raw)

    def proven(self, followed: LyingLog) -> list[Kind]:
        known = main.known_of(self.made.crew.logs, None)
        found = self.store.evidence(followed.origin)
        assert all(check(each.object, known.pinned).proven for each in found)
        return [each.kind for each in found]


@pytest.fixture
async def served(monitor: Monitor) -> Served:
    made = Served(monitor)
    assert await made.once() == []
    return made


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def sct(followed: LyingLog, certificate: bytes, index: int, time_ms: int) -> bytes:
    [signer] = [each for each in followed.signers if each.vkey.type is KeyType.TREE_HEAD]
    assert isinstance(signer.signer, EcdsaSigner)
    leaf = TileLeaf(time_ms, 0, certificate, b"", index, b"", ()).merkle_tree_leaf()
    [der] = await signer.signer.sign([leaf])
    return SCT(sha256(signer.vkey.key).digest(), time_ms, index, digitally_signed(der)).encode()


def certificate_at(followed: LyingLog, index: int) -> tuple[bytes, int]:
    row = TileLeaf.parse(followed.rows[index])
    return row.signed_entry, row.timestamp_ms


def brought(certificate: bytes, *scts: bytes) -> dict[str, Any]:
    return {"sct_feedback": [{"x509_chain": [text(certificate)], "sct_data": [text(each) for each in scts]}]}


async def test_a_promise_that_was_kept_is_kept_for_good(served: Served) -> None:
    followed = served.monitor.world.hk_x509
    certificate, time_ms = certificate_at(followed, 5)
    body = brought(certificate, await sct(followed, certificate, 5, time_ms))
    assert (await served.post(FEEDBACK, body)).json() == {"kept": 1}
    assert await served.once() == []
    assert served.store.open_promises(followed.origin, 1 << 40, 1 << 60, 9) == []
    assert "SCTs that we were brought: 1 kept." in "".join(
        status.sentences(served.store, served.made.crew.logs, Limits(), served.monitor.world.time_ms)
    )
    assert (await served.post(FEEDBACK, body)).json() == {"kept": 1}, "brought again it is known"
    assert served.store.open_promises(followed.origin, 1 << 40, 1 << 60, 9) == []


async def test_an_entry_that_does_not_come_in_time_is_proven_by_signed_times_alone(served: Served) -> None:
    world, followed = served.monitor.world, served.monitor.world.hk_x509
    certificate, _ = certificate_at(followed, 5)
    promised = await sct(followed, certificate, followed.size, world.time_ms)
    await served.post(FEEDBACK, brought(certificate, promised))
    assert await served.once() == [], "its time is not over"
    world.time_ms += 66_000
    followed.frozen = True
    assert Kind.LATE not in served.proven(followed)
    await served.once()
    assert served.proven(followed) == [], "that time passes here convicts nobody"
    followed.frozen = False
    await followed.sign()
    found = await served.once()
    assert (Outcome.PROVEN, "late") in {(finding.outcome, finding.code) for finding in found}
    assert served.proven(followed) == [Kind.LATE]


async def test_promises_outlive_the_process(served: Served) -> None:
    followed = served.monitor.world.hk_x509
    certificate, time_ms = certificate_at(followed, 5)
    await served.post(FEEDBACK, brought(certificate, await sct(followed, certificate, 9, time_ms)))
    served.made = served.open()
    await served.once()
    assert served.proven(followed) == [Kind.BROKEN_PROMISE]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no JSON", 400),
        ({}, 400),
        ({"sct_feedback": [7]}, 400),
        ({"sct_feedback": [{"x509_chain": ["!"], "sct_data": []}]}, 400),
        ({"sct_feedback": []}, 403),
        (b"[" + b" " * 600_000, 413),
    ],
)
async def test_what_is_no_feedback_is_refused(served: Served, body: object, status: int) -> None:
    assert (await served.post(FEEDBACK, body)).status_code == status


async def test_an_sct_that_does_not_verify_is_no_promise(served: Served) -> None:
    followed = served.monitor.world.hk_x509
    certificate, time_ms = certificate_at(followed, 5)
    other, _ = certificate_at(followed, 6)
    good = await sct(followed, certificate, 5, time_ms)
    for wrong in (brought(other, good), brought(certificate, good[:-1] + bytes([good[-1] ^ 1]))):
        assert (await served.post(FEEDBACK, wrong)).status_code == 403
    half = {"sct_feedback": [*brought(certificate, good)["sct_feedback"], *brought(other, good)["sct_feedback"]]}
    assert (await served.post(FEEDBACK, half)).status_code == 403
    assert served.store.open_promises(followed.origin, 1 << 40, 1 << 60, 9) == [], "all or none"
    stranger = bytes([good[0]]) + bytes(32) + good[33:]
    assert (await served.post(FEEDBACK, brought(certificate, stranger))).status_code == 403


# --- pollination ------------------------------------------------------------------------------------------------


def sth(followed: LyingLog) -> dict[str, Any]:
    [key] = [vkey for vkey in followed.vkeys if vkey.type is KeyType.TREE_HEAD]
    found = signed_tree_head(followed.note, key).to_json()
    return {"sth_version": 0, **found, "log_id": text(sha256(key.key).digest())}


@pytest.mark.parametrize("form", ["sths", "notes"])
async def test_a_head_that_only_a_relying_party_was_shown_is_evidence(served: Served, form: str) -> None:
    followed = served.monitor.world.hk_x509
    fork = await followed.branch(followed.size - 3, 3)
    body = {"sths": [sth(fork)]} if form == "sths" else {"notes": [text(fork.note)]}
    answer = await served.post(POLLINATION, body)
    assert answer.status_code == 200, answer.text
    [evidence] = served.store.evidence(followed.origin)
    assert answer.json()["evidence"] == [evidence.id.hex()], "whoever brought it is told what came of it"
    assert served.proven(followed) == [Kind.SAME_SIZE]
    assert followed.size in {each["tree_size"] for each in answer.json()["sths"]}
    assert len(answer.json()["notes"]) <= 64


async def test_an_old_smaller_head_is_compared_and_not_dropped(served: Served) -> None:
    followed = served.monitor.world.hk_x509
    old = await followed.branch(100, 0)
    assert (await served.post(POLLINATION, {"notes": [text(old.note)]})).status_code == 200
    assert old.note in served.store.raw_notes(followed.origin)
    forged = await followed.branch(90, 10)
    await served.post(POLLINATION, {"notes": [text(forged.note)]})
    await served.once()
    assert Kind.SAME_SIZE in served.proven(followed) or Kind.CROSS_SIZE in served.proven(followed)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"sths": [{}]}, 400),
        ({"notes": ["AAAA"]}, 400),
        ({"sths": 7}, 400),
        (b" " * 140_000, 413),
    ],
)
async def test_what_is_no_head_is_refused(served: Served, body: object, status: int) -> None:
    assert (await served.post(POLLINATION, body)).status_code == status


async def test_heads_under_keys_that_nobody_pinned_are_refused(served: Served) -> None:
    followed = served.monitor.world.hk_x509
    before = served.store.raw_notes(followed.origin)
    stranger = {**sth(followed), "log_id": text(bytes(32))}
    assert (await served.post(POLLINATION, {"sths": [stranger]})).status_code == 403
    altered = {**sth(followed), "tree_size": followed.size + 1}
    unseen = await followed.branch(100, 0)
    assert (await served.post(POLLINATION, {"sths": [sth(unseen), altered]})).status_code == 403
    assert served.store.raw_notes(followed.origin) == before


async def test_a_flood_is_bounded_by_its_sender_and_others_are_served(served: Served) -> None:
    statuses = [(await served.post(POLLINATION, {})).status_code for _ in range(40)]
    assert statuses.count(429) >= 30
    assert (await served.post(POLLINATION, {}, "203.0.113.2")).status_code == 200
