"""Heads that wait to be held against the leaves of their trees: those that are settled, and no others."""

import sqlite3
from collections.abc import Iterator

import pytest

from monitor.store import AGREED, REFUTED, Store
from monitor.store.schema import MIGRATIONS
from tests.monitor.test_store import head, steps

BEFORE = 10  # steps of the schema of before there was `unread.settled`


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(sqlite3.connect(":memory:", isolation_level=None), None)
    made._database.executescript("".join(MIGRATIONS))
    yield made
    made.close()


def test_heads_wait_once_they_are_settled_each_tree_by_itself(store: Store) -> None:
    for seq, (size, root) in enumerate([(5, b"r"), (5, b"s"), (3, b"r")], 1):
        store.observe(head(size, root, seq), "log", 1)
    assert store.unread("o", 9, 9) == []
    store.settle(head(5), AGREED)
    assert store.unread("o", 9, 9) == [(5, 1)]
    store.settle(head(5, b"s"), REFUTED)
    store.settle(head(3), AGREED)
    assert store.unread("o", 9, 9) == [(3, 3), (5, 1), (5, 2)]
    assert store.unread("o", 4, 9) == [(3, 3)]
    store.observe(head(5, b"r", 7), "log", 1)
    assert store.unread("o", 9, 9) == [(3, 3), (5, 1), (5, 2), (5, 4)], "another signing of what is settled"
    store.have_read("o", [(3, 3), (5, 2)])
    assert store.unread("o", 9, 9) == [(5, 1), (5, 4)]


def test_a_look_at_them_takes_no_longer_the_more_heads_are_open(store: Store) -> None:
    taken = []
    for more in (2, 400):
        for size in range(more):
            store.observe(head(size, b"open %d" % more), "log", 1)
        taken.append(steps(store, lambda: store.unread("o", 1_000, 100)))
    assert taken[0] == taken[1]


def test_what_an_older_state_knows_of_them_is_taken_over() -> None:
    store = Store(sqlite3.connect(":memory:", isolation_level=None), None)
    store._database.executescript("".join(MIGRATIONS[:BEFORE]))
    for seq, (size, state) in enumerate([(3, AGREED), (5, "open")], 1):
        kept = ("o", size, b"r", b"note", b"raw", 1, b"%d" % seq, "log", 1, b"", b"")
        store._database.execute(f"INSERT INTO observation VALUES ({seq}{', ?' * len(kept)})", kept)  # noqa: S608 - ours
        store._database.execute("INSERT INTO head VALUES ('o', ?, ?, ?, ?)", (size, b"r", state, seq))
        store._database.execute("INSERT INTO unread VALUES ('o', ?, ?)", (size, seq))
    store._database.executescript("".join(MIGRATIONS[BEFORE:]))
    assert store.unread("o", 9, 9) == [(3, 1)]
    store.settle(head(5), AGREED)
    assert store.unread("o", 9, 9) == [(3, 1), (5, 2)]
    store.close()
