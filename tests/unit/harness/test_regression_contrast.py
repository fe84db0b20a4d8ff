"""The effect of a run against its baseline: what must hold whatever the numbers, and what known cases give."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.regression.contrast import contrast, effect, relative, resolved
from harness.stats import mde, ratio_paired, ratio_welch
from harness.stats.records import Direction, Scale

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
SIDES = st.tuples(*[st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=12)] * 2)
WAYS = st.sampled_from([UP, DOWN])


def steady(level, n=8, seed=1):
    return (level * np.exp(np.random.default_rng(seed).normal(0, 0.01, n))).tolist()


@given(SIDES, WAYS, st.booleans())
def test_swapping_run_and_baseline_turns_the_effect_round(sides, way, share):
    x, y = sides
    one, other = contrast(x, y, direction=way, share=share), contrast(y, x, direction=way, share=share)
    assert one.loss == pytest.approx(-other.loss, rel=1e-9, abs=1e-12)
    assert one.low == pytest.approx(-other.high, rel=1e-6, abs=1e-9)
    assert one.p_beyond(0.0) == pytest.approx(other.p_beyond(0.0), rel=1e-6, abs=1e-12)
    assert one.n == other.n[::-1]


@given(SIDES, st.booleans())
def test_the_other_direction_of_better_is_the_other_sign(sides, share):
    x, y = sides
    up, down = (contrast(x, y, direction=way, share=share) for way in (UP, DOWN))
    assert (up.loss, up.low, up.high) == (-down.loss, -down.high, -down.low)


@given(SIDES, WAYS, st.floats(1e-9, 1e9))
def test_the_unit_of_the_numbers_does_not_matter(sides, way, factor):
    x, y = sides
    assume(np.ptp(np.log(x)) > 1e-6)
    assume(np.ptp(np.log(y)) > 1e-6)
    one = contrast(x, y, direction=way)
    other = contrast([factor * v for v in x], [factor * v for v in y], direction=way)
    assert (other.loss, other.se) == pytest.approx((one.loss, one.se), rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12), WAYS, st.booleans(), st.booleans())
def test_identical_scores_are_never_an_effect(scores, way, share, paired):
    found = contrast(scores, scores, direction=way, share=share, paired=paired)
    assert found.loss == pytest.approx(0, abs=1e-12)
    assert found.p_beyond(0.0) > 0.99


def test_it_is_the_interval_of_the_statistics_core():
    x, y = steady(1.05, seed=2), steady(1.0, 6)
    core, found = ratio_welch(x, y), contrast(x, y, direction=DOWN)
    assert [math.exp(v) for v in (found.loss, found.low, found.high)] == pytest.approx(
        [core.estimate, core.ci.lo, core.ci.hi], rel=1e-12)
    core, found = ratio_paired(x, x[::-1]), contrast(x, x[::-1], direction=DOWN, paired=True)
    assert [math.exp(v) for v in (found.loss, found.low, found.high)] == pytest.approx(
        [core.estimate, core.ci.lo, core.ci.hi], rel=1e-12)


def test_shares_are_compared_by_their_difference():
    found = contrast([0.10, 0.11, 0.12], [0.05, 0.06, 0.07], direction=DOWN, share=True)
    assert found.scale is Scale.LINEAR
    assert found.loss == pytest.approx(0.05)
    assert relative(found.loss, found.scale) == pytest.approx(0.05)


def test_scores_below_zero_are_shares_or_ranks_never_a_ratio():
    assert contrast([-0.1, 0.0, 0.1], [0.2, 0.3, 0.25], direction=UP, share=True).loss == pytest.approx(0.25)
    found = contrast([0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0], direction=UP)
    assert (found.method, found.loss) == ("exact rank-sum test", math.inf)
    assert found.p == pytest.approx(2 / math.comb(10, 5))


def test_an_event_that_never_ended_is_worse_by_rank_and_has_no_interval():
    found = contrast([math.inf] * 5, [3.0, 4.0, 5.0, 3.5, 4.5], direction=DOWN)
    assert found.loss == math.inf
    assert not found.bounded
    assert found.p_beyond(0.05) < 0.01
    assert found.mde(0, 0, 0.05) == math.inf
    assert found.rounds(0, 0.02, 0.05) is None


def test_scores_without_any_spread_are_as_certain_as_ranks_can_tell():
    same = contrast([7.0] * 5, [7.0] * 5, direction=DOWN)
    assert (same.loss, same.low, same.high, same.p_beyond(0.0)) == (0, 0, 0, 1.0)
    slower = contrast([8.0] * 5, [7.0] * 5, direction=DOWN)
    assert slower.p_beyond(0.0) == pytest.approx(2 / math.comb(10, 5))
    assert slower.p_beyond(math.log(1.2)) == 1.0
    assert contrast([8.0] * 2, [7.0] * 2, direction=DOWN).p_beyond(0.0) > 0.05


def test_five_of_five_on_both_sides_is_not_shown_to_be_the_same():
    found = contrast([1.0] * 5, [1.0] * 5, direction=UP, share=True)
    assert resolved(found, (0.48, 1.0), (0.48, 1.0)).low == pytest.approx(-0.52)
    assert resolved(found, (-math.inf, math.inf), (0.48, 1.0)) == found


def test_what_is_tolerated_has_to_be_exceeded_by_more_than_chance():
    found = contrast(steady(1.06, 20), steady(1.0, 20, seed=2), direction=DOWN)
    ps = [found.p_beyond(math.log(limit)) for limit in (1.0, 1.02, 1.05, 1.06, 1.2)]
    assert ps == sorted(ps)
    assert ps[0] < 1e-9
    assert ps[-1] == 1.0


def test_the_least_effect_that_is_caught_is_that_of_the_statistics_core_where_nothing_is_tolerated():
    x, y = steady(1.0, 10), steady(1.0, 10, seed=2)
    found = contrast(x, y, direction=DOWN, paired=True)
    spread = float(np.std(np.log(x) - np.log(y), ddof=1))
    assert found.mde(0.0, 0.0, 0.05) == pytest.approx(mde(spread, 10), rel=1e-9)
    assert found.mde(0.1, 0.0, 0.05) == pytest.approx(0.1 + mde(spread, 10), rel=1e-9)
    assert found.mde(0.0, 0.5, 0.05) > 0.5
    assert found.mde(0.0, 0.0, 0.01) > found.mde(0.0, 0.0, 0.05)


def test_so_many_rounds_would_tell_and_no_fewer():
    found = replace(contrast(steady(1.0, 4), steady(1.0, 4, seed=2), direction=DOWN), loss=math.log(1.05), se=0.04)
    needed = found.rounds(0.0, math.log(1.02), 0.05)
    assert needed is not None

    def promised(n):
        return mde(0.08 * math.sqrt((2 * n - 1) / n), 2 * n - 1)    # of 2 n - 2 degrees of freedom

    assert promised(needed) <= math.log(1.05) < promised(needed - 1)
    inside = replace(found, loss=0.0).rounds(0.0, math.log(1.02), 0.05)
    assert inside is not None
    assert inside > needed
    assert replace(found, loss=math.log(1.02)).rounds(0.0, math.log(1.02), 0.05) is None


def test_one_round_tells_nothing():
    found = contrast([2.0], [1.0], direction=DOWN)
    assert (found.p_beyond(0.0), found.bounded, found.mde(0, 0, 0.05)) == (1.0, False, math.inf)


@pytest.mark.parametrize(("x", "y", "way", "paired"), [([], [1.0], UP, False), ([1.0], [1.0, 2.0], UP, True),
                                                       ([1.0, 2.0], [1.0, 2.0], Direction.TARGET, False)])
def test_what_cannot_be_compared_is_an_error(x, y, way, paired):
    with pytest.raises(ValueError, match="contrast:"):
        contrast(x, y, direction=way, paired=paired)


@given(st.floats(-0.9, 10), st.sampled_from([Scale.LOG, Scale.LINEAR]))
def test_shares_and_effects_are_each_other_turned_round(share, scale):
    assert relative(effect(share, scale), scale) == pytest.approx(share, abs=1e-12)
