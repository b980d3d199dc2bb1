#!/usr/bin/env bash
# Runs the demonstration on the built-in corpus, from an empty machine: creates .venv, then calls `nmt demo`, which
# prints the path of its report and the command that explores the systems.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up explore
exec .venv/bin/nmt demo "$@"
