"""The noise floor of a testbed: how rounds are paired, what it is made of, and whether a file may be relied on."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import stats
from harness.comparison import Floors, floors
from harness.errors import InputError
from harness.regression import Allowance, beside, doubts, limits, load, measured, noise_text
from harness.regression.noise import pairs
from tests.support.regressions import noisy, run


def site(*, cv=0.02, rounds=20, seed=1, level=1.0, **more):
    rng = np.random.default_rng(seed)
    return run({"latency": noisy(rng, 1e-7 * level, cv, rounds), "bandwidth": noisy(rng, 1e9, 2 * cv, rounds)}, **more)


def test_rounds_are_paired_in_abba_order():
    assert list(pairs(range(6), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])) == [(0.0, 1.0), (3.0, 2.0), (4.0, 5.0)]


def test_a_pair_of_which_a_round_is_missing_is_left_out():
    assert list(pairs([0, 1, 3, 4, 5], [0.0, 1.0, 3.0, 4.0, 5.0])) == [(0.0, 1.0), (4.0, 5.0)]
    assert list(pairs([], [])) == []


@given(st.integers(4, 40).map(lambda n: 4 * n), st.floats(-0.01, 0.01))
def test_a_linear_drift_cancels_over_two_pairs(rounds, drift):
    made = list(pairs(range(rounds), [1 + drift * turn for turn in range(rounds)]))
    assert sum(a - b for a, b in made) == pytest.approx(0, abs=1e-9)


def test_the_floor_is_that_of_the_statistics_core():
    its = site()
    scores = [one.series[0].values[0] for one in its.results if one.step.point == "latency"]
    core = stats.noise_floor(list(pairs(range(20), scores)))
    found = measured({"x": its}).indicators["MEM-02"]
    assert (found.floor, found.n) == (pytest.approx(core.floor), 10)
    point = found.points["latency"]
    assert (point.cv, point.cv_ci) == (pytest.approx(core.cv), pytest.approx((core.cv_ci.lo, core.cv_ci.hi)))


def test_runs_that_differ_by_more_than_their_pairs_raise_the_floor():
    one = measured({"x": site(cv=0.002)})
    both = measured({"x": site(cv=0.002), "y": site(cv=0.002, level=1.05, seed=2)})
    assert one.indicators["MEM-02"].floor < 0.01
    point = both.indicators["MEM-02"].points["latency"]
    assert point.floor == pytest.approx(0.05, abs=0.003)
    assert point.n == 20
    assert "whole runs differ by" in point.warnings[-1]


def test_a_comparison_reads_the_same_floors_from_the_file_as_a_gate(tmp_path):
    noise = measured({"x": site()})
    (tmp_path / "noise.json").write_bytes(noise_text(noise))
    read = Floors(0.5, floors.load(tmp_path / "noise.json"))
    for indicator, its in noise.indicators.items():
        for point in (*its.points, "another"):
            assert read.of(indicator, point) == (noise.floor(indicator, point), True)


def test_what_does_not_count_is_left_out_and_told():
    found = measured({"x": site(broken={("latency", 3)})})
    assert list(found.indicators) == ["MEM-01"]
    assert found.left_out == {"MEM-02@latency": "round 3: it broke"}


def test_too_few_pairs_are_an_error():
    with pytest.raises(InputError, match="no indicator has 3 A/A pairs; at least 6 rounds"):
        measured({"x": site(rounds=5)})


def test_runs_of_two_things_are_no_pairs():
    with pytest.raises(InputError, match="y: accelerator is 'tcg', not 'kvm'"):
        measured({"x": site(), "y": site(accelerator="tcg")})


def test_scores_that_never_change_state_no_noise():
    found = measured({"x": run({"latency": [2.0] * 20, "bandwidth": noisy(np.random.default_rng(1), 1, 0.1, 20)})})
    assert "no noise was seen" in found.left_out["MEM-02@latency"]


def test_a_file_comes_back_as_it_was_and_is_found_beside_the_runs(tmp_path):
    found = measured({"x": site()})
    folder = tmp_path / "site" / "run"
    folder.mkdir(parents=True)
    assert beside([folder]) is None
    (tmp_path / "site" / "noise.json").write_bytes(noise_text(found))
    place = beside([tmp_path, folder])
    assert place == tmp_path / "site" / "noise.json"
    assert load(place) == found


@pytest.mark.parametrize(("text", "said"), [("{", "noise.json"), ('{"target": 1}', "Expected `str`")])
def test_a_file_that_is_none_is_an_error(tmp_path, text, said):
    (tmp_path / "noise.json").write_text(text)
    with pytest.raises(InputError, match=said):
        load(tmp_path / "noise.json")
    with pytest.raises(InputError, match="make it with virtmark noise"):
        load(tmp_path / "other.json")


def test_the_floor_of_a_point_comes_first_then_that_of_the_indicator_then_the_default():
    noise = measured({"x": site()})
    allowance = Allowance(limits(["*=3%"]), noise, 0.07, "--floor")
    known = noise.indicators["MEM-02"].floor
    assert allowance.floor_of("MEM-02", "latency") == (known, "noise file")
    assert allowance.floor_of("MEM-02", "elsewhere") == (known, "noise file")
    assert allowance.floor_of("CPU-01", "compute") == (0.07, "--floor")
    assert Allowance().floor_of("CPU-01", "") == (0.02, "default")
    assert allowance.limit("CPU-01", "") == 0.03


def test_a_floor_of_elsewhere_or_long_ago_is_doubted():
    its = site()
    noise = measured({"x": its})
    assert doubts(noise, its) == ()
    later = msgspec.structs.replace(its, created="2026-03-02T03:04:05.000Z")
    assert doubts(noise, later) == ("the noise file is 59 days older than the run; measure it monthly",)
    elsewhere = site(target="other", accelerator="tcg")
    assert doubts(noise, elsewhere) == ("the noise file is of target 'site', not 'other'",
                                        "the noise file was measured with accelerator 'kvm', not 'tcg'")


def test_the_floor_holds_what_equal_things_differ_by():
    """Of 200 A/A differences of ten pairs each, at least 95 of 100 lie inside the floor of another ten pairs."""
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        floor = stats.noise_floor(noisy(rng, 1, 0.03, (10, 2))).floor
        both = np.log(noisy(rng, 1, 0.03, (10, 2))).mean(axis=0)
        inside += abs(both[0] - both[1]) <= math.log1p(floor)
    assert inside >= 190
