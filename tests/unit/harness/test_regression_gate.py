"""The gate over whole runs: outcomes, exit codes, what is tolerated, what is missing, and its rates of error."""

import dataclasses
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import stats
from harness.errors import InputError
from harness.regression import Allowance, Outcome, gate, limits
from tests.support.regressions import noisy, run


def two(factor=1.0, *, cv=0.01, rounds=8, seed=1, **more):
    """Return a run whose memory is slower by `factor`, and its baseline."""
    rng = np.random.default_rng(seed)
    sides = [{"bandwidth": noisy(rng, 1e9 / slow, cv, rounds), "latency": noisy(rng, 1e-7 * slow, cv, rounds)}
             for slow in (factor, 1.0)]
    return run(sides[0], campaign="new", **more), run(sides[1], campaign="old")


def outcomes(gated):
    return {change.indicator: change.outcome for change in gated.changes}


def both(outcome):
    return {"MEM-01": outcome, "MEM-02": outcome}


def test_a_slow_down_beyond_noise_is_worse_and_turned_round_better():
    one, other = two(1.1)
    assert outcomes(gate([one], [other])) == both(Outcome.WORSE)
    assert gate([one], [other]).exit_code == 1
    assert outcomes(gate([other], [one])) == both(Outcome.BETTER)
    assert gate([other], [one]).exit_code == 0


@settings(max_examples=30)
@given(st.floats(1.0001, 3), st.integers(0, 1000))
def test_swapping_run_and_baseline_swaps_better_and_worse(factor, seed):
    one, other = two(factor, seed=seed)
    there, back = gate([one], [other]), gate([other], [one])
    turned = {Outcome.WORSE: Outcome.BETTER, Outcome.BETTER: Outcome.WORSE}
    assert outcomes(back) == {name: turned.get(outcome, outcome) for name, outcome in outcomes(there).items()}


@settings(max_examples=30)
@given(st.lists(st.floats(1e-3, 1e12), min_size=1, max_size=9))
def test_identical_data_is_never_worse(scores):
    gated = gate([run({"bandwidth": scores}, campaign="a")], [run({"bandwidth": scores}, campaign="b")])
    assert Outcome.WORSE not in gated.counts
    assert Outcome.BETTER not in gated.counts


@settings(max_examples=30)
@given(st.floats(2, 100), st.integers(0, 1000))
def test_a_huge_regression_is_always_caught(factor, seed):
    one, other = two(factor, seed=seed, rounds=5)
    assert outcomes(gate([one], [other])) == both(Outcome.WORSE)


@settings(max_examples=30)
@given(st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_the_unit_of_the_data_does_not_matter(factor, seed):
    rng = np.random.default_rng(seed)
    x, y = noisy(rng, 1.03, 0.02, 6), noisy(rng, 1.0, 0.02, 6)
    gates = [gate([run({"latency": x * by}, campaign="a")], [run({"latency": y * by}, campaign="b")])
             for by in (1.0, factor)]
    assert outcomes(gates[0]) == outcomes(gates[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_keeps_the_order_and_is_never_smaller(p):
    adjusted = stats.bh(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= -1e-15).all()
    assert (adjusted >= np.array(p) - 1e-15).all()


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_worse_takes_an_adjusted_p_over_the_whole_gate_and_an_estimate_beyond_the_floor(seed):
    rng = np.random.default_rng(seed)
    sides = [{"latency": noisy(rng, slow, 0.02, 5), "bandwidth": noisy(rng, 1, 0.02, 5)} for slow in (1.04, 1)]
    gated = gate([run(sides[0], campaign="a")], [run(sides[1], campaign="b")])
    assert [change.p_adjusted for change in gated.changes] == pytest.approx(
        stats.bh([change.p for change in gated.changes]))
    for change in gated.changes:
        beyond = abs(change.contrast.loss) > math.log(1.02)
        assert (change.outcome in (Outcome.WORSE, Outcome.BETTER)) == (change.p_adjusted <= 0.05 and beyond)


def test_a_difference_inside_the_noise_floor_is_no_regression_however_certain():
    one, other = two(1.015, cv=0.001, rounds=20)
    gated = gate([one], [other])
    assert max(change.p_adjusted for change in gated.changes) < 1e-6
    assert outcomes(gated) == both(Outcome.SAME)
    assert outcomes(gate([one], [other], Allowance(floor=0.005))) == both(Outcome.WORSE)


def test_what_cannot_be_told_says_what_could_have_been_and_how_many_rounds_would_tell():
    gated = gate(*([side] for side in two(1.0, cv=0.08, rounds=5)))
    assert set(outcomes(gated).values()) == {Outcome.UNDECIDED}
    assert all(change.mde > 0.05 for change in gated.changes)
    assert any(change.more and change.more > 20 for change in gated.changes)
    assert gated.exit_code == 0
    assert dataclasses.replace(gated, strict=True).exit_code == 3


def test_only_more_than_the_limit_is_worse_where_one_is_set():
    one, other = two(1.10, rounds=20)
    tolerant = Allowance(limits(["MEM-01=15%", "memory.*=5%", "latency=15%"]))
    assert outcomes(gate([one], [other], tolerant)) == {"MEM-01": Outcome.WORSE, "MEM-02": Outcome.SAME}
    assert outcomes(gate([one], [other], Allowance(limits(["MEM-0[12]@*=15%"])))) == both(Outcome.SAME)


@pytest.mark.parametrize(("text", "said"), [("disk", "no PATTERN=SHARE"), ("=5%", "no PATTERN=SHARE"),
                                            ("disk.*=5 apples", "units: %"), ("disk.*=-5%", "not negative")])
def test_a_limit_that_is_none_says_what_is_allowed(text, said):
    with pytest.raises(InputError, match=said):
        limits([text])


def test_a_limit_that_matches_nothing_is_an_error_that_names_what_there_is():
    with pytest.raises(InputError, match=r"'disk\.\*' matches nothing; there are: MEM-01, MEM-02"):
        gate(*([side] for side in two()), Allowance(limits(["disk.*=5%"])))


def test_what_the_baseline_had_and_the_run_lacks_is_named_and_ends_with_2():
    one, other = two(1.0, cv=0.0005)
    rest = msgspec.structs.replace(one, results=tuple(each for each in one.results if each.step.point == "latency"))
    gated = gate([rest], [other])
    assert outcomes(gated) == {"MEM-01": Outcome.MISSING, "MEM-02": Outcome.SAME}
    assert "8 of 8 rounds are not run yet" in gated.changes[0].reasons
    assert (gated.exit_code, gate([rest], [other], force=True).exit_code) == (2, 0)


def test_a_number_that_does_not_count_is_named_and_ends_with_3():
    one, other = two(1.0, cv=0.0005, broken={("latency", 3)})
    gated = gate([one], [other])
    assert outcomes(gated) == {"MEM-01": Outcome.SAME, "MEM-02": Outcome.INVALID}
    assert gated.changes[0].reasons == ("round 3: it broke",)
    assert (gated.exit_code, gate([one], [other], force=True).exit_code) == (3, 0)
    turned = gate([other], [one])
    assert outcomes(turned) == {"MEM-01": Outcome.SAME, "MEM-02": Outcome.UNGATED}
    assert turned.changes[-1].reasons[0] == "the baseline is INVALID"
    assert turned.exit_code == 0


def test_worse_beats_missing_and_invalid():
    one, other = two(1.2, broken={("latency", 3)})
    assert gate([one], [other]).exit_code == 1


def test_one_round_each_can_tell_nothing_and_does_not_pass():
    gated = gate(*([side] for side in two(2.0, rounds=1)))
    assert set(outcomes(gated).values()) == {Outcome.UNDECIDED}
    assert (gated.tested, gated.exit_code) == (0, 3)
    assert "a verdict needs 5" in gated.changes[0].reasons[0]


def test_runs_that_are_not_comparable_are_refused_unless_forced():
    one, other = two(1.0, accelerator="tcg")
    with pytest.raises(InputError, match="accelerator is 'tcg', in the baseline 'kvm'"):
        gate([one], [other])
    forced = gate([one], [other], force=True)
    assert [each.key for each in forced.differences] == ["accelerator"]


def test_another_version_of_the_product_is_what_a_gate_is_for():
    one, other = two(1.0, version="2")
    assert gate([one], [other]).differences == ()


def test_runs_with_nothing_in_common_are_an_error():
    with pytest.raises(InputError, match="the runs are not comparable"):
        gate([run({"bandwidth": [1.0] * 5})], [run({"latency": [1.0] * 5})])
    with pytest.raises(InputError, match="no indicator at a point in common"):
        gate([run({"bandwidth": [1.0] * 5})], [run({"latency": [1.0] * 5})], force=True)


def test_rounds_of_one_campaign_are_compared_in_pairs_so_that_drift_cancels():
    rng = np.random.default_rng(5)
    drift = np.linspace(1, 1.5, 10)
    x, y = 1.03 * drift * noisy(rng, 1, 0.002, 10), drift * noisy(rng, 1, 0.002, 10)
    apart = gate([run({"latency": x}, campaign="a")], [run({"latency": y}, campaign="b")]).changes[0]
    paired = gate([run({"latency": x}, target="new")], [run({"latency": y}, target="old")]).changes[0]
    assert (apart.outcome, paired.outcome) == (Outcome.UNDECIDED, Outcome.WORSE)
    assert paired.contrast.paired
    assert paired.contrast.method == "paired t interval"


def test_rounds_of_several_baselines_are_pooled_and_told_where_they_differ():
    rng = np.random.default_rng(7)
    one = run({"latency": noisy(rng, 1.0, 0.01, 5)}, campaign="new")
    alike = [run({"latency": noisy(rng, 1.0, 0.01, 5)}, campaign=name) for name in "abc"]
    gated = gate([one], alike)
    assert gated.changes[0].contrast.n == (5, 15)
    assert gated.warnings == ()
    odd = run({"latency": noisy(rng, 1.2, 0.01, 5)}, campaign="d")
    assert "baselines differ among themselves in MEM-02 latency" in gate([one], [*alike, odd]).warnings[0]


def test_what_is_new_in_a_run_is_named_and_does_not_count():
    rng = np.random.default_rng(8)
    latency = noisy(rng, 1.0, 0.001, 6)
    one = run({"latency": latency * 1.0001, "bandwidth": latency}, campaign="a")
    gated = gate([one], [run({"latency": latency}, campaign="b")], force=True)
    assert outcomes(gated) == {"MEM-01": Outcome.NEW, "MEM-02": Outcome.SAME}


def test_the_effect_is_told_as_measured_and_as_a_loss():
    change = {its.indicator: its for its in gate(*([side] for side in two(1.25, cv=0.001))).changes}
    assert change["MEM-01"].ratio[0] == pytest.approx(0.8, rel=0.01)
    assert change["MEM-02"].ratio[0] == pytest.approx(1.25, rel=0.01)
    assert change["MEM-01"].ratio[1] < change["MEM-01"].ratio[0] < change["MEM-01"].ratio[2]
    assert all(its.loss[0] == pytest.approx(0.25, rel=0.01) for its in change.values())
    assert change["MEM-01"].baseline == pytest.approx(1e9, rel=0.01)


def test_equal_things_pass_nearly_always_and_a_slow_down_of_the_promised_size_is_caught_in_80_of_100():
    """A glance; the whole experiment is in tests/experiments."""
    rng = np.random.default_rng(11)
    n, cv, gates = 8, 0.02, 150
    log_mde = stats.mde(cv * math.sqrt(2), n) * 0.97     # 14 degrees of freedom instead of 7
    false = caught = 0
    for _ in range(gates):
        y = noisy(rng, 1.0, cv, n)
        base = run({"latency": y}, campaign="b")
        false += gate([run({"latency": noisy(rng, 1.0, cv, n)}, campaign="a")], [base]).exit_code == 1
        slow = noisy(rng, math.exp(log_mde), cv, n)
        caught += gate([run({"latency": slow}, campaign="a")], [base]).exit_code == 1
    assert false <= 0.05 * gates
    assert 0.68 * gates <= caught <= 0.92 * gates
