"""Charts of loads: levels are where their numbers say, the knee is the finding, lateness is seen without colour."""

from dataclasses import replace

import pytest
from matplotlib.text import Text

from analysis import charts, levels, rows
from analysis.charts import load, style
from analysis.words import Words
from harness import indicators, profile, store, verdict
from harness.cli import main

SCENARIO = """
name = "load"
title = "Load"
repetition = { rounds = 3 }
[[stage]]
workload = "application"
name = "capacity"
params = { shape = "steps", rate = "200/s", most = "6400/s", growth = 2.0, duration = "3s", slo = "20ms", bisect = 1 }
[[stage]]
workload = "application"
name = "response"
params = { duration = "3s" }
grid = { rate = ["100/s", "400/s"] }
[[stage]]
workload = "application"
name = "closed"
params = { model = "closed", users = 4, duration = "3s" }
"""


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    (folder / "load.toml").write_text(SCENARIO)
    assert main(["run", str(folder / "load.toml"), "--out", str(folder / "results"), "--target", "fake"]) == 0
    runs = [store.load(next((folder / "results" / "fake").glob("2*")))]
    return rows.material(runs, verdict.judge(runs, profile.load("example")))


@pytest.fixture(scope="module")
def found(material):
    return levels.ladders(material)


def drawn(material, lang="en"):
    return [chart for chart in load.charts(material, Words(lang)) if isinstance(chart, charts.Chart)]


def texts(figure):
    return " ".join(artist.get_text() for artist in figure.findobj(Text) if artist.get_visible())


def test_levels_come_together_by_stage_and_in_order_of_the_rate(found):
    names = {place: [rung.name for rung in ladder.rungs] for place, (ladder,) in found.items()}
    assert {place.stage for place in names} == {"capacity", "response", "closed"}
    assert names["response", "", "open"] == ["100/s", "400/s"]
    search = names["capacity", "", "open"]
    assert search == sorted(search, key=lambda name: float(name[:-2]))
    assert all(len(rung.rounds) == 3 for rung in found["response", "", "open"][0].rungs)


def test_a_rung_holds_all_requests_of_all_rounds(found):
    (low, high) = found["response", "", "open"][0].rungs
    assert (low.whole.n, high.whole.n) == (900, 3600)
    value, least, most = low.quantile(0.5)
    assert least <= value <= most


def test_the_knee_is_the_finding_with_its_interval(material, found):
    (ladder,) = found["capacity", "", "open"]
    (row,) = [row for row in material.rows if row.indicator == "APP-02"]
    assert ladder.knee is row
    assert ladder.slo == (0.02, 0.95)
    assert found["response", "", "open"][0].knee is None
    (chart,) = [chart for chart in drawn(material) if chart.slug == "capacity-load"]
    figure = chart.draw()
    marks = [line.get_xdata()[0] for line in figure.axes[-3].lines if line.get_marker() == 7]
    assert marks == [row.value]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_charts_say_what_must_stand_beside_them(material, lang):
    plan = drawn(material, lang)
    assert len(plan) == 5
    assert len({chart.slug for chart in plan}) == 5
    for chart in plan:
        with style.context():
            said = texts(chart.draw())
        assert Words(lang)("simulated") in said
        assert "n = 3" in said
        assert charts.rendered(chart).png.startswith(b"\x89PNG")


def test_a_level_that_came_too_late_is_hollow(material, found):
    place = levels.Place("response", "", "open")
    (ladder,) = found[place]
    high = ladder.rungs[1]
    late = replace(high, rounds=tuple(replace(each, sent=each.sent * 0.9) for each in high.rounds))
    assert late.short
    figure = load._draw(place, [replace(ladder, rungs=(ladder.rungs[0], late))], Words("en"))
    faces = {tuple(line.get_xdata()): line.get_markerfacecolor() for line in figure.axes[-2].lines
             if line.get_marker() == style.MARKERS[0]}
    assert faces[late.offered,] == style.PAPER
    assert faces[ladder.rungs[0].offered,] != style.PAPER


def test_no_other_chart_shows_the_histogram_of_a_level(material):
    kinds = {chart.kind for chart in charts.plan(material, Words("en")) if "latency" in chart.title.lower()}
    assert "latency" not in kinds


def test_the_rows_are_known_in_the_catalogue():
    assert {"APP-02", "APP-02.p99", "APP-02.closed"} <= indicators.catalogue().keys()
