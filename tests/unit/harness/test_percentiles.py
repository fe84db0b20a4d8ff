"""Percentiles of weighted series: those of the repeated values, also where the last bins are cut off."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.indicators import percentiles
from harness.model import Series


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=30), st.sampled_from(
    [0.001, 0.25, 0.5, 0.55, 0.9, 0.99, 0.999, 1.0]))
def test_a_weighted_percentile_is_that_of_the_repeated_values(pairs, p):
    series = Series(metric="m", unit="s", values=tuple(float(v) for v, _ in pairs),
                    weights=tuple(float(n) for _, n in pairs))
    repeated = sorted(v for v, n in pairs for _ in range(n))
    rank = next(k for k in range(1, len(repeated) + 1) if k * 1000 >= round(p * 1000) * len(repeated))
    assert percentiles.at(series, p) == repeated[rank - 1]


@given(st.integers(1, 500), st.integers(0, 500))
def test_values_beyond_the_bins_shift_the_rank(inside, beyond):
    series = Series(metric="m", unit="s", values=(1.0,), weights=(float(inside),))
    found = percentiles.at(series, 0.9, beyond)
    assert found == (1.0 if inside * 10 >= 9 * (inside + beyond) else np.inf)
