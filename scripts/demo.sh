#!/usr/bin/env bash
# Trains and compares four systems on a fresh machine: installs nmt into .venv and runs `nmt demo`, which prints where
# its report is.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
exec .venv/bin/nmt demo "$@"
