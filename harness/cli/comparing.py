"""`virtmark compare`: vendors side by side, from run folders alone; no platform is touched.

The pipeline is imported inside the command, so that its help stays cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.judging import folders as given
from harness.cli.judging import show

if TYPE_CHECKING:
    from rich.table import Table

    from analysis.words import Words
    from harness.comparison import Comparison, Group
    from harness.model import Run


@click.command()
@given
@click.option("--by", type=click.Choice(["target", "vendor", "product"]), default="target", show_default=True,
              help="Whose rounds are taken together; a product is vendor, product and version.")
@click.option("--reference", metavar="NAME", default="", help="Against whom: a target or what --by makes; the first.")
@click.option("--profile", "-p", "profiles", multiple=True, metavar="P", help="A profile: its gates say what is valid.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--floor", type=click.FloatRange(0, 100, max_open=True), metavar="PCT", default=2.0, show_default=True,
              help="Differences below this many percent are ties, where the testbed's own floor is not known.")
@click.option("--noise", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="The testbed's noise floors, as `virtmark noise` writes them.")
@click.option("--force", is_flag=True, help="Compare runs that are not comparable; the report says so.")
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
@click.option("-o", "out", type=click.Path(path_type=Path, file_okay=False), help="Write compare.html and files here.")
def compare(folders: tuple[Path, ...], profiles: tuple[str, ...], noise: Path | None, out: Path | None, *, by: str,
            reference: str, lang: str, floor: float, force: bool, as_json: bool) -> None:
    """Compare vendors: ratios with intervals, letters, rank intervals, composites, and what they do not show."""
    from analysis.comparing import export, told, write
    from analysis.words import Words
    from harness import comparison, profile, store
    from harness.comparison import floors

    runs = [store.load(folder) for folder in folders]
    known = floors.Floors(floor / 100, floors.load(noise) if noise else {})
    strict = profile.merge([profile.load(name) for name in profiles])
    found = comparison.compare(runs, by=by, reference=reference, floors=known, force=force,
                               gates=strict.gates if strict else None)
    _refuse(found, runs)
    words = Words(lang)
    page = write(found, runs, out, lang=lang) if out else None
    if as_json:
        click.echo(export.as_json(found, runs), nl=False)
        return
    for group in found.groups:
        show(_areas(group, words))
        show(_cells(group, words))
    for text in told.paragraphs(found, runs, words):
        click.echo(f"\n{text}")
    if page:
        click.echo(f"\n{page}")


def _refuse(found: Comparison, runs: Sequence[Run]) -> None:
    """Raise InputError with the reasons where no two of the runs may be compared."""
    from harness.errors import InputError

    if found.groups:
        return
    reasons = (f"{each.contender.name} ({runs[each.run].plan.scenario.name}): "
               + ", ".join(f"{one.key} {one.other or 'not told'}, not {one.one or 'not told'}"
                           for one in each.differences[:3])
               for each in found.apart if each.differences)
    raise InputError(f"no two contenders may be compared: {'; '.join(reasons)}; --force compares them all the same and"
                     " marks the report")


def _areas(group: Group, words: Words) -> Table:
    from rich.table import Table

    from analysis.comparing import tables

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in (words("area"), *(who.name for who in group.contenders)):
        table.add_column(heading, overflow="fold")
    for one in group.composites:
        texts = []
        for entry in one.entries:
            ratio = tables.factors(entry.against.value, entry.against.low, entry.against.high) if entry.against else ""
            texts.append(" ".join(filter(None, (ratio, tables.mark(entry.outcome, words).text, entry.letters,
                                                tables.ranks(entry, words), "; ".join(tables.why(entry, words))))))
        table.add_row(f"{one.area} {words.area(one.area)}".strip(), *texts)
    return table


def _cells(group: Group, words: Words) -> Table:
    """Return one line a cell: the reference's value, and of each other one the change and what it shows."""
    from rich.table import Table

    from analysis.comparing import tables
    from harness.units import show as shown

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in (words("indicator"), words("point"), *(who.name for who in group.contenders)):
        table.add_column(heading, overflow="fold")
    for cell in tables.ordered(group.cells):
        texts = []
        for entry in cell.entries:
            its = entry.estimate if entry.valid else None
            value = shown(its.estimate, its.unit) if its else words.verdict(entry.verdict)
            change = tables.change(entry.against, cell.how, cell.unit, words) if entry.against else ""
            texts.append("  ".join(filter(None, (value, change, tables.SIGNS[entry.outcome], entry.letters))))
        table.add_row(cell.indicator, cell.point, *texts)
    return table


COMMANDS = {"compare": compare}
