#!/usr/bin/env bash
# Trains and evaluates every system on Multi30k, and generates docs/results/multi30k.md and multi30k.json.
set -euo pipefail

usage="usage: DATA=DIR scripts/reproduce.sh [SETTING=VALUE …]

Trains each system with each seed (conf/experiment/multi30k_*.yaml). Evaluates
each run, and the ensemble of a system's seeds, on val, test_2016_flickr and
test_2017_flickr. Generates multi30k.md and multi30k.json from the run folders.
After an interruption, the same command continues, and repeats nothing that is
finished. Arguments are settings of every training, such as device=cuda.

Environment variables, with their defaults in brackets:
  DATA     folder with the text: dataset/data/task1/raw after
           git clone https://github.com/multi30k/dataset
  RUNS     folder for the run folders and their logs (runs/multi30k)
  OUT      folder for multi30k.md and multi30k.json (docs/results)
  SYSTEMS  names of recipes (lstm bahdanau luong transformer); for a GPU, there
           is also transformer_rdrop
  SEEDS    seeds of each system (1 2 3)
  JOBS     runs at the same time, with one thread each (the number of cores)
  MINUTES  limit of each training in minutes, for a smaller reproduction (none)
  PYTHON   interpreter with the packages of nmt (.venv/bin/python, which is
           created)"

needs_data=true
source "$(dirname "${BASH_SOURCE[0]}")/runs.sh"
runs=${RUNS:-runs/multi30k} splits="val test_2016_flickr test_2017_flickr"
systems=${SYSTEMS:-lstm bahdanau luong transformer} seeds=${SEEDS:-1 2 3}
export runs data splits seeds

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

# evaluate_ensemble SYSTEM: all its seeds translate together.
evaluate_ensemble() {
    local members="" seed split
    for seed in $seeds; do members+="${members:+,}'$runs/$1-seed$seed'"; done
    for split in $splits; do
        nmt "$1-ensemble" evaluate "split=$split" "run=[$members]" "data.path=$data" || return
    done
}

for seed in $seeds; do
    for system in $systems; do
        echo "$system-seed$seed"
    done
done | for_each_run train_and_evaluate ${MINUTES:+"trainer.max_minutes=$MINUTES"} "$@"
if [ "$(wc -w <<<"$seeds")" -gt 1 ]; then printf '%s\n' $systems | for_each_run evaluate_ensemble; fi
exec "$python" scripts/multi30k_table.py "$runs" "${OUT:-docs/results}" $splits
