import csv
import io

from analysis import export, rows
from harness.model import Finding, Verdict


def test_a_cell_is_no_formula():
    finding = Finding(indicator="X-1", target="=cmd()", verdict=Verdict.NOT_RUN, reasons=("+1",))
    text = export.findings_csv(rows.material([], [finding]).rows)
    record = next(csv.DictReader(io.StringIO(text)))
    assert record["target"] == "'=cmd()"
    assert record["reasons"] == "'+1"


def test_a_file_kept_by_two_steps_is_listed_once(made_up):
    runs, _ = made_up.campaign(1, rounds=2)
    (kept,) = export.evidence(rows.material(runs, []))
    assert kept.files == len(kept.listing.splitlines()) == 4
    assert kept.size == 4 * 71_000


def test_nothing_kept_is_an_empty_list():
    assert export.evidence(rows.material([], [])) == []
