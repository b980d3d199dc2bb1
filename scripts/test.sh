#!/usr/bin/env bash
# Everything that must hold: style, types, tests. What is given here goes to pytest: scripts/test.sh -k beam
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up dev
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # two workers share the cores, torch's threads would fight over them
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
exec .venv/bin/pytest -n 2 "$@"
