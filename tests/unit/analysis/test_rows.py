import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import rows
from harness.indicators import catalogue
from harness.model import Verdict

TEXTS = st.text(st.characters(codec=None), max_size=40)


def test_every_finding_becomes_one_row_and_loses_nothing(tidy):
    runs, findings = tidy
    made = rows.material(runs, findings).rows
    assert len(made) == len(findings)
    by_key = {(row.indicator, row.point, row.party.target): row for row in made}
    for finding in findings:
        row = by_key[finding.indicator, finding.point, finding.target]
        assert row.verdict is finding.verdict
        found = finding.estimate
        assert (row.value, row.low, row.high) == (found.estimate, found.ci.lo, found.ci.hi)
        assert (row.n, row.scores, row.gates) == (found.n, finding.scores, finding.gates)
        if finding.requirement:
            assert (row.op, row.limit, row.source) == (
                finding.requirement.op, finding.requirement.limit, finding.requirement.source)


def test_rows_are_ordered_by_area_indicator_point_and_party(nasty):
    made = rows.material(*nasty).rows
    areas = [row.area for row in made]
    assert areas == sorted(areas, key=rows.area_rank)
    points = [row.point for row in made if row.indicator == "STO-01"]
    assert list(dict.fromkeys(points)) == ["iodepth=1", "iodepth=4", "iodepth=32"]
    assert [row.party.index for row in made if row.point == "iodepth=4"] == list(range(6))


def test_names_come_from_the_catalogue(tidy):
    row = next(row for row in rows.material(*tidy).rows if row.indicator == "STO-01")
    assert (row.name_en, row.name_zh) == (catalogue()["STO-01"].name, catalogue()["STO-01"].name_zh)


def test_an_overhead_is_paired_for_every_party_even_without_an_estimate(nasty):
    runs, findings = nasty
    lost = msgspec.structs.replace(next(f for f in findings if f.indicator == "CPU-03"), estimate=None, decision=None,
                                   verdict=Verdict.NOT_APPLICABLE)
    made = rows.material(runs, [lost, *(f for f in findings if f.indicator == "CPU-03")]).rows
    assert all(row.paired for row in made)


def test_steps_of_a_host_arm_make_an_overhead(made_up):
    runs, _ = made_up.campaign(1)
    step = msgspec.structs.replace(made_up.step("target-0", workload="compute", point="p"), arm={"where": "host"},
                                   params={"where": "host", "threads": 1})
    run = msgspec.structs.replace(runs[0], plan=msgspec.structs.replace(runs[0].plan, steps=(step,)))
    assert "CPU-03" in rows.paired([run])
    assert "CPU-01" not in rows.paired([run])


def test_labels_are_unique_and_on_one_line(nasty):
    labels = [party.label for party in rows.parties(nasty[0])]
    assert len(set(labels)) == len(labels)
    assert "Same Name 1 · target-3" in labels
    assert all(label == rows.clean(label) for label in labels)
    assert [party.simulated for party in rows.parties(nasty[0])] == [False] * 5 + [True]


def test_a_target_without_facts_is_called_by_its_name(made_up):
    (finding, *_) = made_up.findings(1)
    (party,) = rows.material([], [finding]).parties
    assert (party.label, party.accelerator) == ("target-0", "")


@given(TEXTS)
def test_clean_text_can_be_written_everywhere(text):
    cleaned = rows.clean(text)
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert all(char.isprintable() or char.isspace() for char in cleaned if ord(char) < 0xa0)
    assert "\n" not in cleaned
    assert rows.clean(cleaned) == cleaned


@pytest.mark.parametrize(("texts", "expected"), [
    (["d=32", "d=4", "d=1"], ["d=1", "d=4", "d=32"]), (["b", "10", "a", "9"], ["9", "10", "a", "b"]),
    (["¹", "2", "²"], ["2", "²", "¹"]),
])
def test_natural_order(texts, expected):
    assert sorted(texts, key=rows.natural) == expected
