"""What the series of standards is known to ask for is in its profiles, in both languages, and nothing is claimed."""

import pytest

from harness import indicators, profile, scenario
from harness.standard import Kind

KNOWN = {
    "tiac-container-maturity": ["落实程度", "应用成效", "平台技术能力", "安全保障"],
    "tiac-microservice-maturity": ["落实程度", "应用成效", "架构技术能力", "安全保障"],
    "tiac-devops-maturity": ["研发", "技术运营", "系统平台"],
}
SERIES = sorted(name for name in scenario.packaged("profile") if name.startswith("tiac-"))


def part(name):
    found, = profile.load(name).parts
    return found


@pytest.mark.parametrize(("name", "titles"), KNOWN.items())
def test_the_aspects_of_a_model_are_its_headings(name, titles):
    top = [clause.title_zh for clause in part(name).children()]
    assert [title for title in titles if not any(title in each for each in top)] == []


def test_virtualization_has_every_area_and_most_of_it_is_inferred():
    found = part("tiac-virtualization")
    items = [clause for clause in found.clauses if clause.kind is Kind.MEASURED]
    assert len(items) == 83
    assert all(clause.inferred for clause in items)
    measured = {name.partition(".")[0] for name in indicators.catalogue()
                if not name.startswith(("CAL", "GEN", "LOAD"))}
    assert measured <= {clause.indicator for clause in items}


def test_cloud_providers_have_fifteen_capabilities_and_five_qualifications():
    found = part("tiac-cloud-provider")
    chapters = [found.children(clause.id) for clause in found.children()]
    assert sorted(map(len, chapters)) == [5, 15]


def test_devops_has_three_levels():
    assert [level.title_zh for level in part("tiac-devops-maturity").levels] == ["基础级", "增强级", "先进级"]


@pytest.mark.parametrize("name", SERIES)
def test_no_threshold_is_claimed_for_a_standard_of_the_series(name):
    assert profile.load(name).clauses == ()


@pytest.mark.parametrize("name", sorted(scenario.packaged("profile")))
def test_every_standard_says_whose_it_is_and_what_of_it_is_public(name):
    for found in profile.load(name).parts:
        assert found.standard is not None
        assert found.title_zh
        assert len(found.standard.public) > 40
