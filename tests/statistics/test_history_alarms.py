"""False alarms and power of the history segmentation, on the very series that apache-otava was given.

Otava's figures are data (tests/data/statistics/otava.json, made by otava_figures.py in an environment of its own).
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from harness.stats import segment_history
from tests.support.histories import KINDS, LENGTHS, STEP_LENGTH, STEPS, digest, stable, stepped

OTAVA = json.loads((Path(__file__).parents[1] / "data/statistics/otava.json").read_text())
FULL = OTAVA["count"]
FALSE_MAX = {"white": 0.03, "heavy": 0.03, "ar3": 0.05, "ar6": 0.05}
FOUND_MIN = {(2, 3): 0.21, (2, 5): 0.46, (3, 3): 0.61, (3, 5): 0.80, (5, 3): 0.78}


def sizes(thin):
    return pytest.mark.parametrize("sets", [thin, pytest.param(FULL, marks=pytest.mark.statistics)])


def slack(sets, p):
    return 0.0 if sets == FULL else 4 * math.sqrt(p * (1 - p) / sets) + 1 / sets


def otava(table, **key):
    return next(row for row in OTAVA[table] if all(row[k] == v for k, v in key.items()))


@sizes(60)
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_stable_histories_raise_few_false_alarms(kind, n, sets):
    series, theirs = stable(kind, n, FULL), otava("stable", kind=kind, n=n)
    assert digest(series) == theirs["digest"]
    false = sum(bool(segment_history(row, seed=i)) for i, row in enumerate(series[:sets])) / sets
    assert false <= FALSE_MAX[kind] + slack(sets, FALSE_MAX[kind])
    if sets == FULL:
        assert false < theirs["false_alarm"]


@sizes(40)
@pytest.mark.parametrize(("size", "points"), STEPS)
def test_steps_at_head_are_found(size, points, sets):
    series, true = stepped(size, points, FULL), STEP_LENGTH - points
    theirs = otava("stepped", size=size, points=points)
    assert digest(series) == theirs["digest"]
    found = sum(any(abs(c.index - true) <= 1 for c in segment_history(row, seed=i))
                for i, row in enumerate(series[:sets])) / sets
    least = FOUND_MIN[size, points]
    assert found >= least - slack(sets, least)
    if sets == FULL:  # the price of fewer false alarms, stated: at most a quarter of the steps that Otava finds
        assert found >= theirs["found"] - 0.25


@sizes(40)
def test_known_independence_buys_power(sets):
    series = stepped(2, 3, FULL)[:sets]

    def found(phi):
        return sum(any(abs(c.index - 57) <= 1 for c in segment_history(row, seed=i, phi=phi))
                   for i, row in enumerate(series)) / sets

    assert found(0.0) >= found(None)
    assert found(0.0) >= 0.32 - slack(sets, 0.32)


@sizes(300)
def test_the_permutation_p_is_a_p(sets):
    """P(p <= 1 %) of the first split of white noise is 1 %: what a t-test at the best split is not."""
    from harness.stats import DEFAULT_POLICY
    from harness.stats.history import _best_split

    rng = np.random.default_rng(4)
    small = sum(_best_split(rng.normal(size=40), 1.0, DEFAULT_POLICY, rng)[1] <= 0.01 for _ in range(sets)) / sets
    assert small == pytest.approx(0.01, abs=4 * math.sqrt(0.01 * 0.99 / sets) + 1 / sets)
