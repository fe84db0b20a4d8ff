"""Histories of runs: where the level changed, between which versions, and what is an alarm."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from harness.errors import InputError
from harness.regression import Allowance, history, limits
from tests.support.regressions import noisy, run

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def made(factors, *, cv=0.005, seed=1, versions=None, **more):
    """Return one run a day; `factors` say by how much memory is slower than on the first day."""
    rng = np.random.default_rng(seed)
    return {f"run-{day:02}": run(
        {"latency": noisy(rng, 1e-7 * slow, cv, 5)}, created=(BEGUN + timedelta(days=day)).isoformat(),
        version=versions[day] if versions else "1", **more) for day, slow in enumerate(factors)}


STEP = [1.0] * 10 + [1.08] * 6


def test_a_step_that_holds_to_the_last_run_is_an_alarm_between_two_versions():
    found = history(made(STEP, versions=[f"1.{day}" for day in range(16)]))
    (series,) = found.series
    (shift,) = series.shifts
    assert (shift.first, shift.alarm, shift.at_head, shift.worse) == (10, True, True, True)
    assert shift.suspects == ("1.9", "1.11")
    assert shift.loss[0] == pytest.approx(0.08, abs=0.01)
    assert shift.loss[1] < shift.loss[0] < shift.loss[2]
    assert [each.key for each in shift.also] == ["version"]
    assert (found.label, found.exit_code) == ("target.version", 1)


def test_runs_stand_in_the_order_in_which_they_began():
    runs = made(STEP)
    assert history(dict(reversed(runs.items()))) == history(runs)


def test_a_step_for_the_better_and_one_that_is_over_are_told_and_no_alarm():
    better = history(made(STEP[::-1]))
    assert [(shift.worse, shift.alarm) for shift in better.series[0].shifts] == [(False, False)]
    over = history(made([1.0] * 20 + [1.1] * 8 + [1.0] * 4))
    assert [(shift.first, shift.worse, shift.at_head) for shift in over.series[0].shifts] == [
        (20, True, False), (28, False, True)]
    assert (better.exit_code, over.exit_code) == (0, 0)


def test_a_steady_history_is_quiet():
    assert history(made([1.0] * 30)).series[0].shifts == ()


def test_a_step_inside_the_noise_floor_or_what_is_tolerated_is_no_alarm():
    runs = made(STEP)
    assert history(runs, Allowance(floor=0.05)).series[0].shifts == ()    # twice the floor is needed
    tolerant = history(runs, Allowance(limits(["MEM-02=12%"])))
    assert [shift.alarm for shift in tolerant.series[0].shifts] == [False]


def test_a_history_too_short_to_tell_ends_with_3_and_says_so():
    found = history(made([1.0] * 4 + [1.5] * 4))
    assert (found.series[0].shifts, found.exit_code) == ((), 3)
    assert "fewer than 10 runs" in found.warnings[0]


def test_runs_without_a_number_that_counts_are_skipped_and_named():
    runs = made(STEP)
    runs["run-03"] = run({"latency": [1e-7] * 5}, broken={("latency", 1)}, created=runs["run-03"].created)
    found = history(runs).series[0]
    assert len(found.points) == 15
    assert found.skipped == ("run-03: INVALID",)
    assert [shift.first for shift in found.shifts] == [9]


def test_runs_are_called_by_the_fact_that_is_asked_for():
    runs = made([1.0] * 3, build="nightly")
    assert [point.label for point in history(runs, by="target.build").series[0].points] == ["nightly"] * 3
    assert history(runs, by="revision").series[0].points[0].label == "0123456789ab"
    assert history(runs).series[0].points[1].label == runs["run-01"].created
    with pytest.raises(InputError, match=r"no run tells 'target\.commit'; there are: .*target\.build"):
        history(runs, by="target.commit")


def test_targets_are_histories_of_their_own():
    both = made(STEP) | {f"other-{name}": its for name, its in made([1.0] * 16, target="other", seed=2).items()}
    found = {series.target: bool(series.shifts) for series in history(both).series}
    assert found == {"site": True, "other": False}


def test_no_runs_are_an_error():
    with pytest.raises(InputError, match="there are no runs"):
        history({})
