"""Two monitors tell each other what they saw: chains, heads, evidence; and a state that was set back is noticed."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from starlette.exceptions import HTTPException

from log.errors import Malformed, SettingsError
from log.evidence import objects
from log.evidence import served as served_bytes
from log.evidence.check import check
from log.evidence.heads import Kind, read_head
from log.formats import jcs
from log.formats.note import VKey
from monitor import keyring, main, observation, pinned, settings
from monitor.alert import Class
from monitor.gossip import peer_id, read_ids, read_place
from monitor.limits import Limits
from monitor.outcome import Finding, Outcome
from monitor.store import Evidence, Store
from monitor.web.app import body
from monitor.web.serve import bind, served
from tests.support import plain
from tests.support.hostile import IN_PROCESS
from tests.support.lying_log import LyingLog, Receive, Scope, Send
from tests.support.lying_world import World

ALONE = "127.0.7.1"  # of this machine too; nobody else listens there, so a port that is free again stays so


@dataclass
class Side:
    """One of two monitors, with its own view of the world."""

    name: str
    world: World
    path: Path
    store: Store | None = None
    made: main.Monitor | None = None

    def start(self, client: httpx.AsyncClient) -> main.Monitor:
        loaded = settings.load(self.path)
        signing = keyring.load(loaded)
        self.store = Store.open(loaded.state, signing.witness.vkey.encode(), 10_000)
        self.made = main.assemble(loaded, signing, self.store, client, self.world.clock)
        return self.made

    def stop(self) -> None:
        if self.store is not None:
            self.store.close()


@dataclass
class Pair:
    """Monitors `one` and `two` over the same two nodes; each reaches the other at http://one and http://two."""

    world: World
    one: Side
    two: Side
    client: httpx.AsyncClient
    cut: bool = False  # whether the two do not reach each other

    async def serve(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        side = self.one if name == "one" else self.two
        if self.cut or side.made is None:
            raise httpx.ConnectError("cut")
        await side.made.app(scope, receive, send)

    async def once(self, side: Side) -> list[Finding]:
        side.stop()
        self.world.time_ms += 1_000
        return await side.start(self.client).rounds.once()


def _table(other: str, vkey: str) -> str:
    return f'[[peers]]\nname = "{other}"\nurl = "http://{other}"\nvkey = "{vkey}"\n'


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    world = World()
    await world.begin()
    sides, keys = [], []
    for name in ("two", "one"):  # the nodes know the one written last, and are guarded by it
        (tmp_path / name).mkdir()
        path = world.write(tmp_path / name, {"hk": "http://hk", "gd": "http://gd"}, limits="request_s = 60\n")
        main.create_state(settings.load(path))
        keys.append(keyring.load(settings.load(path)).witness.vkey.encode())
        sides.append(Side(name, world, path))
    two, one = sides
    for side, other, vkey in ((one, "two", keys[0]), (two, "one", keys[1])):
        side.path.write_text(side.path.read_text() + _table(other, vkey))
    two.path.write_text(two.path.read_text().replace("[[nodes]]\n", "[[nodes]]\nguard = false\n"))
    client = world.client()
    made = Pair(world, one, two, client)
    for name in ("one", "two"):

        async def app(scope: Scope, receive: Receive, send: Send, name: str = name) -> None:
            await made.serve(name, scope, receive, send)

        client._mounts[httpx._utils.URLPattern(f"http://{name}")] = httpx.ASGITransport(app, client=IN_PROCESS)
    async with client:
        yield made
        for side in sides:
            side.stop()


def seen(side: Side, followed: LyingLog) -> list[bytes]:
    assert side.store is not None
    return side.store.raw_notes(followed.origin)


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings}


async def test_what_one_was_shown_the_other_judges(pair: Pair) -> None:
    """Each is shown another branch by the same log: whoever reads the other's chain holds the proof (F9, row 7)."""
    world, honest = pair.world, pair.world.hk_x509
    fork = await honest.branch(honest.size - 3, 10)
    honest.add(7)
    await honest.sign()
    await pair.once(pair.one)
    world.hk.logs["x509"] = fork
    found = await pair.once(pair.two)
    assert pair.two.store is not None
    [evidence] = pair.two.store.evidence(honest.origin)
    assert evidence.kind is Kind.SAME_SIZE
    assert any(finding.outcome is Outcome.PROVEN for finding in found)
    assert pair.two.made is not None
    known = main.known_of(pair.two.made.crew.logs, None)
    assert check(evidence.object, known.pinned).proven
    world.hk.logs["x509"] = honest

    found = await pair.once(pair.one)  # the other way, evidence too
    assert pair.one.store is not None
    assert evidence.id in {each.id for each in pair.one.store.evidence(honest.origin)}
    assert fork.note in seen(pair.one, honest)


async def test_a_chain_is_read_once_and_on_from_there(pair: Pair) -> None:
    await pair.once(pair.one)
    await pair.once(pair.two)
    assert pair.one.store is not None
    assert pair.two.store is not None
    vkey = keyring.load(settings.load(pair.one.path)).witness.vkey
    assert pair.two.store.read_of(vkey.encode()) == pair.one.store.link()
    answer = await pair.client.get("http://one/gossip/v1/observations?after=1")
    page = observation.parse(answer.content)
    assert [each.seq for each in page] == list(range(2, 2 + len(page)))
    answer = await pair.client.get(f"http://two/gossip/v1/read/{peer_id(vkey)}")
    assert read_place(answer.content) == pair.one.store.link()


async def test_a_state_that_was_set_back_is_noticed_before_anything_is_signed(pair: Pair) -> None:
    copy = pair.one.path.parent / "copy"
    state = settings.load(pair.one.path).state
    await pair.once(pair.one)
    pair.one.stop()
    copy.write_bytes(state.read_bytes())
    for followed in pair.world.logs:
        followed.add(3)
        await followed.sign()
    await pair.once(pair.one)
    await pair.once(pair.two)
    pair.one.stop()
    for file in state.parent.glob(state.name + "*"):
        file.unlink()
    state.write_bytes(copy.read_bytes())
    for followed in pair.world.logs:
        followed.witnessed = None  # no other place shows what we cosigned
        followed.handed.clear()
    for node in pair.world.nodes:
        node.pushes.clear()
    found = await pair.once(pair.one)
    assert ("restored", Outcome.OWN) in {(finding.code, finding.outcome) for finding in found}
    assert all(not followed.handed for followed in pair.world.logs)
    assert all(not node.pushes for node in pair.world.nodes)


def without(text: str, origin: str) -> str:
    """Return settings without one log."""
    first, *tables = text.replace("\n[", "\n\0[").split("\0")
    return "".join([first, *(table for table in tables if f'origin = "{origin}"' not in table)])


async def looked(pair: Pair) -> None:
    """Let `two` begin anew, and read the chain of `one` to its end."""
    await pair.once(pair.two)
    assert pair.two.made is not None
    [gossip] = pair.two.made.crew.gossips
    for _ in range(100):
        await gossip.look()


@pytest.mark.parametrize("rows", [2, 256], ids=["a page a look", "all at once"])
async def test_what_was_seen_of_a_log_before_we_followed_it_is_read_again(pair: Pair, rows: int) -> None:
    """A log that we leave and follow again is read again too."""
    honest, two = pair.world.hk_x509, pair.two
    whole = two.path.read_text().replace("[limits]\n", "[limits]\ngossip_pages = 1\n" if rows == 2 else "[limits]\n")
    pair.one.path.write_text(pair.one.path.read_text().replace("[limits]\n", f"[limits]\ngossip_rows = {rows}\n"))
    fork = await honest.branch(honest.size - 3, 10)
    for _ in range(2):
        two.path.write_text(without(whole, honest.origin))
        pair.world.hk.logs["x509"] = fork
        pair.world.time_ms += 1_000
        await fork.sign()
        await pair.once(pair.one)
        pair.world.hk.logs["x509"] = honest
        assert pair.one.store is not None
        await looked(pair)
        assert two.store is not None
        vkey = keyring.load(settings.load(pair.one.path)).witness.vkey.encode()
        assert two.store.read_of(vkey) == pair.one.store.link()
        assert not any(raw.startswith(fork.note) for raw in seen(two, honest))
        two.path.write_text(whole)
        await looked(pair)
        assert any(raw.startswith(fork.note) for raw in seen(two, honest)), "a witness may have shown it first"
        assert two.store.heed(vkey, [each.origin for each in pair.world.logs]) == (set(), None), "it has an end"


async def test_a_chain_that_was_rewritten_is_told_of(pair: Pair) -> None:
    await pair.once(pair.one)
    await pair.once(pair.two)
    state = settings.load(pair.one.path).state
    pair.one.stop()
    for file in state.parent.glob(state.name + "*"):
        file.unlink()
    main.create_state(settings.load(pair.one.path))
    pair.cut = True
    await pair.once(pair.one)
    pair.cut = False
    assert "peer-rewound" in codes(await pair.once(pair.two))


async def test_a_silent_monitor_stops_nothing(pair: Pair) -> None:
    await pair.once(pair.one)
    pair.cut = True
    assert "peer-silent" in codes(await pair.once(pair.two))
    assert pair.two.store is not None
    for followed in pair.world.logs:
        row = pair.two.store.witness(followed.origin)
        assert row is not None
        assert row[0] == followed.size, "it was cosigned"


async def test_evidence_that_proves_nothing_here_is_refused(pair: Pair) -> None:
    await pair.once(pair.one)
    honest = pair.world.hk_x509
    for data, status in ((b"{}", 400), (jcs.encode({"kind": "E1", "log": {"origin": "x", "vkeys": []}}), 403)):
        answer = await pair.client.post("http://one/gossip/v1/evidence", content=data)
        assert answer.status_code == status
        assert answer.text.count("\n") == 2
    answer = await pair.client.post("http://one/gossip/v1/evidence", content=bytes((1 << 20) + 1))
    assert answer.status_code == 413
    assert pair.one.store is not None
    assert pair.one.store.evidence(honest.origin) == []
    nobody = "0" * 64
    for path in (f"gossip/v1/evidence/{nobody}", f"gossip/v1/read/{nobody}", f"{nobody}/checkpoint", "nowhere"):
        assert (await pair.client.get(f"http://one/{path}")).status_code == 404
    assert (await pair.client.get("http://one/gossip/v1/observations?after=x")).status_code == 400


async def test_what_we_cosigned_last_is_shown(pair: Pair) -> None:
    await pair.once(pair.one)
    honest = pair.world.hk_x509
    answer = await pair.client.get(f"http://one/{sha256(honest.origin.encode()).hexdigest()}/checkpoint")
    assert answer.status_code == 200
    assert answer.text.startswith(f"{honest.origin}\n{honest.size}\n")


def test_pages_and_answers_are_read_strictly() -> None:
    one = observation.Observation.make(observation.GENESIS, 1, "o", "log", 5, b"note\n")
    two = observation.Observation.make(one.hash, 2, "o", "log", 6, b"other\n")
    data = observation.encode([one, two])
    assert observation.parse(data) == [one, two]
    assert observation.encode(observation.parse(data)) == data
    for wrong in (
        observation.encode([two, one]),
        observation.encode([one, one]),
        data.replace(b'"received_ms":6', b'"received_ms":7'),
        data.replace(b'"seq":2', b'"seq":3'),
        data[:-1],
        b"[]",
    ):
        with pytest.raises(Malformed):
            observation.parse(wrong)
    for wrong in (b"", b"{}", b'{"seq":0,"hash":""}', b'{"evidence":["x"]}'):
        with pytest.raises(Malformed):
            read_place(wrong)
        with pytest.raises(Malformed):
            read_ids(wrong)


def test_a_key_that_cosigns_nothing_is_an_error_of_the_settings(tmp_path: Path) -> None:
    path = World().write(tmp_path, {"hk": "http://hk", "gd": "http://gd"}, limits="request_s = 60\n")
    text = path.read_text()
    path.write_text(text + _table("two", "nonsense"))
    keyring.make(settings.load(path))
    with pytest.raises(SettingsError, match="monitor two"):
        pinned.monitors(settings.load(path))


async def test_a_monitor_answers_over_a_real_socket_and_ends_with_its_context(pair: Pair) -> None:
    await pair.once(pair.one)
    assert pair.one.made is not None
    async with plain.client(trust_env=False) as stranger:
        listener = bind(f"{ALONE}:0", None)
        async with served(pair.one.made.app, listener, None, Limits(head_s=600)) as url:
            answer = await stranger.get(f"{url}/gossip/v1/observations")
            assert observation.parse(answer.content)
            assert "server" not in answer.headers
        with pytest.raises(httpx.ConnectError):
            await stranger.get(f"{url}/gossip/v1/observations")
    for address, words in (
        ("0.0.0.0:0", "certificate and key"),
        ("127.0.0.1:x", "cannot bind"),
        ("nowhere", "no address"),
    ):
        with pytest.raises(SettingsError, match=words):
            bind(address, None)


async def fork_of(pair: Pair) -> tuple[LyingLog, LyingLog]:
    """A log that `one` follows, and another branch of it under the same keys."""
    honest = pair.world.hk_x509
    await pair.once(pair.one)
    return honest, await honest.branch(honest.size - 3, 3)


def lie(honest: LyingLog, fork: LyingLog, vkeys: Sequence[VKey] | None = None, junk: bytes = b"") -> bytes:
    """Evidence of the two heads, with more than is needed where `vkeys` or `junk` say so."""
    heads = [read_head(each.note, each.origin, each.vkeys)[0] for each in (honest, fork)]
    with_junk = replace(heads[0], note=heads[0].note + junk), heads[1]
    return objects.encode(Kind.SAME_SIZE, honest.origin, vkeys or honest.vkeys, with_junk)


async def test_one_lie_is_one_object_however_many_somebody_writes(pair: Pair) -> None:
    honest, fork = await fork_of(pair)
    junk = b"\xe2\x80\x94 junk.example AAAAAGp1bms=\n"
    for made in (lie(honest, fork, junk=junk), lie(honest, fork, honest.vkeys[:1])):
        answer = await pair.client.post("http://one/gossip/v1/evidence", content=made)
        assert (answer.status_code, "other lines or keys" in answer.text) == (400, True)
    answer = await pair.client.post("http://one/gossip/v1/evidence", content=lie(honest, fork))
    assert answer.status_code == 200
    assert pair.one.store is not None
    assert [each.kind for each in pair.one.store.evidence(honest.origin)] == [Kind.SAME_SIZE]


async def test_what_is_only_suspected_is_neither_taken_nor_given_nor_hides_a_proof(pair: Pair) -> None:
    honest, fork = await fork_of(pair)
    head = read_head(honest.note, honest.origin, honest.vkeys)[0]
    framed = served_bytes.unreproducible(honest.origin, honest.vkeys, head, "tile/0/000", b"invented", ["nobody"])
    answer = await pair.client.post("http://one/gossip/v1/evidence", content=framed)
    assert answer.status_code == 403
    assert pair.one.store is not None
    assert pair.one.store.evidence(honest.origin) == []
    kept = Evidence(objects.identify(framed), Kind.UNREPRODUCIBLE, honest.origin, framed, 1)  # one of our own
    assert pair.one.store.charge(kept, "note place", 9)
    assert pair.one.store.unrelayed("two", 9) == []
    assert (await pair.client.get("http://one/gossip/v1/evidence")).json() == {"evidence": []}
    await pair.client.post("http://one/gossip/v1/evidence", content=lie(honest, fork))
    assert [kept.alert.cls for kept in pair.one.store.alerts(lasting=True)] == [Class.PROVEN]


async def test_a_chain_of_notes_as_large_as_notes_may_be_is_read_to_its_end(pair: Pair) -> None:
    """Each note fills an answer: a page holds where the reader stands, and one more."""
    honest = pair.world.hk_x509
    await pair.once(pair.one)
    assert pair.one.store is not None
    line = b"\xe2\x80\x94 junk.example " + base64.b64encode(bytes(4) + bytes(60_000)) + b"\n"
    for _ in range(4):
        pair.world.time_ms += 1_000
        note = await honest.sign()
        head, _ = read_head(note, honest.origin, honest.vkeys)
        pair.one.store.observe(replace(head, raw=note + line * 12), "log", pair.world.time_ms)
    assert len(pair.one.store.observations(1, 256, 524_288)) < 20
    await pair.once(pair.two)
    vkey = keyring.load(settings.load(pair.one.path)).witness.vkey
    assert pair.two.store is not None
    assert pair.two.store.read_of(vkey.encode()) == pair.one.store.link()


async def test_what_we_show_is_not_signed_anew_for_everybody_who_asks(pair: Pair) -> None:
    await pair.once(pair.one)
    honest = pair.world.hk_x509
    url = f"http://one/{sha256(honest.origin.encode()).hexdigest()}/checkpoint"
    first = (await pair.client.get(url)).content
    pair.world.time_ms += 2_000
    assert (await pair.client.get(url)).content == first
    pair.world.time_ms += 20_000
    assert (await pair.client.get(url)).content != first


async def test_a_body_that_drips_is_given_up() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    class Dripping:
        stream = staticmethod(never)

    with pytest.raises(HTTPException) as found:
        await body(Dripping(), 9, 0.01)  # type: ignore[arg-type]
    assert found.value.status_code == 408
