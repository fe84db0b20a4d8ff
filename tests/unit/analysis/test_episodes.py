"""Episodes of events from runs made up through the model types, and that their charts draw what there is."""

import math

import msgspec
import numpy as np
import pytest

from analysis import charts, report, tables
from analysis.episodes import episodes
from analysis.rows import material
from analysis.words import Words
from harness import history, probing
from harness.model import Event, Finding, Outcome, Series, Status, StepResult, Verdict
from harness.stats.records import Requirement

FAULT = 5.0


def probed(name, interval, down, seconds=30.0):
    """Return the history of a probe for which the service was away from `down[0]` to `down[1]` (s)."""
    sent = (np.arange(0, seconds, interval) * 1e9).astype(np.int64)
    away = (sent >= down[0] * 1e9) & (sent < down[1] * 1e9)
    latency = np.where(away, history.NEVER, 400_000)
    return history.made(history.Columns(sent, np.zeros_like(sent), latency), probe=name, kind=name, machine="sut",
                        interval=interval, patience=1.0)


def event(actor, action, when, outcome=Outcome.OK):
    return Event(actor=actor, action=action, start=when, end=when + 0.2 * (action == "host-power-off"), outcome=outcome)


def broken(made_up, target, turn, recovery):
    """Return a step in which a host lost power and the service came back after `recovery` s (inf: never)."""
    up = FAULT + recovery
    told = () if math.isinf(recovery) else (event("ha", "detected", FAULT + 2), event("ha", "restarted", up - 3),
                                            event("ha", "served", up))
    return StepResult(
        step=made_up.step(target, stage="host", workload="failover", turn=turn, order=turn), status=Status.DONE,
        started="2026-10-01T10:00:00Z", elapsed=40.0,
        events=(event("fault", "host-power-off", FAULT), *told, event("fault", "healed", 28.0)),
        histories=(probed("icmp", 0.02, (FAULT, up)), probed("http", 0.1, (FAULT, up + 0.7))),
        series=(Series(metric="integrity.lost", unit="1", values=(float(turn == 1),)),))


def runs(made_up, vendors=2, rounds=8):
    rng, out = np.random.default_rng(3), []
    for index in range(vendors):
        run = made_up.run(f"target-{index}", made_up.facts[index], rounds=1)
        times = [math.inf if (index, turn) == (1, 2) else 9 + 2 * index + 2 * rng.random() for turn in range(rounds)]
        steps = tuple(broken(made_up, f"target-{index}", turn, each) for turn, each in enumerate(times))
        out.append(msgspec.structs.replace(run, results=steps))
    return out


def test_an_episode_holds_fault_marks_healing_and_the_outage_by_each_probe(made_up):
    run = msgspec.structs.replace(runs(made_up, 1)[0], results=(broken(made_up, "target-0", 1, 10.0),))
    found, = episodes(material([run], []))
    assert (found.kind, found.round, found.lost, found.injected) == ("host-power-off", 1, 1, pytest.approx(0.2))
    assert found.healed == pytest.approx(23.0)
    assert [mark.name for mark in found.marks] == ["detected", "restarted", "served"]
    icmp, http = found.seen
    assert icmp.low <= 10.0 <= icmp.high
    assert icmp.value == pytest.approx(10.0, abs=0.02)
    assert http.low <= 10.7 <= http.high
    assert found.worst == http


def test_what_never_came_back_is_infinite_and_stays(made_up):
    run = msgspec.structs.replace(runs(made_up, 1)[0], results=(broken(made_up, "target-0", 0, math.inf),))
    found, = episodes(material([run], []))
    assert found.worst.value == math.inf
    assert found.when("served") is None


def test_a_probe_that_lost_nothing_bounds_the_outage_by_its_interval(made_up):
    run = msgspec.structs.replace(runs(made_up, 1)[0], results=(broken(made_up, "target-0", 0, 0.0),))
    icmp = episodes(material([run], []))[0].seen[0]
    assert (icmp.value, icmp.low, icmp.high) == (0.0, 0.0, 0.02)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_events_are_drawn_with_what_never_ended(made_up, lang):
    gathered = material(runs(made_up), [])
    drawn = [charts.rendered(chart) for chart in charts.plan(gathered, Words(lang))
             if chart.kind in ("incidents", "recoveries")]
    assert [picture.chart.kind for picture in drawn] == ["incidents", "recoveries"]
    assert all("never" in picture.svg or "未恢复" in picture.svg for picture in drawn)


def test_a_limit_is_drawn_where_it_judges_the_outages(made_up):
    def drawn(indicator):
        point = runs(made_up, 1)[0].results[0].step.point
        limit = Requirement(indicator_id=indicator, op="<=", limit=17.0, unit="s", source="made up")
        found = Finding(indicator=indicator, target="target-0", verdict=Verdict.FAIL, point=point, requirement=limit)
        return next(charts.rendered(chart).svg for chart in charts.plan(material(runs(made_up, 1), [found]), Words())
                    if chart.kind == "recoveries")

    assert "HA-02 limit ≤ 17 s" in drawn("HA-02")
    assert "limit" not in drawn("HA-03")


def test_drawing_events_twice_gives_the_same_bytes(made_up):
    def once():
        return [charts.rendered(chart).png for chart in charts.plan(material(runs(made_up), []), Words())
                if chart.kind in ("incidents", "recoveries")]

    assert once() == once()


def test_the_page_tells_every_event_and_shows_lost_records(made_up):
    gathered = material(runs(made_up), [])
    page = report.html(gathered, [], None, Words())
    told = tables.happened(gathered, Words())
    assert len(told) == 16
    assert [one.bad for one in told].count(True) == 2
    assert page.count("host-power-off") == 16
    assert page.count('<td class="num bad">1</td>') == 2
    assert '<span class="soft">icmp</span> never' in page


def test_histories_are_read_once_for_all_charts_and_tables(made_up, monkeypatch):
    gathered, read, whole = material(runs(made_up, 1, 2), []), [], probing.outages
    monkeypatch.setattr(probing, "outages", lambda history, late: read.append(history) or whole(history, late=late))
    assert episodes(gathered) is episodes(gathered)
    report.html(gathered, [], None, Words())
    assert len(read) == 4


def test_a_guest_that_was_paused_answers_late_and_was_away_all_the_time(made_up):
    sent = (np.arange(0, 20, 0.02) * 1e9).astype(np.int64)
    held = np.clip(8.0 - sent / 1e9, 0.0, 3.0) * (sent >= FAULT * 1e9) * 1e9
    paused = history.made(history.Columns(sent, np.zeros_like(sent), (held + 400_000).astype(np.int64)), probe="icmp",
                          kind="icmp", machine="sut", interval=0.02, patience=30.0)
    step = msgspec.structs.replace(broken(made_up, "target-0", 0, 0.0), histories=(paused,))
    run = msgspec.structs.replace(runs(made_up, 1)[0], results=(step,))
    assert episodes(material([run], []))[0].seen[0].value == pytest.approx(3.0, abs=0.02)


def test_a_probe_that_found_nothing_before_the_event_was_not_lost_in_it(made_up):
    """The first answers of a prober may come late; that outage has no beginning and so no known length."""
    slow = probed("udp", 0.02, (0.0, 0.1))
    step = msgspec.structs.replace(broken(made_up, "target-0", 0, 0.0), histories=(slow,))
    run = msgspec.structs.replace(runs(made_up, 1)[0], results=(step,))
    seen, = episodes(material([run], []))[0].seen
    assert (seen.value, seen.high) == (0.0, 0.02)


def test_probes_are_told_by_what_they_ask_and_by_machine_only_where_there_are_several(made_up):
    usual = msgspec.structs.replace(probed("icmp", 0.02, (5.0, 6.0)), probe="icmp-0.02", machine="mover-b96d")
    other = msgspec.structs.replace(probed("service", 0.02, (5.0, 6.0)), machine="spare-11fe")
    for histories, names in (((usual,), ["icmp 20 ms"]), ((usual, other), ["icmp 20 ms mover", "service spare"])):
        step = msgspec.structs.replace(broken(made_up, "target-0", 0, 1.0), histories=histories)
        run = msgspec.structs.replace(runs(made_up, 1)[0], results=(step,))
        assert [each.probe for each in episodes(material([run], []))[0].seen] == names
