import itertools
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib
import msgspec
import pytest
from matplotlib.text import Text

from analysis import charts, rows
from analysis.charts import style
from analysis.words import Words
from harness.model import Finding, Verdict

# held to their data elsewhere
OF_EVENTS = {"incidents", "recoveries", "views", "degradation", "errors", "load", "courses"}
ALL = {module.__name__.rpartition(".")[2] for module in charts.kinds()}
KINDS = sorted(ALL - OF_EVENTS)


def planned(campaign, lang="en"):
    return [item for item in charts.plan(rows.material(*campaign), Words(lang)) if isinstance(item, charts.Chart)]


def of_kind(plan, kind):
    return [chart for chart in plan if chart.kind == kind]


@pytest.fixture(scope="module")
def tidy_plan(tidy):
    return planned(tidy)


@pytest.fixture(scope="module")
def nasty_plan(nasty):
    return planned(nasty)


def texts(figure):
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_visible() and artist.get_text().strip()]


def boxes(figure):
    """Return (text, box) of every text that is drawn, in points of the screen."""
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    away = {label for axes in figure.axes for side in (axes.xaxis, axes.yaxis) for label in out_of_sight(side)}
    return [(artist.get_text(), artist.get_window_extent(renderer).extents.tolist()) for artist in figure.findobj(Text)
            if artist.get_visible() and artist.get_text().strip() and artist not in away]


def out_of_sight(side):
    """Return the labels of ticks that are beyond the ends of an axis, or of an axis that is not drawn."""
    low, high = sorted(side.get_view_interval())
    for tick in side.get_major_ticks():
        if not low <= tick.get_loc() <= high or not side.get_visible() or not side.axes.axison:
            yield from (tick.label1, tick.label2)


def overlap(a, b):
    """Return the smaller side of what two boxes share; up to 1 is the air around letters."""
    return min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))


@pytest.fixture(scope="module")
def drawn(made_up):
    """Charts of nasty data with their figures, by number of vendors; each is drawn once."""
    out = {}
    for vendors in (1, 6):
        with style.context():
            out[vendors] = [(chart, chart.draw()) for chart in planned(made_up.campaign(vendors, nasty=True, rounds=3))]
    return out


def test_there_is_a_kind_for_each_view():
    assert {"ecdf", "intervals", "latency", "overheads", "rounds", "timeline"} | OF_EVENTS == ALL


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_tidy_data(tidy_plan, kind):
    assert of_kind(tidy_plan, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_same_input_same_bytes(nasty_plan, kind):
    chart = of_kind(nasty_plan, kind)[0]
    first, second = charts.rendered(chart), charts.rendered(chart)
    assert (first.svg, first.png) == (second.svg, second.png)
    assert not re.search(r"<dc:date>|20\d\d-\d\d-\d\dT", first.svg)


def test_another_process_draws_the_same_bytes():
    code = """if True:
        import hashlib
        from analysis import charts
        from analysis.charts import style
        chart = charts.Chart(kind="x", area="CPU", slug="x", title="x", caption="x", draw=lambda: figure())
        def figure():
            made = style.figure(2.0)
            style.head(made, "title", "notes", flag="SIMULATED")
            axes = style.panel(made, (1, 1, 3, 0.8))
            axes.fill_between([0, 1, 2], [1, 2, 1], hatch="//")
            return made
        drawn = charts.rendered(chart)
        print(hashlib.sha256(drawn.svg.encode() + drawn.png).hexdigest())
    """
    seen = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
                           env=os.environ | {"PYTHONHASHSEED": seed}).stdout
            for seed in ("1", "2")}
    assert len(seen) == 1


@pytest.mark.parametrize("vendors", [1, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_lies_over_another_or_leaves_the_picture(drawn, kind, vendors):
    for chart, figure in drawn[vendors]:
        if chart.kind != kind:
            continue
        with style.context():
            found = boxes(figure)
        for (one, a), (other, b) in itertools.combinations(found, 2):
            assert overlap(a, b) <= 1.0, f"{chart.slug}: {one!r} lies over {other!r}"
        across, tall = figure.canvas.get_width_height()
        outside = [text for text, box in found if min(box) < -1 or box[2] > across + 1 or box[3] > tall + 1]
        assert outside == [], chart.slug


@pytest.mark.parametrize("kind", KINDS)
def test_every_chart_says_n_accelerator_and_what_was_simulated(drawn, kind):
    for chart, figure in drawn[6]:
        if chart.kind == kind:
            said = "\n".join(texts(figure))
            assert "CONTAINS SIMULATED DATA" in said
            assert "SIMULATED" in said.replace("CONTAINS SIMULATED DATA", "")
            assert "kvm" in said
            assert re.search(r"n = [\d\u202f]+|\bn\b", said)


@pytest.mark.parametrize("kind", ["intervals", "overheads"])
def test_intervals_say_their_level_and_the_source_of_their_limit(tidy_plan, kind):
    for chart in of_kind(tidy_plan, kind):
        with style.context():
            said = "\n".join(texts(chart.draw()))
        assert "95 % two-sided interval" in said
        assert ("example profile, clause 4.2" in said) is ("limit" in said)


@pytest.mark.parametrize("kind", KINDS)
def test_measured_numbers_bear_no_mark(tidy_plan, kind):
    with style.context():
        assert not any("SIMULATED" in text for text in texts(of_kind(tidy_plan, kind)[0].draw()))


def test_a_wholly_simulated_campaign_says_so(made_up):
    run = made_up.run("target-0", {"vendor": "V", "simulated": "true"}, rounds=3)
    (chart, *_) = planned(([run], made_up.findings(1)))
    with style.context():
        assert "SIMULATED" in texts(chart.draw())


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_well_formed_and_their_ids_their_own(nasty_plan, kind):
    pictures = [charts.rendered(chart) for chart in of_kind(nasty_plan, kind)[:2]]
    ids = []
    for picture in pictures:
        root = ET.fromstring(picture.svg)
        ids += [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        references = set(re.findall(r'(?:url\(#|href="#)([^")]+)', picture.svg))
        assert references <= set(ids)
        assert "<script" not in picture.svg
        assert "http" not in picture.inline
        assert picture.png.startswith(b"\x89PNG")
    assert len(ids) == len(set(ids))


def test_names_stay_text_in_the_picture(nasty_plan):
    picture = charts.rendered(of_kind(nasty_plan, "latency")[0])
    said = "".join(ET.fromstring(picture.svg).itertext())
    assert "<script>alert(1)</script>" in said
    assert "$x^2$ \\frac{ _math_ %s {0}" in said


@pytest.mark.parametrize("verdict", [Verdict.NOT_RUN, Verdict.NOT_APPLICABLE, Verdict.INVALID])
def test_without_a_number_there_is_no_chart_but_a_reason(verdict):
    finding = Finding(indicator="STO-01", target="t", verdict=verdict, reasons=("because of <b>that</b>",))
    absences = list(charts.plan(rows.material([], [finding]), Words()))
    assert [type(item) for item in absences] == [charts.Absence]
    assert "because of <b>that</b>" in absences[0].reason


def test_too_few_values_or_rounds_give_a_reason(made_up):
    runs, findings = made_up.campaign(1, rounds=2)
    few = [msgspec.structs.replace(result, series=tuple(
        msgspec.structs.replace(series, weights=tuple(1.0 for _ in series.values[:5]), values=series.values[:5])
        for series in result.series if series.weights)) for result in runs[0].results]
    run = msgspec.structs.replace(runs[0], results=tuple(few))
    absences = {item.kind: item.reason for item in charts.plan(rows.material([run], findings), Words())
                if isinstance(item, charts.Absence)}
    assert absences.keys() == {"rounds", "latency", "ecdf"}
    assert "only 10 values" in absences["latency"]
    assert "only 2 rounds" in absences["rounds"]


def test_nothing_gives_nothing():
    assert list(charts.plan(rows.material([], []), Words())) == []


def test_a_curve_ends_where_a_hundred_values_are_left(tidy_plan):
    chart = of_kind(tidy_plan, "latency")[0]
    with style.context():
        axes = chart.draw().axes[-1]
    longest = max(line.get_xdata()[-1] for line in axes.lines)
    assert longest == pytest.approx(3.301, abs=0.001)  # 200,000 values: 1 - p = 100 / 200,000


def test_an_infinite_interval_is_drawn_to_the_edge(nasty_plan):
    chart = next(chart for chart in of_kind(nasty_plan, "intervals") if chart.indicator == "CPU-01")
    with style.context():
        figure = chart.draw()
    axes = next(axes for axes in figure.axes if axes.get_xlabel())
    low, high = axes.get_xlim()
    assert any(tuple(line.get_xdata()) == (low, high) or list(line.get_xdata()) == [low, high] for line in axes.lines)


def test_slugs_are_unique_file_names(nasty_plan):
    slugs = [chart.slug for chart in nasty_plan]
    assert len(slugs) == len(set(slugs))
    assert all(re.fullmatch(r"[a-z0-9-]{1,90}", slug) for slug in slugs)


def test_many_lines_are_cut_into_parts_between_points(made_up):
    spec = ("STO-01", "1/s", "higher", tuple(f"iodepth={2**n}" for n in range(8)), 21e3, ">=", 20e3)
    findings = made_up.findings(6, specs=(spec,))
    parts = of_kind(planned(([], findings)), "intervals")
    assert [chart.title[-5:] for chart in parts] == ["(1/2)", "(2/2)"]


def test_drawing_leaves_no_trace_in_the_process(tidy_plan):
    before = dict(matplotlib.rcParams)
    charts.rendered(tidy_plan[0])
    assert dict(matplotlib.rcParams) == before


def test_charts_do_not_load_pyplot():
    code = ("import sys, analysis.report; from analysis import charts; charts.kinds(); "
            "assert 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_several_processes_draw_what_one_does(made_up):
    specs = tuple((f"STO-{n:02}", "1/s", "higher", ("p",), 1e3 * n, None, None) for n in range(1, 21))
    plan = planned(([], made_up.findings(1, specs=specs)))
    assert len(plan) // charts.WORTH_A_PROCESS >= 2
    missing = charts.Absence(kind="x", area="STO", title="x", reason="x")
    drawn = charts.render([plan[0], missing, *plan[1:]])
    assert drawn[1] is missing
    kept = [picture for picture in drawn if isinstance(picture, charts.Picture)]
    assert [picture.chart.slug for picture in kept] == [chart.slug for chart in plan]
    again = charts.rendered(plan[7])
    assert (kept[7].svg, kept[7].png) == (again.svg, again.png)


def test_a_main_program_that_cannot_be_imported_again_still_gets_its_charts():
    code = """if True:
        from analysis import charts, rows
        from analysis.words import Words
        from harness.model import Finding, Verdict
        from harness.stats import gm_ci
        charts.WORTH_A_PROCESS, charts.os.cpu_count = 1, lambda: 2
        found = [Finding(indicator=f"STO-{n}", target="t", verdict=Verdict.MEASURED, estimate=gm_ci([1.0, 1.1, 1.2]),
                         scores=(1.0, 1.1, 1.2), rounds=(0, 1, 2)) for n in range(2)]
        print(len(charts.render(list(charts.plan(rows.material([], found), Words())))))
    """
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "3\n")
