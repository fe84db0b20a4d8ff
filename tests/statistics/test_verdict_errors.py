"""How often a verdict is wrong: at the limit, beyond it, when looking several times, and how often it is reached.

At a limit that equals the truth both a PASS and a FAIL are errors, each allowed 2.5 % (3 % with the luck of 10,000
sets).
Thinned by default; `-m statistics` runs the full sizes.
"""

import math

import numpy as np
import pytest

from harness.stats.decision import decide
from harness.stats.rare import proportion_ci, rate_ci
from harness.stats.records import Budget, Requirement, StatsPolicy, Verdict
from harness.stats.scores import gm_ci, mean_ci

POLICY = StatsPolicy(n_min=3)
FULL = 10_000


def sizes(full=FULL, thin=400):
    return pytest.mark.parametrize("sets", [thin, pytest.param(full, marks=pytest.mark.statistics)])


def error(sets, p=0.025):
    return 4 * math.sqrt(p * (1 - p) / sets) if sets < FULL else 0.0


def limit(op, value, hi=None, unit="1"):
    return Requirement(indicator_id="", op=op, limit=value, limit_hi=hi, unit=unit, source="simulation")


def shares(estimates, req, **how):
    """Return the shares of PASS and FAIL."""
    verdicts = [decide(e, req, policy=POLICY, **how).verdict for e in estimates]
    return tuple(np.mean([v is wanted for v in verdicts]) for wanted in (Verdict.PASS, Verdict.FAIL))


def campaign(rng, sets, n, cv, centre=100.0):
    return centre * np.exp(rng.normal(0, cv, (sets, n)))


@sizes()
@pytest.mark.parametrize(("n", "cv"), [(3, 0.02), (3, 0.10), (5, 0.05), (10, 0.02), (10, 0.05), (10, 0.10), (20, 0.05),
                                       (30, 0.02), (30, 0.10)])
def test_at_the_limit_each_error_stays_at_its_share(n, cv, sets):
    estimates = [gm_ci(x, policy=POLICY) for x in campaign(np.random.default_rng([n, int(1000 * cv)]), sets, n, cv)]
    for op in (">=", "<="):
        passed, failed = shares(estimates, limit(op, 100.0))
        assert passed <= 0.03 + error(sets)
        assert failed <= 0.03 + error(sets)
        assert 0.90 - error(sets, 0.1) <= 1 - passed - failed <= 0.98 + error(sets)


@sizes()
def test_a_window_of_two_limits_is_an_equivalence_test(sets):
    """Truth on the edge of [L, U]: PASS is the error, at most 2.5 %; in the middle it is reached."""
    rng = np.random.default_rng(1)
    on_edge = [gm_ci(x, policy=POLICY) for x in campaign(rng, sets, 10, 0.02)]
    assert shares(on_edge, limit("between", 100.0, 110.0))[0] <= 0.03 + 4 * math.sqrt(0.025 / sets)
    assert shares(on_edge, limit("between", 97.0, 103.0))[0] >= 0.9


@sizes()
@pytest.mark.parametrize(("n", "cv", "margin", "power"), [
    (10, 0.02, 0.02, 0.81), (10, 0.02, 0.05, 1.0), (10, 0.05, 0.05, 0.82), (3, 0.05, 0.05, 0.18)])
def test_a_pass_is_reached_as_often_as_the_page_says(n, cv, margin, power, sets):
    rng = np.random.default_rng([n, int(1000 * margin)])
    estimates = [gm_ci(x, policy=POLICY) for x in campaign(rng, sets, n, cv)]
    passed, _ = shares(estimates, limit(">=", 100 * (1 - margin)))
    assert passed == pytest.approx(power, abs=0.02 + error(sets, power))


@sizes()
def test_the_announced_power_is_the_real_one_in_the_middle(sets):
    """The chance of PASS that a decision states, taken at the truth, is how often repetitions pass."""
    rng, margin = np.random.default_rng(5), 0.02
    estimates = [gm_ci(x, policy=POLICY) for x in campaign(rng, sets, 10, 0.02)]
    passed, _ = shares(estimates, limit(">=", 100 * (1 - margin)))
    announced = np.median([decide(e, limit(">=", 100 * (1 - margin))).p_pass_power for e in estimates])
    assert announced == pytest.approx(passed, abs=0.05 + error(sets, 0.2))


LOOKS = (5, 8, 10)


@sizes()
def test_three_planned_looks_keep_the_error_and_unplanned_ones_do_not(sets):
    """Look at 5, 8 and 10 runs and stop at the first verdict, the truth being the limit."""
    runs = campaign(np.random.default_rng(6), sets, LOOKS[-1], 0.05)
    req, planned, naive = limit(">=", 100.0), 0, 0
    for x in runs:
        estimates = [gm_ci(x[:n], policy=POLICY) for n in LOOKS]
        verdicts = [(decide(e, req, look=i, looks=3, policy=POLICY).verdict, decide(e, req, policy=POLICY).verdict)
                    for i, e in enumerate(estimates, 1)]
        first = [next((v for v in side if v in (Verdict.PASS, Verdict.FAIL)), None)
                 for side in zip(*verdicts, strict=True)]
        planned, naive = planned + (first[0] is Verdict.PASS), naive + (first[1] is Verdict.PASS)
    assert planned / sets <= 0.03 + error(sets)
    assert naive / sets >= 0.04 - error(sets, 0.05), "what three unplanned looks would do"


@sizes()
def test_stopping_when_the_verdict_looks_good_is_what_the_plan_forbids(sets):
    """Looking after every run from 3 to 10: the false PASS of 2.5 % becomes about 8 %."""
    runs = np.log(campaign(np.random.default_rng(7), sets, 10, 0.05))
    from scipy import stats

    stopped = np.zeros(sets, dtype=bool)
    falsely = np.zeros(sets, dtype=bool)
    for n in range(3, 11):
        part = runs[:, :n]
        half = stats.t.ppf(0.975, n - 1) * part.std(axis=1, ddof=1) / math.sqrt(n)
        passes = ~stopped & (part.mean(axis=1) - half >= math.log(100.0))
        fails = ~stopped & (part.mean(axis=1) + half < math.log(100.0))
        falsely |= passes
        stopped |= passes | fails
    assert falsely.mean() == pytest.approx(0.083, abs=0.01 + error(sets, 0.083))


@sizes()
def test_the_guard_band_keeps_the_error_under_a_bias_that_nobody_sees(sets):
    """An instrument that is off by up to its stated bound (uniform): without the band it would pass far too often."""
    rng, bound = np.random.default_rng(8), 2.0
    runs = campaign(rng, sets, 10, 0.02) + rng.uniform(-bound, bound, (sets, 1))
    plain = [mean_ci(x, policy=POLICY) for x in runs]
    banded = [mean_ci(x, u_b={"instrument": bound / math.sqrt(3)}, policy=POLICY) for x in runs]
    assert shares(plain, limit(">=", 100.0))[0] >= 0.15 - error(sets, 0.2)
    assert max(shares(banded, limit(">=", 100.0))) <= 0.03 + error(sets)
    assert isinstance(banded[0].budget, Budget)


@sizes()
def test_counts_keep_their_error_too(sets):
    rng = np.random.default_rng(9)
    for found, at in ((lambda: proportion_ci(int(rng.binomial(100, 0.1)), 100), 0.1),
                      (lambda: rate_ci(int(rng.poisson(6)), 60.0, unit="1"), 0.1)):
        verdicts = shares([found() for _ in range(sets)], limit("<=", at))
        assert max(verdicts) <= 0.025 + error(sets)
