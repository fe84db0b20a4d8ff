"""The arithmetic between raw output and verdict, each beside what it would be done with otherwise, in the same run."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.stats.changepoints import segments
from harness.stats.decision import decide
from harness.stats.histograms import LatencyHistogram, hist_quantile, hist_quantile_ci
from harness.stats.records import Requirement, StatsPolicy
from harness.stats.scores import gm_ci
from harness.stats.steady import steady_state

FIO = (Path(__file__).parents[1] / "data/statistics/fio-3.33-json-plus.json").read_text()
SHARES = (0.5, 0.9, 0.99, 0.999)


@pytest.fixture(scope="module")
def latencies():
    return np.exp(np.random.default_rng(1).normal(12, 0.6, 10_000_000)).astype(np.int64)


def binned(values):
    h = LatencyHistogram.from_samples(values)
    return [hist_quantile(h, p).mid for p in SHARES]


def sorted_once(values):
    return np.percentile(values, [100 * p for p in SHARES])


@pytest.mark.benchmark(group="percentiles of 1e7 latencies: bins beside numpy")
@pytest.mark.parametrize("way", [binned, sorted_once])
def test_percentiles(benchmark, way, latencies):
    found = benchmark.pedantic(way, (latencies,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["values_per_second"] = latencies.size / benchmark.stats.stats.min if benchmark.stats else 0
    assert found == pytest.approx(np.percentile(latencies[:1_000_000], [100 * p for p in SHARES]), rel=0.05)


@pytest.mark.benchmark(group="recording 20 000 latencies: bins beside HdrHistogram")
@pytest.mark.parametrize("way", ["bins", "hdrhistogram"])
def test_recording(benchmark, way, latencies):
    few = latencies[:20_000]
    if way == "bins":
        assert benchmark(lambda: LatencyHistogram.from_samples(few).n) == few.size
        return
    from hdrh.histogram import HdrHistogram

    values = few.tolist()

    def record():
        h = HdrHistogram(1, 3_600_000_000_000, 3)
        for value in values:
            h.record_value(value)
        return h.get_total_count()

    assert benchmark.pedantic(record, rounds=5) == few.size


@pytest.mark.benchmark(group="a fio json+ file: histograms beside json alone")
@pytest.mark.parametrize("way", ["histograms", "json alone"])
def test_fio_file(benchmark, way):
    def parsed():
        job = json.loads(FIO)["jobs"][0]
        return [LatencyHistogram.from_fio_json(job[way], clock=clock) for way in ("read", "write")
                for clock in ("clat_ns", "lat_ns")]

    found = benchmark(parsed if way == "histograms" else lambda: json.loads(FIO))
    assert len(found) >= 4


@pytest.mark.benchmark(group="block bootstrap of a percentile: 300 blocks, 9999 draws")
def test_block_bootstrap(benchmark):
    rng = np.random.default_rng(2)
    blocks = [LatencyHistogram.from_samples(np.exp(rng.normal(13, 0.5, 500)).astype(np.int64)) for _ in range(300)]
    policy = StatsPolicy(block_s=1.0)
    found = benchmark.pedantic(lambda: hist_quantile_ci(blocks, 0.99, block_s=1.0, policy=policy), rounds=3)
    assert found.ci.lo < found.estimate < found.ci.hi


@pytest.mark.benchmark(group="change points of 600 points: exact partition")
@pytest.mark.parametrize("way", ["segments", "steady_state"])
def test_change_points(benchmark, way):
    y = np.random.default_rng(3).normal(100, 3, 600)
    y[300:] += 10
    calls = {"segments": lambda: segments(y, penalty=4.0, shortest=10),
             "steady_state": lambda: steady_state(y, 1.0).segments}
    assert len(benchmark(calls[way])) == 2


@pytest.mark.benchmark(group="a verdict beside its interval")
@pytest.mark.parametrize("way", ["gm_ci", "decide"])
def test_verdict(benchmark, way):
    x = np.exp(np.random.default_rng(4).normal(0, 0.02, 10))
    est, req = gm_ci(x), Requirement(indicator_id="", op=">=", limit=0.99, unit="1", source="benchmark")
    assert benchmark((lambda: gm_ci(x)) if way == "gm_ci" else (lambda: decide(est, req)))
