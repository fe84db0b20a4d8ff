"""Tests, rankings, composites, scaling laws and change points against values that others published."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.stats import (
    Direction,
    StatsPolicy,
    bh,
    brunner_munzel,
    compact_letters,
    composite_gm,
    friedman_nemenyi,
    gm_ci,
    holm,
    jain,
    median_ci,
    rank_sum,
    rank_sum_p,
    segment_history,
    usl_fit,
)

DATA = Path(__file__).parents[2] / "data/statistics"
ROWS = json.loads((DATA / "comparison.json").read_text())
SCALING = json.loads((DATA / "scaling.json").read_text())


def test_rank_sum_with_ties_as_in_benchstat():
    row = ROWS["rank_sum"]
    assert rank_sum_p(row["gob_old"], row["gob_new"]) == pytest.approx(row["gob_p"], rel=1e-12)
    assert [median_ci(row[k]).estimate for k in ("gob_old", "gob_new")] == row["gob_medians"]


@pytest.mark.parametrize("n", range(1, 10))
def test_least_p_of_n_against_n(n):
    found = rank_sum(range(n), range(n, 2 * n))
    assert found.p == found.p_min == pytest.approx(ROWS["rank_sum"]["p_min"][n - 1], rel=1e-12)
    assert bool(found.warnings) == (n < 4)


@pytest.mark.parametrize("row", ROWS["rank_sum"]["ties"])
def test_ties_are_permuted_not_approximated(row):
    assert rank_sum_p(row["x"], row["y"]) == pytest.approx(row["p"], rel=1e-12)
    default = stats.mannwhitneyu(row["x"], row["y"]).pvalue  # asymptotic as soon as there is a tie
    assert abs(default - row["p"]) > 0.01


def test_brunner_munzel():
    row = ROWS["brunner_munzel"]
    found = brunner_munzel(row["x"], row["y"])
    assert (found.statistic, found.p) == pytest.approx((row["statistic"], row["p"]), rel=1e-9)


def test_adjusted_p_values_as_in_r():
    row = ROWS["adjusted"]
    assert holm(row["p"]) == pytest.approx(row["holm"], rel=1e-12)
    assert bh(row["p"]) == pytest.approx(row["bh"], rel=1e-12)


def test_benjamini_hochbergs_own_example():
    row = ROWS["benjamini_hochberg_1995"]
    assert int((bh(row["p"]) <= row["q"]).sum()) == row["rejected"]
    assert int((np.array(row["p"]) <= row["q"] / len(row["p"])).sum()) == row["bonferroni"]
    assert int((holm(row["p"]) <= row["q"]).sum()) == row["bonferroni"]


def test_friedman_on_rounding_times():
    row = ROWS["rounding_times"]
    found = friedman_nemenyi(row["table"])
    assert (found.chi2, found.p) == pytest.approx((row["chi2"], row["p"]), rel=1e-9)
    assert found.mean_ranks["3"] == min(found.mean_ranks.values())
    turned = friedman_nemenyi(row["table"], direction=Direction.HIGHER_IS_BETTER)
    assert turned.chi2 == pytest.approx(row["chi2"], rel=1e-9)
    assert turned.mean_ranks["3"] == max(turned.mean_ranks.values())


@pytest.mark.parametrize("k", range(2, 7))
def test_nemenyis_q(k):
    table = np.random.default_rng(k).normal(size=(10, k))
    assert friedman_nemenyi(table).q == pytest.approx(ROWS["nemenyi_q05"]["q"][k - 2], rel=1e-8)


@pytest.mark.parametrize("row", ROWS["nemenyi_q05"]["cd"])
def test_nemenyis_critical_difference(row):
    table = np.random.default_rng(1).normal(size=(row["n"], row["k"]))
    assert friedman_nemenyi(table).cd == pytest.approx(row["cd"], abs=5e-3)


def test_compact_letters_of_plant_growth():
    row = ROWS["plant_growth"]
    names = ["ctrl", "trt1", "trt2"]
    tukey = stats.tukey_hsd(*(row[name] for name in names)).pvalue
    for pair, p in row["p"].items():
        a, b = pair.split("-")
        assert tukey[names.index(a), names.index(b)] == pytest.approx(p, rel=1e-6)
    different = [tuple(pair.split("-")) for pair, p in row["p"].items() if p <= 0.05]
    order = sorted(names, key=lambda name: np.mean(row[name]))
    assert compact_letters(order, different) == row["letters"]


def test_spec_composite():
    row = ROWS["composite"]
    ratios = {str(i): ref / run for i, (ref, run) in enumerate(zip(row["reference_s"], row["run_s"], strict=True))}
    found = composite_gm(ratios)
    assert found.estimate == pytest.approx(row["geomean"], abs=5e-5)
    assert f"{found.estimate:.2f}" == row["printed"]
    assert found.warnings[0].startswith("no_interval")


def test_spec_composite_from_times_and_reference():
    """The same number from run times in s that are better lower, against reference times."""
    row = ROWS["composite"]
    names = [str(i) for i in range(len(row["run_s"]))]
    times = {name: gm_ci([t * 0.999, t * 1.001], unit="s", direction=Direction.LOWER_IS_BETTER)
             for name, t in zip(names, row["run_s"], strict=True)}
    found = composite_gm(times, reference=dict(zip(names, row["reference_s"], strict=True)))
    assert found.estimate == pytest.approx(row["geomean"], abs=1e-4)
    assert found.direction is Direction.HIGHER_IS_BETTER


@pytest.mark.parametrize("row", SCALING["jain"]["rows"])
def test_jain(row):
    assert jain(row["x"]) == pytest.approx(row["index"], rel=1e-12)


@pytest.mark.parametrize("row", SCALING["usl"]["rows"], ids=lambda row: row["set"])
def test_usl_coefficients_as_in_r(row):
    found = usl_fit(row["n"], row["x"])
    assert (found.alpha, found.beta) == pytest.approx((row["alpha"], row["beta"]), abs=1e-5)
    assert found.gamma == pytest.approx(row["gamma"], abs=1e-5)
    assert not found.bounded


def test_usl_at_its_bound_is_amdahls_law_and_has_no_peak():
    row = SCALING["usl"]["raytracer"]
    found = usl_fit(row["n"], row["x"])
    assert (found.beta, found.bounded, found.peak_n) == (0.0, ("beta",), float("inf"))
    assert "beta" not in found.ci
    assert any(w.startswith("no_peak") for w in found.warnings)
    free, _ = stats_free_fit(row["n"], row["x"])
    assert free[1] == pytest.approx(row["unbounded_beta"], abs=5e-6)


def stats_free_fit(n, x):
    from scipy.optimize import curve_fit

    return curve_fit(lambda m, a, b, g: g * m / (1 + a * (m - 1) + b * m * (m - 1)), np.array(n, float), x, [0.1, 0, 9])


@pytest.mark.parametrize(("name", "alpha"), [("step", 0.01), ("sequence", 0.05)])
def test_change_points_of_otavas_own_tests(name, alpha):
    row = SCALING["otava_tests"][name]
    found = segment_history(row["y"], policy=StatsPolicy(alarm_alpha=alpha))
    assert len(found) == len(row["changes"])
    assert all(abs(c.index - true) <= 1 for c, true in zip(found, row["changes"], strict=True))
    assert [c.at_head for c in found] == [False] * (len(found) - 1) + [True]
    assert all(a.p > 0 and a.index < b.index for a, b in pairwise(found))
