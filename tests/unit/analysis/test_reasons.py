"""What findings say, in Chinese: nothing that the project itself writes may reach a Chinese reader in English."""

import re
import tomllib
from pathlib import Path

import pytest

import analysis
from analysis import reasons
from analysis.rows import material
from harness import assessment, profile, store, verdict
from harness.indicators import catalogue
from tests.support import simulated

ROOT = Path(__file__).parents[3]
SAMPLES = sorted((ROOT / "results" / "samples" / "quick").glob("*/2*")) + [
    ROOT / "results" / "samples" / name for name in ("migration", "failover", "calibration")]
PROFILES = ("example", "gbt20988", "tiac-virtualization")
TABLE = tomllib.loads((Path(analysis.__file__).parent / "reasons.toml").read_text(encoding="utf-8"))["said"]
ENGLISH = re.compile(r"(?:\b[a-z]{2,} ){3}")     # more words in a row than a name or an option has
TOOLS_OWN = re.compile(r"fio|iperf3|sysbench|No such file")


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """Return the findings of all samples and of a simulated run."""
    required = profile.merge([profile.load(name) for name in PROFILES])
    runs = [store.load(folder) for folder in SAMPLES]
    runs += map(store.load, simulated.measured(tmp_path_factory.mktemp("simulated")))
    return verdict.judge(runs, required)


def test_every_sentence_of_the_samples_is_known_in_chinese(findings):
    left = {chinese for text in _said(findings)
            if ENGLISH.search(chinese := reasons.said(text, "zh")) and not TOOLS_OWN.search(text)}
    assert not left


def test_what_became_of_a_clause_is_known_in_chinese(findings):
    assessed = assessment.assess(profile.load("tiac-virtualization"), findings)
    whys = {leaf.why for each in assessed for leaf in each.leaves() if leaf.why}
    assert len(whys) > 5
    assert not {text for text in whys if ENGLISH.search(reasons.said(text, "zh"))}


@pytest.mark.parametrize("english", TABLE)
def test_both_languages_of_a_sentence_name_the_same_places(english):
    named = re.compile(r"\{\*?\w+\}")
    places = set(named.findall(TABLE[english]))
    assert {place.replace("*", "") for place in places} <= {place.replace("*", "") for place in named.findall(english)}
    assert english.count("{") == len(set(named.findall(english)))


@pytest.mark.parametrize("english", TABLE)
def test_a_sentence_with_numbers_in_it_is_found_again(english):
    filled = re.sub(r"\{\*?(\w+)\}", lambda place: {"indicator": "CPU-03"}.get(place[1], "0.95"), english)
    assert reasons.known(filled)
    assert "{" not in reasons.said(filled, "zh")


def test_what_every_indicator_is_can_be_said_in_chinese():
    assert not {one.id for one in catalogue().values() if one.definition and not reasons.known(one.definition)}


def test_what_others_said_stays_as_it_is():
    assert reasons.said("nobody knows this one; nor that", "zh") == "nobody knows this one；nor that"
    assert reasons.said("few: n=3, a verdict needs 5", "en") == "few: n=3, a verdict needs 5"


def test_sentences_behind_each_other_are_told_apart_where_one_has_a_semicolon_itself():
    first = "virtmark woke up 8 s late in one of twenty cases; times taken by its probes are as uncertain (limit 9 s)"
    both = reasons.said(f"{first}; there is no estimate", "zh")
    assert both == f"{reasons.said(first, 'zh')}；无估计值"


def test_numbers_and_names_of_a_report_are_the_same_in_both_languages(findings):
    english = material((), findings)
    chinese = reasons.spoken(english, "zh")
    assert reasons.spoken(english, "en") is english
    assert [(row.value, row.low, row.high, row.n, row.method) for row in chinese.rows] == [
        (row.value, row.low, row.high, row.n, row.method) for row in english.rows]


def _said(findings):
    for finding in findings:
        yield from finding.reasons
        for check in finding.gates:
            yield from (check.name, check.note)
        if finding.estimate:
            yield from (finding.estimate.method, finding.estimate.estimand, *finding.estimate.warnings)
            for check in finding.estimate.assumptions:
                yield from (check.name, check.note)
        if finding.requirement:
            yield finding.requirement.source
