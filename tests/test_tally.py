"""A histogram counts each value once, under the first bound that holds it."""

from hypothesis import given
from hypothesis import strategies as st

from log.tally import BYTES, SECONDS, Spread


def test_a_value_on_a_bound_is_at_most_that_bound() -> None:
    spread = Spread((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        spread.add(value)
    assert spread.cumulative() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
    assert (spread.count, spread.total) == (5, 7.5)


@given(st.lists(st.floats(0, 1e9)), st.sampled_from([SECONDS, BYTES]))
def test_every_bucket_holds_what_is_at_most_its_bound(values: list[float], bounds: tuple[float, ...]) -> None:
    spread = Spread(bounds)
    for value in values:
        spread.add(value)
    assert spread.count == len(values)
    for (text, count), bound in zip(spread.cumulative(), (*bounds, float("inf")), strict=True):
        assert float(text) == bound
        assert count == sum(value <= bound for value in values)
