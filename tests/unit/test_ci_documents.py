"""What docs/ci.md offers to be pasted: YAML is YAML, and every `virtmark ...` in it is a command line that parses."""

import re
import shlex
from pathlib import Path

import click
import pytest

from harness.cli import virtmark

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
LOOSE = [*(line for line in PROSE.splitlines() if line.startswith("    ")),
         *re.findall(r"`(virtmark [^`]+ --[^`]+)`", PROSE)]
END = re.compile(r"\s(?:\|\||&&|;)\s|[)`]|'$|'''")


def command_lines(text):
    """Yield the words behind each `virtmark` in shell text, as a shell would split them."""
    joined = re.sub(r"\\*\\\n\s*", " ", text)
    for line in joined.splitlines():
        for match in re.finditer(r"(?:^|[\s('/])virtmark ((?:run|gate|noise|import)\b.*)", line):
            words = END.split(match[1] + " ")[0].split(" #")[0]
            yield shlex.split(words)


def folded(text):
    """Return YAML text with the lines of a folded string (>-) on one line."""
    return re.sub(r">-\n((?: +.*\n)+?)(?=\s*(?:- |\w+:|$))", lambda found: " ".join(found[1].split()) + "\n", text)


LINES = [line for kind, text in FENCES for line in command_lines(folded(text) if kind == "yaml" else text)]
LINES += list(command_lines("\n".join(LOOSE)))


@pytest.mark.parametrize("words", LINES, ids=lambda words: " ".join(words)[:60])
def test_a_command_in_the_document_is_one_that_parses(words):
    command = virtmark.get_command(click.Context(virtmark), words[0])
    _, rest, order = command.make_parser(click.Context(command)).parse_args(words[1:])
    assert not [word for word in rest if word.startswith("-")]
    given = {parameter.name for parameter in order if isinstance(parameter, click.Option)}
    if words[0] == "gate":
        assert "baselines" in given or "past" in given


def test_commands_are_found_in_the_document():
    assert len(LINES) >= 12
    assert {words[0] for words in LINES} == {"run", "gate", "noise", "import"}
    assert ["gate", "a", "--baseline", "b", "--limit", "disk.*=5%"] in list(
        command_lines("x: .venv/bin/virtmark gate a --baseline b \\\n  --limit 'disk.*=5%' || exit 1"))


@pytest.mark.parametrize("text", [text for kind, text in FENCES if kind == "yaml"], ids=["github", "gitlab", "pytest"])
def test_yaml_in_the_document_is_yaml_of_jobs(text):
    yaml = pytest.importorskip("yaml", reason="not installed; pip install pyyaml to check the workflows")
    found = yaml.safe_load(text)
    jobs = found["jobs"].values() if "jobs" in found else [found[name] for name in found["stages"]]
    for job in jobs:
        steps = job.get("steps") or job["script"]
        assert steps
        assert all(isinstance(step, str) or {"uses", "run"} & step.keys() for step in steps)


def test_the_limits_of_the_document_are_those_of_the_script():
    script = (ROOT / ".ci" / "benchmarks").read_text()
    limits = [float(share) / 100 + 1 for share in re.findall(r"--limit '[^']+=(\d+)%'", script)]
    rows = re.findall(r"\| (\d[\d.]*) \| (\d[\d.]*) \|$", TEXT, re.MULTILINE)
    assert [float(limit) for _, limit in rows] == limits
    assert all(2 * float(ratio) <= float(limit) for ratio, limit in rows)
