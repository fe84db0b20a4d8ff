"""`virtmark plan`, `run` and `clean`: what is to be done, doing it, and removing what a killed run left.

The pipeline is imported inside the commands, so that their help stays cheap.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.plan import Campaign
    from harness.scenario import Placed

_targets = click.option("--target", "-t", "targets", multiple=True, metavar="T",
                        help="A packaged target or a path to a .toml file; may be given several times.")
_seed = click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True,
                     help="Decides the order of points; same seed, same plan.")
_rounds = click.option("--rounds", type=click.IntRange(min=1), help="So many rounds, whatever the scenario says.")
_quick = click.option("--quick", is_flag=True, help="The quick look that the scenario itself defines.")
_json = click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")


@click.command("plan")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@_targets
@_seed
@_rounds
@_quick
@_json
def show(scenarios: tuple[str, ...], targets: tuple[str, ...], *, seed: int, rounds: int | None, quick: bool,
         as_json: bool) -> None:
    """Print the exact steps, in order, with an estimate of time; touches nothing."""
    from harness import codec, plan
    from harness.cli.bar import clock_text

    campaign, _ = _campaign(scenarios, targets, seed, rounds, quick)
    forecast = plan.estimate(campaign)
    if as_json:
        document = {"campaign": codec.plain(campaign), "seconds": forecast.seconds, "at_most": forecast.at_most}
        click.echo(json.dumps(document))
        return
    for block in plan.blocks(campaign):
        for step in block.steps:
            seconds = f"{forecast.steps[step.order]:.0f} s"
            beside = ", ".join(f"{key} = {value}" for key, value in step.background.items())
            click.echo(f"{step.order:>5}  round {step.round:>2}  {step.target:<14} {step.id}  ~{seconds}"
                       + (f"  beside it: {beside}" if beside else ""))
    at_most = f", at most {clock_text(forecast.at_most)}" if forecast.at_most > forecast.seconds else ""
    click.echo(f"{len(forecast.steps)} steps in {len(campaign.plans)} run folders, "
               f"about {clock_text(forecast.seconds)}{at_most}", err=True)


@click.command()
@click.argument("scenarios", nargs=-1, metavar="SCENARIO...")
@_targets
@_seed
@_rounds
@_quick
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("results"), show_default=True,
              help="Where run folders are made: <out>/<target>/<utc>-<scenario>.")
@click.option("--resume", "resumed", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Go on with the campaign of this run folder, or with the only unfinished one below it.")
@_json
def run(scenarios: tuple[str, ...], targets: tuple[str, ...], *, seed: int, rounds: int | None, quick: bool,
        out: Path, resumed: Path | None, as_json: bool) -> int:
    """Carry out scenarios on targets, round by round in turn; prints the run folders."""
    from harness import runner
    from harness.cli.bar import watch

    if resumed and (scenarios or targets):
        raise InputError("--resume: takes scenarios and targets from the run folder; give neither")
    if resumed:
        with watch() as shown:
            outcome = runner.resume(resumed, watch=shown)
    else:
        campaign, placed = _campaign(scenarios, targets, seed, rounds, quick)
        with watch() as shown:
            outcome = runner.execute(campaign, placed, out, watch=shown)
    folders = [str(folder) for folder in outcome.folders]
    counts = {status.value: number for status, number in outcome.counts.items()}
    if as_json:
        click.echo(json.dumps({"folders": folders, "steps": counts, "stopped": outcome.stopped}))
    else:
        click.echo("\n".join(folders))
        click.echo("steps: " + ", ".join(f"{number} {status}" for status, number in sorted(counts.items())), err=True)
    if outcome.stopped:
        click.echo(f"virtmark: {outcome.stopped}", err=True)
    return outcome.exit_code


@click.command()
@click.argument("target")
def clean(target: str) -> None:
    """Remove what earlier, killed runs left on TARGET."""
    from harness import scenario
    from harness.protocols import Cleans

    placed = scenario.target(target)
    if not isinstance(placed.target, Cleans):
        click.echo(f"{placed.name}: a run leaves nothing on such a target", err=True)
        return
    removed = placed.target.clean()
    for line in removed:
        click.echo(placed.mask.text(line))
    click.echo(f"{placed.name}: {len(removed)} removed", err=True)


def _campaign(scenarios: Sequence[str], targets: Sequence[str], seed: int,
              rounds: int | None, quick: bool) -> tuple[Campaign, list[Placed]]:
    from harness import plan, scenario

    if not scenarios:
        raise InputError(f"name a scenario; there are: {', '.join(scenario.packaged('scenario'))}")
    if not targets:
        raise InputError(f"name a target with --target; there are: {', '.join(scenario.packaged('target'))}")
    placed = [scenario.target(name) for name in targets]
    loaded = [scenario.load(name) for name in scenarios]
    if quick:
        loaded = [plan.quick(each) for each in loaded]
    return plan.make(loaded, [its.name for its in placed], seed=seed, rounds=rounds), placed


COMMANDS = {"plan": show, "run": run, "clean": clean}
