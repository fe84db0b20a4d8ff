# Two commands do everything on a fresh Debian 12 machine, as root: `make certify` and `make test`.
PYTHON ?= python3
BIN    := .venv/bin
OUT    ?= results
REPORT ?= report
TARGETS ?= bare lab lab-podman
SCENARIO ?= quick

.PHONY: certify test gate test-live test-statistics test-mutation lint setup packages benchmarks clean

# The main job: the embedded lab, one interleaved campaign over all targets, one report; the lab is taken down in any case.
# A step that broke, or a limit that was missed, is in the report; only what cannot be reported ends it.
certify: setup
	@trap '$(BIN)/virtmark lab down' EXIT; trap 'exit 130' INT TERM; \
	$(BIN)/virtmark lab up && \
	{ runs=$$($(BIN)/virtmark run $(SCENARIO) $(addprefix --target ,$(TARGETS)) --out $(OUT)) || [ -n "$$runs" ]; } && \
	{ $(BIN)/virtmark report $$runs --profile example -o $(REPORT); [ $$? -ne 2 ] || [ -e $(REPORT)/report.html ]; }

test: setup lint
	$(BIN)/pytest -q -n 2 -m "not live and not statistics and not mutation" tests --ignore=tests/benchmarks
	$(BIN)/pytest -q --benchmark-disable -m "not live" tests/benchmarks
	$(MAKE) --no-print-directory test-live

# Tests on the real thing, in a lab of their own beside any other; where it cannot stand they skip and say why. Those
# marked `own` run beside the rest, and what they print comes after it; they see SIGINT, which sh would have them ignore.
test-live: export VIRTMARK_STATE := /var/lib/virtmark-test
test-live: setup
	@said=$$(mktemp); trap 'kill $$beside 2>/dev/null; wait; rm -f $$said; $(BIN)/virtmark lab down' EXIT; \
	trap 'exit 130' INT TERM; \
	$(BIN)/virtmark lab up --stack bookworm --stack trixie; \
	env --default-signal=INT,QUIT $(BIN)/pytest -q --benchmark-disable -m "live and own" -rs tests >$$said 2>&1 & beside=$$!; \
	$(BIN)/pytest -q --benchmark-disable -m "live and not own" -rs tests; code=$$?; \
	wait $$beside || code=1; cat $$said; exit $$code

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

# The coverage suite in full: 10,000 simulated data sets a cell. Two processes on two cores need no threads of BLAS.
test-statistics: export OPENBLAS_NUM_THREADS := 1
test-statistics: setup
	$(BIN)/pytest -q -n 2 --dist worksteal -m statistics tests

# Classic errors put into the statistics one by one: a test must notice each.
test-mutation: setup
	$(BIN)/pytest -q -n 2 -m mutation tests

# virtmark's own speed, as ratios against baselines of the same run.
benchmarks: setup
	$(BIN)/pytest -q --benchmark-only tests/benchmarks

# The same, held to limits by virtmark's own gate: fails only where a limit is shown to be exceeded, never by noise.
gate: setup
	BIN=$(BIN) .ci/benchmarks

setup: packages .venv/.installed

.venv/.installed: pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -e '.[libvirt,docker,query,load,dev]'
	touch $@

# Installs what is missing and starts no service: a policy-rc.d stands in the way meanwhile.
packages:
	@missing=$$(awk '!/^#/ && NF {print $$2}' drivers/packages.txt | sort -u | while read p; do \
	  [ "$$(dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || echo $$p; done); \
	[ -z "$$missing" ] && exit 0; \
	[ "$$(id -u)" = 0 ] || { echo "missing packages; run as root: apt-get install --no-install-recommends" $$missing >&2; exit 2; }; \
	if [ ! -e /usr/sbin/policy-rc.d ]; then printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; \
	  chmod +x /usr/sbin/policy-rc.d; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
