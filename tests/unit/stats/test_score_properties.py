"""What must hold for any data: units scale, order does not matter, reciprocals flip, the same bytes come twice."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.stats import (
    Direction,
    Scale,
    bca_ci,
    equivalence,
    gm_ci,
    hodges_lehmann,
    mean_ci,
    median_ci,
    overhead,
    quantile_ci,
    rank_vendors,
    ratio_fieller,
    ratio_paired,
    ratio_welch,
    segment_history,
    stein_ci,
)

positive = st.floats(0.01, 100.0).map(lambda v: round(v, 6))
samples = st.lists(positive, min_size=6, max_size=16).filter(lambda x: len(set(x)) > 3)
pairs = st.lists(st.tuples(positive, positive), min_size=6, max_size=16).filter(lambda p: len(set(p)) > 3)
LOCATIONS = {"gm": gm_ci, "mean": mean_ci, "median": median_ci, "p75": lambda x, **k: quantile_ci(x, 0.75, **k),
             "hl": hodges_lehmann, "hl log": lambda x, **k: hodges_lehmann(x, scale=Scale.LOG, **k)}
RATIOS = {"paired": ratio_paired, "welch": ratio_welch,
          "hl": lambda x, y, **k: hodges_lehmann(x, y, scale=Scale.LOG, **k)}
every_location = pytest.mark.parametrize("f", LOCATIONS.values(), ids=LOCATIONS)
every_ratio = pytest.mark.parametrize("f", RATIOS.values(), ids=RATIOS)


def numbers(estimate):
    return estimate.estimate, estimate.ci.lo, estimate.ci.hi


def split(p):
    return [a for a, _ in p], [b for _, b in p]


@every_location
@given(x=samples)
@settings(max_examples=25)
def test_units_scale_estimate_interval_and_uncertainty(f, x):
    seconds, nanoseconds = f(x, unit="s"), f([v * 1e9 for v in x], unit="ns")
    assert numbers(nanoseconds) == pytest.approx([v * 1e9 for v in numbers(seconds)], rel=1e-9)
    assert nanoseconds.budget.u_a == pytest.approx(seconds.budget.u_a * 1e9, rel=1e-9)
    assert nanoseconds.cv == pytest.approx(seconds.cv, rel=1e-9)
    assert (nanoseconds.mde80 or 0.0) == pytest.approx(seconds.mde80 or 0.0, rel=1e-6)


@every_location
@given(x=samples, seed=st.integers(0, 99))
@settings(max_examples=25)
def test_the_order_of_runs_does_not_matter(f, x, seed):
    assert numbers(f(np.random.default_rng(seed).permutation(x))) == numbers(f(x))


@every_location
@given(x=samples)
@settings(max_examples=25)
def test_estimates_lie_in_their_interval_and_data(f, x):
    found = f(x)
    assert found.ci.lo <= found.estimate <= found.ci.hi
    assert min(x) * (1 - 1e-12) <= found.estimate <= max(x) * (1 + 1e-12)
    assert found.ci.lo < found.ci.hi


@every_location
@given(x=samples)
@settings(max_examples=20)
def test_more_confidence_is_a_wider_interval(f, x):
    sure, plain = f(x, confidence=0.99).ci, f(x, confidence=0.9).ci
    assert sure.lo <= plain.lo
    assert plain.hi <= sure.hi


@every_ratio
@given(p=pairs)
@settings(max_examples=25)
def test_the_reciprocal_flips_the_interval(f, p):
    x, y = split(p)
    there, back = f(x, y), f(y, x)
    assert numbers(back) == pytest.approx((1 / there.estimate, 1 / there.ci.hi, 1 / there.ci.lo), rel=1e-9)


@every_ratio
@given(p=pairs, factor=positive)
@settings(max_examples=25)
def test_a_ratio_has_no_unit(f, p, factor):
    x, y = split(p)
    assert numbers(f([v * factor for v in x], [v * factor for v in y])) == pytest.approx(numbers(f(x, y)), rel=1e-9)


@given(p=pairs, factors=st.lists(positive, min_size=16, max_size=16))
@settings(max_examples=25)
def test_what_drifts_for_both_of_a_pair_cancels(p, factors):
    x, y = split(p)
    f = factors[:len(x)]
    moved = ratio_paired(np.multiply(x, f), np.multiply(y, f))
    assert numbers(moved) == pytest.approx(numbers(ratio_paired(x, y)), rel=1e-9)


@given(p=pairs, y=positive)
@settings(max_examples=25)
def test_a_pair_at_the_ratio_leaves_the_ratio(p, y):
    a, b = split(p)
    before = ratio_paired(a, b)
    after = ratio_paired([*a, y * before.estimate], [*b, y])
    assert after.estimate == pytest.approx(before.estimate, rel=1e-9)
    assert after.ci.hi / after.ci.lo <= before.ci.hi / before.ci.lo


@given(p=pairs)
@settings(max_examples=25)
def test_fieller_of_the_reciprocal_is_the_reciprocal(p):
    """With equal degrees of freedom Fieller's set does not depend on which mean is below the line."""
    x, y = split(p)
    there, back = ratio_fieller(x, y), ratio_fieller(y, x)
    assume(all(math.isfinite(e.ci.hi) and e.ci.lo > 0 for e in (there, back)))
    assert numbers(back) == pytest.approx((1 / there.estimate, 1 / there.ci.hi, 1 / there.ci.lo), rel=1e-9)


@given(p=pairs)
@settings(max_examples=25)
def test_overheads_of_rate_and_time_say_the_same(p):
    """Throughput g/b and latency b/g: 1 - ratio and 1/ratio - 1 rank alike and share their zero."""
    x, y = split(p)
    rate, time = overhead(x, y, Direction.HIGHER_IS_BETTER), overhead(y, x, Direction.LOWER_IS_BETTER)
    assert (rate.ci.lo > 0) == (time.ci.lo > 0)
    assert rate.estimate == pytest.approx(1 - 1 / (1 + time.estimate), abs=1e-9)


@given(p=pairs)
@settings(max_examples=20)
def test_equivalence_by_interval_is_equivalence_by_p(p):
    x, y = split(p)
    found = ratio_paired(x, y)
    for delta in (0.05, 0.3, 0.9):
        shown = equivalence(found, delta)
        assert shown.p is not None
        assert shown.shown == (shown.p < 0.025)


@given(x=st.lists(positive, min_size=20, max_size=30).filter(lambda x: len(set(x)) > 5), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_a_bootstrap_is_the_same_every_time_and_in_any_order(x, seed):
    shuffled = np.random.default_rng(seed).permutation(x)
    found = bca_ci(x)
    assert pickle.dumps(bca_ci(x)) == pickle.dumps(found)
    assert numbers(bca_ci(shuffled)) == numbers(found)


@given(x=samples)
@settings(max_examples=20)
def test_the_same_input_gives_the_same_bytes(x):
    for f in LOCATIONS.values():
        assert pickle.dumps(f(x, indicator_id="A")) == pickle.dumps(f(list(x), indicator_id="A"))
    assert gm_ci(x, indicator_id="A").seed != gm_ci(x, indicator_id="B").seed


@given(x=samples, pilot=st.integers(2, 6))
@settings(max_examples=25)
def test_the_two_stage_interval_is_never_narrower(x, pilot):
    plain, staged = gm_ci(x).ci, stein_ci(x, pilot).ci
    assert staged.lo <= plain.lo * (1 + 1e-12)
    assert plain.hi <= staged.hi * (1 + 1e-12)


@given(table=st.dictionaries(st.sampled_from("abcde"), samples, min_size=2), power=st.integers(-3, 3))
@settings(max_examples=20)
def test_rankings_do_not_depend_on_the_unit_and_turn_with_the_direction(table, power):
    assume(len({round(gm_ci(x).estimate, 6) for x in table.values()}) == len(table))
    up = rank_vendors(table, Direction.HIGHER_IS_BETTER)
    scaled = rank_vendors({k: np.multiply(x, 2.0**power) for k, x in table.items()}, Direction.HIGHER_IS_BETTER)
    assert scaled.rank_intervals == up.rank_intervals
    assert scaled.letters == up.letters
    inverse = rank_vendors({k: np.divide(1, x) for k, x in table.items()}, Direction.LOWER_IS_BETTER)
    assert inverse.rank_intervals == up.rank_intervals
    down = rank_vendors(table, Direction.LOWER_IS_BETTER)
    k = len(table)
    assert {n: (k + 1 - hi, k + 1 - lo) for n, (lo, hi) in down.rank_intervals.items()} == up.rank_intervals


@given(x=st.lists(positive, min_size=4, max_size=40), power=st.integers(-20, 20))
@settings(max_examples=20)
def test_a_history_splits_alike_in_any_unit_and_again(x, power):
    one = segment_history(x, seed=1)
    other = segment_history(np.multiply(x, 2.0**power), seed=1)
    assert [c.index for c in one] == [c.index for c in other]
    assert segment_history(x, seed="a") == segment_history(x, seed="a")


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        gm_ci([1.0, 2.0]).estimate = 3.0
