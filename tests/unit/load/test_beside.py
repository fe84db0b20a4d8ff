"""Load beside work, moves and failures on the simulated platform, and what its indicators read of a step."""

import math
import re

import numpy as np
import pytest

from analysis import charts, reasons
from analysis.charts import style
from analysis.episodes import episodes
from analysis.rows import material
from analysis.words import Words
from harness import history, indicators, scenario, store, verdict
from harness.cli import main
from harness.errors import Unsupported
from harness.indicators import beside
from harness.model import Event, Outcome, Series, Status, Step, StepResult
from harness.stats.histograms import LatencyHistogram
from harness.stats.records import DEFAULT_POLICY, Verdict

ROUNDS = 3


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beside")
    assert main(["run", "under-load", "-t", "fake", "--rounds", str(ROUNDS), "--out", str(folder)]) == 0
    return store.load(next(folder.glob("fake/2*")))


@pytest.fixture(scope="module")
def findings(run):
    return {(each.indicator, each.point): each for each in verdict.judge([run])}


def test_every_step_has_one_history_of_load_that_spans_its_events(run):
    assert {result.step.stage for result in run.results} == {"compute", "migration", "host"}
    for result in run.results:
        seen = beside.history(result)
        sent = history.columns(seen).sent / 1e9
        assert np.diff(sent) == pytest.approx(0.05)
        assert sent[-1] <= result.elapsed
        assert all(sent[0] < begin for begin, _ in beside.windows(result))


def test_all_rows_of_load_are_there_and_those_without_meaning_say_so(findings):
    rows = [row.id for row in indicators.catalogue().values() if row.workload == "background"]
    assert rows == ["LOAD-01", "LOAD-02", "LOAD-03", "LOAD-03.worst", "LOAD-04"]
    found = {(row, point): findings[row, point].verdict for row in rows for point in ("compute", "migration", "host")}
    assert [key for key, its in found.items() if its is Verdict.NOT_APPLICABLE] == [
        ("LOAD-03", "compute"), ("LOAD-03.worst", "compute"), ("LOAD-04", "host")]
    assert set(found.values()) == {Verdict.NOT_APPLICABLE, Verdict.MEASURED}


def test_the_load_sees_of_a_move_what_the_echoes_see(findings):
    load, echoes = (findings[row, "migration"].estimate.estimate for row in ("LOAD-03", "MIG-03"))
    assert load == pytest.approx(echoes, abs=0.05)
    assert findings["LOAD-01", "migration"].estimate.estimate == 0     # what the pause held up is answered after it
    assert findings["LOAD-02", "migration"].estimate.estimate > 0


def test_a_page_that_is_gone_with_its_guests_boot_is_told(findings, run):
    assert findings["LOAD-01", "host"].estimate.estimate == 1
    assert math.isinf(findings["LOAD-03", "host"].estimate.estimate)
    for row in ("LOAD-01", "LOAD-02", "LOAD-03", "LOAD-03.worst"):
        told = [text for text in findings[row, "host"].estimate.warnings if "failed, to the end" in text]
        assert len(told) == ROUNDS
    assert not any("to the end" in text for text in findings["LOAD-01", "compute"].estimate.warnings)
    for episode in episodes(material([run], [])):
        assert {seen.probe for seen in episode.seen} >= {"load"}
        assert math.isfinite(episode.worst.value)      # the platform brought the guest back


def test_a_share_says_how_many_of_how_many(findings):
    estimate = findings["LOAD-01", "compute"].estimate
    assert any(text.startswith("counted: 0 of ") and "requests failed or lost" in text for text in estimate.warnings)


def test_all_that_is_said_of_the_load_is_said_in_chinese_too(findings):
    said = {text for each in findings.values() if each.indicator.startswith("LOAD")
            for text in (*each.reasons, *(each.estimate.warnings if each.estimate else ()))}
    assert len(said) > 10
    assert not {text for text in said if not re.search("[\u4e00-\u9fff]", reasons.said(text, "zh"))}


@pytest.mark.parametrize(("lang", "name"), [("en", "load beside it"), ("zh", "背景负载")])
def test_charts_call_the_load_by_its_name_in_both_languages(run, lang, name):
    drawn = [charts.rendered(chart).svg for chart in charts.plan(material([run], []), Words(lang))
             if chart.kind in ("incidents", "views")]
    assert len(drawn) == 3
    assert all(name in svg for svg in drawn)


def test_events_are_marked_where_the_rate_of_the_load_is_drawn_over_time(run):
    found = {chart.slug: chart for chart in charts.plan(material([run], []), Words()) if chart.kind == "timeline"}
    assert {slug.partition("-app-rate")[0] for slug in found if "app-rate" in slug} == {"compute", "migration", "host"}
    for slug, chart in found.items():
        marked = sum(line.get_color() == style.ALARM for line in chart.draw().axes[-1].lines)
        assert marked == {"compute": 0, "migration": 4, "host": 1}[slug.partition("-app-")[0]]
        assert ("an event of the strong round" in chart.caption) is bool(marked)


def test_what_never_ended_has_no_drift_to_be_drawn(run, findings):
    shown = material([run], list(findings.values()))
    (chart,) = [each for each in charts.plan(shown, Words()) if each.kind == "rounds" and each.area == "LOAD"]
    svg = charts.rendered(chart).svg
    assert "LOAD-01" in svg
    assert "LOAD-03 · host" not in svg
    assert "LOAD-03 · migration" in svg


# made-up steps

FAULT = Event(actor="fault", action="host-power-off", start=10.0, end=10.1, outcome=Outcome.OK)


def happened(actor, action, at, outcome=Outcome.OK, length=0.0):
    return Event(actor=actor, action=action, start=at, end=at + length, outcome=outcome)


def step(events=(), down=(), late=0.001, slow=(), turn=0, lag=0):
    """A step of 30 s under 20 requests a second: none answered in `down`, after `late` s in `slow`; all left `lag` ns
    late."""
    due = np.arange(0, 30 * 10**9, 50_000_000)
    latency = np.full_like(due, 10**6)
    if down:
        latency[(due >= down[0] * 1e9) & (due < down[1] * 1e9)] = history.NEVER
    if slow:
        latency[(due >= slow[0] * 1e9) & (due < slow[1] * 1e9)] = round(late * 1e9)
    seen = history.made(history.Columns(due, np.full_like(due, lag), latency), probe="load", kind="load", machine="g",
                        interval=0.05, patience=10)
    answered = LatencyHistogram.from_samples(latency[latency != history.NEVER])
    at = np.flatnonzero(answered.counts)
    bins = Series(metric="app.latency", unit="s", values=tuple((answered.layout.key(at) / 1e9).tolist()),
                  weights=tuple(answered.counts[at].astype(float).tolist()), labels={"stat": "beside"})
    count = Series(metric="app.requests", unit="1", values=(float(due.size),), labels={"stat": "beside"})
    where = Step(id=f"s#{turn}", stage="s", workload="failover", params={}, point="s", grid={}, arm={}, round=turn,
                 order=turn, target="t", background={"rate": "20/s"})
    return StepResult(step=where, status=Status.DONE, started="2026-10-01T10:00:00Z", elapsed=31.0,
                      events=tuple(events), histories=(seen,), series=(bins, count))


def evaluated(row, *steps):
    return indicators.catalogue()[row].evaluate(steps, DEFAULT_POLICY)


@pytest.mark.parametrize(("events", "windows"), [
    ((), []),
    ((FAULT, happened("ha", "fenced", 12), happened("ha", "served", 15), happened("fault", "healed", 20)), [(10, 15)]),
    ((FAULT, happened("fault", "healed", 20)), [(10, 20)]),
    ((FAULT,), [(10, math.inf)]),
    ((FAULT, happened("ha", "served", 25, Outcome.FAILED), happened("fault", "healed", 20)), [(10, math.inf)]),
    ((happened("fault", "pause", 5, length=0.5), happened("fault", "cut", 8, length=1)), [(5, 5.5), (8, 9)]),
    ((happened("migration", "move", 5, length=2), happened("migration", "move", 12, length=3)), [(5, 7), (12, 15)]),
    ((happened("load", "beside", 0, length=30),), []),
])
def test_an_event_lasts_until_service_or_healing(events, windows):
    assert beside.windows(step(events)) == windows


def test_only_what_was_due_during_an_event_counts():
    served = happened("ha", "served", 15)
    one = step((FAULT, served), down=(10, 14))
    assert beside.failed(one) == (80, 101)
    assert beside.failed(step((), down=(10, 14))) == (80, 600)
    found = evaluated("LOAD-01", one, step((FAULT, served), turn=1))
    assert found.estimate.estimate == pytest.approx(80 / 202)
    assert found.estimate.ci.lo < 80 / 202 < found.estimate.ci.hi
    assert found.scores == (pytest.approx(80 / 101), 0.0)


def test_slow_is_later_than_any_before_the_first_event():
    during = (FAULT, happened("ha", "served", 15))
    assert beside.slow(step(during, slow=(10, 12), late=0.2)) == (40, 101)
    assert beside.slow(step(during, slow=(4, 12), late=0.2)) == (0, 101)      # it was ordinary already


def test_an_interruption_is_the_longest_around_the_event_with_bounds_from_the_spacing():
    (timed,) = beside.interrupted(step((FAULT, happened("ha", "served", 15)), down=(11, 13)))
    assert timed.value == pytest.approx(2.0)
    assert timed.high - timed.low == pytest.approx(0.1)
    (quiet,) = beside.interrupted(step((FAULT, happened("ha", "served", 15))))
    assert (quiet.value, quiet.low) == (0, 0)
    assert quiet.high == pytest.approx(0.15)
    (lost,) = beside.interrupted(step((FAULT,), down=(10, 31)))
    assert math.isinf(lost.value)


def test_a_percentile_counts_failed_requests_as_the_slowest_of_all():
    fine = [step(turn=turn, slow=(0, 1), late=0.2) for turn in range(3)]       # 20 of 600 are slow
    assert evaluated("LOAD-04", *fine).estimate.estimate == pytest.approx(0.2, rel=0.02)
    with pytest.raises(Unsupported, match="among the requests that failed, in 1 of 2 rounds"):
        evaluated("LOAD-04", step(), step(turn=1, down=(5, 6)))


@pytest.mark.parametrize("row", ["LOAD-01", "LOAD-02", "LOAD-03", "LOAD-03.worst", "LOAD-04"])
def test_a_generator_that_fell_behind_does_not_pass(row):
    during = (FAULT, happened("ha", "served", 15))
    for lag, passed in ((20_000_000, True), (30_000_000, False)):
        found = evaluated(row, *(step(during, slow=(11, 12), late=0.5, turn=turn, lag=lag) for turn in range(3)))
        assert [check.passed for check in found.checks if check.name == "send lag"] == [passed]


def test_scenarios_and_their_quick_look_have_load_beside_every_stage():
    assert all(stage.background for stage in scenario.load("under-load").stage)
