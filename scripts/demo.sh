#!/usr/bin/env bash
# The whole story on the built-in corpus, from an empty machine: sets up .venv, then `nmt demo`, which names its report.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
exec .venv/bin/nmt demo "$@"
