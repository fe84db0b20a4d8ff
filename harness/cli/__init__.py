"""The command line; the only package that sees harness, drivers and analysis at once.

A command's module is imported when the command is called, so that `--help` costs next to nothing: this table is
all that is needed for it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from harness.errors import VirtmarkError

COMMANDS = {
    "doctor": ("looking", "What can run here; for each missing part, the command that installs it."),
    "list": ("looking", "What there is: indicators, scenarios, targets, profiles, workloads, imports."),
    "schema": ("looking", "JSON Schema of the files a user writes."),
    "lab": ("labs", "The embedded two-host lab: up, down, status."),
    "plan": ("running", "The exact steps, in order, with an estimate of time; touches nothing."),
    "run": ("running", "Measure: carry out scenarios on targets; one run folder for each."),
    "clean": ("running", "Remove what earlier, killed runs left on a target."),
    "import": ("importing", "Turn files of other tools into a run."),
    "export": ("exporting", "Runs and findings for other programs: CSV, Parquet, OpenMetrics, JUnit, benchstat."),
    "query": ("asking", "SQL over a folder of runs."),
    "judge": ("judging", "Findings of run folders against a profile."),
    "attest": ("judging", "The questionnaire for clauses that no measurement can answer."),
    "report": ("judging", "HTML report, charts, findings.json and findings.csv."),
    "compare": ("comparing", "Vendors side by side: ratios with intervals, letters, rank intervals."),
    "gate": ("gating", "For CI: what got worse than a baseline, beyond noise; where a history changed."),
    "noise": ("gating", "The noise floor of a testbed, by A/A pairs."),
    "job": ("loading", "A Kubernetes Job whose pods are the workers of a load."),
    "bundle": ("bundling", "Runs, profiles, findings and report in one file, with hashes and a signature."),
    "verify": ("bundling", "Check a bundle, byte by byte, and derive its findings again."),
}
EXIT_DONE, EXIT_MISSED, EXIT_BROKEN, EXIT_UNDECIDED = 0, 1, 2, 3


class Late(click.Group):
    """A group whose commands are imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that holds the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Late, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="virtmark", prog_name="virtmark")
def virtmark() -> None:
    """Certify, compare and regression-test virtualization products and container platforms.

    Exit codes: 0 fine; 1 measured and missed; 2 could not be done; 3 inconclusive or invalid.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; an error on purpose is one line on stderr."""
    try:
        code = virtmark.main(args=None if argv is None else list(argv), prog_name="virtmark", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_DONE
    except click.ClickException as error:
        error.show()
        return EXIT_BROKEN
    except VirtmarkError as error:
        click.echo(f"virtmark: {error}", err=True)
        return EXIT_BROKEN
    except (click.Abort, KeyboardInterrupt):
        click.echo("virtmark: interrupted", err=True)
        return EXIT_BROKEN
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_DONE
