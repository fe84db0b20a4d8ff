"""What `make gate` holds to a baseline of the same session: tasks done by virtmark, or by what would do them otherwise.

VIRTMARK_ARM=ours or reference says by which; the names stay the same, so that the files of both can be compared. Times
decide nothing here: `.ci/benchmarks` runs processes of both arms in turn, and gates their ratio.
"""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drivers.tools.fio import log_rows
from harness import codec
from harness.model import StepResult
from harness.stats import gm_ci, hist_quantile, segment_history
from harness.stats.histograms import LatencyHistogram

ARM = os.environ.get("VIRTMARK_ARM", "ours")
RUN = next((Path(__file__).parents[2] / "results" / "samples" / "quick" / "bare").glob("2*"))
RNG = np.random.default_rng(1)
LATENCIES = np.exp(RNG.normal(12, 0.6, 300_000)).astype(np.int64)
LOG = "".join(f"{i}, {v}, {i & 1}, 4096, 0\n" for i, v in enumerate(LATENCIES[:20_000].tolist()))
LINES = (RUN / "steps.jsonl").read_bytes().splitlines()
SCORES, SERIES = RNG.lognormal(0, 0.02, 10), RNG.normal(100, 2, 60) + 5 * (np.arange(60) >= 40)
SHARES = (0.5, 0.9, 0.99)


def program(*argv):
    return lambda: subprocess.run([sys.executable, *argv], check=True, capture_output=True)


def binned():
    histogram = LatencyHistogram.from_samples(LATENCIES)
    return [hist_quantile(histogram, share).mid for share in SHARES]


def moments():
    logs = np.log(SCORES)
    return np.exp(logs.mean()), logs.std(ddof=1)


def permuted():
    """Return the steps of 500 permutations: the least that any such test needs."""
    rows = np.random.default_rng(1).permuted(np.broadcast_to(SERIES - SERIES.mean(), (500, SERIES.size)), axis=1)
    return np.abs(np.cumsum(rows, axis=1)).max(axis=1)


TASKS = {
    "help": (program("-m", "harness", "--help"), program("-c", "import click, importlib.metadata")),
    "percentiles": (binned, lambda: np.percentile(LATENCIES, [100 * share for share in SHARES])),
    "fio-log": (lambda: log_rows(LOG), lambda: np.array(
        [(int(row[0]), int(row[1]), int(row[2])) for row in csv.reader(io.StringIO(LOG))])),
    "steps": (lambda: [codec.decode(StepResult, line, "") for line in LINES],
                       lambda: [json.loads(line) for line in LINES]),
    "estimate": (lambda: gm_ci(SCORES), moments),
    "change-points": (lambda: segment_history(SERIES, seed=1), permuted),
}


@pytest.mark.parametrize("task", TASKS)
def test_task(benchmark, task):
    ours, reference = TASKS[task]
    assert benchmark(ours if ARM == "ours" else reference) is not None
