"""Turns: however much one has waiting, the next one waits for a turn of each."""

from random import Random

from log.fair.turns import Turns


def drained(turns: Turns[str]) -> list[str]:
    return [turns.take() for _ in range(len(turns))]


def test_alone_it_is_first_in_first_out() -> None:
    turns: Turns[str] = Turns()
    for n in range(5):
        turns.put("a", b"x", str(n))
    assert drained(turns) == ["0", "1", "2", "3", "4"]
    assert not turns


def test_a_newcomer_is_next_but_one_behind_a_thousand() -> None:
    turns: Turns[str] = Turns()
    for n in range(1000):
        turns.put("a", b"x", f"storm {n}")
    turns.put("b", b"x", "client b")
    turns.put("a", b"y", "issuer y")
    order = drained(turns)
    assert order.index("client b") == 1
    assert order.index("issuer y") == 2


def test_clients_share_evenly_and_so_do_the_issuers_of_one() -> None:
    turns: Turns[str] = Turns()
    for n in range(400):
        turns.put("many", b"%d" % (n % 40), "many")
        turns.put("a", b"x", "a, x")
        turns.put("a", b"y", "a, y")
    first = drained(turns)[:400]
    assert first.count("many") == 200
    assert first.count("a, x") == first.count("a, y") == 100


def test_nothing_is_lost_or_overtaken_by_its_own() -> None:
    random = Random(5)
    turns: Turns[tuple[str, bytes, int]] = Turns()
    put: list[tuple[str, bytes, int]] = []
    got: list[tuple[str, bytes, int]] = []
    for n in range(3000):
        item = (random.choice("abc"), random.choice((b"x", b"y")), n)
        turns.put(item[0], item[1], item)
        put.append(item)
        if random.random() < 0.6:
            got.append(turns.take())
    while turns:
        got.append(turns.take())
    assert sorted(got, key=lambda item: item[2]) == put
    for source in {item[:2] for item in put}:
        mine = [item[2] for item in got if item[:2] == source]
        assert mine == sorted(mine)
    assert len(turns) == 0
