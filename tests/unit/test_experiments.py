"""The committed experiments on the gate: what they say, that the documents say the same, and a thinned repetition."""

import json
import subprocess
from pathlib import Path

import pytest
from scipy import special

from harness import plan, runner, scenario, stats
from harness.regression import gate
from tests.experiments import gate_lab, gate_rates

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


def test_the_experiment_in_the_lab_judges_what_it_measured(tmp_path):
    """On simulated targets under the names of the real ones; the lab itself is measured by hand."""
    for seed, (name, speed) in enumerate((("lab", 1.0), ("slowed", 1 / 1.5)), 1):
        placed = scenario.build({"driver": "fake", "name": name, "speed": speed, "noise": "1%", "seed": seed}, "test")
        runner.execute(plan.make([gate_lab.SCENARIO], [name], seed=2, rounds=8), [placed], tmp_path / "pairs")
    found = gate_lab.judge(tmp_path, gates=3, sizes=(4, 5))
    assert [(row["indicator"], row["rounds"], row["caught"]) for row in found["rows"]] == [
        (name, 4, 1.0) for name in gate_lab.BY]
    assert all(0.4 < row["true_slow_down"] < 0.6 and row["promised"] > 0.99 for row in found["rows"])


def test_real_guests_held_back_are_caught_about_as_often_as_is_promised():
    """Gates drawn from 20 rounds a side are not independent of each other, so this is a rough bound."""
    rows = json.loads((gate_rates.DATA / "lab.json").read_text())["rows"]
    assert {row["indicator"] for row in rows} == set(gate_lab.BY)
    assert all(abs(row["caught"] - row["promised"]) < 0.15 for row in rows)
    assert all(row["false_alarms"] <= 0.05 and row["invalid"] == 0 for row in rows)


def test_the_document_shows_what_was_measured_in_the_lab():
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    inside = text.partition("<!-- tests/experiments/gate_lab.py table -->\n")[2].partition("<!-- end -->")[0]
    assert inside.strip() == gate_lab.table().strip()


def test_the_lab_held_back_is_the_lab_with_three_limits(monkeypatch):
    import drivers.targets

    monkeypatch.setattr(drivers.targets, "__path__", [*drivers.targets.__path__, str(gate_lab.PLACE)])
    pytest.importorskip("libvirt", reason="not installed; pip install 'virtmark[libvirt]'")
    lab = scenario.target("lab")
    held = scenario.build(lab.settings | {"driver": "slowed", "name": "slowed", "quota": 0.95, "iops": 100}, "test")
    assert (held.target.hosts, held.target.cpu, held.target.quota) == (lab.target.hosts, lab.target.cpu, 0.95)
    from drivers.targets import slowed

    subprocess.run(["sh", "-n"], input=slowed._HOLD.encode(), check=True)
