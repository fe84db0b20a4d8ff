"""`virtmark judge` and `report`: pure functions of run folders and a profile; no platform is touched.

The pipeline is imported inside the commands, so that their help stays cheap.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from harness.model import Finding, Run
    from harness.profile import Profile
    from harness.verdict import Overall

_folders = click.argument("folders", nargs=-1, required=True, metavar="RUN...",
                          type=click.Path(path_type=Path, exists=True, file_okay=False))
_profiles = click.option("--profile", "-p", "profiles", multiple=True, metavar="P",
                         help="A packaged profile or a path to a .toml file; several are merged.")


@click.command()
@_folders
@_profiles
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
def judge(folders: tuple[Path, ...], profiles: tuple[str, ...], *, as_json: bool) -> int:
    """Print the findings; exit 0 fine, 1 a limit is missed, 2 not run, 3 inconclusive or invalid."""
    from analysis import export
    from harness import verdict

    _, _, findings = _judged(folders, profiles)
    overall = verdict.overall(findings)
    if as_json:
        click.echo(export.findings_json(findings), nl=False)
    else:
        _print(findings)
        _say(overall)
    return overall.exit_code


@click.command()
@_folders
@_profiles
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("-o", "out", type=click.Path(path_type=Path, file_okay=False), default=Path("report"), show_default=True)
def report(folders: tuple[Path, ...], profiles: tuple[str, ...], *, lang: str, out: Path) -> int:
    """Write report.html, charts as PNG and SVG, findings.json and findings.csv; exit codes as of judge."""
    from analysis import report as pages
    from harness import verdict

    runs, required, findings = _judged(folders, profiles)
    page = pages.write(list(runs.values()), findings, required, out, lang=lang, folders=list(runs))
    overall = verdict.overall(findings)
    click.echo(page)
    _say(overall)
    return overall.exit_code


def _judged(folders: Sequence[Path],
            profiles: Sequence[str]) -> tuple[dict[Path, Run], Profile | None, list[Finding]]:
    """Return runs in the order in which they were planned, whatever the order of `folders`: same runs, same bytes."""
    from harness import profile, store, verdict

    runs = {folder: store.load(folder) for folder in folders}
    planned = {folder: min((step.order for step in run.plan.steps), default=0) for folder, run in runs.items()}
    runs = {folder: runs[folder] for folder in sorted(runs, key=lambda at: (runs[at].plan.campaign, planned[at]))}
    required = profile.merge([profile.load(name) for name in profiles])
    return runs, required, verdict.judge(list(runs.values()), required)


def _counts(overall: Overall) -> dict[str, int]:
    return {kind.name: number for kind, number in overall.counts.items()}


def _say(overall: Overall) -> None:
    counts = ", ".join(f"{number} {name}" for name, number in _counts(overall).items())
    click.echo(f"{overall.verdict.name}: {counts}", err=True)


def _print(findings: Sequence[Finding]) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200).print(_table(findings))


def _table(findings: Sequence[Finding]) -> Table:
    from rich.table import Table

    from harness.units import show

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("target", "indicator", "point", "value", "interval", "n", "limit", "verdict", "why"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        its = finding.estimate
        value, interval, n = ("", "", "") if its is None else (
            show(its.estimate, its.unit), f"{show(its.ci.lo, its.unit)} .. {show(its.ci.hi, its.unit)}", str(its.n))
        needs = finding.requirement
        limit = f"{needs.op} {show(needs.limit, needs.unit)} ({needs.source})" if needs else ""
        table.add_row(finding.target, finding.indicator, finding.point, value, interval, n, limit,
                      finding.verdict.name, "; ".join(finding.reasons))
    return table


COMMANDS = {"judge": judge, "report": report}
