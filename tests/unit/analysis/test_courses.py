"""Requests around events: what is counted where, and that the chart draws what there is."""

import msgspec
import numpy as np
import pytest

from analysis import charts
from analysis.charts import Chart
from analysis.courses import scenes
from analysis.rows import material
from analysis.words import Words
from tests.support.served import BACK, KILLED, broken, event


def runs(made_up, *results):
    run = made_up.run("target-0", made_up.facts[0], rounds=1)
    steps = tuple(msgspec.structs.replace(each, step=msgspec.structs.replace(each.step, target="target-0", round=turn))
                  for turn, each in enumerate(results))
    return material([msgspec.structs.replace(run, results=steps)], [])


def test_every_request_is_in_the_moment_in_which_it_was_due(made_up):
    (scene,) = scenes(runs(made_up, broken()))
    (course,) = scene.courses
    assert course.width == pytest.approx(0.5)
    assert course.requests == pytest.approx(600, abs=6)     # all but a part of a bin at the end
    assert course.failed["status 500"].sum() == 5
    assert course.failed["status 503"].sum() == course.lost - 5 == 115
    assert np.flatnonzero(course.failed["status 500"]).tolist() == [41]
    assert course.answered[:41].tolist() == [5.0] * 41
    assert [(mark.name, mark.start, mark.end) for mark in course.marks] == [("killed", *KILLED), ("back", *BACK)]


def test_of_each_target_the_round_with_most_failures_is_shown(made_up):
    calm = msgspec.structs.replace(broken(), series=())
    (scene,) = scenes(runs(made_up, calm, broken(), calm))
    assert [course.round for course in scene.courses] == [1]


def test_a_step_in_which_nothing_happened_has_no_picture(made_up):
    assert scenes(runs(made_up, msgspec.structs.replace(broken(), events=()))) == []
    assert scenes(runs(made_up, msgspec.structs.replace(broken(), histories=()))) == []


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_chart_names_what_happened(made_up, lang):
    seen = msgspec.structs.replace(broken(), events=(*broken().events, event("gateway", "a down", (20.5, 20.6))))
    (chart,) = [each for each in charts.plan(runs(made_up, seen), Words(lang)) if each.kind == "courses"]
    assert isinstance(chart, Chart)
    drawn = charts.rendered(chart).svg
    for text in ("killed", "back", "a down", "status 500", "status 503"):
        assert text in drawn
