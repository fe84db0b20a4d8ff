"""`virtmark judge`, `attest` and `report`: pure functions of run folders and a profile; no platform is touched.

The pipeline is imported inside the commands, so that their help stays cheap.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from rich.table import Table

    from harness.assessment import Assessed, Assessment
    from harness.model import Finding, Run
    from harness.profile import Profile
    from harness.verdict import Overall

folders = click.argument("folders", nargs=-1, required=True, metavar="RUN...",
                          type=click.Path(path_type=Path, exists=True, file_okay=False))
_profiles = click.option("--profile", "-p", "profiles", multiple=True, metavar="P",
                         help="A packaged profile or a path to a .toml file; several are merged.")
_attest = click.option("--attest", "answers", metavar="FILE", multiple=True,
                       type=click.Path(path_type=Path, exists=True, dir_okay=False),
                       help="Answers to the questions of a profile; see `virtmark attest`.")


@click.command()
@folders
@_profiles
@_attest
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
def judge(folders: tuple[Path, ...], profiles: tuple[str, ...], answers: tuple[Path, ...], *, as_json: bool) -> int:
    """Print the findings, or the clauses of a standard; exit 0 fine, 1 a limit is missed, 2 not run, 3 inconclusive or
    invalid."""
    from analysis import export

    judged = judging(folders, profiles, answers)
    if as_json:
        click.echo(export.judged_json(judged.findings, judged.assessments) if judged.assessments
                   else export.findings_json(judged.findings), nl=False)
        return judged.exit_code
    if not judged.assessments:
        show(_table(judged.findings))
    for assessment in judged.assessments:
        show(_tree(assessment))
        click.echo(_levels(assessment), nl=False)
    _say(judged.overall)
    return judged.exit_code


@click.command()
@click.argument("name", metavar="PROFILE")
def attest(name: str) -> None:
    """Print the questionnaire of a profile, to be filled in and given to judge and report by --attest."""
    from harness import attestation, profile
    from harness.errors import InputError

    parts = profile.load(name).parts
    if not parts:
        raise InputError(f"profile {name!r}: has no clauses; there is nothing to ask")
    click.echo("\n".join(attestation.questionnaire(part) for part in parts), nl=False)


@click.command()
@folders
@_profiles
@_attest
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--lab", default="", metavar="NAME", help="Who measured, for the line that is signed.")
@click.option("--pdf", "as_pdf", is_flag=True, help="Write report.pdf too.")
@click.option("-o", "out", type=click.Path(path_type=Path, file_okay=False), default=Path("report"), show_default=True)
def report(folders: tuple[Path, ...], profiles: tuple[str, ...], answers: tuple[Path, ...], *, lang: str, lab: str,
           as_pdf: bool, out: Path) -> int:
    """Write report.html, charts as PNG and SVG, findings.json and findings.csv; exit codes as of judge."""
    from analysis import report as pages
    from analysis.charts import style

    judged = judging(folders, profiles, answers)
    page = pages.write(list(judged.runs.values()), judged.findings, judged.profile, out, lang=lang,
                       folders=list(judged.runs), assessments=judged.assessments, lab=lab, as_pdf=as_pdf)
    click.echo(page)
    if lang == "zh" and not style.chinese():
        click.echo("charts are in English: no font here has Chinese characters; see `virtmark doctor`", err=True)
    _say(judged.overall)
    return judged.exit_code


class Judged(NamedTuple):
    """Runs by folder, what they were judged by, and what came out."""

    runs: dict[Path, Run]
    profile: Profile | None
    findings: list[Finding]
    assessments: list[Assessment]
    overall: Overall

    @property
    def exit_code(self) -> int:
        """Return the findings' own code; a clause that somebody signed as not met is a miss as well."""
        denied = any(leaf.answer and leaf.answer.answer == "no" for one in self.assessments for leaf in one.leaves())
        return 1 if denied else self.overall.exit_code


def judging(folders: Sequence[Path], profiles: Sequence[str], answers: Sequence[Path] = ()) -> Judged:
    """Judge runs in the order in which they were planned, whatever the order of `folders`: same runs, same bytes."""
    from harness import assessment, attestation, profile, store, verdict

    runs = {folder: store.load(folder) for folder in folders}
    planned = {folder: min((step.order for step in run.plan.steps), default=0) for folder, run in runs.items()}
    runs = {folder: runs[folder] for folder in sorted(runs, key=lambda at: (runs[at].plan.campaign, planned[at]))}
    required = profile.merge([profile.load(name) for name in profiles])
    findings = verdict.judge(list(runs.values()), required)
    parts = required.parts if required else ()
    given = [answer for path in answers for answer in attestation.load(path, parts)]
    assessed = assessment.assess(required, findings, given) if required else []
    return Judged(runs, required, findings, assessed, verdict.overall(findings))


def _counts(overall: Overall) -> dict[str, int]:
    return {kind.name: number for kind, number in overall.counts.items()}


def _say(overall: Overall) -> None:
    counts = ", ".join(f"{number} {name}" for name, number in _counts(overall).items())
    click.echo(f"{overall.verdict.name}: {counts}", err=True)


def show(table: Table) -> None:
    """Print a table, as wide as it likes where nobody looks at a terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _tree(assessment: Assessment) -> Table:
    """Return the clauses of a standard, indented, with what became of each."""
    from rich.table import Table

    from harness.units import show

    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left",
                  title=f"{assessment.part.title} · {assessment.target}")
    for heading in ("clause", "", "how", "value", "limit", "outcome", "why"):
        table.add_column(heading, overflow="fold")

    def add(node: Assessed, depth: int) -> None:
        clause, its = node.clause, node.findings[0] if len(node.findings) == 1 else None
        value = f"{len(node.findings)} points" if len(node.findings) > 1 else show(
            its.estimate.estimate, its.estimate.unit) if its and its.estimate else ""
        limit = f"{clause.limit} ({clause.source})" if clause.limit else ""
        name = "" if clause.kind == "heading" else str(clause.kind)
        table.add_row("  " * depth + (clause.number or clause.id), clause.title, name, value, limit,
                      node.outcome or f"{node.share:.0%} holds", node.why)
        for child in node.children:
            add(child, depth + 1)

    for node in assessment.clauses:
        add(node, 0)
    return table


def _levels(assessment: Assessment) -> str:
    """Return which level is reached, and what is missing for the next one."""
    if not assessment.levels:
        return ""
    reached, following = assessment.level, assessment.following
    lines = [f"level: {reached.level.title} ({reached.level.name})" if reached else "level: none"]
    if following:
        lines += [f"missing for {following.level.title} ({following.level.name}):",
                  *(f"  {leaf.clause.number or leaf.clause.id}  {leaf.clause.title}: {leaf.outcome}"
                    + (f", {leaf.why}" if leaf.why else "") for leaf in following.missing)]
    return "\n".join(lines) + "\n"


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


COMMANDS = {"judge": judge, "attest": attest, "report": report}
