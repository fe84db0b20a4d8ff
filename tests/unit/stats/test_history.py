"""Change points in a commit history, alarms over many, noise floors."""

import math

import numpy as np
import pytest

from harness.stats import StatsPolicy, alarms, despike, noise_floor, ratio_paired, segment_history
from harness.stats.history import correlation

RNG = np.random.default_rng(31)


def test_a_step_is_found_with_ratio_and_suspects():
    y = np.concatenate([RNG.normal(100, 2, 40), RNG.normal(110, 2, 20)])
    (found,) = segment_history(y, seed="disk")
    assert found.index == 40
    assert found.suspects == (39, 41)
    assert found.at_head
    assert found.p == 1 / 2000  # none of 1999 permutations reaches it; a permutation p is never 0
    assert (found.before, found.after) == (np.median(y[:40]), np.median(y[40:]))
    assert found.ratio.ci.lo < 1.1 < found.ratio.ci.hi
    assert found.ratio.n_by_level == {"x": 20, "y": 40}


def test_a_step_that_went_away_does_not_reach_head():
    y = np.concatenate([RNG.normal(100, 1, 30), RNG.normal(120, 1, 20), RNG.normal(100, 1, 30)])
    found = segment_history(y, phi=0.0)  # a single split is weak against a hump; known independence helps
    assert [c.index for c in found] == [30, 50]
    assert [c.at_head for c in found] == [False, True]


def test_small_steps_are_merged_into_the_floor():
    y = np.concatenate([RNG.normal(100, 0.1, 40), RNG.normal(101, 0.1, 40)])
    assert segment_history(y) == []
    assert segment_history(y + 3 * (np.arange(80) >= 40))[0].index == 40
    assert segment_history(y + 3 * (np.arange(80) >= 40), floor=0.03) == []


def test_a_spike_is_no_change_and_is_not_altered():
    y = RNG.normal(100, 1, 60)
    y[30] = 150.0
    assert segment_history(y) == []
    clean, spikes = despike(y)
    assert spikes == (30,)
    assert abs(clean[30] - 100) < 3
    assert y[30] == 150.0
    y[45:] += 20
    (found,) = segment_history(y)
    assert found.spikes == (30,)
    assert found.ratio.estimate == pytest.approx(np.exp(np.log(y[45:]).mean() - np.log(y[:45]).mean()))


def test_two_new_points_are_no_spike():
    y = RNG.normal(100, 1, 40)
    y[-2:] += 30
    assert despike(y)[1] == ()
    assert [c.index for c in segment_history(y)] == [38]


def test_correlation_is_seen_and_steps_hardly_pass_for_it():
    def ar(phi, n=4000):
        e, x = RNG.normal(size=n), np.zeros(n)
        for i in range(1, n):
            x[i] = phi * x[i - 1] + e[i]
        return x

    for phi in (0.0, 0.3, 0.6):
        assert correlation(ar(phi)) == pytest.approx(phi, abs=0.08)
    steps = RNG.normal(size=600) + 20 * np.repeat(np.arange(6), 100)
    assert correlation(steps) < 0.15
    assert correlation(np.arange(10.0)) == 0.0


@pytest.mark.parametrize("y", [[1.0], [1.0, 2.0, 3.0], [5.0] * 30, np.zeros(20)])
def test_short_and_constant_histories_have_no_change(y):
    assert segment_history(y) == []


def test_values_around_zero_have_changes_without_a_ratio():
    y = np.concatenate([RNG.normal(0, 1, 40), RNG.normal(50, 1, 40)])
    (found,) = segment_history(y)
    assert found.index == 40
    assert found.ratio is None


def test_history_is_one_score_per_commit():
    with pytest.raises(ValueError, match="one run score per commit"):
        segment_history(np.ones((3, 3)))
    with pytest.raises(ValueError, match="NaN"):
        segment_history([1.0, math.nan])


def test_alarms_hold_the_false_discovery_rate_and_find_one_in_many():
    """One regression among 300 series: a p of 1 / 2000 would not be small enough, so more permutations are made."""
    many = {f"s{i}": RNG.normal(100, 2, 30) for i in range(300)}
    many["s7"] = np.concatenate([RNG.normal(100, 2, 20), RNG.normal(130, 2, 10)])
    found = alarms(many, policy=StatsPolicy(permutations=999))
    assert "s7" in found
    assert found["s7"].index == 20
    assert found["s7"].p < 1 / 1000
    assert len(found) <= 2


def test_each_series_may_have_a_noise_floor_of_its_own():
    rng = np.random.default_rng(3)
    step = np.concatenate([rng.normal(100, 0.5, 30), rng.normal(106, 0.5, 20)])
    both = {"calm": step, "noisy": step}
    assert list(alarms(both, floor={"calm": 0.01, "noisy": 0.05})) == ["calm"]
    assert list(alarms(both, floor=0.01)) == ["calm", "noisy"]


def test_alarms_are_for_head_only():
    gone = np.concatenate([RNG.normal(100, 1, 20), RNG.normal(150, 1, 20), RNG.normal(100, 1, 20)])
    found = alarms({"back": gone, "flat": RNG.normal(100, 1, 60)})
    assert set(found) <= {"back"}
    assert alarms({}) == {}


def test_noise_floor_bounds_the_half_width_of_an_aa_comparison():
    pairs = RNG.normal(100, 2, (12, 2))
    found = noise_floor(pairs)
    ratio = ratio_paired(pairs[:, 0], pairs[:, 1])
    assert found.floor > math.sqrt(ratio.ci.hi / ratio.ci.lo) - 1
    assert found.cv == pytest.approx(ratio.dispersion / math.sqrt(2))
    assert found.cv_ci.lo < found.cv < found.cv_ci.hi
    assert found.cv_ci.lo < 0.02 < found.cv_ci.hi
    assert found.pairs == 12
    assert not found.warnings


def test_chi_squared_bounds_are_the_tabulated_ones():
    """chi2(.05, 9) = 3.3251; chi2(.025, 9) = 2.7004; chi2(.975, 9) = 19.0228."""
    pairs = RNG.normal(100, 2, (10, 2))
    found = noise_floor(pairs)
    half = math.log(found.ratio.ci.hi / found.ratio.ci.lo) / 2
    assert math.log1p(found.floor) / half == pytest.approx(math.sqrt(9 / 3.3251), rel=1e-4)
    assert found.cv_ci.hi / found.cv == pytest.approx(math.sqrt(9 / 2.7004), rel=1e-4)
    assert found.cv_ci.lo / found.cv == pytest.approx(math.sqrt(9 / 19.0228), rel=1e-4)


def test_a_biased_order_is_said():
    pairs = RNG.normal(100, 1, (12, 2)) * [1.1, 1.0]
    assert any(w.startswith("biased") for w in noise_floor(pairs).warnings)
    assert any(w.startswith("few") for w in noise_floor(pairs[:5]).warnings)
    with pytest.raises(ValueError, match="rows of"):
        noise_floor([1.0, 2.0])
