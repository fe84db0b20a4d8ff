"""Guarding against regressions: the gate of a run against a baseline, histories of runs, the noise of a testbed. Pure.

    gate      runs and baselines -> better, same, worse, cannot tell, for each indicator at each point
    history   many runs of one thing -> where its level changed, and whether that holds to the last run
    noise     A/A pairs -> what equal things differ by on a testbed
"""

from __future__ import annotations

from harness.regression.allowance import DEFAULT_FLOOR, Allowance, Floor, Limit, limits
from harness.regression.changes import Change, Gated, Outcome
from harness.regression.gate import gate
from harness.regression.history import Histories, history
from harness.regression.noise import FILE, Noise, beside, doubts, load, measured
from harness.regression.noise import text as noise_text

__all__ = ["DEFAULT_FLOOR", "FILE", "Allowance", "Change", "Floor", "Gated", "Histories", "Limit", "Noise", "Outcome",
           "beside", "doubts", "gate", "history", "limits", "load", "measured", "noise_text"]
