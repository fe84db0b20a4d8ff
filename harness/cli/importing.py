"""`virtmark import`: files of other tools as a run that judge and report accept."""

COMMANDS: dict = {}
