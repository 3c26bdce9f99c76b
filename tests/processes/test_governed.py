"""Real nodes that go by a genesis: what an action says holds at once, after a restart too, and on one side alone."""

from hashlib import sha256
from pathlib import Path

import httpx

from log.crypto.notes import sign_note
from log.formats.action import JOINT, Action
from log.formats.checkpoint import parse_signed
from log.formats.genesis import Genesis
from log.formats.names import EntryType
from log.formats.note import Note
from log.formats.text import b64encode
from log.formats.tlog_proof import EntryExtra, TlogProof
from log.governance.chains import Signed
from tests.support.authorities import signer
from tests.support.nodes import World, client, eventually, world

SEQ = "text/x.twinlog.seq"


async def brings(http: httpx.AsyncClient, w: World, note: bytes, side: str = "hk") -> httpx.Response:
    url = f"{w.site(side).url}/governance/add-action"
    return await http.post(url, content=note, headers={"content-type": "text/plain"})


async def says(http: httpx.AsyncClient, w: World, chain: str, kind: str, payload: dict[str, object]) -> Signed:
    """Let the authorities of a chain say something to the Hong Kong node, which takes it."""
    note = await w.deployment.council.sign(chain, kind, payload)
    answer = await brings(http, w, note)
    assert answer.status_code == 200, answer.text
    return Signed.parse(note)


async def state(http: httpx.AsyncClient, w: World, side: str = "hk") -> dict[str, object]:
    answer = await http.get(f"{w.site(side).url}/governance/actions")
    found: dict[str, object] = answer.json()
    return found


async def test_what_an_action_says_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        await w.start("hk")
        await w.start_monitor()
        await w.healthy(http)
        genesis = await http.get(f"{w.site().url}/governance/genesis")
        assert genesis.content == w.deployment.council.genesis_file.read_bytes()
        assert (await state(http, w))["genesis"] == b64encode(sha256(genesis.content).digest())
        named = [row.payload for row in Genesis.parse(genesis.content).initial[JOINT] if row.type == "node-add"]
        assert [row["authority"] for row in named] == [w.site(side).url.partition("//")[2] for side in ("hk", "gd")]

        await w.submits(http, 1)
        (logged,) = [(number, der) for number, (der, _) in w.promises.scts.items()]
        issuer = sha256(w.promises.issuer.issuers[-1]).hexdigest()
        frozen = await says(http, w, "hk", "issuer-freeze", {"fingerprint": issuer, "reason": "key in wrong hands"})
        for _ in range(2):  # before and after the restart
            before = await state(http, w)
            assert before["next"] == {"hk": 2, "gd": 1, "joint": 1}
            url = w.site().url
            assert await w.promises.submit(http, url) == 400
            assert "frozen" in w.promises.refused[-1][2]
            assert await w.promises.submit(http, url, logged) == 200  # the same answer as ever
            proof = TlogProof.parse((await http.get(f"{url}/governance/action/{frozen.hash.hex()}")).content)
            assert proof.extra is not None
            entry = EntryExtra.parse(proof.extra).entry
            assert entry.entry_type is EntryType.GOVERNANCE_ACTION
            assert entry.content == frozen.note.encode()
            await w.process().stop()
            await w.start("hk")
            await w.healthy(http)
            assert await state(http, w) == before
        await says(http, w, "hk", "issuer-unfreeze", {"fingerprint": issuer, "reason": "keys replaced"})
        assert await w.promises.submit(http, w.site().url) == 200
        await w.reckon(http)


async def test_a_side_freezes_for_itself_and_both_close_a_log(tmp_path: Path) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        for side in ("hk", "gd"):
            await w.start(side)
        await w.start_monitor()
        await w.healthy(http)
        await w.healthy(http, "gd")
        origin = w.site().origin("x509")
        await says(http, w, "hk", "log-freeze", {"origin": origin, "reason": "under examination"})
        assert await w.promises.submit(http, w.site().url) == 503
        assert "frozen" in w.promises.refused[-1][2]
        assert await w.promises.submit(http, w.site("gd").url) == 200  # it is not its log
        await says(http, w, "hk", "log-unfreeze", {"origin": origin, "reason": "examined"})
        assert await w.promises.submit(http, w.site().url) == 200

        _, head = parse_signed(w.stored_head().note)
        size, root = head.size, head.root
        close = {"origin": origin, "size": size, "root": b64encode(root), "reason": "its keys retire"}
        await says(http, w, JOINT, "log-close", close)
        assert await w.promises.submit(http, w.site().url) == 410
        assert (await http.get(f"{w.site().url}/x509/checkpoint")).status_code == 200

        async def anchored() -> bool:
            answer = await http.get(f"{w.site().url}/governance/checkpoint")
            entries = int(answer.text.split("\n")[1])
            tile = await http.get(f"{w.site().url}/governance/tile/entries/000.p/{entries}")
            return f"{origin}\n{size}\n".encode() in tile.content

        await eventually("the last head is anchored", anchored)


async def test_what_does_not_count_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        await w.start("hk")
        await w.start_monitor()
        await w.healthy(http)
        council = w.deployment.council
        freeze = {"origin": w.site().origin("x509"), "reason": "a test"}
        first = Signed.parse(await council.sign("hk", "log-freeze", freeze))
        second = await council.sign("hk", "log-freeze", freeze)
        authorities = [signer("hk.authority.example/0", 1), signer("hk.authority.example/1", 2)]  # by name alone
        before = await state(http, w)

        async def refused(note: bytes, status: int, why: str) -> None:
            answer = await brings(http, w, note)
            assert (answer.status_code, why in answer.text) == (status, True), answer.text
            assert await state(http, w) == before

        foreign = Action(bytes(32), "hk", 1, bytes(32), "log-freeze", first.action.effective_ms, freeze)
        await refused((await sign_note(foreign.encode(), 0, authorities)).encode(), 400, "genesis")
        await refused(b"no note", 400, "Bad Request")
        await refused(Note(first.note.text, first.note.signatures[:1]).encode(), 403, "1 signatures")
        await refused((await sign_note(first.note.text, 0, authorities)).encode(), 403, "no signature by a known key")
        await refused(second, 409, "1\n")
        assert (await brings(http, w, second)).headers["content-type"] == SEQ

        receipts = {(await brings(http, w, first.note.encode())).status_code for _ in range(2)}
        assert receipts == {200}  # the same again changes nothing
        before = await state(http, w)
        assert before["next"] == {"hk": 2, "gd": 1, "joint": 1}
        other = Action(first.action.genesis, "hk", 1, bytes(32), "log-freeze", first.action.effective_ms, freeze)
        await refused((await sign_note(other.encode(), 0, authorities)).encode(), 403, "no signature by a known key")
        await w.reckon(http)


async def test_a_seq_that_is_signed_twice_is_kept_and_from_then_on_only_restrictions_hold(tmp_path: Path) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        await w.start("hk")
        await w.start_monitor()
        await w.healthy(http)
        council, origin = w.deployment.council, w.site().origin("x509")
        freeze = Signed.parse(await council.sign("hk", "log-freeze", {"origin": origin, "reason": "one tongue"}))
        next(council.path.glob("hk-1.action")).unlink()
        other = Signed.parse(await council.sign("hk", "log-unfreeze", {"origin": origin, "reason": "the other"}))
        for each in (other, freeze):
            assert (await brings(http, w, each.note.encode())).status_code == 200
        rows = (await http.get(f"{w.site().url}/governance/actions/hk")).json()
        assert rows == [[1, digest] for digest in sorted((freeze.hash.hex(), other.hash.hex()))]
        assert (await state(http, w))["next"] == {"hk": 1, "gd": 1, "joint": 1}
        assert await w.promises.submit(http, w.site().url) == 503  # frozen
        await w.reckon(http)
