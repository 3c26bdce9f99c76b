"""Alerts on record and the outbox: one of a key lasts, what is proven ends by a person's word only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from log.errors import StoreFailed
from monitor import status
from monitor.alert import Alert, Class, Route
from monitor.store import Fault, Store

SILENT = Alert("hk silent", Class.OPERATIONAL, "warning", "hk", "silent", "no answer")
FORK = Alert("hk fork", Class.PROVEN, "critical", "hk", "fork", "two heads", {"evidence": "ab"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path / "state", "key")
    opened = Store.open(tmp_path / "state", "key", 10)
    opened.routes = (Route("pager", frozenset({Class.PROVEN})), Route("mail", least="warning"), Route("all"))
    yield opened
    opened.close()


def test_an_alert_is_new_once_until_it_ends(store: Store) -> None:
    assert store.raise_alerts([SILENT, SILENT], 1) == [SILENT]
    assert store.raise_alerts([SILENT], 2) == []
    assert store.end_alerts(["hk silent", "another"], 3) == ["hk silent"]
    assert store.raise_alerts([SILENT], 4) == [SILENT]
    assert [(kept.raised_ms, kept.ended_ms) for kept in store.alerts()] == [(4, None), (1, 3)]
    assert [kept.raised_ms for kept in store.alerts(lasting=True)] == [4]


def test_each_channel_is_told_what_it_takes(store: Store) -> None:
    store.raise_alerts([SILENT, FORK, Alert("i", Class.OWN, "info", "us", "clock", "")], 5)
    names = [route.channel for route in store.routes]
    due = {name: [each.kept.alert for each in store.due(name, 5, 1_000, 10)] for name in names}
    assert due["pager"] == [FORK]
    assert due["mail"] == [SILENT, FORK]
    assert [alert.key for alert in due["all"]] == ["hk silent", "hk fork", "i"]
    assert store.due("mail", 4, 1_000, 10) == []


def test_what_is_proven_lasts_until_somebody_has_seen_it_and_nobody_finds_it(store: Store) -> None:
    fault = Fault("hk fork", "look", 1, 1)
    assert store.keep_faults([fault], [], [FORK], 1) == ([FORK], [])
    assert store.keep_faults([], [("hk fork", "look")], [], 2) == ([], [])
    assert store.acknowledge("hk fork", "Ms Chan", 3)
    assert store.alerts(lasting=True) == []
    assert store.alerts()[0].acknowledged_by == "Ms Chan"
    assert not store.acknowledge("hk fork", "Ms Chan", 3)

    store.keep_faults([fault], [], [FORK], 4)
    assert store.acknowledge("hk fork", "Mr Li", 5)
    assert store.alerts(lasting=True), "it is still being found"
    assert store.keep_faults([], [("hk fork", "look")], [], 6) == ([], ["hk fork"])


def test_an_alert_lasts_while_one_source_finds_it(store: Store) -> None:
    store.keep_faults([Fault("hk silent", source, 1, 1) for source in ("one", "two")], [], [SILENT], 1)
    assert store.keep_faults([], [("hk silent", "one")], [], 2) == ([], [])
    assert store.faults() == [Fault("hk silent", "two", 1, 1)]
    assert store.keep_faults([], [("hk silent", "two")], [], 3) == ([], ["hk silent"])


def test_a_delivery_is_tried_until_it_is_sent(store: Store) -> None:
    store.raise_alerts([SILENT], 1)
    [delivery] = store.due("mail", 1, 1_000, 10)
    store.keep_delivery(delivery, "waiting", 100)
    assert store.due("mail", 99, 1_000, 10) == []
    assert [(each.channel, each.attempts) for each in store.undelivered(["mail", "all"])] == [("mail", 1)]
    [again] = store.due("mail", 100, 1_000, 10)
    assert again.attempts == 1
    store.keep_delivery(again, "waiting", 5_000)
    assert store.due("mail", 4_000, 1_000, 10) == []
    assert [each.attempts for each in store.due("mail", 3_000, 1_000, 10)] == [2], "no pause is so long"
    store.keep_delivery(again, "sent", 100)
    assert store.due("mail", 1_000, 1_000, 10) == store.undelivered(["mail"]) == []


def test_a_transaction_within_another_falls_with_it(store: Store) -> None:
    def both() -> None:
        with store._transaction():
            store.raise_alerts([SILENT], 1)
            raise StoreFailed("the disk is gone")

    with pytest.raises(StoreFailed):
        both()
    assert store.alerts() == []


def test_grave_alerts_about_certificates_wait_for_a_person(store: Store) -> None:
    watched = Alert("watch 1 2", Class.OPERATIONAL, "warning", "hk", "watch", "watched")
    grave, slight = (
        Alert(f"rule {code}", Class.PROVEN, severity, "hk", code, "x")
        for code, severity in (("P10", "critical"), ("P16", "warning"))
    )
    store.raise_alerts([SILENT, FORK, slight], 1)
    assert store.certificate_alerts() == 0
    store.raise_alerts([watched, grave], 2)
    assert store.certificate_alerts() == 2
    store.keep_faults([Fault(watched.key, "judging", 1, 1)], [], [], 3)
    assert store.acknowledge(watched.key, "Ms Chan", 4)
    assert store.certificate_alerts() == 1


def test_thousands_of_alerts_about_certificates_bury_nothing_else(store: Store) -> None:
    rules = [Alert(f"rule P01 {n}", Class.SUSPECTED, "critical", "hk", "P01", "not listed") for n in range(30)]
    watched = Alert("watch 1 2", Class.OPERATIONAL, "warning", "hk", "watch", "watched")
    store.raise_alerts([SILENT, FORK, watched, *rules], 1)
    shown = [kept.alert for kept in store.gravest(31)]
    assert shown[:3] == [FORK, SILENT, rules[-1]]
    assert watched not in shown
    assert [kept.alert for kept in store.gravest(40)][-1] == watched
    said = list(status.alerts(store, []))
    assert said[0].startswith("ALERT proven critical: hk: two heads")
    assert said[-1] == "13 further alerts: `twinlog-monitor alerts list` prints them too."
    assert len(said) == status.SHOWN + 1
    store.acknowledge(FORK.key, "Ms Chan", 2)
    assert [kept.alert for kept in store.gravest(1)] == [SILENT]
