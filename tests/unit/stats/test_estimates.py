"""What every estimate carries: interval that never lacks width, budget, warnings, second opinion, provenance."""

import math

import numpy as np
import pytest

from harness.stats import (
    DEFAULT_POLICY,
    Direction,
    Scale,
    StatsPolicy,
    bca_ci,
    bca_ci_many,
    gm_ci,
    hodges_lehmann,
    mde,
    mean_ci,
    median_ci,
    overhead,
    quantile_ci,
    ratio_fieller,
    ratio_paired,
    ratio_welch,
    stein_ci,
)
from harness.stats.estimates import WARNINGS, combine

RNG = np.random.default_rng(20240501)
X, Y = RNG.normal(10, 0.3, 24), RNG.normal(11, 0.3, 24)
ONE = [gm_ci, mean_ci, median_ci, lambda x, **k: quantile_ci(x, 0.5, **k), hodges_lehmann,
       lambda x, **k: stein_ci(x, 10, **k), lambda x, **k: bca_ci(x, np.mean, **k)]
TWO = [ratio_paired, ratio_welch, ratio_fieller, hodges_lehmann]


def codes(estimate):
    return {w.split(":")[0] for w in estimate.warnings}


@pytest.mark.parametrize("f", ONE)
def test_every_estimate_is_complete(f):
    found = f(X, unit="s", direction=Direction.LOWER_IS_BETTER, indicator_id="STO-01", measurand="p99 of 4 KiB reads",
              resolution=0.01, u_b={"clock": 0.02}, noise_floor=0.015, excluded=[(3, "the disk was swapped")])
    assert found.ci.lo < found.estimate < found.ci.hi
    assert (found.unit, found.direction, found.indicator_id) == ("s", Direction.LOWER_IS_BETTER, "STO-01")
    assert (found.measurand, found.noise_floor, found.resolution) == ("p99 of 4 KiB reads", 0.015, 0.01)
    assert found.excluded == ((3, "the disk was swapped"),)
    assert found.n == 24
    assert found.n_by_level == {"run": 24}
    assert found.ci.confidence == 0.95
    assert found.method
    assert found.estimand
    assert found.cv > 0
    assert found.dispersion > 0
    assert 0 < found.mde80 < 1
    assert {c.name for c in found.assumptions} >= {"replicates", "unimodal", "no outliers"}
    assert (found.policy_hash, len(found.data_hash)) == (DEFAULT_POLICY.hash, 16)
    assert found.seed
    assert found.code_version
    parts = dict(found.budget.u_b)
    assert parts == {"resolution": pytest.approx(0.01 / math.sqrt(12)), "clock": 0.02}
    assert found.budget.u_c == pytest.approx(math.sqrt(found.budget.u_a**2 + 0.01**2 / 12 + 0.02**2))
    assert pytest.approx(found.budget.k * found.budget.u_c) == found.budget.U


@pytest.mark.parametrize("f", TWO)
def test_estimates_of_two_samples_are_complete(f):
    found = f(X, Y, indicator_id="CPU-03")
    assert found.ci.lo < found.estimate < found.ci.hi
    assert found.n == 24
    assert found.policy_hash
    assert found.data_hash
    assert found.data_hash != f(Y, X).data_hash
    assert 0 < found.mde80 < 1


@pytest.mark.parametrize("f", [gm_ci, mean_ci, ratio_paired, ratio_welch, ratio_fieller])
def test_a_second_opinion_rides_along(f):
    found = f(X) if f in (gm_ci, mean_ci) else f(X, Y)
    other = found.sensitivity
    assert "Hodges-Lehmann" in other.method
    assert other.ci.lo < found.estimate < other.ci.hi
    assert (other.unit, other.n, other.data_hash) == (found.unit, found.n, found.data_hash)


@pytest.mark.parametrize("f", ONE)
def test_constant_data_have_the_width_of_the_resolution(f):
    found = f([3.0] * 24, resolution=0.1)
    half = 1.959964 * 0.1 / math.sqrt(12)
    assert found.estimate == 3.0
    assert (found.ci.lo, found.ci.hi) == pytest.approx((3 - half, 3 + half), rel=1e-3)
    assert "constant" in codes(found)
    if found.sensitivity:
        assert found.sensitivity.ci.lo < 3 < found.sensitivity.ci.hi


@pytest.mark.parametrize("f", ONE)
def test_constant_data_without_a_resolution_bound_nothing(f):
    found = f([3.0] * 24)
    assert found.ci.hi == math.inf
    assert found.ci.lo in (0.0, -math.inf)
    assert "constant" in codes(found)


def test_many_equal_scores_give_a_median_no_zero_width():
    assert median_ci([5.0] * 20 + [6.0, 7.0], resolution=1.0).ci.hi > 5.0
    assert "constant" in codes(median_ci([5.0] * 20 + [6.0, 7.0]))


@pytest.mark.parametrize("f", [ratio_paired, ratio_welch, ratio_fieller])
def test_constant_ratios_have_the_width_of_their_resolution(f):
    found = f([4.0] * 6, [2.0] * 6, resolution=0.02)
    u = 2 * 0.02 / math.sqrt(12) * math.hypot(1 / 4, 1 / 2)
    assert found.estimate == pytest.approx(2.0)
    assert math.log(found.ci.hi / found.ci.lo) / 2 == pytest.approx(1.959964 * u / 2, rel=1e-3)
    assert math.isinf(f([4.0] * 6, [2.0] * 6).ci.hi)


@pytest.mark.parametrize("f", [gm_ci, mean_ci, hodges_lehmann, median_ci])
def test_one_run_has_no_interval(f):
    found = f([3.0], resolution=0.1)
    assert math.isinf(found.ci.hi)
    assert codes(found) >= {"no_interval", "few"}
    assert (found.estimate, found.mde80, found.budget.u_a) == (3.0, None, math.inf)


@pytest.mark.parametrize("f", TWO)
def test_one_pair_has_no_interval(f):
    found = f([3.0], [2.0])
    assert math.isinf(found.ci.hi)
    assert codes(found) >= {"few"}


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_runs_are_said_to_be_few(n):
    assert "few" in codes(gm_ci(X[:n]))
    assert "few" not in codes(gm_ci(X[:5]))


def test_two_modes_are_seen_from_ten_runs_on():
    two = np.concatenate([X[:8], X[:2] + 5])
    assert "bimodal" in codes(gm_ci(two))
    assert "bimodal" not in codes(gm_ci(np.concatenate([X[:9], X[:1] + 5])))  # one far score is an outlier
    nine = {c.name: c for c in gm_ci(two[1:]).assumptions}["unimodal"]
    assert nine.passed is None
    assert "n = 10" in nine.note


def test_outliers_are_flagged_and_stay():
    found = gm_ci([*X[:9], 100.0])
    assert found.flagged == (9,)
    assert "outliers" in codes(found)
    assert found.estimate > gm_ci(X[:9]).estimate
    assert ratio_welch([*X[:9], 100.0], [*Y[:9], 0.001]).flagged == (9, 19)


def test_skew_is_said_where_the_mean_is_not_honest():
    rng = np.random.default_rng(3)
    heavy = sum("skewed" in codes(mean_ci(rng.lognormal(0, 1, 10))) for _ in range(200))
    normal = sum("skewed" in codes(mean_ci(rng.normal(10, 0.3, 10))) for _ in range(200))
    assert heavy > 160
    assert normal < 30
    assert "skewed" not in codes(gm_ci(rng.lognormal(0, 1, 10)))


def test_warnings_have_known_codes():
    said = [gm_ci([1.0]), gm_ci([2.0] * 3), mean_ci(np.exp(X * 3)), median_ci([1.0, 2.0]), bca_ci(X),
            ratio_fieller([1.0, 2.0, 30.0], [0.1, 20.0, 3.0]), gm_ci([*X[:9], 100.0]),
            mean_ci([[1.0], [1.0, 2.0]], levels=("boot", "iteration"))]
    assert {c for e in said for c in codes(e)} <= set(WARNINGS)


def test_bca_refuses_small_and_doubts_middling_n():
    with pytest.raises(ValueError, match="at least 20"):
        bca_ci(X[:19])
    assert "few" in codes(bca_ci(X))
    assert "few" not in codes(bca_ci(np.concatenate([X, X + 0.01, Y])))
    with pytest.raises(ValueError, match="axis=-1"):
        bca_ci(X, lambda v, axis: np.array(3.0))
    with pytest.raises(ValueError, match="axis=-1"):
        bca_ci(X, lambda v: v.mean())
    assert bca_ci(X, np.std).estimate == pytest.approx(X.std())


def test_bca_of_many_indicators_agrees_with_each_alone():
    table = {f"I-{i}": RNG.lognormal(0, 0.3, 30 + 30 * (i % 2)) for i in range(6)}
    found = bca_ci_many(table, unit="s")
    assert list(found) == list(table)
    for name, x in table.items():
        alone, width = bca_ci(x).ci, found[name].ci.hi - found[name].ci.lo
        assert (found[name].ci.lo, found[name].ci.hi) == pytest.approx((alone.lo, alone.hi), abs=0.08 * width)
        assert (found[name].indicator_id, found[name].unit) == (name, "s")


def test_welch_satterthwaite_combines_type_a_and_b():
    """GUM G.4: u_a with 4 degrees of freedom and an equal exact part have 16, and the factor of 16."""
    budget = combine(1.0, 4, (("clock", 1.0),))
    assert budget.u_c == pytest.approx(math.sqrt(2))
    assert budget.dof_eff == pytest.approx(16)
    assert budget.k == pytest.approx(2.1199, abs=1e-4)
    with pytest.raises(ValueError, match="u_b"):
        gm_ci(X, u_b={"clock": -1.0})


def test_detectable_difference_of_the_geometric_mean():
    found = gm_ci(X)
    assert found.mde80 == pytest.approx(mde(found.dispersion, 24), rel=1e-9)
    assert mean_ci(X).mde80 == pytest.approx(mde(mean_ci(X).cv, 24), rel=1e-9)
    assert mean_ci(X - X.mean(), resolution=1.0).estimate == pytest.approx(0, abs=1e-12)


def test_policy_and_confidence_reach_the_interval():
    wide = gm_ci(X, policy=StatsPolicy(confidence=0.99))
    assert wide.ci.confidence == 0.99
    assert wide.ci.hi > gm_ci(X).ci.hi
    assert wide == gm_ci(X, confidence=0.99)
    assert wide.policy_hash != gm_ci(X).policy_hash


def test_two_stage_interval_is_at_least_that_of_the_pilot():
    tight = np.concatenate([X[:10], np.full(10, X[:10].mean())])
    found = stein_ci(tight, 10, scale=Scale.LINEAR)
    half = 2.262157163 * X[:10].std(ddof=1) / math.sqrt(20)
    assert (found.ci.hi - found.ci.lo) / 2 == pytest.approx(half, rel=1e-9)
    assert stein_ci(tight, 20, scale=Scale.LINEAR).ci == mean_ci(tight).ci
    with pytest.raises(ValueError, match="pilot"):
        stein_ci(X, 25)


def test_overhead_has_a_direction_and_is_a_cost():
    slow, fast = X * 0.8, X
    lost = overhead(slow, fast, Direction.HIGHER_IS_BETTER)
    assert lost.estimate == pytest.approx(0.2)
    late = overhead(fast, slow, Direction.LOWER_IS_BETTER)
    assert late.estimate == pytest.approx(0.25)
    for found in (lost, late):
        assert (found.direction, found.unit) == (Direction.LOWER_IS_BETTER, "1")
    with pytest.raises(ValueError, match="direction"):
        overhead(slow, fast, Direction.TARGET)
    loose = overhead(X, Y, "higher", paired=False)
    assert (loose.ci.lo, loose.ci.hi) == pytest.approx((1 - ratio_welch(X, Y).ci.hi, 1 - ratio_welch(X, Y).ci.lo))
    assert loose.sensitivity.ci.lo < loose.estimate < loose.sensitivity.ci.hi
