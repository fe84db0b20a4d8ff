import csv
import hashlib
import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from analysis import report, rows
from analysis.words import Words
from harness import codec
from harness.errors import InputError
from harness.model import Verdict
from harness.profile import Profile

GOLDEN = Path(__file__).parents[2] / "golden" / "report.json"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """The structure of a page: elements with their attributes, text by element, and what was left open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.wrong = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": "", "path": tuple(e["tag"] for e in self.open)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "attrs": dict(attrs), "text": "", "path": tuple(e["tag"] for e in self.open)})

    def handle_endtag(self, tag):
        if not self.open or self.open.pop()["tag"] != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attrs):
        return [e for e in self.elements if e["tag"] == tag and attrs.items() <= e["attrs"].items()]

    def rows(self, table_class):
        """Return the cells of the body of a table, as text with single spaces."""
        out, inside = [], False
        for element in self.elements:
            if element["tag"] == "table":
                inside = table_class in element["attrs"].get("class", "").split()
            elif inside and element["tag"] == "tr" and "tbody" in element["path"]:
                out.append([])
            elif inside and out and element["tag"] in ("td", "th") and "tbody" in element["path"]:
                out[-1].append(" ".join(element["text"].split()))
        return out


def findings_of(page):
    """Return the line of each finding, with what is said below it as the last cell."""
    out = []
    for cells in page.rows("findings"):
        if len(cells) == 9:
            out.append([*cells, ""])
        else:
            out[-1][9] = cells[-1]
    return out


@pytest.fixture(scope="module")
def plain(made_up, tmp_path_factory):
    """Three tidy targets as a report, with the run folders named."""
    runs, findings = made_up.campaign(3)
    out = tmp_path_factory.mktemp("plain")
    folders = [Path("results") / run.plan.target / "2026-10-01-synthetic" for run in runs]
    page = report.write(runs, findings, Profile("example", "An example"), out, folders=folders)
    return runs, findings, page


@pytest.fixture(scope="module")
def hostile(made_up, tmp_path_factory):
    """Two targets with every trouble there is."""
    runs, findings = made_up.campaign(6, nasty=True, rounds=3)
    kept = [runs[0], runs[5]]
    chosen = [finding for finding in findings if finding.target in ("target-0", "target-5")]
    return kept, chosen, report.write(kept, chosen, None, tmp_path_factory.mktemp("hostile"))


def read(page):
    return Page(page.read_text(encoding="utf-8"))


def digest(page):
    """Return what a report says, without what a version of matplotlib decides."""
    return {
        "headings": [" ".join(e["text"].split()) for tag in ("h1", "h2", "h3") for e in page.all(tag)],
        "overall": " ".join(page.all("div", **{"class": "stamp fail"})[0]["text"].split()),
        "runs": page.rows("runs"), "matrix": page.rows("matrix"),
        "findings": [line[:9] for line in findings_of(page)],
        "gates": page.rows("gates"), "facts": page.rows("facts"), "conditions": page.rows("conditions"),
        "figures": [[e["attrs"]["id"]] for e in page.all("figure")],
        "labels": [e["attrs"]["aria-label"] for e in page.all("div", role="img")],
    }


def test_golden_report(plain, tmp_path):
    """Set VIRTMARK_UPDATE_GOLDEN=1 to accept a change after looking at it."""
    got = json.dumps(digest(read(plain[2])), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("VIRTMARK_UPDATE_GOLDEN"):
        GOLDEN.write_text(got, encoding="utf-8")
    assert json.loads(got) == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_pages_are_well_formed_and_their_links_lead_somewhere(which, request):
    page = read(request.getfixturevalue(which)[2])
    assert (page.wrong, page.open) == ([], [])
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert len(ids) == len(set(ids))
    assert {e["attrs"]["href"][1:] for e in page.all("a") if e["attrs"]["href"].startswith("#")} <= set(ids)


@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_nothing_is_fetched(which, request):
    text = request.getfixturevalue(which)[2].read_text(encoding="utf-8")
    page = Page(text)
    assert not re.search(r"https?:|//\w+\.", text)
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {e["tag"] for e in page.elements}
    assert [e for e in page.elements if "src" in e["attrs"]] == []
    assert "url(" not in re.sub(r"url\(#[^)]+\)", "", text)
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in policy["attrs"]["content"]


def test_hostile_texts_are_texts(hostile):
    text = hostile[2].read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.all("script")) == 1
    assert "alert(1)" not in page.all("script")[0]["text"]
    assert page.all("b") == []
    assert [e for e in page.elements if any(name.startswith("on") for name in e["attrs"])] == []
    assert "<script>alert(1)</script>" in page.all("main")[0]["text"]
    assert "<img src=x onerror=alert(1)>" in page.all("main")[0]["text"]
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)


@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_every_finding_is_there_with_its_verdict_and_reasons(which, request):
    runs, findings, path = request.getfixturevalue(which)
    page, words = read(path), Words()
    found = findings_of(page)
    assert len(found) == len(findings)
    labels = {party.target: party.label for party in rows.parties(runs)}
    for finding in findings:
        mine = [row for row in found if row[1].split()[0] == finding.indicator and row[2] == (finding.point or "–")
                and row[3].startswith(" ".join(labels[finding.target].split()))]
        assert any(words.verdict(finding.verdict) in row[0] for row in mine)
        for reason in finding.reasons:
            assert any(" ".join(reason.split()) in row[9] for row in mine)


def test_the_verdict_of_the_whole_is_the_worst_with_counts(hostile):
    _, findings, path = hostile
    page = read(path)
    whole = max(finding.verdict for finding in findings)
    (stamp,) = [e for e in page.all("div") if "stamp" in e["attrs"].get("class", "")]
    assert stamp["text"].split()[1] == whole.name
    counts = json.loads((path.parent / "findings.json").read_text())["counts"]
    assert counts == {verdict.name: sum(f.verdict is verdict for f in findings) for verdict in Verdict}


def test_simulated_numbers_are_announced(plain, hostile):
    assert read(plain[2]).all("p", **{"class": "simulated"}) == []
    (banner,) = read(hostile[2]).all("p", **{"class": "simulated"})
    assert "SIMULATED" in banner["text"]


def test_findings_json_holds_the_records(plain):
    _, findings, path = plain
    document = json.loads((path.parent / "findings.json").read_text(encoding="utf-8"))
    assert document["verdict"] == "FAIL"
    assert len(document["findings"]) == len(findings)
    for kept, finding in zip(document["findings"], findings, strict=True):
        assert kept["verdict"] == finding.verdict.name
        assert kept["estimate"]["estimate"] == finding.estimate.estimate
        assert kept["scores"] == list(finding.scores)


def test_findings_csv_has_all_digits_and_infinite_bounds(hostile):
    _, findings, path = hostile
    records = list(csv.DictReader(io.StringIO((path.parent / "findings.csv").read_text(encoding="utf-8"))))
    assert len(records) == len(findings)
    wide = next(record for record in records if record["low"] == "-inf")
    assert (wide["high"], wide["verdict"]) == ("inf", "INCONCLUSIVE")
    numbers = {f.estimate.estimate for f in findings if f.estimate}
    assert {float(record["value"]) for record in records if record["value"]} == numbers


def test_charts_lie_beside_the_page_and_are_the_ones_inside(plain):
    _, _, path = plain
    page = read(path)
    slugs = [e["attrs"]["id"] for e in page.all("figure")]
    files = {file.name for file in (path.parent / "charts").iterdir()}
    assert files == {f"{slug}.{kind}" for slug in slugs for kind in ("svg", "png")}
    assert len(page.all("svg")) == len(slugs)


def test_evidence_lists_can_be_checked_with_sha256sum(plain):
    runs, _, path = plain
    for number, run in enumerate(runs, 1):
        listing = (path.parent / "evidence" / f"{run.plan.target}-{number}.sha256").read_bytes()
        lines = listing.decode().splitlines()
        assert len(lines) == len({item.path for result in run.results for item in result.evidence})
        assert all(re.fullmatch(r"[0-9a-f]{64}  raw/\S+", line) for line in lines)
        assert hashlib.sha256(listing).hexdigest() in path.read_text(encoding="utf-8")


def test_what_differs_between_machines_is_marked(plain):
    page = read(plain[2])
    marked = [" ".join(e["text"].split()) for e in page.all("tr", **{"class": "differs"})]
    assert any("cpu.flags" in text and "avx512" in text and "flag7" not in text for text in marked)
    assert any("clocksource" in text for text in marked)
    assert not any("cpu.model" in text for text in marked)
    assert any("cpu.model" in e["text"] for e in page.all("dl", **{"class": "same"}))


def test_the_page_says_what_the_indicators_are(plain):
    _, findings, path = plain
    defined = read(path).rows("definitions")
    assert [row[0].split()[0] for row in defined] == list(dict.fromkeys(
        sorted({f.indicator for f in findings}, key=lambda name: (rows.area_rank(name.split("-")[0]), name))))
    assert all(len(row[1]) > 10 and row[2] in ("higher", "lower") for row in defined)


def test_broken_steps_are_told_with_their_reason(hostile):
    found = read(hostile[2]).rows("troubles")
    assert [row[3] for row in found].count("broken") == 2
    assert any("no space left on device" in row[-1] for row in found)


def test_a_second_report_in_the_same_place_leaves_nothing_of_the_first(made_up, tmp_path):
    findings = made_up.findings(1)
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "mine.svg").write_text("kept: nothing says that it is an old chart of ours")
    report.write([], findings[:1], None, tmp_path)
    assert {path.stem for path in tmp_path.glob("charts/*.svg")} == {"mine", "cpu-01-intervals", "cpu-rounds"}
    report.write([], findings[-1:], None, tmp_path)
    assert {path.stem for path in tmp_path.glob("charts/*.svg")} == {"net-05-intervals", "net-rounds"}


def test_same_input_same_files(made_up, tmp_path):
    runs, findings = made_up.campaign(1, rounds=3)
    findings = findings[:3]
    for name in ("a", "b"):
        report.write(runs, findings, None, tmp_path / name)
    first, second = ({path.relative_to(tmp_path / name): path.read_bytes()
                      for path in (tmp_path / name).rglob("*") if path.is_file()} for name in ("a", "b"))
    assert first == second


def test_an_empty_report_says_so(tmp_path):
    page = read(report.write([], [], None, tmp_path))
    assert "There are no findings" in page.all("main")[0]["text"]
    assert "NOT RUN" in page.all("header")[0]["text"]


def test_a_run_without_results_or_facts(made_up, tmp_path):
    runs, _ = made_up.campaign(1, rounds=1)
    bare = msgspec.structs.replace(runs[0], results=(), facts={})
    page = read(report.write([bare], [], None, tmp_path))
    (row,) = page.rows("runs")
    assert row[5:10] == ["3", "0", "0", "0", "3"]


def test_chinese(made_up, tmp_path):
    runs, findings = made_up.campaign(1, rounds=3)
    page = read(report.write(runs[:1], findings[:1], None, tmp_path, lang="zh"))
    assert page.all("html")[0]["attrs"]["lang"] == "zh-Hans"
    assert "单线程计算性能" in page.rows("findings")[0][1]
    assert "结论明细" in [e["text"].strip() for e in page.all("h2")]


def test_an_unwritable_place_is_one_clear_line(made_up, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written.*choose another directory"):
        report.write([], [], None, tmp_path / "file" / "report")


def test_the_file_of_findings_reads_as_the_model(plain):
    """The estimate of a finding in the file is the record that the harness itself would write."""
    _, findings, path = plain
    kept = json.loads((path.parent / "findings.json").read_text(encoding="utf-8"))["findings"][0]
    assert kept["estimate"] == json.loads(msgspec.json.encode(codec.plain(findings[0])))["estimate"]
