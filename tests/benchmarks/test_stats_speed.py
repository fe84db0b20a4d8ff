"""The statistics core beside what would be used otherwise, in the same run: read the ratios, not the times.

tests/benchmarks/test_series_speed.py has the histograms and the series. No test here can fail by being slow.
"""

import csv
import io

import numpy as np
import pytest

from drivers.tools.fio import log_rows
from harness import plan, profile, verdict
from harness.indicators.base import Method, single, value, where
from harness.model import Repetition, Run, Scenario, Series, Stage, Status, StepResult
from harness.stats import (
    Direction,
    bca_ci_many,
    gm_ci,
    hodges_lehmann,
    median_ci,
    rank_sum_p,
    rank_vendors,
    ratio_paired,
    segment_history,
)
from harness.stats.changepoints import segments

GOB_OLD = [3058, 3059, 3062, 3064, 3064, 3067, 3069, 3069, 3075, 3207]
GOB_NEW = [3059, 3060, 3062, 3065, 3065, 3075, 3081, 3087, 3135, 3186]
INDICATORS, ROUNDS = 500, 10


@pytest.mark.benchmark(group="1,000 BCa intervals of means, n = 30: shared weights beside a loop over scipy")
@pytest.mark.parametrize("way", ["shared weights", "scipy loop, 20 of 1,000"])
def test_many_bootstraps(benchmark, way):
    x = np.random.default_rng(1).lognormal(0, 0.3, (1000, 30))
    if way == "shared weights":
        table = {f"I-{i}": row for i, row in enumerate(x)}
        found = benchmark.pedantic(lambda: bca_ci_many(table), rounds=3, warmup_rounds=1)
        assert len(found) == 1000
        return
    from scipy import stats

    few = x[:20]
    benchmark.extra_info["times_to_multiply_by"] = 50
    found = benchmark.pedantic(lambda: [stats.bootstrap((row,), np.mean, rng=np.random.default_rng(2)) for row in few],
                               rounds=2, warmup_rounds=1)
    ours = bca_ci_many({str(i): row for i, row in enumerate(few)})
    for i, theirs in enumerate(found):
        ci, oracle = ours[str(i)].ci, theirs.confidence_interval
        assert (ci.lo, ci.hi) == pytest.approx(tuple(oracle), abs=0.1 * (oracle.high - oracle.low))


@pytest.mark.benchmark(group="rank-sum p of 10 against 10 with ties: exact beside scipy's permutations")
@pytest.mark.parametrize("way", ["shift algorithm, exact", "scipy, 9,999 permutations"])
def test_rank_sum(benchmark, way):
    if way.startswith("shift"):
        assert benchmark(lambda: rank_sum_p(GOB_OLD, GOB_NEW)) == pytest.approx(0.4461018857303687, rel=1e-12)
        return
    from scipy import stats

    method = stats.PermutationMethod(n_resamples=9999, rng=np.random.default_rng(3))
    found = benchmark.pedantic(lambda: stats.mannwhitneyu(GOB_OLD, GOB_NEW, method=method).pvalue, rounds=2)
    benchmark.extra_info["exact needs"] = "184,756 permutations, 18 times as many"
    assert found == pytest.approx(0.446, abs=0.02)


@pytest.fixture(scope="module")
def fio_log():
    rng = np.random.default_rng(4)
    values = rng.integers(10_000, 10_000_000, 1_000_000)
    return "\n".join(f"{i}, {v}, {i & 1}, 4096, 0" for i, v in enumerate(values.tolist())) + "\n"


@pytest.mark.benchmark(group="a fio log of 1,000,000 lines: numpy beside csv")
@pytest.mark.parametrize("way", ["log_rows", "csv"])
def test_fio_log(benchmark, way, fio_log):
    def by_csv():
        return np.array([(int(row[0]), int(row[1]), int(row[2])) for row in csv.reader(io.StringIO(fio_log))])

    found = benchmark.pedantic(by_csv if way == "csv" else lambda: log_rows(fio_log), rounds=3, warmup_rounds=1)
    assert found.shape == (1_000_000, 3)


@pytest.mark.benchmark(group="change points of 300 points: exact partition beside ruptures")
@pytest.mark.parametrize("way", ["segments", "ruptures KernelCPD", "ruptures Pelt"])
def test_change_points(benchmark, way):
    y = np.random.default_rng(5).normal(100, 3, 300)
    y[150:] += 10
    if way == "segments":
        found = benchmark(lambda: [s.end for s in segments(y, penalty=4.0, shortest=10)])
    else:
        ruptures = pytest.importorskip("ruptures", reason="not installed; pip install ruptures to compare with it")
        search = (ruptures.KernelCPD(kernel="linear", min_size=10) if "Kernel" in way
                  else ruptures.Pelt(model="l2", min_size=10, jump=1))
        penalty = 4 * 9 * np.log(300)
        found = benchmark.pedantic(lambda: search.fit(y).predict(pen=penalty), rounds=3)
    assert found == pytest.approx([150, 300], abs=2)


@pytest.mark.benchmark(group="a commit history of 100 points")
@pytest.mark.parametrize("step", [0, 20], ids=["stable", "with a step"])
def test_history(benchmark, step):
    y = np.random.default_rng(6).normal(100, 2, 100) + step * (np.arange(100) >= 70)
    assert len(benchmark(lambda: segment_history(y, seed=1))) == bool(step)


@pytest.mark.benchmark(group="one estimate from ten runs, beside the mean and deviation in it")
@pytest.mark.parametrize("way", ["numpy mean and std", "gm_ci", "median_ci", "hodges_lehmann", "ratio_paired"])
def test_one_estimate(benchmark, way):
    x, y = np.random.default_rng(7).lognormal(0, 0.02, (2, 10))
    call = {"numpy mean and std": lambda: (np.log(x).mean(), np.log(x).std(ddof=1)), "gm_ci": lambda: gm_ci(x),
            "median_ci": lambda: median_ci(x), "hodges_lehmann": lambda: hodges_lehmann(x),
            "ratio_paired": lambda: ratio_paired(x, y)}[way]
    assert benchmark(call)


@pytest.mark.benchmark(group="Hodges-Lehmann shift of 300 against 300, and a ranking of five vendors")
@pytest.mark.parametrize("way", ["shift", "ranking"])
def test_comparisons(benchmark, way):
    rng = np.random.default_rng(8)
    x, y = rng.normal(10, 1, (2, 300))
    vendors = {name: rng.lognormal(0, 0.02, 10) for name in "abcde"}
    call = {"shift": lambda: hodges_lehmann(x, y),
            "ranking": lambda: rank_vendors(vendors, Direction.LOWER_IS_BETTER)}[way]
    assert benchmark(call)


def campaign():
    """A run of 500 points by ten rounds of one workload, the indicator on it, and a limit for each."""
    rate = single(Method(score=value("toy.rate")), id="TOY-01", name="Toy rate", name_zh="玩具", area="toys",
                  unit="1/s", direction=Direction.HIGHER_IS_BETTER, definition="a number", source="benchmark",
                  workload="toyload", applies=where("guest"))
    known = {rate.id: rate}
    stage = Stage(workload="toyload", name="load", grid={"depth": tuple(range(INDICATORS))})
    scenario = Scenario(name="large", title="Large", stage=(stage,), repetition=Repetition(rounds=ROUNDS))
    own = plan.make([scenario], ["here"], seed=1).plans[0]
    noise = np.random.default_rng(9).lognormal(4.6, 0.02, len(own.steps)).tolist()
    done = tuple(StepResult(step=step, status=Status.DONE, started="", elapsed=5.0 + v / 1000,
                            series=(Series(metric="toy.rate", unit="1/s", values=(v,)),))
                 for step, v in zip(own.steps, noise, strict=True))
    limits = {"name": "p", "title": "P", "requirement": [{"indicator": "TOY-01", "limit": ">= 90/s", "source": "user"}]}
    run = Run(plan=own, facts={}, created="", version="0", results=done)
    return [run], profile.read(limits, "p", known), known


@pytest.mark.benchmark(group="judge: 500 indicators by 10 rounds, beside their intervals alone")
@pytest.mark.parametrize("way", ["judge", "500 gm_ci"])
def test_judge(benchmark, way):
    runs, required, known = campaign()
    if way == "judge":
        found = benchmark.pedantic(lambda: verdict.judge(runs, required, catalogue=known), rounds=3, warmup_rounds=1)
        assert len(found) == INDICATORS
        assert sum(f.verdict.name == "PASS" for f in found) > 0.9 * INDICATORS
        return
    x = np.random.default_rng(9).lognormal(4.6, 0.02, (INDICATORS, ROUNDS))
    assert len(benchmark.pedantic(lambda: [gm_ci(row) for row in x], rounds=3, warmup_rounds=1)) == INDICATORS
