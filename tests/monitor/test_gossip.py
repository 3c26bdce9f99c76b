"""Two monitors tell each other what they saw: chains, heads, evidence; and a state that was set back is noticed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from log.errors import Malformed, SettingsError
from log.evidence.check import check
from log.evidence.heads import Kind
from log.formats import jcs
from monitor import main, observation, pinned, settings
from monitor.gossip import peer_id, read_ids, read_place
from monitor.limits import Limits
from monitor.outcome import Finding, Outcome
from monitor.store import Store
from monitor.web.serve import bind, served
from tests.support.lying_log import IN_PROCESS, LyingLog, Receive, Scope, Send, World


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
        signing = main.load_keys(loaded)
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
        keys.append(main.load_keys(settings.load(path)).witness.vkey.encode())
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
    known = main.known_of(pair.two.made.rounds.logs, None)
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
    vkey = main.load_keys(settings.load(pair.one.path)).witness.vkey
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
    for body, status in ((b"{}", 400), (jcs.encode({"kind": "E1", "log": {"origin": "x", "vkeys": []}}), 403)):
        answer = await pair.client.post("http://one/gossip/v1/evidence", content=body)
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
    main.make_keys(settings.load(path))
    with pytest.raises(SettingsError, match="monitor two"):
        pinned.monitors(settings.load(path))


async def test_a_monitor_answers_over_a_real_socket_and_ends_with_its_context(pair: Pair) -> None:
    await pair.once(pair.one)
    assert pair.one.made is not None
    async with httpx.AsyncClient(trust_env=False) as stranger:
        listener = bind("127.0.0.1:0", None)
        async with served(pair.one.made.app, listener, None, Limits()) as url:
            answer = await stranger.get(f"{url}/gossip/v1/observations")
            assert observation.parse(answer.content)
            assert "server" not in answer.headers
        with pytest.raises(httpx.ConnectError):
            await stranger.get(f"{url}/gossip/v1/observations")
    for address, words in (("0.0.0.0:0", "certificate and key"), ("127.0.0.1:x", "cannot bind"), ("nowhere", "bind")):
        with pytest.raises(SettingsError, match=words):
            bind(address, None)
