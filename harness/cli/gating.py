"""`virtmark gate` and `noise`: for CI. What got worse beyond noise; where a history changed; what noise there is.

The pipeline is imported inside the commands, so that their help stays cheap.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from harness.errors import InputError

if TYPE_CHECKING:
    from analysis.verdicts.cases import Sheet
    from harness.model import Run
    from harness.regression import Allowance, Noise
    from harness.runner import Outcome

_file = click.Path(path_type=Path, dir_okay=False)
_folder = click.Path(path_type=Path, exists=True, file_okay=False)
# GitHub takes 1 MiB a step; a longer summary would be lost as a whole.
SUMMARY_MAX = 1_000_000


@click.command()
@click.argument("folders", nargs=-1, metavar="[RUN]...", type=_folder)
@click.option("--baseline", "-b", "baselines", multiple=True, metavar="RUN", type=_folder,
              help="What RUN is held to; the rounds of several are pooled.")
@click.option("--history", "past", metavar="DIR", type=_folder,
              help="Look for changes of level over all runs below DIR instead.")
@click.option("--limit", "limits", multiple=True, metavar="GLOB=SHARE",
              help="Tolerate so much, such as 'disk.*=5%'; GLOB is matched with the indicator (STO-01), the point, "
                   "WORKLOAD.INDICATOR, WORKLOAD.POINT and INDICATOR@POINT; of several, the last one holds.")
@click.option("--noise", "noise_file", metavar="FILE", type=_file,
              help="Noise floors that `virtmark noise` measured; else noise.json beside the run folders.")
@click.option("--floor", type=click.FloatRange(0, 100, max_open=True), metavar="PCT",
              help="The noise floor in percent where no noise file tells one.  [default: 2]")
@click.option("--force", is_flag=True, help="Compare what is not comparable, and let be what is missing; it is told.")
@click.option("--strict", is_flag=True, help="Exit 3 where it cannot be told whether something got worse.")
@click.option("--junit", metavar="FILE", type=_file, help="Write JUnit XML.")
@click.option("--sarif", metavar="FILE", type=_file, help="Write SARIF 2.1.0.")
@click.option("--markdown", metavar="FILE", type=_file, help="Write a table in Markdown.")
@click.option("--github", is_flag=True, help="Print annotations of GitHub; add the table to $GITHUB_STEP_SUMMARY.")
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
@click.option("--by", metavar="FACT", help="With --history: what runs are called by: version, revision, or a fact such "
                                          "as host.0.kernel.release.  [default: whichever of the two changes]")
@click.option("--label", "by", metavar="FACT", help="The same as --by.")
@click.option("--target", metavar="T", help="With --history: only runs of this target.")
@click.option("--scenario", metavar="S", help="With --history: only runs of this scenario.")
@click.option("-o", "out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="With --history: write history.html and the chart of each series as PNG and SVG.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of history.html.")
def gate(**options: Any) -> int:
    """Say what got better, stayed the same, got worse, or cannot be told; exit 0 nothing worse, 1 something is, 2 not
    comparable or missing, 3 invalid, or nothing could be tested."""
    asked = Asked(**options)
    return _history(asked, asked.past) if asked.past else _gate(asked)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line of `gate` says."""

    folders: tuple[Path, ...]
    baselines: tuple[Path, ...]
    past: Path | None
    limits: tuple[str, ...]
    noise_file: Path | None
    floor: float | None
    force: bool
    strict: bool
    junit: Path | None
    sarif: Path | None
    markdown: Path | None
    github: bool
    as_json: bool
    by: str | None
    target: str | None
    scenario: str | None
    out: Path | None
    lang: str


def _gate(asked: Asked) -> int:
    from analysis.verdicts import cases, machine
    from harness import regression

    if asked.by or asked.target or asked.scenario or asked.out or not asked.folders or not asked.baselines:
        raise InputError("give RUN and --baseline RUN, or --history DIR; --by, --target, --scenario and -o go with "
                         "--history")
    if same := {path.resolve() for path in asked.folders} & {path.resolve() for path in asked.baselines}:
        raise InputError(f"{min(same)}: is RUN and its baseline; a run is no better or worse than itself")
    runs, bases = _loaded(asked.folders), _loaded(asked.baselines)
    allowed = _allowance(asked, asked.folders + asked.baselines, runs[0])
    gated = regression.gate(runs, bases, allowed, force=asked.force, strict=asked.strict)
    _give(cases.of_gate(gated), machine.gate_json(gated), asked, asked.folders[0])
    return gated.exit_code


def _history(asked: Asked, past: Path) -> int:
    from analysis.verdicts import cases, machine
    from harness import regression, store

    if asked.folders or asked.baselines:
        raise InputError("--history: takes all runs below its folder; give neither RUN nor --baseline")
    runs = {folder: store.load(folder) for folder in store.runs(past)}
    for option, name in (("target", asked.target), ("scenario", asked.scenario)):
        there = sorted({_name(run, option) for run in runs.values()})
        if name and name not in there:
            raise InputError(f"--{option}: {past}: no run of {name!r}; there are: {', '.join(there) or 'none'}")
        runs = {folder: run for folder, run in runs.items() if not name or _name(run, option) == name}
    if not runs:
        raise InputError(f"{past}: holds no run folders")
    allowed = _allowance(asked, list(runs), list(runs.values())[-1])
    found = regression.history({str(folder): run for folder, run in runs.items()}, allowed, by=asked.by or "")
    _give(cases.of_history(found), machine.history_json(found), asked, past)
    if asked.out:
        from analysis.verdicts import histories

        click.echo(histories.write(found, asked.out, lang=asked.lang), err=asked.as_json)
    return found.exit_code


@click.command()
@click.argument("folders", nargs=-1, metavar="[RUN]...", type=_folder)
@click.option("--target", "-t", metavar="T", help="Measure on this target.")
@click.option("--scenario", "-s", metavar="S", help="Measure this scenario.")
@click.option("--pairs", type=click.IntRange(min=3), default=10, show_default=True, help="A/A pairs; two rounds each.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Decides the order of points.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("results"), show_default=True,
              help="Where the run folder is made.")
@click.option("--resume", "resumed", type=_folder, help="Go on with the pairs of this run folder.")
@click.option("-o", "file", metavar="FILE", type=_file, help="The noise file.  [default: noise.json beside the run "
                                                            "folders, where gate finds it]")
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
def noise(folders: tuple[Path, ...], *, target: str | None, scenario: str | None, pairs: int, seed: int, out: Path,
          resumed: Path | None, file: Path | None, as_json: bool) -> int:
    """Measure the noise floor of a testbed by A/A pairs, or read it off RUNs of one scenario on one target."""
    from harness import regression, store

    if sum((bool(folders), bool(resumed), bool(target and scenario))) != 1 or bool(target) != bool(scenario):
        raise InputError("give --target T and --scenario S to measure, RUNs that there are, or --resume RUN")
    code = 0
    if not folders:
        outcome = _paired(target or "", scenario or "", pairs, seed, out, resumed)
        folders, code = outcome.folders, outcome.exit_code
        if outcome.stopped:
            click.echo(f"virtmark: {outcome.stopped}", err=True)
            return code
    found = regression.measured({str(folder): store.load(folder) for folder in folders})
    place = file or folders[0].resolve().parent / regression.FILE
    _write(place, regression.noise_text(found))
    if as_json:
        click.echo(regression.noise_text(found).decode(), nl=False)
    else:
        _noise_table(found)
        click.echo(place)
    return code


def _paired(target: str, scenario_name: str, pairs: int, seed: int, out: Path,
            resumed: Path | None) -> Outcome:
    """Carry out, or go on with, the rounds of A/A pairs."""
    from harness import plan, runner, scenario
    from harness.cli.bar import watch

    if resumed:
        with watch() as shown:
            return runner.resume(resumed, watch=shown)
    placed, wanted = scenario.target(target), scenario.load(scenario_name)
    campaign = plan.make([wanted], [placed.name], seed=seed, rounds=2 * pairs)
    with watch() as shown:
        return runner.execute(campaign, [placed], out, watch=shown)


def _name(run: Run, option: str) -> str:
    return run.plan.target if option == "target" else run.plan.scenario.name


def _allowance(asked: Asked, near: Sequence[Path], run: Run) -> Allowance:
    """Return floors and limits; says why the noise file may not hold for `run`, if it may not."""
    from harness import regression

    share, source = (regression.DEFAULT_FLOOR, "default") if asked.floor is None else (asked.floor / 100, "--floor")
    place = asked.noise_file or regression.beside(near)
    known = regression.load(place) if place else None
    for text in regression.doubts(known, run) if known else ():
        click.echo(f"{place}: {text}", err=True)
    return regression.Allowance(regression.limits(asked.limits), known, share, source)


def _loaded(folders: Sequence[Path]) -> list[Run]:
    """Return the runs; InputError unless they are of one target."""
    from harness import store

    runs = [store.load(folder) for folder in folders]
    names = list(dict.fromkeys(run.plan.target for run in runs))
    if len(names) > 1:
        raise InputError(f"{folders[0]}: is a run of {names[0]!r}, another is one of {names[1]!r}; a gate is about one "
                         "target")
    return runs


def _give(sheet: Sheet, document: str, asked: Asked, folder: Path) -> None:
    """Print the cases, and write them in every format that was asked for."""
    from importlib import metadata

    from analysis.verdicts import github, junit, markdown, sarif

    if asked.junit:
        _write(asked.junit, junit.text(sheet).encode())
    if asked.sarif:
        place = Path(os.path.relpath(folder / "run.json")).as_posix()
        _write(asked.sarif, sarif.text(sheet, version=metadata.version("virtmark"), place=place).encode())
    if asked.markdown:
        _write(asked.markdown, markdown.text(sheet).encode())
    if asked.github:
        for line in github.lines(sheet):
            click.echo(line, err=asked.as_json)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            text = markdown.text(sheet).encode()
            _write(Path(summary), text if len(text) <= SUMMARY_MAX else f"{sheet.summary}\n".encode(), mode="ab")
    if asked.as_json:
        click.echo(document, nl=False)
    else:
        _table(sheet)
    for note in sheet.notes:
        click.echo(note, err=True)
    click.echo(f"{sheet.title}: {sheet.summary}", err=True)


def _table(sheet: Sheet) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("outcome", "indicator", "point", "baseline", "run", "loss (+ is worse) and why"):
        table.add_column(heading, overflow="fold")
    for case in sheet.cases:
        table.add_row(case.outcome, case.indicator, case.point, case.facts.get("baseline", ""),
                      case.facts.get("run", ""), case.text)
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)


def _noise_table(found: Noise) -> None:
    from rich.console import Console
    from rich.table import Table

    from analysis.verdicts.cases import percent

    title = f"{'SIMULATED ' * found.simulated}noise of {found.target}, {found.scenario}, A/A pairs in ABBA order"
    table = Table(box=None, header_style="bold", pad_edge=False, title=title, title_justify="left")
    for heading in ("indicator", "point", "floor", "CV of a round [95 %]", "A/A ratio [95 %]", "pairs", "warnings"):
        table.add_column(heading, overflow="fold")
    for indicator, its in found.indicators.items():
        for point, one in its.points.items():
            spread = " … ".join(percent(end, sign=False) for end in one.cv_ci)
            table.add_row(indicator, point, percent(one.floor, sign=False), f"{percent(one.cv, sign=False)} [{spread}]",
                          f"{one.ratio:.4f} [{one.ratio_ci[0]:.4f} … {one.ratio_ci[1]:.4f}]", str(one.n),
                          "; ".join(one.warnings))
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)
    for name, why in found.left_out.items():
        click.echo(f"{name}: left out: {why}", err=True)


def _write(path: Path, data: bytes, mode: Literal["wb", "ab"] = "wb") -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as file:
            file.write(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


COMMANDS = {"gate": gate, "noise": noise}
