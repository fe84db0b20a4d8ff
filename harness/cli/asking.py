"""`virtmark query`: SQL over a folder of runs, answered by DuckDB."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from analysis.questions.index import Indexed, Step
    from harness.profile import Profile

SHOWN = 1000  # rows of a table for people
WIDE = 60    # characters of a cell for people
FEW = 20      # runs that are indexed without a bar


@click.command()
@click.argument("sql", metavar="SELECT")
@click.option("--in", "place", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("results"),
              show_default=True, metavar="DIR", help="A run, the folder of a target, or a folder of these.")
@click.option("--profile", "-p", "profiles", multiple=True, metavar="P",
              help="What findings are judged by: a packaged profile or a path to a .toml file; several are merged.")
@click.option("--json", "form", flag_value="json", help="Machine output alone on stdout: a list of objects.")
@click.option("--csv", "form", flag_value="csv", help="CSV on stdout.")
def query(sql: str, place: Path, profiles: tuple[str, ...], form: str | None) -> None:
    """Answer a SELECT over the views runs, steps, series and findings; their columns are in docs/query.md.

    It can only read. Tables of runs are kept in the user's cache, so that the next question is fast.
    """
    from analysis.questions import engine
    from harness import store

    folders = store.runs(place)
    if not folders:
        raise InputError(f"{place}: there is no run in it; a folder of runs is expected")
    profile, texts = _profile(profiles)
    engine.checked(sql)
    with _bar(len(folders)) as step, engine.ask(sql, folders, profile=profile, profiles=texts, step=step) as (rows,
                                                                                                               found):
        FORMS[form](rows)
    _say(found)


def _profile(names: Sequence[str]) -> tuple[Profile | None, list[str]]:
    from harness import codec, profile

    merged = profile.merge([profile.load(name) for name in names])
    return merged, [repr(codec.plain(merged))] if merged else []


def _say(found: Indexed) -> None:
    for line in found.left_out:
        click.echo(f"left out: {line}", err=True)


@contextmanager
def _bar(runs: int) -> Iterator[Step]:
    """Yield what to call after each run; a bar is shown on a terminal, and where there is something to wait for."""
    if not sys.stderr.isatty() or runs <= FEW:
        yield lambda: None
        return
    with click.progressbar(length=runs, label="reading runs", file=sys.stderr) as bar:
        yield lambda: bar.update(1)


def _table(rows: pa.RecordBatchReader) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for field in rows.schema:
        table.add_column(field.name, overflow="fold")
    count = 0
    for row in _rows(rows):
        count += 1
        if count <= SHOWN:
            table.add_row(*map(_short, row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if count > SHOWN:
        click.echo(f"{count - SHOWN} more rows; --csv or --json give all", err=True)


def _short(cell: object) -> str:
    text = "" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell)
    return text if len(text) <= WIDE else text[:WIDE - 1] + "…"


def _json(rows: pa.RecordBatchReader) -> None:
    names = rows.schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"query: several columns are called {', '.join(twice)}; name them apart with AS")
    click.echo("[", nl=False)
    for number, row in enumerate(_rows(rows)):
        text = json.dumps(dict(zip(names, map(_plain, row), strict=True)), ensure_ascii=False, default=str)
        click.echo(f"{',' if number else ''}\n {text}", nl=False)
    click.echo("\n]")


def _csv(rows: pa.RecordBatchReader) -> None:
    from pyarrow import csv

    with csv.CSVWriter(sys.stdout.buffer, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)
    sys.stdout.buffer.flush()


def _rows(rows: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
    for batch in rows:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _plain(value: Any) -> Any:
    """Return a cell as JSON has it: infinities as text, as everywhere in virtmark; times as ISO 8601."""
    from datetime import date

    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return value.isoformat() if isinstance(value, date) else value


FORMS = {None: _table, "json": _json, "csv": _csv}
COMMANDS = {"query": query}
