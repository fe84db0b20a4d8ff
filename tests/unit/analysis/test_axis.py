import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.charts import axis

NUMBERS = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-9), max_size=8)


@given(NUMBERS, NUMBERS, NUMBERS, st.booleans())
def test_a_span_shows_all_of_the_core_and_has_a_width(core, limits, ends, zero):
    span = axis.cover(core, limits, ends=ends, zero=zero)
    assert span.low < span.high
    assert not span.log or span.low > 0
    assert all(span.holds(x) for x in core)
    assert not zero or span.holds(0.0)


@given(NUMBERS.filter(bool), NUMBERS)
def test_nothing_near_is_squeezed_by_what_is_far(core, ends):
    alone, together = axis.cover(core), axis.cover(core, ends=ends)
    if not together.log and max(core) > min(core):
        assert together.high - together.low <= 4.5 * (alone.high - alone.low)


def test_an_end_far_out_is_cut_off():
    span = axis.cover([0.02, 0.05, 0.8], ends=[-76286.0, 1.0], zero=True)
    assert -2.0 < span.low < 0.0
    assert span.high > 1.0


def test_infinite_ends_are_not_shown():
    span = axis.cover([1.0, 2.0], ends=[-math.inf, math.inf])
    assert (span.low, span.high) == pytest.approx((0.95, 2.05))


def test_wide_ranges_are_logarithmic():
    assert axis.cover([1.0, 100.0]).log
    assert not axis.cover([1.0, 10.0]).log
    assert not axis.cover([0.0, 1000.0]).log


@pytest.mark.parametrize(("op", "limits", "parts"), [
    (">=", (2.0,), [(0.0, 2.0)]), ("<=", (2.0,), [(2.0, 10.0)]), ("between", (2.0, 3.0), [(0.0, 2.0), (3.0, 10.0)]),
    ("<", (20.0,), []), (">", (20.0,), [(0.0, 10.0)]), ("", (), []),
])
def test_what_misses_a_limit(op, limits, parts):
    assert axis.missed(op, limits, axis.Span(0.0, 10.0)) == parts


@given(st.floats(1e-6, 1e6), st.floats(1.1, 1e6), st.floats(0, 1))
def test_shares_of_a_logarithmic_span(low, ratio, share):
    span = axis.Span(low, low * ratio, True)
    assert span.share(low * ratio**share) == pytest.approx(share, abs=1e-6)
