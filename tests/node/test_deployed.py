"""Where deployed programs and specifications part, from a log's and a witness's side (formats.md section 24, by row).

What our monitor makes of other witnesses' ways stands in `tests/monitor/test_feeder.py`, under the same row numbers.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from log import pinned
from log.api.app import Options, create_app
from log.client.verifier import verify_checkpoint
from log.client.witness import Answer, Cosign, decide
from log.crypto.notes import NoteSigner, cosign, sign_note, verify_line
from log.errors import BadSignature, Malformed, SettingsError
from log.formats.checkpoint import Checkpoint
from log.formats.cosignature import cosignature_message, encode_timestamped
from log.formats.note import KeyType, Note, Signature, VKey, parse_signature_lines
from log.formats.policy import Policy
from log.formats.witness_request import AddCheckpoint
from log.settings import NodeSettings
from tests.client.heads import NOTE, ORIGIN, OWN, SIGNERS, TREE_HEAD, VKEYS, consistency, head, leaves
from tests.support import rfc6962
from tests.support.engine import ed25519, mldsa_signer, witness_signer
from tests.support.side import WITNESS, WITNESS_MLDSA, Side

D = leaves(9)
FORK = leaves(9, "fork")
TIME_S = 1_767_139_200
MLDSA = mldsa_signer(ORIGIN, 70)
ELSEWHERE = "log.elsewhere.example/4d6d8825"
KEY = NoteSigner.make(ELSEWHERE, KeyType.ED25519, ed25519(71))


def last(size: int, d: Sequence[bytes] = D) -> Checkpoint:
    return Checkpoint(ORIGIN, size, rfc6962.mth(list(d[:size])))


def answer(request: AddCheckpoint, held: Checkpoint | None, vkeys: Sequence[VKey] = VKEYS) -> Answer:
    decision = decide(request, {ORIGIN: vkeys}, held)
    assert isinstance(decision, Answer)
    return decision


# --- row 1: another root at one size --------------------------------------------------------------------------


async def test_row_1_another_root_at_the_size_held_is_422_and_a_409_always_names_the_size() -> None:
    another = answer(AddCheckpoint(3, (), await head(FORK[:3])), last(3))
    assert (another.status, another.fork) == (422, True)
    assert another.content_type != "text/x.tlog.size"
    stale = answer(AddCheckpoint(0, (), await head(FORK[:3])), last(3))
    assert (stale.status, stale.body, stale.content_type) == (409, b"3\n", "text/x.tlog.size")


# --- row 2, and the nine requests of litewitness's own test (formats.md section 9.2) --------------------------


async def with_guardless_witness(*keys: NoteSigner) -> tuple[Side, httpx.AsyncClient]:
    """A node without guards whose witness knows a log of others; and a client that reaches it."""
    side = Side(guards=(), witness_keys=keys, known={ELSEWHERE: (KEY.vkey,)})
    await side.create()
    await side.start()
    app = create_app(side.running, Options())
    return side, httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://node")


async def test_row_2_the_nine_requests_of_litewitness_are_answered_as_at_head() -> None:
    side, client = await with_guardless_witness(WITNESS)

    async def note(size: int, *, origin: str = ELSEWHERE, root: bytes | None = None) -> bytes:
        text = Checkpoint(origin, size, root or rfc6962.mth(D[:size])).encode()
        signer = NoteSigner.make(origin, KeyType.ED25519, ed25519(71))
        return (await sign_note(text, 0, [signer])).encode()

    proof3, proof5 = consistency(1, D[:3]), consistency(3, D[:5])
    good = await note(3)
    flipped = Note.parse(good)
    line = flipped.signatures[0]
    bad = Signature(line.name, line.key_id, line.data[:-1] + bytes([line.data[-1] ^ 4]))
    requests = [
        AddCheckpoint(0, (), await note(1)),
        AddCheckpoint(1, proof3, flipped.with_signatures([bad]).encode()),
        AddCheckpoint(1, proof3, await note(3, origin=f"{ELSEWHERE}x")),
        AddCheckpoint(1, (), good),
        AddCheckpoint(1, (*proof3[:-1], bytes(32)), good),
        AddCheckpoint(1, proof3, good),
        AddCheckpoint(1, consistency(1, D[:5]), await note(5)),
        AddCheckpoint(3, proof5, await note(5)),
        AddCheckpoint(0, (), await note(5)),
    ]
    async with client:
        found = [await client.post("/witness/add-checkpoint", content=request.encode()) for request in requests]
        assert [each.status_code for each in found] == [200, 403, 404, 422, 422, 200, 409, 200, 409]
        for each in (found[0], found[5], found[7]):
            assert each.text.startswith(f"— {WITNESS.vkey.name} ")
        for each, size in ((found[6], "3\n"), (found[8], "5\n")):
            assert (each.text, each.headers["content-type"]) == (size, "text/x.tlog.size")
        again = await client.post("/witness/add-checkpoint", content=AddCheckpoint(5, (), await note(5)).encode())
        assert again.status_code == 200, "the same head again is a fresh cosignature"
        fork = await note(5, root=rfc6962.mth(FORK[:5]))
        assert (
            await client.post("/witness/add-checkpoint", content=AddCheckpoint(5, (), fork).encode())
        ).status_code == 422
    await side.crash()


async def test_row_2_a_node_that_is_not_guarded_yet_says_when_to_come_again() -> None:
    side = Side(known={ELSEWHERE: (KEY.vkey,)})
    await side.create()
    await side.start()
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(side.running, Options())), base_url="http://node"
    )
    text = Checkpoint(ELSEWHERE, 1, rfc6962.mth(D[:1])).encode()
    body = AddCheckpoint(0, (), (await sign_note(text, 0, [KEY])).encode()).encode()
    async with client:
        busy = await client.post("/witness/add-checkpoint", content=body)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    await side.crash()


# --- row 3: what a log must sign with to be witnessed ---------------------------------------------------------


@pytest.mark.parametrize(
    ("signers", "status"),
    [
        ((NOTE,), 200),
        ((MLDSA,), 200),
        ((NOTE, MLDSA), 200),
        ((TREE_HEAD, NOTE), 200),
        ((TREE_HEAD, MLDSA), 200),
        ((TREE_HEAD,), 403),
        ((OWN,), 403),
        ((TREE_HEAD, OWN), 403),
    ],
)
async def test_row_3_a_log_is_witnessed_by_a_0x01_or_a_0x06_line(signers: tuple[NoteSigner, ...], status: int) -> None:
    """These are all the keys that the log is known by; and of those that sign heads none may be missing."""
    vkeys = [signer.vkey for signer in signers]
    request = AddCheckpoint(0, (), await head(D[:3], signers=signers))
    decision = decide(request, {ORIGIN: vkeys}, None)
    assert (200 if isinstance(decision, Cosign) else decision.status) == status
    for missing in signers if status == 200 and len(signers) > 1 else ():
        some = [signer for signer in signers if signer is not missing]
        request = AddCheckpoint(0, (), await head(D[:3], signers=some))
        assert answer(request, None, vkeys).status == 403


async def test_row_3_extension_lines_are_400() -> None:
    for signer in (NOTE, MLDSA):
        note = await head(D[:3], signers=[signer], extensions=("extension",))
        assert answer(AddCheckpoint(0, (), note), None, [signer.vkey]).status == 400


SETTINGS = """
node = "HK"
[[logs]]
name = "x509"
family = "x509"
origin = "hk.example/x509"
policy = "x509.policy"
[[witnessed]]
origin = "{origin}"
vkeys = ["{vkey}"]
[[guards]]
name = "monitor"
cosigner = "{cosigner}"
push = "{push}"
"""
COSIGNER = witness_signer("monitor.example", 72).vkey
PUSH = VKey.make("monitor.example", KeyType.ED25519, ed25519(73).public)


def checked(
    folder: Path, *, vkey: VKey = VKEYS[1], origin: str = ORIGIN, cosigner: VKey = COSIGNER, push: VKey = PUSH
) -> NodeSettings:
    path = folder / "twinlog.toml"
    keys = {"vkey": vkey.encode(), "cosigner": cosigner.encode(), "push": push.encode()}
    path.write_text(SETTINGS.format(origin=origin, **keys))
    loaded = NodeSettings.load(path)
    pinned.check_settings(loaded)
    return loaded


def test_row_3_a_log_with_a_0x05_key_alone_is_an_error_of_the_settings(tmp_path: Path) -> None:
    for vkey in (VKEYS[1], MLDSA.vkey):
        checked(tmp_path, vkey=vkey)
    for vkey in (VKEYS[0], VKEYS[2]):
        with pytest.raises(SettingsError, match="0x01 or 0x06"):
            checked(tmp_path, vkey=vkey)
    with pytest.raises(SettingsError, match="another name"):
        checked(tmp_path, origin="another.example")


# --- row 6: cosignatures and extension lines ------------------------------------------------------------------


async def test_row_6_a_0x04_line_covers_the_whole_text() -> None:
    extended = Checkpoint(ORIGIN, 3, rfc6962.mth(D[:3]), ("one", "two")).encode()
    line = await cosign(extended, TIME_S, WITNESS)
    assert verify_line(extended, line, WITNESS.vkey) == TIME_S * 1000
    first_three = b"".join(extended.splitlines(keepends=True)[:3])
    assert first_three == last(3).encode()
    [old] = await WITNESS.signer.sign([cosignature_message(TIME_S, first_three)])  # torchwood of 2025
    with pytest.raises(BadSignature):
        verify_line(extended, Signature(line.name, line.key_id, encode_timestamped(TIME_S, old)), WITNESS.vkey)
    plain = Signature(line.name, line.key_id, encode_timestamped(TIME_S, old))
    assert verify_line(first_three, plain, WITNESS.vkey), "without extension lines, as ours all are, both agree"


# --- row 7: a 0x01 key where a cosigner's belongs ---------------------------------------------------------------


async def test_row_7_a_0x01_key_is_never_taken_for_a_0x04_key(tmp_path: Path) -> None:
    note_key = VKey.make(WITNESS.vkey.name, KeyType.ED25519, WITNESS.vkey.key)
    assert note_key.key_id != WITNESS.vkey.key_id
    with pytest.raises(Malformed, match="0x01"):
        Policy.parse(f"witness gd {note_key.encode()}\nquorum gd\n")
    with pytest.raises(SettingsError, match="cosigner: a key of type 0x01 where 0x04 belongs"):
        checked(tmp_path, cosigner=VKey.make("monitor.example", KeyType.ED25519, COSIGNER.key))
    with pytest.raises(SettingsError, match="cosigner: a key of type 0x06"):
        checked(tmp_path, cosigner=mldsa_signer("monitor.example", 72).vkey)
    with pytest.raises(SettingsError, match="push: a key of type 0x04"):
        checked(tmp_path, push=VKey.make("monitor.example", KeyType.COSIGNATURE, PUSH.key))
    with pytest.raises(AssertionError):
        await cosign(last(3).encode(), TIME_S, NoteSigner(note_key, WITNESS.signer))
    # Nor is a 0x04 line under the 0x01 key's id anybody's cosignature.
    line = await cosign(last(3).encode(), TIME_S, WITNESS)
    with pytest.raises(BadSignature):
        verify_line(last(3).encode(), Signature(line.name, note_key.key_id, line.data), note_key)


# --- row 8: two hashes of an origin ---------------------------------------------------------------------------


async def test_row_8_a_witness_names_an_origin_by_its_plain_hash() -> None:
    side, client = await with_guardless_witness(WITNESS, WITNESS_MLDSA)
    text = Checkpoint(ELSEWHERE, 1, rfc6962.mth(D[:1])).encode()
    body = AddCheckpoint(0, (), (await sign_note(text, 0, [KEY])).encode()).encode()
    plain, distributors = (sha256(prefix + ELSEWHERE.encode()).hexdigest() for prefix in (b"", b"o:"))
    async with client:
        lines = await client.post("/witness/add-checkpoint", content=body)
        shown = await client.get(f"/witness/{plain}/checkpoint")
        assert shown.content.endswith(lines.content)
        assert len(parse_signature_lines(lines.content)) == 2
        for other in (distributors, plain.upper(), ELSEWHERE):
            assert (await client.get(f"/witness/{other}/checkpoint")).status_code == 404
    await side.crash()


# --- row 11: lines that nobody knows --------------------------------------------------------------------------


async def test_row_11_heads_with_two_unknown_lines_in_any_order_are_heads() -> None:
    note = Note.parse(await head(D[:3]))
    grease = [Signature("grease.invalid", b"\0\0\0\1", b"x"), Signature(ORIGIN, b"\0\0\0\2", bytes(64))]
    lines = [grease[0], *reversed(note.signatures), grease[1]]
    greased = note.with_signatures(lines).encode()
    policy = Policy.parse("".join(f"log {signer.vkey.encode()}\n" for signer in SIGNERS) + "quorum none\n")
    assert set(verify_checkpoint(greased, policy).vkeys) == set(VKEYS)
    decision = decide(AddCheckpoint(0, (), greased), {ORIGIN: VKEYS}, None)
    assert isinstance(decision, Cosign)
    assert set(Note.parse(decision.note).signatures) == set(note.signatures)
