"""What may go in: run scores with named levels; everything else is refused in one line that says what is allowed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import (
    DEFAULT_POLICY,
    Direction,
    StatsPolicy,
    bca_ci,
    gm_ci,
    hodges_lehmann,
    mean_ci,
    median_ci,
    overhead,
    quantile_ci,
    rank_vendors,
    ratio_paired,
    ratio_welch,
)
from harness.stats.inputs import data_hash, scores, seed_of
from harness.units import Bytes, Seconds

EVERY = [gm_ci, mean_ci, median_ci, lambda x, **k: quantile_ci(x, 0.5, **k), hodges_lehmann,
         lambda x, **k: bca_ci(x, np.mean, **k), lambda x, **k: ratio_paired(x, x, **k),
         lambda x, **k: overhead(x, x, Direction.LOWER_IS_BETTER, **k)]
GOOD = np.linspace(1, 2, 24)


@pytest.mark.parametrize("f", EVERY)
@pytest.mark.parametrize(("bad", "says"), [
    ([1.0, math.nan, 3.0], "NaN at index 1"), ([1.0, None], "NaN"), (["a", "b"], "no number"), ([], "empty"),
    ([[1.0, 2.0], [3.0, 4.0]], "name them"), ([[1.0], [1.0, 2.0]], "unequal"), ([1.0, -math.inf], "infinite"),
    ([1 + 1j], "no number"), ([True, False], "no number"), (np.ma.array([1.0, 2.0], mask=[0, 1]), "masked"),
    (np.array([1.0, "x"], dtype=object), "real numbers"), ([Seconds(1), Bytes(2)], "mixed units B, s")])
def test_bad_data_is_refused(f, bad, says):
    with pytest.raises(ValueError, match=says) as error:
        f(bad)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("f", EVERY)
def test_pooled_samples_need_level_names(f):
    pooled = np.repeat(GOOD, 3)
    labels = np.repeat(np.arange(24), 3)
    with pytest.raises(ValueError, match="name the levels"):
        f(pooled, groups=labels)
    named = f(pooled, groups=labels, levels=("boot", "iteration"))
    square = f(pooled.reshape(24, 3), levels=("boot", "iteration"))
    assert named.ci == square.ci
    assert named.n == square.n == 24
    assert named.n_by_level == square.n_by_level == {"boot": 24, "iteration": 3}


def test_levels_reduce_to_means_of_boots():
    y = np.random.default_rng(1).normal(10, 1, (6, 4, 5))
    assert mean_ci(y, levels=("boot", "iteration", "sample")).ci == mean_ci(y.mean(axis=(1, 2))).ci
    assert mean_ci(y, levels=("boot", "iteration", "sample")).n == 6


def test_ragged_boots_count_equally_and_say_so():
    found = mean_ci([[1.0], [2.0, 4.0], [3.0, 3.0, 3.0]], levels=("boot", "iteration"))
    assert found.estimate == pytest.approx((1 + 3 + 3) / 3)
    assert found.n == 3
    assert any(w.startswith("unbalanced") for w in found.warnings)


def test_levels_must_fit_the_data():
    with pytest.raises(ValueError, match="one name for each"):
        mean_ci([1.0, 2.0], levels=("boot", "iteration"))


@pytest.mark.parametrize("f", [gm_ci, lambda x: ratio_paired(x, [1.0, 1.0]), lambda x: overhead(x, [1, 1], "lower")])
@pytest.mark.parametrize("zero", [0.0, -1.0])
def test_a_ratio_scale_has_no_zero(f, zero):
    with pytest.raises(ValueError, match="not above zero"):
        f([1.0, zero])


def test_never_recovered_is_allowed_where_order_is_all():
    never = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, math.inf]
    assert median_ci(never).estimate == 4.0
    assert median_ci(never).ci.hi == math.inf
    assert quantile_ci(never, 0.9).estimate == math.inf
    for f in (mean_ci, gm_ci, hodges_lehmann):
        with pytest.raises(ValueError, match="infinite"):
            f(never)


def test_units_of_quantities_must_be_the_stated_one():
    assert gm_ci([Seconds(1), Seconds(2)], unit="s").unit == "s"
    with pytest.raises(ValueError, match="mixed units B, s"):
        gm_ci([Seconds(1), Seconds(2)], unit="B")
    with pytest.raises(ValueError, match="mixed units"):
        ratio_paired([Seconds(1)], [Bytes(1), Bytes(2)], unit="s")
    for f in (ratio_paired, ratio_welch, hodges_lehmann, lambda x, y: overhead(x, y, "lower"),
              lambda x, y: rank_vendors({"a": x, "b": y}, "lower")):
        with pytest.raises(ValueError, match="mixed units B, s"):
            f([Seconds(1), Seconds(2)], [Bytes(1), Bytes(2)])
        f([Seconds(1), Seconds(2)], [1.0, 2.0])


def test_pairs_need_equal_numbers():
    with pytest.raises(ValueError, match="pairs need equal numbers"):
        ratio_paired([1.0, 2.0], [1.0])


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20))
def test_the_hash_tells_data_apart_and_nothing_else(x):
    a = scores(x).values
    assert data_hash(a) == data_hash(np.array(x))
    assert data_hash(np.append(a, 1.0)) != data_hash(a)
    assert data_hash(np.where(a == 0, -0.0, a)) == data_hash(a)
    assert 0 <= seed_of(DEFAULT_POLICY, "CPU-01", a) < 2**64


def test_the_seed_follows_from_policy_indicator_and_data():
    a, b = np.array([1.0, 2.0]), np.array([1.0, 2.5])
    seeds = {seed_of(DEFAULT_POLICY, "CPU-01", a), seed_of(DEFAULT_POLICY, "CPU-02", a),
             seed_of(DEFAULT_POLICY, "CPU-01", b), seed_of(StatsPolicy(confidence=0.9), "CPU-01", a)}
    assert len(seeds) == 4


def test_the_callers_array_is_not_frozen_or_changed():
    x = np.array([3.0, 1.0, 2.0])
    gm_ci(x)
    x[0] = 5.0
    assert x.tolist() == [5.0, 1.0, 2.0]


@pytest.mark.parametrize("confidence", [0.4, 1.0, 95])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match="confidence"):
        mean_ci([1.0, 2.0], confidence=confidence)


def test_a_misspelt_keyword_is_refused():
    with pytest.raises(TypeError, match="unknown keyword unti"):
        gm_ci([1.0, 2.0], unti="s")
    assert gm_ci([1.0, 2.0], direction="lower").direction is Direction.LOWER_IS_BETTER
