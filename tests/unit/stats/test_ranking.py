"""Rankings with ties, letters and rank intervals; Friedman; composites that refuse to be incomplete."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.stats import (
    Direction,
    compact_letters,
    composite_gm,
    friedman_nemenyi,
    gm_ci,
    holm,
    rank_vendors,
    ratio_paired,
)
from harness.stats.ranking import rank_intervals

RNG = np.random.default_rng(77)
UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
VENDORS = {name: RNG.lognormal(mean, 0.02, 10) for name, mean in
           [("north", 0.0), ("east", 0.004), ("south", 0.2), ("west", 0.204)]}


def graph_of(k):
    pairs = list(combinations("abcdefg"[:k], 2))
    return st.tuples(st.just("abcdefg"[:k]), st.sets(st.sampled_from(pairs)) if pairs else st.just(set()))


graphs = st.integers(1, 7).flatmap(graph_of)


@given(graphs)
@settings(max_examples=150)
def test_a_letter_is_shared_exactly_by_those_not_shown_to_differ(graph):
    names, different = graph
    letters = compact_letters(list(names), different)
    for a, b in combinations(names, 2):
        assert bool(set(letters[a]) & set(letters[b])) == ((a, b) not in different)
    assert all(letters.values())
    used = sorted(set("".join(letters.values())))
    for letter in used:  # none can be left out
        kept = {n: set(letters[n]) - {letter} for n in names}
        assert any(not kept[n] for n in names) or any(
            not kept[a] & kept[b] for a, b in combinations(names, 2) if (a, b) not in different)


@given(graphs)
def test_rank_intervals_hold_the_place_and_narrow_with_knowledge(graph):
    names, different = graph
    found = rank_intervals(list(names), different)
    for place, name in enumerate(names, start=1):
        lo, hi = found[name]
        assert 1 <= lo <= place <= hi <= len(names)
    assert rank_intervals(list(names), set()) == dict.fromkeys(names, (1, len(names)))
    everything = set(combinations(names, 2))
    assert rank_intervals(list(names), everything) == {n: (i, i) for i, n in enumerate(names, start=1)}


def test_vendors_far_apart_differ_and_near_ones_tie():
    found = rank_vendors(VENDORS, UP)
    assert [row.vendor for row in found.table][2:] in (["east", "north"], ["north", "east"])
    assert found.letters["south"] == found.letters["west"] == "a"
    assert found.letters["north"] == found.letters["east"] == "b"
    assert found.rank_intervals == {"south": (1, 2), "west": (1, 2), "north": (3, 4), "east": (3, 4)}
    assert rank_vendors(VENDORS, DOWN).rank_intervals["north"] == (1, 2)


def test_p_values_are_welchs_on_logs_adjusted_by_holm():
    found = rank_vendors(VENDORS, UP)
    raw = [stats.ttest_ind(np.log(VENDORS[a]), np.log(VENDORS[b]), equal_var=False).pvalue for a, b in found.p_adj]
    assert list(found.p_adj.values()) == pytest.approx(holm(raw).tolist(), rel=1e-9)
    for (a, b), ratio in found.ratios.items():
        assert ratio == pytest.approx(stats.gmean(VENDORS[a]) / stats.gmean(VENDORS[b]))


def test_inside_the_noise_floor_is_a_tie_however_significant():
    assert rank_vendors(VENDORS, UP, floor=0.02).different == rank_vendors(VENDORS, UP).different
    everything = rank_vendors(VENDORS, UP, floor=0.5)
    assert everything.different == frozenset()
    assert set(everything.letters.values()) == {"a"}
    assert everything.p_adj[("west", "north")] < 1e-6


def test_the_pool_of_vendors_enters_only_by_holm():
    two = rank_vendors({k: VENDORS[k] for k in ("north", "south")}, UP)
    pair = ("south", "north")
    assert two.p_adj[pair] <= rank_vendors(VENDORS, UP).p_adj[pair]


def test_no_spread_shows_nothing():
    found = rank_vendors({"a": [1.0] * 5, "b": [2.0] * 5, "c": [3.0, 3.1, 2.9, 3.0, 3.05]}, UP)
    assert ("b", "a") not in found.different
    assert any("a" in w and "constant" in w for w in found.warnings)
    assert ("c", "a") in found.different


@pytest.mark.parametrize(("call", "says"), [
    (lambda: rank_vendors({"a": [1.0, 2.0]}, UP), "two or more"),
    (lambda: rank_vendors(VENDORS, Direction.TARGET), "direction"),
    (lambda: rank_vendors(VENDORS, UP, floor=-0.1), "floor"),
    (lambda: rank_vendors({"a": [1.0], "b": [1.0, 2.0]}, UP), "at least 2"),
    (lambda: friedman_nemenyi([1.0, 2.0]), "workloads by vendors"),
    (lambda: friedman_nemenyi([[1.0, 2.0]]), "at least 2"),
    (lambda: friedman_nemenyi({"a": [1.0, 2.0], "b": [1.0]}), "unequal")])
def test_nonsense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@given(st.integers(3, 6), st.integers(4, 12), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_friedman_is_scipys_also_with_ties(k, n, seed):
    table = np.random.default_rng(seed).integers(0, 4, (n, k)).astype(float)
    if (table == table[:, :1]).all():
        return
    oracle = stats.friedmanchisquare(*table.T)
    found = friedman_nemenyi(table)
    assert (found.chi2, found.p) == pytest.approx((oracle.statistic, oracle.pvalue), rel=1e-9)
    assert sum(found.mean_ranks.values()) == pytest.approx(k * (k + 1) / 2)
    assert bool(found.warnings) == (n < 10)


def test_friedman_names_vendors_and_finds_the_consistent_one():
    base = RNG.normal(100, 10, 15)
    table = {"fast": base + 20, "slow": base, "middle": base + 10 + RNG.normal(0, 1, 15)}
    found = friedman_nemenyi(table, direction=UP)
    assert found.mean_ranks == {"fast": 1.0, "slow": 3.0, "middle": 2.0}
    assert ("fast", "slow") in found.different
    assert found.holm_wilcoxon[("fast", "slow")] < 0.001
    assert friedman_nemenyi({"a": [1, 1, 1], "b": [1, 1, 1]}).p == 1.0


def test_composite_is_the_weighted_geometric_mean_of_ratios():
    parts = {name: gm_ci(RNG.lognormal(i, 0.1, 10), unit="1/s", direction=UP) for i, name in enumerate("abc")}
    weights, reference = {"a": 1.0, "b": 2.0, "c": 5.0}, {"a": 1.5, "b": 2.5, "c": 6.5}
    found = composite_gm(parts, weights, reference)
    logs = [math.log(parts[n].estimate / reference[n]) for n in "abc"]
    assert found.estimate == pytest.approx(math.exp(np.average(logs, weights=[1, 2, 5])))
    se = math.sqrt(sum((w / 8 * parts[n].budget.u_a / parts[n].estimate) ** 2 for n, w in weights.items()))
    assert found.budget.u_a / found.estimate == pytest.approx(se)
    assert found.n == 10
    assert found.n_by_level == {"a": 10, "b": 10, "c": 10}
    assert found.ci.lo < found.estimate < found.ci.hi


def test_components_may_come_as_lists():
    one, two = gm_ci([1.0, 1.1]), gm_ci([3.0, 3.2])
    by_name = composite_gm({"1": one, "2": two}, {"1": 1.0, "2": 3.0}, {"1": 2.0, "2": 2.0})
    assert composite_gm([one, two], [1.0, 3.0], [2.0, 2.0]) == by_name
    with pytest.raises(ValueError, match="undefined, 2 missing"):
        composite_gm([one, two], [1.0])


def test_the_order_of_products_does_not_depend_on_the_reference():
    one, two = ({n: gm_ci(RNG.lognormal(0, 0.5, 8), direction=UP) for n in "abcd"} for _ in range(2))
    quotients = []
    for scale in (1.0, 7.0):
        reference = dict(zip("abcd", [1.0, scale, 3.0, scale**2], strict=True))
        quotients.append(composite_gm(one, None, reference).estimate / composite_gm(two, None, reference).estimate)
    assert quotients[0] == pytest.approx(quotients[1], rel=1e-12)


def test_latencies_count_inverted_and_ratios_need_no_reference():
    time = gm_ci([2.0, 2.1, 1.9], unit="s", direction=DOWN)
    rate = gm_ci([0.5, 0.51, 0.49], unit="1/s", direction=UP)
    found = composite_gm({"t": time, "r": rate}, None, {"t": 1.0, "r": 1.0})
    assert found.estimate == pytest.approx(0.5, rel=5e-3)
    assert found.direction is UP
    ratios = {"t": ratio_paired([2.0, 2.1, 1.9], [1.0, 1.1, 1.0]), "u": ratio_paired([1.0, 1.1, 1.2], [1.0, 1.0, 1.1])}
    assert composite_gm(ratios).unit == "1"


@pytest.mark.parametrize(("parts", "weights", "reference", "says"), [
    ({"a": gm_ci([1.0, 2.0]), "b": None}, None, None, "undefined, b missing"),
    ({"a": gm_ci([1.0, 2.0])}, {"a": 1.0, "b": 1.0}, None, "undefined, b missing"),
    ({"a": gm_ci([1.0, 2.0]), "b": gm_ci([1.0, 2.0])}, None, {"a": 1.0}, "undefined, b missing"),
    ({}, None, None, "undefined"), ({"a": gm_ci([1.0, 2.0])}, {"a": -1.0}, None, "weights"),
    ({"a": gm_ci([1.0, 2.0], unit="s"), "b": gm_ci([1.0, 2.0], unit="B/s")}, None, None, "mixed units"),
    ({"a": 1.0}, None, {"a": 0.0}, "positive")])
def test_an_incomplete_composite_is_undefined(parts, weights, reference, says):
    with pytest.raises(ValueError, match=says):
        composite_gm(parts, weights, reference)


def test_type_b_of_components_reaches_the_composite():
    parts = {n: gm_ci(RNG.lognormal(0, 0.1, 10), direction=UP, u_b={"clock": 0.05}) for n in "ab"}
    found = composite_gm(parts, None, {"a": 1.0, "b": 1.0})
    assert dict(found.budget.u_b)["components"] == pytest.approx(0.05 / math.sqrt(2), rel=0.2)
    assert found.budget.u_c > found.budget.u_a
