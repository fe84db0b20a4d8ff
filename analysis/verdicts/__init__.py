"""Verdicts of the gate for machines and people: JUnit, SARIF, GitHub's annotations, Markdown, JSON.

    cases     gate or histories -> flat cases, the only input of the writers below
    junit sarif github markdown     cases -> text
    machine   gate or histories -> JSON, the records as they are

All is pure: same gate, same bytes.
"""
