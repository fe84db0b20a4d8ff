import re
from pathlib import Path

import pytest

from analysis import charts, comparing, report, writing
from analysis.words import Words, table
from harness.model import Verdict


def test_every_text_that_the_templates_and_charts_ask_for_exists():
    sources = [*writing.TEMPLATES.glob("*.j2"), *Path(charts.__file__).parent.glob("*.py"),
               *Path(report.__file__).parent.glob("*.py"), *Path(comparing.__file__).parent.glob("*.py")]
    asked = {key for source in sources
             for key in re.findall(r'\b(?:t|words|spoken)\("([^"{]+)"[,)]', source.read_text(encoding="utf-8"))}
    assert len(asked) > 60
    assert asked - table()["text"].keys() == set()


def test_both_languages_fill_in_the_same_names():
    for key, (english, chinese) in table()["text"].items():
        assert english, key
        if chinese:
            assert sorted(re.findall(r"{(\w+)}", english)) == sorted(re.findall(r"{(\w+)}", chinese)), key


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_verdict_has_a_word_of_its_own(lang):
    words = Words(lang)
    assert len({words.verdict(verdict) for verdict in Verdict}) == len(Verdict)


def test_an_unknown_language_is_english():
    assert Words("xx")("findings") == "Findings"


def test_the_most_special_method_explains():
    words = Words()
    assert words.explain("overhead from paired t interval on log ratios").startswith("Ratio of guest to host")
    assert words.explain("t interval on logs").startswith("Mean of the logarithms")
    assert words.explain("t interval").startswith("Arithmetic mean")
    assert words.explain("unheard of") == ""
