"""The state: durable, chained, one process at a time, one way to change what we cosigned."""

import dataclasses
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.errors import StateRefused, StoreFailed, StoreLocked
from log.evidence import heads
from log.evidence.heads import Head
from log.formats.note import KeyType
from log.merkle.hashing import EMPTY_ROOT
from monitor.store import (
    AGREED,
    CONVICTED,
    OPEN,
    REFUTED,
    Counts,
    Evidence,
    Holding,
    KeptAction,
    Store,
    Vouched,
    Window,
)
from monitor.store.schema import MIGRATIONS

KEY = "m+00000000+key"
CHECKED = 1_000


def head(size: int, root: bytes = b"r", time_ms: int | None = None) -> Head:
    times = ((KeyType.TREE_HEAD, size if time_ms is None else time_ms),)
    note = b"o\n%d %s %d" % (size, root, times[0][1])
    return Head("o", size, root, times, note, b"raw " + note)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "folder" / "state.sqlite"
    Store.create(made, KEY)
    return made


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store.open(path, KEY, CHECKED)
    yield opened
    opened.close()


def test_nothing_but_init_makes_a_state(tmp_path: Path) -> None:
    with pytest.raises(StateRefused, match="init"):
        Store.open(tmp_path / "state.sqlite", KEY, CHECKED)
    assert list(tmp_path.iterdir()) == []


def test_init_never_overwrites(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(StateRefused):
        Store.create(path, KEY)
    assert path.read_bytes() == before


def test_a_state_belongs_to_one_key(path: Path) -> None:
    with pytest.raises(StateRefused, match="another witness key"):
        Store.open(path, "m+11111111+other", CHECKED)


def test_a_second_process_is_refused_and_the_lock_goes_with_its_holder(path: Path, store: Store) -> None:
    with pytest.raises(StoreLocked):
        Store.open(path, KEY, CHECKED)
    script = f"""
from pathlib import Path
from log.errors import StoreLocked
from monitor.store import Store
try:
    Store.open(Path({str(path)!r}), {KEY!r}, 10)
except StoreLocked:
    print("locked")
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"locked\n"
    store.close()
    Store.open(path, KEY, CHECKED).close()


def test_one_may_look_beside_a_running_monitor(path: Path, store: Store) -> None:
    store.observe(head(3), "log", 1)
    looking = Store.read(path)
    assert looking.counts("o").observations == 1
    with pytest.raises(StoreFailed):
        looking.observe(head(4), "log", 1)
    looking.close()


def test_writes_are_synced_in_full(store: Store) -> None:
    assert store._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_observations_are_kept_once_raw_and_in_order(path: Path, store: Store) -> None:
    assert store.observe(head(3), "log", 1)
    assert store.observe(head(2), "witness", 2)
    assert not store.observe(head(3), "witness", 3)
    store.close()
    again = Store.open(path, KEY, CHECKED)
    assert again.raw_notes("o") == [head(3).raw, head(2).raw]
    assert again.raw_notes("other") == []
    again.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE observation SET raw = x'00' WHERE seq = 2",
        "UPDATE observation SET source = 'x' WHERE seq = 2",
        "UPDATE observation SET received_ms = 9 WHERE seq = 2",
        "UPDATE observation SET origin = 'x' WHERE seq = 2",
        "DELETE FROM observation WHERE seq = 2",
        "DELETE FROM observation WHERE seq = 1",
    ],
)
def test_a_changed_observation_breaks_the_chain(path: Path, store: Store, change: str) -> None:
    for size in (1, 2, 3):
        store.observe(head(size), "log", size)
    store.close()
    with sqlite3.connect(path) as database:
        database.execute(change)
    database.close()
    with pytest.raises(StateRefused, match="chain"):
        Store.open(path, KEY, CHECKED)


def test_a_newer_state_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO migration VALUES (?)", (len(MIGRATIONS) + 1,))
    database.close()
    with pytest.raises(StateRefused, match="version"):
        Store.open(path, KEY, CHECKED)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StateRefused):
        Store.open(path, KEY, CHECKED)


def test_a_head_is_open_until_data_settle_it(store: Store) -> None:
    for each in (head(3), head(5), head(7)):
        store.observe(each, "log", 1)
    assert [each.size for each in store.open_heads("o", 9)] == [3, 5, 7]
    store.advance(head(5), b"", [(head(3), AGREED)], 2)
    assert [each.size for each in store.open_heads("o", 9)] == [7]
    verified = store.verified("o")
    assert verified is not None
    assert verified.head == head(5)
    store.settle(head(7), REFUTED)
    assert store.state("o", 7, b"r") == REFUTED
    assert store.open_heads("o", 9) == []


def test_verified_never_goes_back(store: Store) -> None:
    store.observe(head(5), "log", 1)
    store.observe(head(4), "log", 1)
    store.advance(head(5), b"", [], 1)
    with pytest.raises(AssertionError):
        store.advance(head(4), b"", [], 1)
    with pytest.raises(AssertionError):
        store.advance(head(6), b"", [], 1)
    verified = store.verified("o")
    assert verified is not None
    assert verified.head.size == 5


def test_what_we_cosigned_changes_by_compare_and_swap_only(path: Path, store: Store) -> None:
    assert store.witness("o") is None
    assert not store.swap_witness((0, b"r"), head(1))
    assert store.swap_witness(None, head(1))
    assert not store.swap_witness(None, head(2))
    assert not store.swap_witness((1, b"s"), head(2))
    assert store.swap_witness((1, b"r"), head(2))
    store.close()
    again = Store.open(path, KEY, CHECKED)
    assert again.witness("o") == (2, b"r", head(2).note)
    again.close()


def test_the_largest_and_latest_cosignature_of_a_witness_is_kept(store: Store) -> None:
    for size, time_s, expected in [
        (3, 10, (3, 10)),
        (3, 11, (3, 11)),
        (3, 9, (3, 11)),
        (2, 99, (3, 11)),
        (4, 1, (4, 1)),
    ]:
        store.keep_cosigned("o", "w", Vouched(size, b"r", time_s, b"note"))
        kept = store.cosigned("o", "w")
        assert kept is not None
        assert (kept.size, kept.time_s) == expected
    assert store.cosigned("o", "v") is None


def test_evidence_is_kept_once_and_up_to_a_limit(store: Store) -> None:
    store.observe(head(3), "log", 1)
    one = Evidence(b"1", heads.Kind.ROLLBACK, "o", b"{}", 5)
    assert store.convict(one, head(3), CONVICTED, 2)
    assert not store.convict(one, head(3), CONVICTED, 2)
    assert store.state("o", 3, b"r") == CONVICTED
    assert store.convict(dataclasses.replace(one, id=b"2"), head(3), REFUTED, 2)
    assert store.state("o", 3, b"r") == REFUTED
    assert not store.convict(dataclasses.replace(one, id=b"3"), head(3), REFUTED, 2)
    assert [each.id for each in store.evidence("o")] == [b"1", b"2"]


def test_a_conviction_by_times_takes_nothing_from_a_settled_tree(store: Store) -> None:
    store.observe(head(3), "log", 1)
    store.settle(head(3), AGREED)
    store.convict(Evidence(b"1", heads.Kind.ROLLBACK, "o", b"{}", 5), head(3), CONVICTED, 2)
    assert store.state("o", 3, b"r") == AGREED


def kinds(new: Head, others: list[Head]) -> set[heads.Kind]:
    return {kind for other in others if (kind := heads.contradiction(new, other))}


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from([b"r", b"s"]), st.integers(0, 6)), max_size=12, unique=True)
)
def test_rivals_miss_no_contradiction_with_an_earlier_head(tmp: list[tuple[int, bytes, int]]) -> None:
    store = Store(sqlite3.connect(":memory:", isolation_level=None), None)
    store._database.executescript("".join(MIGRATIONS))
    seen: list[Head] = []
    for size, root, time_ms in tmp:
        new = head(size, root, time_ms)
        store.observe(new, "log", 1)
        rivals = store.rivals(new, 100)
        assert kinds(new, rivals) == kinds(new, seen)
        assert all(rival in seen for rival in rivals)
        seen.append(new)
        assert store.state("o", size, root) == OPEN
    store.close()


def test_the_write_ahead_log_is_folded_back_by_us_and_stays_small(path: Path) -> None:
    opened = Store.open(path, KEY, CHECKED, fold_writes=4)
    assert opened._database.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
    for size in range(200):
        opened.observe(head(size), "log", 1)
    assert path.with_name(path.name + "-wal").stat().st_size < 80 * 4096
    opened.close()


def test_after_a_failed_fold_nothing_is_written_any_more_and_nothing_is_lost(path: Path) -> None:
    opened = Store.open(path, KEY, CHECKED, fold_writes=2)
    opened.observe(head(1), "log", 1)
    with opened._transaction() as database:  # a table that is being written cannot be folded back: SQLITE_LOCKED
        folding = opened._fold
        opened._fold = lambda: None  # type: ignore[method-assign]
        opened._unfolded = 1
        folding()
        database.execute("SELECT 1")
    with pytest.raises(StoreFailed, match="no more"):
        opened.observe(head(2), "log", 1)
    opened.close()
    again = Store.open(path, KEY, CHECKED)
    assert again.raw_notes("o") == [head(1).raw]
    again.close()


def test_after_a_failed_write_nothing_is_written_any_more(path: Path, store: Store) -> None:
    store._database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreFailed):
        store.observe(dataclasses.replace(head(1), raw=bytes(1 << 20)), "log", 1)
    store._database.execute("PRAGMA max_page_count = 100000")
    with pytest.raises(StoreFailed, match="no more"):
        store.swap_witness(None, head(1))
    store.close()
    again = Store.open(path, KEY, CHECKED)
    assert again.witness("o") is None
    again.close()


ACTION = KeptAction(b"h" * 32, "hk", 1, b"note", b"proof", "hk.example/governance")


def test_an_action_is_kept_once_as_it_came_first_and_by_its_genesis(path: Path, store: Store) -> None:
    store.keep_actions(b"g", [ACTION], (), 1)
    other = dataclasses.replace(ACTION, hash=b"i")
    store.keep_actions(b"g", [dataclasses.replace(ACTION, source="other"), other], (), 2)
    store.close()
    again = Store.open(path, KEY, CHECKED)
    assert again.actions(b"g") == [ACTION, other]
    assert again.actions(b"other") == []
    again.close()


def test_an_action_and_what_it_proves_are_kept_together_or_not_at_all(store: Store) -> None:
    proof = Evidence(b"1", heads.Kind.SAME_SEQ, "chain hk seq 1", bytes(1 << 20), 5)
    store._database.execute("PRAGMA max_page_count = 100")
    with pytest.raises(StoreFailed):
        store.keep_actions(b"g", [ACTION], [proof], 1)
    assert store.actions(b"g") == []
    assert store.evidence_of(heads.Kind.SAME_SEQ) == []


def test_what_a_log_holds_is_the_last_word_and_what_was_carried_is_counted_once(store: Store) -> None:
    assert store.holding("o") is None
    store.keep_holding("o", 3, 10)
    store.keep_holding("o", 2, 11)
    store.keep_carried("o", b"h", 12)
    store.keep_carried("o", b"h", 13)
    assert store.holding("o") == Holding(2, 11, 1)


def test_a_state_of_the_first_version_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.sqlite"
    monkeypatch.setattr("monitor.store.database.MIGRATIONS", MIGRATIONS[:1])
    Store.create(path, KEY)
    old = Store.open(path, KEY, CHECKED)
    old.observe(head(3), "log", 1, timed=False)  # what an old state knows nothing of
    old.close()
    monkeypatch.undo()
    opened = Store.open(path, KEY, CHECKED)
    opened.keep_actions(b"g", [ACTION], (), 1)
    assert (opened.raw_notes("o"), opened.actions(b"g")) == ([head(3).raw], [ACTION])
    opened.close()


def steps(store: Store, work: Callable[[], object]) -> int:
    """Return how many steps SQLite took for a piece of work."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    store._database.set_progress_handler(step, 1)
    work()
    store._database.set_progress_handler(None, 1)
    return count


def seen(store: Store) -> list[Callable[[], object]]:
    """What opening the page, and looking once, asks of the heads."""
    note = head(1).note
    return [
        lambda: store.counts("o"),
        lambda: store.met_ms("o"),
        lambda: store.newest("o", 3),
        lambda: store.met(note),
        lambda: store.verified("o"),
        lambda: store.rivals(head(2), 4),
        lambda: store.rivals(head(3), 4),
        store.finding_counts,
    ]


def test_what_is_shown_is_counted_when_it_is_written_whatever_becomes_of_it(path: Path, store: Store) -> None:
    assert store.counts("o") == Counts(0, 0, 0)
    for each in (head(3), head(3, time_ms=9), head(5), head(3, b"s"), head(7), head(3)):
        store.observe(each, "log", 1)
    assert store.counts("o") == Counts(observations=5, announced=7, open=4)
    store.convict(Evidence(b"1", heads.Kind.SAME_SIZE, "o", b"{}", 5), head(3, b"s"), REFUTED, 9)
    assert store.counts("o") == Counts(5, 7, 3)
    store.convict(Evidence(b"2", heads.Kind.ROLLBACK, "o", b"{}", 5), head(7), CONVICTED, 9)
    assert store.counts("o") == Counts(5, 5, 3)  # no data have settled it
    store.advance(head(5), b"", [(head(3), AGREED)], 2)
    store.advance(head(5), b"", [(head(3), AGREED)], 2)
    assert store.counts("o") == Counts(5, 5, 1)
    store.settle(head(7), AGREED)  # its signature lied about the time, and its tree is ours
    assert store.counts("o") == Counts(5, 7, 0)
    assert store.counts("another") == Counts(0, 0, 0)


def test_it_takes_no_longer_to_look_the_more_heads_were_seen(store: Store) -> None:
    for size in (1, 2, 3):
        store.observe(head(size), "log", 1)
    store.advance(head(2), b"", [], 1)
    few = [steps(store, work) for work in seen(store)]
    for size in range(4, 400):
        store.observe(head(size), "log", 1)
    assert store.met(head(1).note) == ("log", 1)
    for size in range(400, 800):
        store.observe(head(size), "log", 1)
        store.settle(head(size), REFUTED)
    many = [steps(store, work) for work in seen(store)]
    assert [more <= 2 * less for more, less in zip(many, few, strict=True)] == [True] * len(few), (few, many)


@pytest.mark.parametrize("late", [39, 41])
def test_an_older_state_is_counted_once_when_it_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    path = tmp_path / "old.sqlite"
    monkeypatch.setattr("monitor.store.database.MIGRATIONS", MIGRATIONS[:7])
    Store.create(path, KEY)
    old = Store.open(path, KEY, CHECKED)
    for each in (head(3), head(5, time_ms=50), head(4, time_ms=40), head(3, time_ms=late)):
        old.observe(each, "log", 1, timed=False)
    old.settle(head(3), AGREED)
    old.close()
    monkeypatch.undo()
    opened = Store.open(path, KEY, CHECKED)
    assert opened.counts("o") == Counts(observations=4, announced=5, open=2)
    assert bool(opened.rivals(head(3, time_ms=late), 9)) == (late > 40)
    opened.close()


# --- what witnesses missed ---------------------------------------------------------------------------------------


def test_a_window_begins_with_a_tree_of_ours_and_is_widened_by_another_one(store: Store) -> None:
    for size in (3, 5, 7, 9):
        store.observe(head(size), "log", 1)
    store.settle(head(3), AGREED)
    store.settle(head(5), REFUTED)
    store.keep_missed(2, head(7), "w")
    assert store.missed("o") == Window(0, EMPTY_ROOT, kept_head(store, 7))
    store.have_audited(Window(0, EMPTY_ROOT, head(7)))
    store.keep_missed(5, head(7), "w")  # the witness vouched for a branch there
    kept = store.missed("o")
    assert kept == Window(3, b"r", kept_head(store, 7))
    store.keep_audited(kept, 4, b"f")
    store.settle(head(7), AGREED)
    store.keep_missed(7, head(9), "w")
    wider = store.missed("o")
    assert wider == Window(3, b"r", kept_head(store, 9), 4, b"f"), "it goes on there"
    store.keep_audited(kept, 6, b"x")
    store.have_audited(kept)
    assert store.missed("o") == wider, "what was read of the narrower one does not end it"
    store.keep_missed(1, head(9), "w")
    assert store.missed("o") == Window(0, EMPTY_ROOT, kept_head(store, 9)), "from its beginning"
    store.have_audited(Window(0, EMPTY_ROOT, head(9)))
    assert store.missed("o") is None


def test_a_witness_is_away_from_where_it_vouched_last_until_its_window_is_kept(store: Store) -> None:
    store.observe(head(7), "log", 1)
    store.keep_away("o", "w", 3)
    store.keep_away("o", "w", 5)
    store.keep_away("o", "v", 4)
    store.keep_away("p", "w", 1)
    assert store.away("o") == {"w": 3, "v": 4}
    store.keep_missed(3, head(7), "w")
    assert (store.away("o"), store.away("p")) == ({"v": 4}, {"w": 1})


def kept_head(store: Store, size: int) -> Head:
    return store.newest("o", 9)[(3, 5, 7, 9).index(size)]
