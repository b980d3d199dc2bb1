# Sourced by reproduce.sh, ablation.sh, zoo.sh, pretraining.sh and finetuning.sh, which train and evaluate many runs.
# They set $usage, the answer to --help, and $needs_data: whether they need the folder that DATA names.
# It resolves the folders that the environment names, changes to the project's root and creates .venv if no other PYTHON
# is named. $data is the absolute path of DATA.

if [ "${1:-}" = --help ]; then
    echo "$usage"
    exit
elif [ -z "${DATA:-}" ] && $needs_data; then
    echo "$usage" >&2
    exit 2
elif [ -n "${DATA:-}" ] && [ ! -d "$DATA" ]; then
    echo "DATA=$DATA is not a folder: name the one with train.en and train.de" >&2
    exit 2
fi
data=${DATA:+$(cd "$DATA" && pwd)}

# Paths are relative to where the script was started.
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
[ -z "${RUNS:-}" ] || RUNS=$(absolute "$RUNS")
[ -z "${OUT:-}" ] || OUT=$(absolute "$OUT")
[[ ${PYTHON:-} != */* ]] || PYTHON=$(absolute "$PYTHON") # a name without a slash is found by PATH
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" # changes to the project's root
[ -n "${PYTHON:-}" ] || set_up
python=${PYTHON:-.venv/bin/python}
export python PYTHONPATH=. OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# text NAME: the lines of a file in DATA, which may be compressed.
text() { if [ -f "$data/$1" ]; then cat "$data/$1"; else gzip -dc "$data/$1.gz"; fi; }

# nmt RUN WORD…: a command whose output goes to the run's log.
nmt() {
    local name=$1
    shift
    echo "$(date +%H:%M) $name: nmt $1 $2" >&2
    if ! "$python" -m nmt "$@" >>"$runs/$name.log" 2>&1; then
        echo "$name failed: $(tail -n 1 "$runs/$name.log")" >&2
        return 1
    fi
}
export -f nmt

# for_each_run FUNCTION [WORD…]: calls FUNCTION RUN WORD… for each name of a run on standard input, JOBS at a time.
# $runs is the folder for run folders and logs.
for_each_run() {
    local function=$1
    shift
    export -f "$function"
    mkdir -p "$runs"
    xargs -P "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" -I RUN_NAME bash -c "$function"' "$@"' "$function" RUN_NAME "$@" || {
        echo "Not all runs are complete, so there are no results yet; the logs are in $runs. The same command" \
            "continues." >&2
        exit 1
    }
}
