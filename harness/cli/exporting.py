"""`virtmark export`: runs and their findings in formats that other programs read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import InputError

if TYPE_CHECKING:
    from analysis.rows import Material
    from harness.model import Finding, Run

TABLES, TEXTS = ("csv", "parquet"), ("openmetrics", "junit", "opentest", "benchstat")


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="RUN...",
                type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--format", "form", type=click.Choice([*TABLES, *TEXTS]), help="What to write.")
@click.option("--parquet", "form", flag_value="parquet", help="The same as --format parquet.")
@click.option("--profile", "-p", "profiles", multiple=True, metavar="P",
              help="A packaged profile or a path to a .toml file; several are merged.")
@click.option("-o", "out", type=click.Path(path_type=Path), metavar="FILE|DIR",
              help="Of csv and parquet a folder, which must be new or empty; of the others a file, else stdout.")
def export(folders: tuple[Path, ...], form: str | None, profiles: tuple[str, ...], out: Path | None) -> None:
    """Write RUNs for other programs: tables of runs, steps, series and findings (csv, parquet), or their findings as
    OpenMetrics, JUnit XML, Open Test Reporting or benchstat's text."""
    if not form:
        raise InputError(f"export: no --format is given; there are: {', '.join((*TABLES, *TEXTS))}")
    judged = _judged(folders, profiles)
    if form in TABLES:
        for path in tables(judged, form, out or Path(f"export-{form}")):
            click.echo(path)
        return
    text = _text(judged, form)
    if not out:
        click.echo(text, nl=False)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: {error.strerror}; a file is written") from None
    click.echo(out)


Judged = Iterator[tuple[str, "Run", "list[Finding]"]]


def _judged(folders: Sequence[Path], profiles: Sequence[str]) -> Judged:
    """Return each run by name with the findings of that run alone; one at a time, since many do not fit into memory."""
    from analysis.exchange import columns
    from harness import profile, store, verdict

    required = profile.merge([profile.load(name) for name in profiles])
    named = {columns.called(folder): folder for folder in folders}
    if len(named) < len(folders):
        raise InputError("export: two of the folders have the same name and parent, and could not be told apart")
    runs = ((name, store.load(folder)) for name, folder in named.items())
    return ((name, run, verdict.judge([run], required)) for name, run in runs)


def tables(judged: Judged, form: str, out: Path) -> list[Path]:
    """Write the four tables into a folder, at once or not at all."""
    from contextlib import ExitStack

    from analysis.exchange import columns, tabular

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty; a new or empty folder is needed")
    tabular.arrow()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as place:
        made = Path(place) / "made"
        made.mkdir()
        with ExitStack() as open_:
            writers = {table: open_.enter_context(tabular.writing(form, table, made / f"{table}.{form}"))
                       for table in columns.TABLES}
            for name, run, findings in judged:
                for table, add in writers.items():
                    add(columns.of(table, name, run, findings))
        made.replace(out)
    return [out / f"{table}.{form}" for table in columns.TABLES]


def _text(judged: Judged, form: str) -> str:
    from analysis.exchange import benchstat, findings, openmetrics

    writers = {"openmetrics": openmetrics.text, "benchstat": benchstat.text, "junit": findings.as_junit,
               "opentest": findings.as_opentest}
    return writers[form](_materials(judged))


def _materials(judged: Judged) -> list[tuple[str, Material]]:
    """Return what these writers need of each run: plan, facts and findings, without what the steps left."""
    import msgspec

    from analysis import rows

    return [(name, rows.material([msgspec.structs.replace(run, results=())], found)) for name, run, found in judged]


COMMANDS = {"export": export}
