"""The statistics of virtmark: pure functions, numpy arrays in, frozen records out; no I/O, no global random state.

    from harness.stats import gm_ci, ratio_paired, decide

Names load on first use, so that `import harness.stats` costs nothing; `scipy.stats` is never loaded by default.
docs/statistics.md says what is computed and why. One score per run goes in: the run on a fresh boot is the replicate.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "records": "DEFAULT_POLICY Budget Check Decision Direction Estimate Interval Requirement Scale StatsPolicy Verdict",
    "inputs": "About Sample",
    "scores": "gm_ci mean_ci median_ci quantile_ci stein_ci",
    "shift": "hodges_lehmann",
    "resampling": "bca_ci bca_ci_many",
    "hierarchy": "VarianceComponents kalibera_jones",
    "ratios": "Equivalence Welch equivalence overhead ratio_fieller ratio_paired ratio_welch welch",
    "repetition": "Plan mde order_abba plan_repetitions",
    "multiple": "BrunnerMunzel RankSum bh brunner_munzel holm rank_sum rank_sum_p signed_rank_p",
    "ranking": "FriedmanNemenyi Ranking VendorRow compact_letters friedman_nemenyi rank_vendors",
    "composite": "composite_gm",
    "usl": "UslFit amdahl_fit usl_fit",
    "scaling": "QosError jain jain_ci qos_error",
    "soak": "Drift drift",
    "history": "Change NoiseFloor alarms despike noise_floor segment_history",
    "series": "ClockModel EssResult SteadyState clock_fit ess series_mean_ci steady_state",
    "histograms": "FioLayout HdrLayout HistQuantile LatencyHistogram correct_coordinated_omission hist_quantile"
                  " hist_quantile_ci",
    "rare": "Outage availability outage_from_probes proportion_ci rate_ci tolerance_bound",
    "decision": "decide",
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names.split()}
__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
