"""Functions against tables and examples of textbooks and papers, each named, beyond those kept as data files.

Where only a few digits are printed, those digits are what is compared.
"""

import math

import numpy as np
import pytest
from scipy import stats

from harness.stats import (
    clock_fit,
    friedman_nemenyi,
    gm_ci,
    hodges_lehmann,
    holm,
    mean_ci,
    median_ci,
    proportion_ci,
    rate_ci,
    ratio_fieller,
    ratio_paired,
    ratio_welch,
    signed_rank_p,
    tolerance_bound,
    usl_fit,
    welch,
)
from harness.stats.moments import t_quantile, welch_dof
from harness.stats.nulls import rank_sum_index, signed_rank_index
from harness.stats.trend import mann_kendall

# Garwood (1936), 95 % limits of a Poisson mean, as reprinted in tables of epidemiology.
GARWOOD = {0: (0, 3.69), 1: (0.0253, 5.57), 2: (0.242, 7.22), 3: (0.619, 8.77), 4: (1.09, 10.24), 5: (1.62, 11.67),
           6: (2.20, 13.06), 7: (2.81, 14.42), 8: (3.45, 15.76), 9: (4.12, 17.08), 10: (4.80, 18.39),
           15: (8.40, 24.74), 20: (12.22, 30.89), 30: (20.24, 42.83), 50: (37.11, 65.92), 100: (81.36, 121.63)}


@pytest.mark.parametrize("k", GARWOOD)
def test_garwoods_limits_of_a_count(k):
    found = rate_ci(k, 1.0).ci
    assert (found.lo, found.hi) == pytest.approx(GARWOOD[k], abs=0.0051)


@pytest.mark.parametrize(("k", "n", "lo", "hi"), [
    (5, 10, 0.1871, 0.8129), (1, 10, 0.0025, 0.4450), (9, 10, 0.5550, 0.9975), (10, 100, 0.0490, 0.1762),
    (50, 100, 0.3983, 0.6017), (1, 100, 0.0003, 0.0545), (0, 100, 0.0, 0.0362), (100, 100, 0.9638, 1.0)])
def test_clopper_and_pearsons_limits_of_a_share(k, n, lo, hi):
    found = proportion_ci(k, n).ci
    assert (found.lo, found.hi) == pytest.approx((lo, hi), abs=5.1e-5)


# Wilcoxon (1945) and later tables: largest T, and largest U, that are significant at 5 %, two-sided.
@pytest.mark.parametrize(("n", "t"), [(5, None), (6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (11, 10), (12, 13), (13, 17),
                                      (14, 21), (15, 25), (16, 29), (20, 52), (25, 89)])
def test_critical_values_of_the_signed_ranks(n, t):
    assert signed_rank_index(n, 0.025)[0] == (0 if t is None else t + 1)


@pytest.mark.parametrize(("m", "n", "u"), [(4, 4, 0), (5, 5, 2), (6, 6, 5), (7, 7, 8), (8, 8, 13), (9, 9, 17),
                                           (10, 10, 23), (5, 10, 8), (15, 15, 64), (20, 20, 127), (3, 5, 0)])
def test_critical_values_of_mann_and_whitney(m, n, u):
    assert rank_sum_index(m, n, 0.025)[0] == u + 1


@pytest.mark.parametrize(("n", "s", "p"), [(4, 6, 0.042), (5, 8, 0.042), (5, 10, 0.0083), (6, 11, 0.028),
                                           (7, 13, 0.035), (8, 16, 0.031), (9, 18, 0.038), (10, 21, 0.036)])
def test_upper_tails_of_mann_and_kendall(n, s, p):
    """One-sided tail probabilities of S as tabled by Kendall and by Gilbert (1987), A18."""
    order = next(o for o in _orders(n) if mann_kendall(np.array(o, dtype=float))[0] == s)
    assert mann_kendall(np.array(order, dtype=float))[1] / 2 == pytest.approx(p, abs=5.1e-4)


def _orders(n):
    """Orders of n values whose S falls from n (n - 1) / 2 by 2 at each step."""
    order = list(range(n))
    yield order
    for end in range(n - 1, 0, -1):
        for i in range(end):
            order = [*order[:i], order[i + 1], order[i], *order[i + 2:]]
            yield order


@pytest.mark.parametrize(("n", "k"), [(3, 7.656), (4, 5.144), (6, 3.708), (7, 3.399), (8, 3.187), (9, 3.031),
                                      (15, 2.566), (25, 2.292), (100, 1.927)])
def test_tabled_factors_of_normal_tolerance_limits(n, k):
    """Natrella, NBS Handbook 91, one-sided 95 % of the population at 95 % confidence."""
    x = np.exp(np.random.default_rng(n).normal(size=n))
    logs = np.log(x)
    found = tolerance_bound(x, 0.95).lognormal
    assert (math.log(found) - logs.mean()) / logs.std(ddof=1) == pytest.approx(k, rel=3e-4)


def test_demsars_critical_difference_and_the_statistic_with_ties():
    """Demsar (JMLR 7, 2006): four classifiers on 14 data sets differ from a mean rank of 1.25 on."""
    table = np.random.default_rng(1).integers(0, 6, (14, 4))
    found = friedman_nemenyi(table)
    assert found.cd == pytest.approx(1.25, abs=0.006)
    assert (found.chi2, found.p) == pytest.approx(tuple(stats.friedmanchisquare(*table.T)), rel=1e-9)


# Demsar (2006), Table 6: AUC of four variants of C4.5. His ranks tell two shares apart that print alike (.975, voting).
DEMSAR = np.array([
    [.763, .768, .771, .798], [.599, .591, .590, .569], [.954, .971, .968, .967], [.628, .661, .654, .657],
    [.882, .888, .886, .898], [.936, .931, .916, .931], [.661, .668, .609, .685], [.583, .583, .563, .625],
    [.775, .838, .866, .875], [1, 1, 1, 1], [.940, .962, .965, .962], [.619, .666, .614, .669],
    [.972, .981, .97501, .975], [.957, .978, .946, .970]])


def test_demsars_mean_ranks_and_statistic():
    found = friedman_nemenyi(DEMSAR, direction="higher")
    assert list(found.mean_ranks.values()) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    untied = 12 * 14 / (4 * 5) * (sum(r**2 for r in found.mean_ranks.values()) - 4 * 5**2 / 4)
    assert untied == pytest.approx(9.28, abs=0.005)


def test_holms_step_down_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_gunthers_sdet_run():
    """SPEC SDM91 on the SPEC SDET workload: Gunther's data, coefficients as the R package usl prints them."""
    n = [1, 18, 36, 72, 108, 144, 216]
    x = [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2]
    found = usl_fit(n, x)
    assert found.alpha == pytest.approx(0.02773, abs=6e-6)
    assert found.beta == pytest.approx(0.0001044, abs=6e-8)
    assert found.gamma == pytest.approx(89.995, abs=5e-3)
    assert found.peak_n == pytest.approx(96.5, abs=0.05)


def test_fiellers_ends_solve_fiellers_equation():
    """(mean x - r mean y)^2 = t^2 (v_x + r^2 v_y) at both ends: what the interval is defined by (Fieller 1954)."""
    x, y = np.random.default_rng(1).normal((10.0, 4.0), (0.8, 0.3), (12, 2)).T
    found = ratio_fieller(x, y)
    v_x, v_y, r = x.var(ddof=1) / 12, y.var(ddof=1) / 12, x.mean() / y.mean()
    t = t_quantile(welch_dof(v_x, 12, r * r * v_y, 12), 0.975)
    for end in (found.ci.lo, found.ci.hi):
        assert (x.mean() - end * y.mean()) ** 2 == pytest.approx(t * t * (v_x + end**2 * v_y), rel=1e-9)


def test_wilcoxons_signed_ranks_on_cushny_and_peebles():
    """Student's sleep data: V = 0 of nine differences that are not zero, p = 2 / 2^9."""
    first, second = [.7, -1.6, -.2, -1.2, -.1, 3.4, 3.7, .8, 0, 2], [1.9, .8, 1.1, .1, -.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    differences = [b - a for a, b in zip(first, second, strict=True) if b != a]
    assert signed_rank_p(differences) == pytest.approx(2 / 2**9)


# --- any scale --------------------------------------------------------------------------------------------------------

SCALES = [1e-300, 1e-150, 1e150, 1e300]
BASE = np.array([1.0, 1.1, 0.95, 1.05, 1.2, 0.9, 1.01, 1.03, 0.97, 1.08])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("f", [gm_ci, mean_ci, median_ci, hodges_lehmann])
def test_no_scale_is_too_large_or_too_small_for_a_location(f, scale):
    plain, scaled = f(BASE), f(BASE * scale, u_b={"clock": 0.01 * scale})
    assert scaled.estimate / scale == pytest.approx(plain.estimate, rel=1e-12)
    assert (scaled.ci.lo / scale, scaled.ci.hi / scale) == pytest.approx((plain.ci.lo, plain.ci.hi), rel=1e-12)
    assert scaled.cv == pytest.approx(plain.cv, rel=1e-9)
    assert scaled.budget.u_c / scale == pytest.approx(math.hypot(plain.budget.u_a, 0.01), rel=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("f", [ratio_paired, ratio_welch, ratio_fieller])
def test_a_ratio_has_no_scale(f, scale):
    plain, scaled = f(BASE, BASE[::-1]), f(BASE * scale, BASE[::-1] * scale)
    assert (scaled.estimate, scaled.ci.lo, scaled.ci.hi) == pytest.approx(
        (plain.estimate, plain.ci.lo, plain.ci.hi), rel=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_welchs_t_has_no_scale(scale):
    plain, scaled = welch(BASE, BASE * 1.01), welch(BASE * scale, BASE * 1.01 * scale)
    assert (scaled.t, scaled.dof, scaled.p) == pytest.approx((plain.t, plain.dof, plain.p), rel=1e-9)


def test_no_function_touches_the_global_random_state():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    gm_ci(BASE), mean_ci(BASE), ratio_paired(BASE, BASE[::-1])
    clock_fit(np.arange(5.0), np.arange(5.0), np.arange(5.0), np.arange(5.0))
    assert (np.random.get_state()[1] == before).all()
