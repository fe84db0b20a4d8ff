"""The committed experiments on the gate: what they say, that the documents say the same, and a thinned repetition."""

import json
from pathlib import Path

import pytest
from scipy import special

from harness import stats
from harness.regression import gate
from tests.experiments import gate_rates

ROOT = Path(__file__).parents[2]
EQUAL, SLOWER = (json.loads((gate_rates.DATA / f"{name}.json").read_text()) for name in ("equal", "slower"))


def test_at_least_95_of_100_gates_of_equal_things_pass():
    codes = EQUAL["codes"]
    assert len(codes) == gate_rates.EQUAL == 1000
    assert stats.proportion_ci(codes.count("0"), len(codes)).ci.lo >= 0.95


@pytest.mark.parametrize("cell", SLOWER["cells"],
                         ids=lambda cell: f"{cell['rounds']} rounds, CV {cell['cv']}, {cell['aim']}")
def test_a_slow_down_is_caught_as_often_as_is_promised(cell):
    """The number caught is binomial: all 18 lie where 99.9 of 100 such numbers would."""
    gates, promised, caught = cell["gates"], cell["promised"], cell["caught"]
    assert special.bdtr(caught, gates, promised) > 0.0005
    assert special.bdtrc(caught - 1, gates, promised) > 0.0005
    assert cell["said_better"] <= 0.01 * gates


def test_what_the_gate_says_it_catches_is_caught_in_about_80_of_100():
    cells = [cell for cell in SLOWER["cells"] if cell["aim"] == "mde"]
    assert all(0.75 <= cell["promised"] <= 0.85 for cell in cells)
    caught, gates = sum(cell["caught"] for cell in cells), sum(cell["gates"] for cell in cells)
    assert 0.76 <= caught / gates <= 0.84


def test_the_document_shows_these_data():
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    inside = text.partition("<!-- tests/experiments/gate_rates.py table -->\n")[2].partition("<!-- end -->")[0]
    assert inside.strip() == gate_rates.table().strip()


def test_the_first_gates_come_out_as_they_were_recorded():
    sides = [list(gate_rates.runs(gate_rates.pool(gate_rates.MANY, 20, seed=seed, cv=EQUAL["cv"]), 5, str(seed)))
             for seed in (101, 102)]
    codes = [gate([one], [other]).exit_code for one, other in zip(*sides, strict=True)]
    assert "".join(map(str, codes)) == EQUAL["codes"][:4]
