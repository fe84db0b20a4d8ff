"""What a comparison may say: properties that hold for any scores, and each thing that keeps it from saying more."""

import itertools
import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import stats
from harness.comparison import Floors, How, Outcome, compare, holding
from harness.comparison.floors import load
from harness.errors import InputError
from harness.model import Verdict
from tests.support.contests import CATALOGUE, contest, told

RNG = np.random.default_rng(5)


def scores(middle, n=8, spread=0.01):
    return RNG.lognormal(math.log(middle), spread, n).tolist()


def held(*runs, **options):
    return compare(list(runs), catalogue=CATALOGUE, **options)


def only(found, indicator, contender, point=""):
    (group,) = found.groups
    cell = next(cell for cell in group.cells if (cell.indicator, cell.point) == (indicator, point))
    return cell, next(entry for entry in cell.entries if entry.contender == contender)


def whole(found, area, contender):
    composite = next(one for one in found.groups[0].composites if one.area == area)
    return next(entry for entry in composite.entries if entry.contender == contender)


samples = st.lists(st.floats(0.5, 2.0), min_size=5, max_size=8)
fields = st.fixed_dictionaries({name: st.tuples(samples, samples) for name in ("a", "b", "c")})


@given(fields)
@settings(max_examples=25, deadline=None)
def test_the_order_of_contenders_does_not_depend_on_the_reference(field):
    runs = [contest(name, fast=x, slow=y[:len(x)] + x[len(y):]) for name, (x, y) in field.items()]
    found = {name: held(*runs, reference=name) for name in field}
    orders = {name: sorted(field, key=lambda who, each=each: whole(each, "XX", who).against.value
                           if whole(each, "XX", who).against else 1.0) for name, each in found.items()}
    for name in field:
        ratios = [whole(found[name], "XX", who).against.value if who != name else 1.0 for who in orders["a"]]
        assert all(x <= y * (1 + 1e-9) for x, y in itertools.pairwise(ratios))
        assert [whole(found[name], "XX", who).ranks for who in field] == [
            whole(found["a"], "XX", who).ranks for who in field]


@given(samples, samples)
@settings(max_examples=25, deadline=None)
def test_another_reference_flips_ratio_interval_and_outcome(x, y):
    runs = contest("a", fast=x), contest("b", fast=y)
    cell, there = only(held(*runs), "XX-01", "b")
    _, back = only(held(*runs, reference="b"), "XX-01", "a")
    assert back.against.value == pytest.approx(1 / there.against.value)
    inverse = tuple(1 / end if end else math.inf for end in (there.against.high, there.against.low))
    assert (back.against.low, back.against.high) == pytest.approx(inverse)
    assert back.p == there.p
    flipped = {Outcome.BETTER: Outcome.WORSE, Outcome.WORSE: Outcome.BETTER}
    assert back.outcome is flipped.get(there.outcome, there.outcome)
    assert cell.how is How.RATIO


@given(samples, st.floats(0.02, 0.2))
@settings(max_examples=25, deadline=None)
def test_a_contender_and_its_double_share_letter_and_ranks_and_never_differ(x, floor):
    found = held(contest("a", fast=x), contest("b", fast=x), floors=Floors(floor))
    _, one = only(found, "XX-01", "a")
    _, other = only(found, "XX-01", "b")
    assert (one.letters, one.ranks, other.letters, other.ranks) == ("a", (1, 2), "a", (1, 2))
    assert other.outcome in (Outcome.TIE, Outcome.UNDECIDED)
    assert other.against.value == pytest.approx(1)


def test_a_double_with_little_scatter_is_shown_equal_and_one_with_much_is_not():
    calm, wild = scores(100, spread=0.002), scores(100, spread=0.1)
    found = held(contest("a", fast=calm, wide=wild), contest("b", fast=calm, wide=wild))
    assert only(found, "XX-01", "b")[1].outcome is Outcome.TIE
    assert only(found, "YY-01", "b")[1].outcome is Outcome.UNDECIDED


@pytest.mark.parametrize(("metric", "indicator", "factor", "outcome"), [
    ("fast", "XX-01", 1.2, Outcome.BETTER), ("fast", "XX-01", 0.8, Outcome.WORSE),
    ("slow", "XX-02", 1.2, Outcome.WORSE), ("slow", "XX-02", 0.8, Outcome.BETTER),
    ("lost", "XX-03", 1.5, Outcome.WORSE), ("lost", "XX-03", 0.5, Outcome.BETTER),
])
def test_better_follows_the_direction_of_the_indicator(metric, indicator, factor, outcome):
    base = scores(0.2)
    found = held(contest("a", **{metric: base}), contest("b", **{metric: [factor * score for score in base]}))
    assert only(found, indicator, "b")[1].outcome is outcome


def test_a_difference_inside_the_floor_is_a_tie_even_where_it_is_significant():
    base = scores(100, n=20, spread=0.001)
    runs = contest("a", fast=base), contest("b", fast=[1.01 * score for score in base])
    _, near = only(held(*runs, floors=Floors(0.02)), "XX-01", "b")
    assert near.p < 1e-6
    assert near.outcome is Outcome.TIE
    assert only(held(*runs, floors=Floors(0.0)), "XX-01", "b")[1].outcome is Outcome.BETTER
    measured = Floors(0.0, {("XX-01", ""): 0.02})
    cell, entry = only(held(*runs, floors=measured), "XX-01", "b")
    assert (cell.floor, cell.measured, entry.outcome) == (0.02, True, Outcome.TIE)


def test_a_measured_floor_of_a_share_is_one_of_points_and_an_assumed_one_says_nothing_of_it():
    runs = contest("a", lost=scores(0.2, spread=0.01)), contest("b", lost=scores(0.23, spread=0.01))
    cell, entry = only(held(*runs, floors=Floors(0.5)), "XX-03", "b")
    assert (cell.floor, entry.outcome) == (0.0, Outcome.WORSE)
    cell, entry = only(held(*runs, floors=Floors(0.0, {("XX-03", ""): 0.05})), "XX-03", "b")
    assert (cell.floor, cell.measured, entry.outcome) == (0.05, True, Outcome.TIE)


def test_the_floor_of_a_composite_is_that_of_its_parts_as_if_all_noise_went_one_way():
    runs = [contest(name, fast=scores(1), slow=scores(1)) for name in ("a", "b")]
    same = held(*runs, floors=Floors(0.03)).groups[0].composites[0]
    assert same.floor == pytest.approx(0.03)
    mixed = held(*runs, floors=Floors(0.21, {("XX-01", ""): 0.0})).groups[0].composites[0]
    assert mixed.floor == pytest.approx(0.1)


def test_ratio_and_adjusted_p_are_those_of_the_statistics_core():
    values = {name: scores(middle) for name, middle in (("a", 100), ("b", 103), ("c", 120))}
    found = held(*(contest(name, fast=each) for name, each in values.items()), floors=Floors(0.0))
    ranking = stats.rank_vendors(values, stats.Direction.HIGHER_IS_BETTER)
    for name in ("b", "c"):
        _, entry = only(found, "XX-01", name)
        ratio = stats.ratio_welch(values[name], values["a"])
        assert (entry.against.value, entry.against.low) == pytest.approx((ratio.estimate, ratio.ci.lo))
        assert entry.p == next(p for pair, p in ranking.p_adj.items() if set(pair) == {name, "a"})
        assert entry.letters == ranking.letters[name]


def test_a_composite_is_the_weighted_geometric_mean_of_its_parts_turned_so_that_more_is_better():
    names = ("a", "b")
    runs = [contest(name, fast=scores(100 * (at + 1)), slow=scores(3 * (at + 1)), sub=scores(9),
                    points={"slow": {"deep": scores(5)}}) for at, name in enumerate(names)]
    found = held(*runs)
    parts = [cell for cell in found.groups[0].cells if cell.indicator in ("XX-01", "XX-02")]
    components = {part.label: holding.advantage(part, "b", "a") for part in parts}
    weights = {"XX-01": 1.0, "XX-02": 0.5, "XX-02 deep": 0.5}
    assert found.groups[0].composites[0].parts == tuple(components)
    assert whole(found, "XX", "b").against.value == pytest.approx(
        stats.composite_gm(components, weights).estimate, rel=1e-12)


def test_a_composite_of_parts_with_unequal_rounds_is_that_of_the_statistics_core():
    runs = [contest(name, fast=scores(100), slow=scores(3, n=10)) for name in ("a", "b")]
    found = held(*runs)
    cells = found.groups[0].cells
    components = {cell.label: holding.advantage(cell, "b", "a") for cell in cells}
    expected, entry = stats.composite_gm(components), whole(found, "XX", "b")
    assert (entry.against.value, entry.against.low) == pytest.approx((expected.estimate, expected.ci.lo))
    assert entry.letters == ""


def test_composites_count_what_moves_together_once():
    """Parts that share their rounds' luck give a wider interval than as many independent ones would."""
    luck = [scores(1, spread=0.05) for _ in "ab"]
    runs = [contest(name, fast=own, wide=own, points={"fast": {"p": own, "q": own}})
            for name, own in zip("ab", luck, strict=True)]
    found = held(*runs)
    single, entry = only(found, "XX-01", "b")[1].against, whole(found, "XX", "b").against
    assert (entry.low, entry.high) == pytest.approx((single.low, single.high))


@pytest.mark.parametrize("lacking", ["a", "b"])
def test_a_missing_part_leaves_the_composite_undefined_and_is_named(lacking):
    runs = [contest(name, fast=scores(100), slow=[None] * 8 if name == lacking else scores(3), wide=scores(1))
            for name in ("a", "b")]
    found = held(*runs)
    entry = whole(found, "XX", "b")
    assert entry.against is None
    assert entry.outcome is Outcome.NONE
    assert "XX-02" in entry.reasons[0]
    assert whole(found, "YY", "b").against is not None


def test_only_valid_numbers_are_compared_and_the_rest_says_why():
    found = held(contest("a", fast=scores(100), slow=scores(1)), contest("b", fast=[None, *scores(90)], slow=scores(1)))
    _, entry = only(found, "XX-01", "b")
    assert (entry.verdict, entry.against, entry.outcome) == (Verdict.INVALID, None, Outcome.NONE)
    assert "fio died" in entry.reasons[0]
    _, back = only(held(*[contest("a", fast=[None]), contest("b", fast=scores(90))]), "XX-01", "b")
    assert back.reasons == ("the reference has no valid number here",)


def test_rounds_that_are_not_run_yet_are_no_numbers():
    late = contest("b", fast=scores(100))
    late = msgspec.structs.replace(late, results=late.results[:6])
    _, entry = only(held(contest("a", fast=scores(100)), late), "XX-01", "b")
    assert (entry.verdict, entry.outcome) == (Verdict.NOT_RUN, Outcome.NONE)
    assert entry.reasons == ("2 of 8 rounds are not run yet",)


def test_what_is_not_planned_is_not_run():
    found = held(contest("a", fast=scores(100), slow=scores(1)), contest("b", fast=scores(100)), force=True)
    _, entry = only(found, "XX-02", "b")
    assert (entry.verdict, entry.reasons) == (Verdict.NOT_RUN, ("no step that measures it was planned",))


@pytest.mark.parametrize("metric", ["worst", "lost"])
def test_numbers_without_a_ratio_stand_side_by_side_or_as_a_difference_with_the_reason(metric):
    found = held(contest("a", **{metric: scores(0.3)}), contest("b", **{metric: [0.0, *scores(0.1)]}))
    (cell,) = found.groups[0].cells
    assert cell.how is (How.SIDE if metric == "worst" else How.DIFFERENCE)
    assert cell.reason
    assert all(entry.against is None or cell.how is How.DIFFERENCE for entry in cell.entries)
    assert found.groups[0].composites == ()


def test_nothing_is_claimed_of_fewer_than_five_rounds():
    found = held(contest("a", fast=scores(100, n=3)), contest("b", fast=scores(200, n=8)))
    _, entry = only(found, "XX-01", "b")
    assert entry.outcome is Outcome.UNDECIDED
    assert entry.against.low > 1.5
    assert entry.doubts == ("a: 3 rounds; a claim needs 5",)
    assert entry.letters == ""


def test_rounds_of_all_runs_of_a_vendor_are_its_replicates():
    runs = [contest("a", fast=scores(100)), contest("b", fast=scores(120)), contest("c", fast=scores(120))]
    runs = [told(run, vendor=vendor) for run, vendor in zip(runs, ("One", "Two", "Two"), strict=True)]
    found = held(*runs, by="vendor", reference="a")
    _, entry = only(found, "XX-01", "Two")
    assert len(entry.scores) == 16
    assert entry.outcome is Outcome.BETTER
    assert found.groups[0].warnings == ("pooled",)
    assert found.groups[0].reference == "One"


def test_names_that_a_platform_gives_itself_are_printable():
    found = held(told(contest("a", fast=scores(1)), vendor="Evil\x1b[31m\nCorp \u2028"),
                 told(contest("b", fast=scores(1)), vendor=""), by="vendor")
    assert [who.name for who in found.groups[0].contenders] == ["Evil [31m Corp", "b"]


def test_runs_of_one_vendor_that_differ_among_themselves_are_told():
    runs = [contest("a", fast=scores(100)), contest("b", fast=scores(120)), contest("c", fast=scores(150))]
    runs = [told(run, vendor=vendor) for run, vendor in zip(runs, ("One", "Two", "Two"), strict=True)]
    _, entry = only(held(*runs, by="vendor"), "XX-01", "Two")
    assert "differ among themselves" in entry.reasons[0]


def test_runs_that_are_not_comparable_stand_apart_and_only_force_compares_them():
    one, other = contest("a", fast=scores(100)), told(contest("b", fast=scores(100)), accelerator="tcg")
    found = held(one, other)
    assert found.groups == ()
    (difference,) = found.apart[1].differences
    assert (difference.key, difference.one, difference.other) == ("accelerator", "kvm", "tcg")
    forced = held(one, other, force=True)
    assert [each.contender.name for each in forced.forced] == ["b"]
    assert forced.apart == ()
    assert only(forced, "XX-01", "b")[1].against is not None


def test_sets_that_agree_among_themselves_are_compared_each_with_a_reference_of_its_own():
    runs = [contest(name, fast=scores(100)) for name in "abcd"]
    runs[2:] = [told(run, accelerator="tcg") for run in runs[2:]]
    found = held(*runs, reference="c")
    assert [group.reference for group in found.groups] == ["c", "a"]
    assert found.apart == ()


@pytest.mark.parametrize(("options", "said"), [
    ({"reference": "nobody"}, "--reference nobody: nobody is called so; allowed: a, b"),
    ({"by": "colour"}, "--by colour: is unknown; allowed: target, vendor, product"),
    ({"by": "vendor"}, "all runs are of Example"),
])
def test_what_cannot_be_asked_is_refused_in_a_line(options, said):
    with pytest.raises(InputError, match=said):
        held(contest("a", fast=scores(1)), contest("b", fast=scores(1)), **options)


def test_the_noise_file_is_read_and_a_wrong_one_is_named(tmp_path):
    path = tmp_path / "noise.json"
    path.write_text(json.dumps({"testbed": "x", "indicators": {
        "CPU-01": {"floor": 0.021, "n": 12, "points": {"cpu": {"floor": 0.018}}}, "STO-01": {"floor": 1.5}}}))
    floors = Floors(0.02, load(path))
    assert [floors.of("CPU-01", point) for point in ("cpu", "other")] == [(0.018, True), (0.021, True)]
    assert [floors.of(name, "") for name in ("STO-01", "MEM-01")] == [(1.5, True), (0.02, False)]
    path.write_text('{"indicators": {"CPU-01": {"floor": -1}}}')
    with pytest.raises(InputError, match=r"noise\.json: .*floor"):
        load(path)
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "none.json")
