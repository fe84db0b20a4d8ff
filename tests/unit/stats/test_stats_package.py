"""The package as others see it: every name, nothing loaded before it is used, nothing heavy at all."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness.stats

SECTION_5 = [
    "Direction", "Verdict", "Scale", "Interval", "Budget", "Check", "Estimate", "Requirement", "Decision",
    "StatsPolicy", "steady_state", "ess", "series_mean_ci", "clock_fit", "SteadyState", "EssResult", "ClockModel",
    "FioLayout", "HdrLayout", "LatencyHistogram", "hist_quantile", "hist_quantile_ci",
    "correct_coordinated_omission", "HistQuantile", "gm_ci", "mean_ci", "median_ci", "quantile_ci",
    "hodges_lehmann", "bca_ci", "kalibera_jones", "VarianceComponents", "ratio_paired", "ratio_welch",
    "ratio_fieller", "overhead", "plan_repetitions", "Plan", "mde", "order_abba", "outage_from_probes", "Outage",
    "proportion_ci", "rate_ci", "availability", "tolerance_bound", "rank_sum_p", "brunner_munzel", "holm", "bh",
    "equivalence", "rank_vendors", "Ranking", "friedman_nemenyi", "composite_gm", "jain", "qos_error", "usl_fit",
    "amdahl_fit", "drift", "segment_history", "Change", "noise_floor", "decide",
]


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", SECTION_5)
def test_every_promised_name_is_there(name):
    assert name in harness.stats.__all__
    assert name in dir(harness.stats)
    assert getattr(harness.stats, name) is not None


@pytest.mark.parametrize("name", harness.stats.__all__)
def test_every_listed_name_loads(name):
    assert getattr(harness.stats, name).__doc__ or name == "DEFAULT_POLICY"


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'gmci'"):
        harness.stats.gmci  # noqa: B018


def test_importing_the_package_loads_no_numpy_and_no_scipy():
    loaded = python("import sys, harness.stats; print([m for m in ('numpy', 'scipy') if m in sys.modules])")
    assert loaded == "[]"


def test_a_campaign_of_estimates_never_loads_scipy_stats():
    loaded = python("""
import sys
from pathlib import Path
from harness.stats import gm_ci, median_ci, overhead, rank_vendors, segment_history, plan_repetitions, brunner_munzel
x, y = [1.0, 1.1, 1.2, 1.0, 1.1, 1.3], [2.0, 2.1, 2.3, 2.0, 2.2, 2.4]
gm_ci(x), median_ci(x), overhead(x, y, "higher"), plan_repetitions(x, 0.02), segment_history(x + y)
rank_vendors({"a": x, "b": y}, "higher"), brunner_munzel(x, y)
print("scipy.stats" in sys.modules, "scipy.optimize" in sys.modules)
""")
    assert loaded == "False False"


def test_type_checkers_see_the_same_modules():
    stub = Path(harness.stats.__file__).with_suffix(".pyi").read_text()
    assert set(re.findall(r"from (\S+) import \*", stub)) == {f"harness.stats.{m}" for m in harness.stats._WHERE}
