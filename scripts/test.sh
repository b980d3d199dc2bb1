#!/usr/bin/env bash
# Checks everything: style, types and tests. Arguments go to pytest: scripts/test.sh -k beam
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up dev
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # one thread per worker: there is one worker per core
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
exec .venv/bin/pytest -n 2 --dist worksteal "$@"
