"""Abreast: who is alone is not held up, who is not has so many under way, and nothing that waits is forgotten."""

from random import Random

from log.fair.abreast import LOOK_MS, STEP, Abreast, Room

ALONE_MS = 1000


class Time:
    now_ms = 0


def room(least: int, most: int | None = None) -> Room:
    """Of a source so many are under way, and no more unless `most` says so."""
    return Room(least, most or least, 1000, ALONE_MS)


def storm(abreast: Abreast[str, int], source: str, count: int) -> int:
    """Let so many come; return how many are under way at once."""
    under_way = 0
    for n in range(count):
        if abreast.enter(source):
            under_way += 1
        else:
            abreast.wait(source, n)
    return under_way


def followers(abreast: Abreast[str, int], source: str) -> list[int]:
    found = []
    while (item := abreast.following(source)) is not None:
        found.append(item)
    return found


def test_who_is_alone_is_not_held_up() -> None:
    assert storm(Abreast(room(4), lambda: 0), "a", 1000) == 1000


def test_beside_another_source_four_are_under_way_and_the_others_follow_in_their_order() -> None:
    abreast: Abreast[str, int] = Abreast(room(4), lambda: 0)
    abreast.there("b")
    assert storm(abreast, "a", 10) == 4
    assert followers(abreast, "a") == []
    for n in range(4, 10):
        assert abreast.held == 10 - n
        abreast.leave("a")
        assert followers(abreast, "a") == [n]
    assert abreast.held == 0
    abreast.leave("a")
    assert followers(abreast, "a") == []
    assert abreast.enter("a")


def test_nobody_passes_those_that_wait() -> None:
    abreast: Abreast[str, int] = Abreast(room(1), lambda: 0)
    abreast.there("b")
    assert storm(abreast, "a", 2) == 1
    abreast.leave("a")
    assert not abreast.enter("a")  # before the one that waits was asked for
    assert followers(abreast, "a") == [1]


def test_what_was_let_in_alone_stays_and_has_to_go_down_before_more_come() -> None:
    abreast: Abreast[str, int] = Abreast(room(4), lambda: 0)
    assert storm(abreast, "a", 10) == 10
    abreast.there("b")
    assert storm(abreast, "a", 1) == 0
    for _ in range(6):
        abreast.leave("a")
        assert followers(abreast, "a") == []
    abreast.leave("a")
    assert followers(abreast, "a") == [0]


def test_a_while_after_the_other_one_it_is_alone_again() -> None:
    time = Time()
    abreast: Abreast[str, int] = Abreast(room(2), lambda: time.now_ms)
    abreast.there("b")
    assert storm(abreast, "a", 6) == 2
    time.now_ms = ALONE_MS - 1
    abreast.leave("a")
    assert followers(abreast, "a") == [2]
    time.now_ms = ALONE_MS
    abreast.leave("a")
    assert followers(abreast, "a") == [3, 4, 5]
    assert storm(abreast, "a", 100) == 100


def test_who_waits_and_gets_too_little_is_given_room_and_gives_it_back() -> None:
    """The floor is 100 in a look. It is at the first that leaves after one that the next begins."""
    time = Time()
    abreast: Abreast[str, int] = Abreast(room(4, 7), lambda: time.now_ms)
    abreast.there("b")
    under_way = storm(abreast, "a", 1000)
    seen = []
    for leaving in (3, 3, 3, 101, 101, 101):
        time.now_ms += LOOK_MS
        abreast.there("b")
        for _ in range(leaving):
            abreast.leave("a")
            under_way += len(followers(abreast, "a")) - 1
        seen.append(under_way)
    assert seen == [4 + STEP, 7, 7, 7, 7 - STEP, 4]


def test_who_does_not_wait_needs_no_more_room() -> None:
    time = Time()
    abreast: Abreast[str, int] = Abreast(room(4, 32), lambda: time.now_ms)
    abreast.there("b")
    assert storm(abreast, "a", 4) == 4
    for _ in range(10):
        time.now_ms += LOOK_MS
        abreast.there("b")
        abreast.leave("a")
        assert abreast.enter("a")
    assert not abreast.enter("a")


def test_the_other_one_is_remembered_however_often_the_storm_comes() -> None:
    abreast: Abreast[str, int] = Abreast(room(2), lambda: 0)
    abreast.there("b")
    abreast.there("c")
    for _ in range(50):
        abreast.there("a")
    assert storm(abreast, "a", 50) == 2


def test_who_comes_to_nothing_is_nobodys_company() -> None:
    abreast: Abreast[str, int] = Abreast(room(2), lambda: 0)
    assert storm(abreast, "b", 10) == 10
    abreast.there("a")
    assert storm(abreast, "a", 10) == 10


def test_whatever_happens_each_item_passes_once_and_in_order() -> None:
    random = Random(7)
    time = Time()
    for _ in range(50):
        limit = random.randint(1, 5)
        abreast: Abreast[str, int] = Abreast(room(limit), lambda: time.now_ms)
        came = dict.fromkeys("abc", 0)
        passed: dict[str, list[int]] = {source: [] for source in came}
        under_way = dict.fromkeys("abc", 0)

        def take(source: str, item: int, passed: dict[str, list[int]], under_way: dict[str, int]) -> None:
            passed[source].append(item)
            under_way[source] += 1

        def leave(
            source: str, abreast: Abreast[str, int], passed: dict[str, list[int]], under_way: dict[str, int]
        ) -> None:
            abreast.leave(source)
            under_way[source] -= 1
            for item in followers(abreast, source):
                take(source, item, passed, under_way)

        for _ in range(300):
            time.now_ms += random.choice((0, 0, 1, 400))
            source = random.choice("aaaabc")
            if random.random() < 0.6:
                if abreast.enter(source):
                    take(source, came[source], passed, under_way)
                else:
                    abreast.wait(source, came[source])
                came[source] += 1
                if random.random() < 0.5:
                    abreast.there(source)
            elif under_way[source]:
                leave(source, abreast, passed, under_way)
        for source in came:
            while under_way[source]:
                leave(source, abreast, passed, under_way)
            assert passed[source] == list(range(came[source]))
