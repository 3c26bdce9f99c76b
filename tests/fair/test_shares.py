"""Shares: nobody holds more than what it leaves free, and what was taken comes back."""

from random import Random

from log.fair.shares import Shares


def fill(shares: Shares, client: str, part: bytes | None = None) -> int:
    """Enter one by one until no more is let in; return how many were."""
    count = 0
    while shares.enter(client, 1, part):
        count += 1
    return count


def test_one_client_gets_half_and_the_next_a_third_of_what_is_there() -> None:
    shares = Shares(60)
    assert fill(shares, "a") == 30
    assert fill(shares, "b") == 15
    assert fill(shares, "c") == 7
    assert shares.total < 60
    shares = Shares(60)
    clients = [f"client {n}" for n in range(5)]
    while sum(shares.enter(client, 1) for client in clients):
        pass
    assert shares.total == 50
    assert shares.enter("newcomer", 10)


def test_an_issuer_gets_a_quarter_so_that_another_at_its_client_finds_room() -> None:
    shares = Shares(60)
    assert fill(shares, "a", b"storm") == 15
    assert fill(shares, "a", b"other") >= 5
    assert fill(shares, "b", b"storm") >= 5
    assert shares.total < 60


def test_whoever_holds_nothing_is_let_in_while_anything_is_free() -> None:
    for limit in range(1, 40):
        shares = Shares(limit)
        for n in range(limit):
            assert shares.enter(f"client {n}", 1, b"issuer")
        assert not shares.enter("late", 1, b"issuer")
        assert shares.total == limit


def test_an_amount_that_does_not_fit_is_refused_whole() -> None:
    shares = Shares(100)
    assert shares.enter("a", 60, b"x")
    assert not shares.enter("b", 41, b"x")
    assert shares.enter("b", 40, b"x")
    shares.leave("b", 40, b"x")
    assert not shares.enter("a", 1, b"x")
    assert not shares.enter("a", 1, b"y")
    assert shares.total == 60


def test_what_leaves_is_forgotten() -> None:
    random, shares = Random(3), Shares(200)
    held: list[tuple[str, int, bytes | None]] = []
    for _ in range(5000):
        if held and random.random() < 0.5:
            shares.leave(*held.pop(random.randrange(len(held))))
        else:
            new = (f"client {random.randrange(6)}", random.randint(1, 9), random.choice((None, b"x", b"y")))
            if shares.enter(*new):
                held.append(new)
        assert shares.total == sum(amount for _, amount, _ in held) <= 200
        assert len(shares) == len({client for client, _, _ in held})
    for each in held:
        shares.leave(*each)
    assert (shares.total, len(shares)) == (0, 0)
    assert fill(shares, "a") == 100
