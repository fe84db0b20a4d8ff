"""Would the tests notice the classic errors? Every mutant under `-m mutation`, one by default."""

import pytest

from tests.mutation.mutants import MUTANTS
from tests.mutation.run import ROOT, survives

FAST = "flipped direction of an overhead"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_applies(mutant):
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert all((ROOT / test).exists() for test in mutant.tests)


@pytest.mark.parametrize("mutant", [
    pytest.param(mutant, id=mutant.name, marks=() if mutant.name == FAST else pytest.mark.mutation)
    for mutant in MUTANTS])
def test_a_test_notices(mutant):
    assert survives(mutant) is not None
