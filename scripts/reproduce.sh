#!/usr/bin/env bash
# Trains and evaluates every system on Multi30k, and generates docs/results/multi30k.md and multi30k.json.
set -euo pipefail

usage="usage: DATA=DIR scripts/reproduce.sh [SETTING=VALUE …]

Trains each system with each seed (conf/experiment/multi30k_*.yaml), evaluates
it on val, test_2016_flickr and test_2017_flickr, and generates multi30k.md and
multi30k.json from the run folders. After an interruption, the same command
continues, and repeats nothing that is finished. Arguments are settings of every
training, such as device=cuda.

Environment variables, with their defaults in brackets:
  DATA     folder with the text: dataset/data/task1/raw after
           git clone https://github.com/multi30k/dataset
  RUNS     folder for the run folders and their logs (runs/multi30k)
  OUT      folder for multi30k.md and multi30k.json (docs/results)
  SYSTEMS  names of recipes (lstm bahdanau luong transformer)
  SEEDS    seeds of each system (1 2 3)
  JOBS     runs at the same time, with one thread each (the number of cores)
  MINUTES  limit of each training in minutes, for a smaller reproduction (none)
  PYTHON   interpreter with the packages of nmt (.venv/bin/python, which is
           created)"

if [ "${1:-}" = --help ]; then
    echo "$usage"
    exit
elif [ -z "${DATA:-}" ]; then
    echo "$usage" >&2
    exit 2
elif [ ! -d "$DATA" ]; then
    echo "DATA=$DATA is not a folder: name the one with train.en and train.de" >&2
    exit 2
fi
data=$(cd "$DATA" && pwd)
# Paths are relative to where the script was started.
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
[ -z "${RUNS:-}" ] || RUNS=$(absolute "$RUNS")
[ -z "${OUT:-}" ] || OUT=$(absolute "$OUT")
[[ ${PYTHON:-} != */* ]] || PYTHON=$(absolute "$PYTHON") # a name without a slash is found by PATH
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" # changes to the project's root
[ -n "${PYTHON:-}" ] || set_up
runs=${RUNS:-runs/multi30k} python=${PYTHON:-.venv/bin/python} splits="val test_2016_flickr test_2017_flickr"
export runs python data splits PYTHONPATH=. OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

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

# train_and_evaluate SYSTEM-seedN [SETTING=VALUE …]
train_and_evaluate() {
    local name=$1 split
    shift
    nmt "$name" train "experiment=multi30k_${name%-seed*}" "seed=${name##*-seed}" "run=$runs/$name" resume=auto \
        "data.path=$data" "$@" || return
    for split in $splits; do
        nmt "$name" evaluate "split=$split" "run=$runs/$name" "data.path=$data" || return
    done
}
export -f nmt train_and_evaluate

mkdir -p "$runs"
for seed in ${SEEDS:-1 2 3}; do
    for system in ${SYSTEMS:-lstm bahdanau luong transformer}; do
        echo "$system-seed$seed"
    done
done | xargs -P "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" -I RUN_NAME \
    bash -c 'train_and_evaluate "$@"' reproduce RUN_NAME ${MINUTES:+"trainer.max_minutes=$MINUTES"} "$@" || {
    echo "Not all runs are complete, so there are no results yet; the logs are in $runs. The same command continues." >&2
    exit 1
}
exec "$python" scripts/multi30k_table.py "$runs" "${OUT:-docs/results}" $splits
