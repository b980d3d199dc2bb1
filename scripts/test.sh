#!/usr/bin/env bash
# Checks style and types and runs the tests. Arguments go to pytest: scripts/test.sh -k beam
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up dev
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # the two pytest workers share the cores; more torch threads would compete
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
exec .venv/bin/pytest -n 2 --dist worksteal "$@"
