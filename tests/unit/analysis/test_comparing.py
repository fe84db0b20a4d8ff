"""The comparison as a page, as words, as a chart and as files: complete, in both languages, the same each time."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import charts
from analysis.comparing import PAGE, export, ratios, tables, told, write
from analysis.words import Words
from harness.comparison import Against, Floors, How, Outcome, compare
from tests.support.contests import CATALOGUE, contest
from tests.support.contests import told as with_facts
from tests.unit.analysis.test_report import Page

RNG = np.random.default_rng(9)
HOSTILE = "<b>Vendor & Söhne</b> 北京 $x^2$ = Averyveryverylongnamewithoutanyspaceinit"


def scores(middle, n=6, spread=0.01):
    return RNG.lognormal(math.log(middle), spread, n).tolist()


@pytest.fixture(scope="module")
def runs():
    """Three that may be compared, one of them hostile by name and without one part; and one that stands apart."""
    made = [contest("north", fast=scores(100), slow=scores(1), lost=[0.0, *scores(0.2, 5)], sub=scores(4),
                    wide=scores(7), worst=scores(3)),
            contest("east", fast=scores(130), slow=scores(30), lost=scores(0.1), sub=scores(4, 6, 0.3),
                    wide=scores(7, 6, 0.001), worst=scores(3)),
            contest("south", fast=scores(80), slow=[None] * 6, lost=scores(0.1), sub=scores(4), wide=scores(2),
                    worst=scores(3))]
    made[2] = with_facts(made[2], product=HOSTILE)
    return [*made, with_facts(contest("west", fast=scores(100)), accelerator="tcg")]


@pytest.fixture(scope="module")
def found(runs):
    return compare(runs, catalogue=CATALOGUE)


@pytest.fixture(scope="module", params=["en", "zh"])
def page(request, runs, found, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    return write(found, runs, out, lang=request.param)


def test_the_page_is_whole_self_contained_and_escaped(page):
    text = page.read_text(encoding="utf-8")
    read = Page(text)
    assert (read.open, read.wrong) == ([], [])
    assert not re.findall(r'(?:src|href)="(?!#|charts/)', text)
    assert HOSTILE not in text
    assert read.all("figure")
    assert {path.name for path in page.parent.iterdir()} == {PAGE, "comparison.json", "comparison.csv", "charts"}
    pictures = {path.stem for path in (page.parent / "charts").iterdir()}
    assert pictures == {element["attrs"]["id"] for element in read.all("figure")}


def test_every_cell_and_contender_has_a_line_with_sign_and_word(page, found):
    (group,) = found.groups
    lines = [row for row in Page(page.read_text(encoding="utf-8")).rows("cells") if len(row) == 10]
    assert len(lines) == len(group.cells) * len(group.contenders)
    words = {element["attrs"]["lang"] for element in Page(page.read_text(encoding="utf-8")).all("html")}
    lang = Words("zh" if words == {"zh-Hans"} else "en")
    known = {f"{tables.SIGNS[outcome]} {lang(f'outcome.{outcome.name}')}" for outcome in Outcome}
    assert all(any(row[-1].startswith(text) for text in known) for row in lines)


def test_the_matrix_says_composite_letters_ranks_and_what_is_missing(page):
    rows = {row[0].split()[0]: row[1:] for row in Page(page.read_text(encoding="utf-8")).rows("matrix")}
    assert set(rows) == {"XX", "YY"}
    assert re.search(r"×\d", rows["XX"][1])
    assert "XX-02" in rows["XX"][2]
    assert re.search(r"(ranks|名次) [123]", rows["YY"][1])


def test_same_comparison_same_bytes(page, runs, found, tmp_path):
    lang = "zh" if "zh-Hans" in page.read_text(encoding="utf-8")[:200] else "en"
    again = write(found, runs, tmp_path / "again", lang=lang)
    for path in page.parent.rglob("*"):
        if path.is_file():
            assert (again.parent / path.relative_to(page.parent)).read_bytes() == path.read_bytes(), path


def test_plain_words_say_who_is_better_in_what_by_how_much_and_what_stays_open(runs, found):
    text = "\n".join(told.paragraphs(found, runs, Words()))
    assert re.search(r"east is better than north in \d+: .*XX-01 \+[\d.]+ % \[\+\d+", text)
    assert re.search(r"east is worse than north in \d+: .*XX-02 ×[\d.]+ \[", text)
    assert "equal within the noise floor in 1: YY-01" in text
    assert "would have been shown with 80 % power" in text
    assert "No composite for XX: XX-02 missing" in text
    assert "west is not compared, since it differs in accelerator (accelerator: kvm / tcg)" in text
    assert "about 0." in text


def test_plain_words_in_chinese_say_the_same_and_are_chinese(runs, found):
    english, chinese = (told.paragraphs(found, runs, Words(lang)) for lang in ("en", "zh"))
    assert len(english) == len(chinese)
    figures = [[sorted(re.findall(r"\d+(?:\.\d+)?", text)) for text in texts] for texts in (english, chinese)]
    assert figures[0] == figures[1]
    left = re.sub(r"[A-Z]{2,3}-\d+(\.\w+)?|north|east|south|west|kvm|tcg|accelerator|QEMU|TCG|Contest", "",
                  " ".join(chinese))
    assert re.findall(r"[A-Za-z]{3,}", left) == []


def test_a_forced_comparison_is_marked_everywhere(runs, tmp_path):
    forced = compare(runs, catalogue=CATALOGUE, force=True)
    text = write(forced, runs, tmp_path, lang="en").read_text(encoding="utf-8")
    assert "FORCED" in text.split("<main>")[0]
    assert "This comparison was forced" in text
    assert "FORCED" in (tmp_path / "charts/ratios-west.svg").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "comparison.json").read_text())["forced"][0]["contender"] == "west"


def test_simulated_contenders_are_marked(runs, tmp_path):
    made_up = [with_facts(run, simulated="true", accelerator="simulated") for run in runs[:2]]
    page = write(compare(made_up, catalogue=CATALOGUE), made_up, tmp_path)
    assert "SIMULATED" in page.read_text(encoding="utf-8").split("<main>")[0]
    assert "SIMULATED" in (tmp_path / "charts/ratios-east.svg").read_text(encoding="utf-8")


def test_csv_and_json_hold_every_entry_with_the_same_numbers(runs, found):
    rows = list(csv.DictReader(io.StringIO(export.as_csv(found))))
    document = json.loads(export.as_json(found, runs))
    (group,) = document["groups"]
    entries = [entry for part in ("cells", "composites") for cell in group[part] for entry in cell["entries"]]
    assert len(rows) == len(entries)
    for row, entry in zip(rows, entries, strict=True):
        assert (row["contender"], row["outcome"], row["letters"]) == (
            entry["contender"], entry["outcome"], entry["letters"])
        assert row["against"] == ("" if entry["against"] is None else repr(entry["against"]["value"]))
    assert document["apart"][0]["differences"][0]["key"] == "accelerator"


def test_a_page_without_any_ratio_says_so(tmp_path):
    both = [contest(name, worst=scores(3)) for name in ("a", "b")]
    page = write(compare(both, catalogue=CATALOGUE), both, tmp_path)
    assert "No ratio can be drawn" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "charts").exists()


@pytest.mark.parametrize(("factor", "lang"), [(1e-6, "en"), (1.0, "zh"), (1e6, "en")])
def test_charts_draw_whatever_the_ratios_are(factor, lang):
    both = [contest("a", fast=scores(1), slow=scores(1, 6, 0.5)),
            contest(HOSTILE[:60], fast=scores(factor), slow=scores(factor))]
    found = compare(both, catalogue=CATALOGUE, floors=Floors(0.3))
    (picture,) = charts.render(list(ratios.charts(found, Words(lang))))
    assert picture.png.startswith(b"\x89PNG")
    assert "XX-01" in picture.svg


def test_many_indicators_are_drawn_in_parts_and_each_once():
    points = {f"p{at}": scores(1) for at in range(2 * ratios.MOST)}
    both = [contest(name, fast=scores(1), points={"fast": points}) for name in ("a", "b")]
    drawn = list(ratios.charts(compare(both, catalogue=CATALOGUE), Words()))
    assert len(drawn) == 3
    assert len({chart.slug for chart in drawn}) == 3


numbers = st.floats(-500, 500, allow_subnormal=False)


@given(st.tuples(numbers, numbers, numbers).map(sorted))
def test_printed_numbers_stand_to_the_line_as_the_real_ones_do(three):
    low, value, high = three
    texts = tables.quantities((value, low, high), 0.0)
    for number, text in zip((value, low, high), texts, strict=True):
        shown = float(text.replace("\N{MINUS SIGN}", "-"))
        assert (shown > 0) - (shown < 0) == (number > 0) - (number < 0) or abs(number) < 1e-12


@pytest.mark.parametrize(("value", "low", "high", "text"), [
    (1.31, 1.0567, 1.612, "+31 % [+5.7 … +61]"), (0.72, 0.29, 1.74, "\N{MINUS SIGN}28 % [\N{MINUS SIGN}71 … +74]"),
    (26.0, 3.55, 194.0, "×26 [3.5 … 194]"), (0.01, 0.005, 0.02, "÷100 [50 … 200]"),
    (1.0, 0.0, math.inf, "×1.0 [0 … ∞]"),
])
def test_changes_are_printed_as_people_say_them(value, low, high, text):
    found = Against(value, low, high, 0.95, 5, "")
    assert tables.change(found, How.RATIO, "s", Words()) == text
