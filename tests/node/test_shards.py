"""Shards on a real node: they come by themselves, once, close for ever, and are read for ever after."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from log import keyring, main, state
from log.client.audit import audit
from log.errors import Conflict, Denied, SettingsError, StateRefused
from log.formats.checkpoint import parse_signed
from tests.support.engine import FakeClock, log_signers, until
from tests.support.nodes import put_row, rows
from tests.support.sharded import ORIGIN, Place, Running, digest, ms

SHARD = f"{ORIGIN}-2027"
OTHER_TABLE = '[[logs]]\nname = "{name}"\nfamily = "x509"\norigin = "{origin}"\npolicy = "policy"\n'


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "node")
    await made.create()
    return made


def heads(place: Place) -> Path:
    return place.folder / "heads" / "heads.sqlite"


async def brought_up(place: Place) -> None:
    """Let the node run once after the shard of 2027 has become due."""
    place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
    async with place.running() as running:
        assert running.names == ["x509-2025", "x509-2026", "x509-2027"]


# --- keys and state -----------------------------------------------------------------------------------------


async def test_keygen_makes_the_keys_of_the_next_shard_too_and_again_only_what_is_missing(tmp_path: Path) -> None:
    place = Place(tmp_path / "node")
    await place.make()
    keyring.keygen(place.settings, place.clock)
    printed = keyring.public_keys(place.settings, place.clock)
    assert set(printed) == {f"{ORIGIN}-{year}" for year in (2025, 2026, 2027)} | {
        "hk.example/gov",
        "hk.example/witness",
    }
    witness = len(printed["hk.example/witness"])  # one key, or two where this machine has ML-DSA
    assert len({vkey for vkeys in printed.values() for vkey in vkeys}) == 3 * 3 + 2 + witness
    files = {path: path.read_bytes() for path in (place.folder / "keys").iterdir()}
    lost = place.folder / "keys" / "x509-2027.cosign.pem"
    lost.unlink()
    place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
    keyring.keygen(place.settings, place.clock)
    after = {path: path.read_bytes() for path in (place.folder / "keys").iterdir()}
    assert {path.name for path in after.keys() - files.keys()} == {
        f"x509-2028.{kind}.pem" for kind in ("cosign", "ed25519", "p256")
    }
    assert [path for path in files if after[path] != files[path]] == [lost]


async def test_init_creates_the_shards_that_are_due_and_audit_goes_over_all(place: Place) -> None:
    stored = rows(heads(place))
    assert {name for name in stored if name.startswith("shard/")} == {f"shard/{ORIGIN}-{y}" for y in (2025, 2026)}
    audited = [
        (await audit(log.reader, log.family, log.vkeys)).origin async for log in state.stopped_logs(place.settings)
    ]
    assert audited == ["hk.example/gov", f"{ORIGIN}-2025", f"{ORIGIN}-2026"]
    with pytest.raises(StateRefused):
        await state.init(place.settings, place.clock)


async def test_init_without_keys_creates_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path / "node")
    await place.make()
    with pytest.raises(SettingsError, match="cannot read the key file"):
        await state.init(place.settings, place.clock)
    assert not heads(place).exists()


# --- coming up ----------------------------------------------------------------------------------------------


async def test_a_shard_that_became_due_is_created_at_the_next_start_once(place: Place) -> None:
    await brought_up(place)
    first = rows(heads(place))
    assert first[f"shard/{SHARD}"] == b"created\n"
    async with place.running() as running:
        assert (await running.submit("x509-2027", 2027)).status_code == 200
    place.clock.jump(ms(2026, 8) - place.clock.wall_ms())  # an earlier clock takes none away
    async with place.running() as running:
        assert running.names == ["x509-2025", "x509-2026", "x509-2027"]
        assert running.node.logs["x509-2027"].size == 1
    sizes = [log.reader.published().head.size async for log in state.stopped_logs(place.settings)]
    assert sizes[1:] == [0, 0, 1]


async def test_a_shard_comes_up_while_the_node_runs_and_is_served_everywhere(place: Place) -> None:
    async with place.running() as running:
        assert running.names == ["x509-2025", "x509-2026"]
        assert (await running.http.get("/x509-2027/checkpoint")).status_code == 404
        refused = await running.submit("x509-2026", 2027)
        assert refused.status_code == 400
        assert "submit it to x509-2027, from 2026-10-01 on" in refused.text
        logs = running.node.logs
        # A head that was being signed at the leap would be of before it, and the next beat never due. As 2025 closed
        # at the start, governance writes the anchor of every other log behind its genesis.
        await until(lambda: all(each.sequencer.counts.beats for each in logs.values()))
        await until(lambda: logs["governance"].size == len(logs))
        place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
        await running.keeper.look()
        assert running.names == ["x509-2025", "x509-2026", "x509-2027"]
        assert (await running.submit("x509-2026", 2027)).text.endswith("submit it to x509-2027\n")
        answer = await running.submit("x509-2027", 2027)
        assert answer.status_code == 200
        assert (await running.submit("x509-2027", 2027)).content == answer.content
        assert "submit it to x509-2026" in (await running.submit("x509-2027", 2026)).text
        assert "x509-2030, from 2029-10-01 on" in (await running.submit("x509-2027", 2030)).text
        issuer = place.issuers[2027].issuers[0]
        for path in (
            "checkpoint",
            "checkpoint/witnessed",
            "tile/0/000.p/1",
            "tile/data/000.p/1",
            f"issuer/{digest(issuer)}",
            "ct/v1/get-sth",
            "ct/v1/get-roots",
            "ct/v1/get-entries?start=0&end=0",
        ):
            assert (await running.http.get(f"/x509-2027/{path}")).status_code == 200, path
        assert parse_signed((await running.http.get("/x509-2027/checkpoint")).content)[1].origin == SHARD
        told = (await running.http.get("/.well-known/twinlog.json")).json()["logs"]
        shown = next(log for log in told if log["name"] == "x509-2027")
        assert (shown["origin"], shown["window"], shown["closed"]) == (SHARD, [ms(2027), ms(2028)], None)
        assert len({log["log_id"] for log in told}) == 4
        assert SHARD in (await running.http.get("/")).text
        assert 'twinlog_log_entries_total{log="x509-2027"} 1.0' in (await running.http.get("/metrics")).text
        await until(lambda: not running.node.health()[1]["problems"])  # the other logs beat after the leap
        status, body = await running.health()
        assert status == 200
        assert "x509-2027" in [log["name"] for log in body["logs"]]


async def test_without_keys_health_says_to_run_keygen_and_no_restart_is_needed(place: Place) -> None:
    for path in (place.folder / "keys").glob("x509-2027.*"):
        path.unlink()
    place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
    async with place.running() as running:
        status, body = await running.health()
        assert status == 503
        assert [p for p in body["problems"] if SHARD in p and "run `twinlog keygen`" in p]
        assert f"shard/{SHARD}" not in rows(heads(place))
        keyring.keygen(place.settings, place.clock)
        await running.keeper.look()
        assert (await running.health())[0] == 200
        assert (await running.submit("x509-2027", 2027)).status_code == 200


@pytest.mark.parametrize(
    ("lose", "message"),
    [
        (lambda p: shutil.rmtree(p.folder / "data" / "x509-2027" / "data"), "holds no data store"),
        (lambda p: shutil.rmtree(p.folder / "data" / "x509-2027"), "holds no data store"),
        (lambda p: put_row(heads(p), f"log/{SHARD}", None), "no head"),
        (lambda p: put_row(heads(p), f"shard/{SHARD}", None), "is not recorded, but something of it exists"),
        (lambda p: put_row(heads(p), f"shard/{SHARD}", b"made\n"), "cannot be read"),
    ],
)
async def test_a_state_that_is_lost_is_refused_and_never_made_again(
    place: Place, lose: Callable[[Place], None], message: str
) -> None:
    await brought_up(place)
    lose(place)
    left = {name: value for name, value in rows(heads(place)).items() if SHARD in name}
    with pytest.raises(StateRefused, match=message):
        async with place.running():
            pass
    assert {name: value for name, value in rows(heads(place)).items() if SHARD in name} == left


async def test_a_head_store_set_back_to_before_a_shard_begins_no_second_history(place: Place) -> None:
    kept = (place.folder / "heads", place.folder / "heads.old")
    shutil.copytree(*kept)
    await brought_up(place)
    shutil.rmtree(kept[0])
    kept[1].rename(kept[0])
    with pytest.raises(StateRefused, match="set back"):
        async with place.running():
            pass


async def test_settings_that_leave_out_a_shard_that_exists_are_refused(place: Place) -> None:
    place.table = 'shards = "yearly"\nfirst_year = 2026\n'
    place.write()
    with pytest.raises(SettingsError, match="first_year: the shard x509-2025 exists"):
        await main.build(place.settings, place.clock, "http://node")


async def test_a_policy_may_name_the_logs_of_the_series_and_of_no_other(place: Place) -> None:
    vkey = keyring.public_keys(place.settings, place.clock)[f"{ORIGIN}-2026"][0]
    (place.folder / "sharded").write_text(f"log {vkey}\nquorum none\n")
    place.table = place.table + 'policy = "sharded"\n'
    text = (place.folder / "twinlog.toml").read_text()
    (place.folder / "twinlog.toml").write_text(text.replace('x509"\npolicy = "policy"', 'x509"\npolicy = "sharded"'))
    await brought_up(place)
    other = json.loads(json.dumps(vkey)).replace(f"{ORIGIN}-2026", "elsewhere")
    (place.folder / "sharded").write_text(f"log {other}\nquorum none\n")
    with pytest.raises((SettingsError, ValueError)):
        async with place.running():
            pass


# --- guards -------------------------------------------------------------------------------------------------


async def test_nothing_is_created_before_a_guard_has_spoken_for_what_is_there(place: Place) -> None:
    place.guarded = True
    place.write()
    place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
    async with place.running() as running:
        assert running.names == ["x509-2025", "x509-2026"]
        assert any(
            SHARD in note and "not yet: no guard has spoken" in note for note in (await running.health())[1]["notes"]
        )
        place.clock.advance(2_000)
        await running.push("governance", "x509-2025")
        await running.keeper.look()
        assert running.names == ["x509-2025", "x509-2026"]
        await running.push("x509-2026")
        await running.keeper.look()
        assert running.names == ["x509-2025", "x509-2026", "x509-2027"]


async def test_a_new_shard_that_no_guard_knows_is_a_note_until_its_window_begins(place: Place) -> None:
    place.guarded = True
    place.write()
    place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
    async with place.running() as running:
        place.clock.advance(2_000)
        await running.push("governance", "x509-2025", "x509-2026")
        await running.keeper.look()
        place.clock.advance(2_000)
        before = {name: hosted.published.head.timestamp_ms for name, hosted in running.node.logs.items()}
        await running.push("governance", "x509-2025", "x509-2026")
        for name in ("governance", "x509-2025", "x509-2026"):
            hosted = running.node.logs[name]
            await until(lambda: hosted.published.head.timestamp_ms > before[name])  # noqa: B023 - awaited here
        status, body = await running.health()
        assert (status, body["problems"]) == (200, [])
        assert any(SHARD in note and "window begins on 2027-01-01" in note for note in body["notes"])
        assert (await running.submit("x509-2027", 2027)).status_code == 503
        place.clock.advance(ms(2027) - place.clock.wall_ms())
        status, body = await running.health()
        assert status == 503
        assert any(p.startswith(f"{SHARD}: no guard has spoken") for p in body["problems"])
        await running.push("governance", "x509-2025", "x509-2026", "x509-2027")
        assert (await running.submit("x509-2027", 2027)).status_code == 200


async def test_a_guard_that_holds_a_head_of_a_shard_this_node_lost_keeps_it_from_beginning_again(place: Place) -> None:
    """The whole disk set back to before the shard: only somebody outside can know."""
    image = place.folder.parent / "image"
    shutil.copytree(place.folder, image)
    await brought_up(place)
    async with place.running() as running:
        await running.submit("x509-2027", 2027)
        note = await running.node.logs["x509-2027"].checkpoint()
    restored = Place(image, place.clock, place.issuers, guarded=True)
    restored.write()
    async with restored.running() as running:
        place.clock.advance(2_000)
        with pytest.raises(Denied, match=f"a guard holds a head of {SHARD}, which is not here"):
            await running.push("governance", "x509-2025", "x509-2026", note)
        await running.keeper.look()
        assert "x509-2027" not in running.names
        assert f"shard/{SHARD}" not in rows(image / "heads" / "heads.sqlite")


# --- closing ------------------------------------------------------------------------------------------------


async def test_a_shard_closes_by_itself_for_ever_and_its_reads_go_on(place: Place) -> None:
    async with place.running() as running:
        first = await running.submit("x509-2026", 2026)
        assert first.status_code == 200
        place.clock.advance(ms(2027, 1, 8) - 1 - place.clock.wall_ms())
        await running.keeper.look()
        assert (await running.submit("x509-2026", 2026)).content == first.content
        place.clock.advance(1)
        await running.keeper.look()
        await closed(running, "x509-2026", "closed on 2027-01-08: its window ended on 2027-01-01")
        age = running.node.logs["x509-2026"].published.head.timestamp_ms
        place.clock.advance(2_000)
        hosted = running.node.logs["x509-2026"]
        await until(lambda: hosted.published.head.timestamp_ms > age)  # it beats on
        await until(lambda: not running.node.health()[1]["problems"])
    place.clock.jump(ms(2026, 6) - place.clock.wall_ms())
    async with place.running() as running:
        await closed(running, "x509-2026", "its window ended on 2027-01-01")
    place.clock.jump(ms(2046) - place.clock.wall_ms())
    async with place.running() as running:
        await closed(running, "x509-2026", "its window ended on 2027-01-01")


async def closed(running: Running, name: str, why: str) -> None:
    """The log refuses new and known certificates alike, and is read in every way."""
    for n in (1, 2):
        answer = await running.submit(name, 2026, n)
        assert (answer.status_code, answer.text.splitlines()[0]) == (410, "Gone")
        assert why in answer.text
    garbage = await running.http.post(f"/{name}/ct/v1/add-pre-chain", content=b"nonsense")
    assert garbage.status_code == 410
    leaf = running.place.issuers[2026]
    for path in (
        "checkpoint",
        "tile/data/000.p/1",
        "ct/v1/get-roots",
        "ct/v1/get-sth",
        "ct/v1/get-entries?start=0&end=0",
        f"issuer/{digest(leaf.issuers[0])}",
    ):
        assert (await running.http.get(f"/{name}/{path}")).status_code == 200, path
    _, body = await running.health()
    assert why in next(log["closed"] for log in body["logs"] if log["name"] == name)
    told = (await running.http.get("/.well-known/twinlog.json")).json()["logs"]
    assert why in next(log["closed"] for log in told if log["name"] == name)
    assert f"closed: {running.node.logs[name].closed}" in (await running.http.get("/")).text


async def test_the_record_is_written_before_anybody_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place.running() as running:
        monkeypatch.setattr(running.node.logs["x509-2025"], "closed", "")
        stored: list[bytes] = []
        monkeypatch.setattr("log.node.closing.close", lambda _heads, _origin, why: _refused(stored, why))
        running.keeper._written.clear()
        with pytest.raises(Conflict):
            await running.keeper.look()
        assert stored
        assert running.node.logs["x509-2025"].closed == ""


async def _refused(stored: list[bytes], why: str) -> None:
    stored.append(why.encode())
    raise Conflict("a write that failed")


async def test_any_log_is_closed_by_its_table_and_stays_so_without_it(place: Place) -> None:
    open_table = place.table
    async with place.running() as running:
        assert (await running.submit("x509-2026", 2026)).status_code == 200
    place.table = f"{open_table}closed = true\n"
    place.write()
    place.clock.advance(ms(2026, 10, 1) - place.clock.wall_ms())
    async with place.running() as running:
        assert running.names == ["x509-2025", "x509-2026"]  # and no shard is created any more
        await closed(running, "x509-2026", "closed by its operator on 2026-10-01")
    place.table = open_table
    place.write()
    async with place.running() as running:
        await closed(running, "x509-2026", "closed by its operator on 2026-10-01")
        assert (await running.submit("x509-2027", 2027)).status_code == 200


async def test_a_closed_governance_log_is_not_written_by_its_node(place: Place) -> None:
    text = (place.folder / "twinlog.toml").read_text()
    (place.folder / "twinlog.toml").write_text(
        text.replace('name = "governance"', 'name = "governance"\nclosed = true')
    )
    async with place.running() as running:
        assert running.node.failure is None
        assert running.node.logs["governance"].size == 0
        assert "operator" in running.node.logs["governance"].closed
        assert (await running.health())[0] == 200


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('shards = "yearly"\n', "both or neither"),
        ("first_year = 2025\n", "both or neither"),
        ('shards = "monthly"\nfirst_year = 2025\n', "shards"),
        ('shards = "yearly"\nfirst_year = 1025\n', "first_year"),
        ('shards = "yearly"\nfirst_year = 2025\nwindow = ["2025-01-01", "2026-01-01"]\n', "its own window"),
        (
            'shards = "yearly"\nfirst_year = 2025\n' + OTHER_TABLE.format(name="x509-2031", origin="o"),
            "x509-2031",
        ),
        (OTHER_TABLE.format(name="x509", origin="o"), "one name or origin"),
        (OTHER_TABLE.format(name="y", origin=ORIGIN), "one name or origin"),
    ],
)
async def test_tables_that_do_not_go_together_are_refused(tmp_path: Path, lines: str, message: str) -> None:
    place = replace(Place(tmp_path / "node"), table=lines)
    await place.make()
    with pytest.raises(SettingsError, match=message):
        _ = place.settings


async def test_a_node_never_witnesses_a_shard_of_its_own(place: Place) -> None:
    vkeys = json.dumps(keyring.public_keys(place.settings, place.clock)[SHARD])
    text = (place.folder / "twinlog.toml").read_text()
    (place.folder / "twinlog.toml").write_text(f'{text}[[witnessed]]\norigin = "{SHARD}"\nvkeys = {vkeys}\n')
    with pytest.raises(SettingsError, match="never witnesses its own"):
        await main.build(place.settings, place.clock, "http://node")


@pytest.mark.parametrize("keys", ["its own", "others"])
async def test_governance_brings_up_next_years_shard_before_its_time(tmp_path: Path, keys: str) -> None:
    place = Place(tmp_path / "node", FakeClock(ms(2027, 8)), governed=True)
    await place.create()
    origin = f"{ORIGIN}-2028"
    vkeys = keyring.public_keys(place.settings, place.clock)[origin]
    if keys == "others":
        vkeys = [signer.vkey.encode() for signer in log_signers(origin, 9)]
    window = ["2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]
    named = {"origin": origin, "node": "HK", "name": "x509-2028", "family": "x509", "vkeys": vkeys, "window": window}
    note = await place.council.sign("hk", "log-add", named)
    async with place.running() as running:
        assert running.names == ["x509-2025", "x509-2026", "x509-2027"]
        await running.node.actions["governance"].add(note)
        await running.keeper.look()
        came = "x509-2028" in running.names
        assert came is (keys == "its own")
        assert any("governance names other keys" in each for each in running.keeper.problems) is not came
    async with place.running() as running:
        assert ("x509-2028" in running.names) is (keys == "its own")


async def test_a_year_without_an_end_that_governance_names_is_nobodys_shard(tmp_path: Path) -> None:
    place = Place(tmp_path / "node", governed=True)
    await place.create()
    vkeys = [signer.vkey.encode() for signer in log_signers(f"{ORIGIN}-9999", 9)]
    window = ["9999-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    named = {"node": "HK", "name": "x509-9999", "family": "x509", "vkeys": vkeys, "window": window}
    note = await place.council.sign("hk", "log-add", {"origin": f"{ORIGIN}-9999", **named})
    async with place.running() as running:
        names = running.names
        await running.node.actions["governance"].add(note)
        await running.keeper.look()  # and goes on looking
        assert running.names == names
