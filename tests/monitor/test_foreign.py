"""Logs of others: followed, cosigned, brought to our nodes' witnesses (C2SP tlog-tiles, tlog-witness)."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from log.crypto.notes import NoteSigner, open_note
from log.errors import SettingsError
from log.formats.checkpoint import parse_signed
from log.formats.family import TILES, X509, Family
from log.formats.note import VKey
from monitor import keyring, pinned, settings
from monitor.outcome import Outcome
from tests.monitor.conftest import Monitor
from tests.support.engine import mldsa_signer
from tests.support.lying_log import Fault, LyingLog, signers_of
from tests.support.lying_node import LyingNode
from tests.support.lying_world import World

ORIGIN = "log.elsewhere.example/things"


def table(origin: str, vkeys: tuple[VKey, ...], family: str = TILES.name, more: str = "") -> str:
    keys = json.dumps([vkey.encode() for vkey in vkeys])
    return (
        f'[[logs]]\nname = "things"\nfamily = "{family}"\norigin = "{origin}"\nurl = "http://out/things"\n'
        f"vkeys = {keys}\n{more}"
    )


async def elsewhere(
    monitor: Monitor, signers: tuple[NoteSigner, ...], family: Family = TILES, more: str = ""
) -> tuple[LyingNode, LyingLog]:
    """A log of others at http://out, known to both nodes' witnesses and to the monitor."""
    world = monitor.world
    followed = LyingLog("things", ORIGIN, family, world.clock)
    followed.signers = signers
    followed.add(300)
    await followed.sign()
    world.outside = server = LyingNode("out", [followed], world.clock)
    for node in world.nodes:
        node.witness.known[ORIGIN] = followed.vkeys
    text = monitor.path.read_text().replace("near =", 'publish = "shelf"\nnear =', 1)
    monitor.path.write_text(text + table(ORIGIN, followed.vkeys, family.name, more))
    return server, followed


def shown(monitor: Monitor, origin: str = ORIGIN) -> bytes:
    return (monitor.path.parent / "shelf" / sha256(origin.encode()).hexdigest() / "checkpoint").read_bytes()


def ours(monitor: Monitor) -> list[VKey]:
    return [signer.vkey for signer in keyring.load(settings.load(monitor.path)).cosigners]


NOTE = signers_of(ORIGIN, TILES)[:1]
ALL = signers_of(ORIGIN, X509)
MLDSA = (mldsa_signer(ORIGIN, 60),)


@pytest.mark.parametrize(
    ("signers", "family"), [(NOTE, TILES), (MLDSA, TILES), ((*NOTE, *MLDSA), TILES), (ALL[:2], X509)]
)
async def test_a_log_of_others_is_followed_cosigned_and_brought_to_our_witnesses(
    monitor: Monitor, signers: tuple[NoteSigner, ...], family: Family
) -> None:
    server, followed = await elsewhere(monitor, signers, family)
    for size in (300, 607):
        assert await monitor.once() == (Outcome.VOUCHED, [])
        opened = open_note(shown(monitor), [*followed.vkeys, *ours(monitor)])
        assert opened.checkpoint.size == size
        assert {line.vkey for line in opened.verified} == {*followed.vkeys, *ours(monitor)}
        for node in monitor.world.nodes:
            assert parse_signed(node.witness.state[ORIGIN])[1].size == size
        followed.add(307)
        await followed.sign()
    assert server.pushes == [], "it is no node of ours, and we are no guard of it"
    assert {request.split()[0] for request in server.seen} == {"GET"}, "nothing is handed back"
    assert not any("witnessed" in request for request in server.seen)


async def test_a_node_is_told_what_its_witness_cosigned_of_a_log_of_others(monitor: Monitor) -> None:
    await elsewhere(monitor, NOTE)
    await monitor.once()
    assert (ORIGIN, None) in monitor.world.hk.pushes[0].peers, "told that there is none, the witness may begin"
    await monitor.once()
    for node in monitor.world.nodes:
        [note] = [note for origin, note in node.pushes[-1].peers if origin == ORIGIN]
        assert note is not None
        assert open_note(note, [node.witness.signer.vkey]).checkpoint.size == 300


async def test_only_the_named_nodes_are_asked_to_witness_it(monitor: Monitor) -> None:
    await elsewhere(monitor, NOTE, more='witnesses = ["gd"]\n')
    monitor.world.hk.witness.known.pop(ORIGIN)
    assert await monitor.once() == (Outcome.VOUCHED, [])
    assert ORIGIN in monitor.world.gd.witness.state
    assert ORIGIN not in monitor.world.hk.witness.state


@pytest.mark.parametrize(("fault", "code"), [(Fault.FLIP, "data"), (Fault.BAD_LINE, "checkpoint")])
async def test_what_does_not_verify_is_neither_cosigned_nor_shown(monitor: Monitor, fault: Fault, code: str) -> None:
    _, followed = await elsewhere(monitor, NOTE)
    await monitor.once()
    before = shown(monitor)
    followed.add(7)
    await followed.sign()
    followed.fault = fault
    outcome, findings = await monitor.once()
    assert (outcome, [finding.code for finding in findings]) == (Outcome.UNVERIFIED, [code])
    assert shown(monitor) == before
    assert monitor.world.gd_x509.handed, "our own logs go on"


async def test_a_fork_of_a_log_of_others_is_proven(monitor: Monitor) -> None:
    server, followed = await elsewhere(monitor, NOTE)
    await monitor.once()
    before = shown(monitor)
    fork = LyingLog("things", ORIGIN, TILES, monitor.world.clock)
    fork.signers = followed.signers
    fork.add(300, "other")
    await fork.sign()
    server.logs["things"] = fork
    outcome, findings = await monitor.once()
    assert outcome is Outcome.PROVEN, findings
    assert monitor.store is not None
    assert [found.kind.value for found in monitor.store.evidence(ORIGIN)] == ["E1"]
    assert shown(monitor) == before


async def test_a_shelf_that_cannot_be_written_is_said_and_stops_nothing(monitor: Monitor) -> None:
    await elsewhere(monitor, NOTE)
    (monitor.path.parent / "shelf").write_text("in the way")
    outcome, findings = await monitor.once()
    assert outcome is Outcome.OWN
    assert {finding.code for finding in findings} == {"publish"}
    assert ORIGIN in monitor.world.gd.witness.state


@pytest.mark.parametrize(
    ("vkeys", "family", "more", "says"),
    [
        (ALL[:1], "x509", "", "0x01 or 0x06"),
        (ALL[2:], "tlog-tiles", "", "0x01 or 0x06"),
        (ALL[1:], "x509", "", "no 0x05 key"),
        (NOTE, "bottles", "", "no family"),
        (signers_of("another.example", TILES)[:1], "tlog-tiles", "", "another name"),
        (NOTE, "tlog-tiles", 'witnesses = ["sz"]\n', "sz"),
        (NOTE, "tlog-tiles", 'policy = "gone.policy"\n', "gone.policy"),
    ],
)
def test_row_3_a_log_that_cannot_be_witnessed_is_an_error_of_the_settings(
    tmp_path: Path, vkeys: tuple[NoteSigner, ...], family: str, more: str, says: str
) -> None:
    path = World().write(tmp_path, {"hk": "http://hk", "gd": "http://gd"})
    path.write_text(path.read_text() + table(ORIGIN, tuple(signer.vkey for signer in vkeys), family, more))
    loaded = settings.load(path)
    with pytest.raises(SettingsError, match=says):
        pinned.nodes(loaded, keyring.load(loaded).witness.vkey)


def test_an_origin_stands_once_among_all_logs(tmp_path: Path) -> None:
    world = World()
    path = world.write(tmp_path, {"hk": "http://hk", "gd": "http://gd"})
    path.write_text(path.read_text() + table(world.hk_x509.origin, world.hk_x509.vkeys, "x509"))
    loaded = settings.load(path)
    with pytest.raises(SettingsError, match="stands there twice"):
        pinned.nodes(loaded, keyring.load(loaded).witness.vkey)
