#!/usr/bin/env bash
# Trains and evaluates every attention mechanism, and generates docs/results/attention-zoo.md and attention-zoo.json.
set -euo pipefail

usage="usage: scripts/zoo.sh [SETTING=VALUE …]

Trains each mechanism (conf/experiment/zoo_*.yaml) with each seed on the
built-in corpus, and on 10,000 pairs of Multi30k if DATA is set. Evaluates all,
measures what each costs, and generates attention-zoo.md and attention-zoo.json
from the run folders. After an interruption, the same command continues, and
repeats nothing that is finished. Runs that OUT's attention-zoo.json holds and
RUNS lacks keep their figures, so several machines can share the seeds.
Arguments are settings of every training.

Environment variables, with their defaults in brackets:
  DATA        folder with the text of Multi30k: dataset/data/task1/raw after
              git clone https://github.com/multi30k/dataset (none)
  RUNS        folder for the run folders and their logs (runs/zoo)
  OUT         folder for attention-zoo.md and attention-zoo.json (docs/results)
  MECHANISMS  names, such as bahdanau for zoo_bahdanau (all)
  SEEDS       seeds of each mechanism (1 2 3)
  JOBS        runs at the same time, one thread each (the number of cores)
  PYTHON      interpreter with the packages of nmt (.venv/bin/python, which is
              created)"

needs_data=false
source "$(dirname "${BASH_SOURCE[0]}")/runs.sh"
runs=${RUNS:-runs/zoo}
export runs
all=$(cd conf/experiment && echo zoo_*.yaml | sed 's/zoo_//g; s/\.yaml//g')

# train_and_evaluate CORPUS/MECHANISM-seedN [SETTING=VALUE …]
train_and_evaluate() {
    local name=$1 split mechanism splits="test test_long pronouns"
    shift
    mechanism=${name#*/} mechanism=${mechanism%-seed*}
    if [ "${name%%/*}" = multi30k ]; then
        splits=test_2016_flickr
        set -- data=files "data.path=$runs/multi30k/text" "$@"
    fi
    nmt "$name" train "experiment=zoo_$mechanism" "seed=${name##*-seed}" "run=$runs/$name" resume=auto threads=1 \
        "$@" || return
    for split in $splits; do
        nmt "$name" evaluate "split=$split" "run=$runs/$name" threads=1 || return
    done
}

mkdir -p "$runs/grammar"
if [ -n "$data" ]; then
    mkdir -p "$runs/multi30k/text"
    for language in en de; do
        text "train.$language" | sed -n 1,10000p >"$runs/multi30k/text/train.$language"
        for split in val test_2016_flickr; do
            text "$split.$language" >"$runs/multi30k/text/$split.$language"
        done
    done
fi
for seed in ${SEEDS:-1 2 3}; do
    for corpus in grammar ${data:+multi30k}; do
        for mechanism in ${MECHANISMS:-$all}; do
            echo "$corpus/$mechanism-seed$seed"
        done
    done
done | for_each_run train_and_evaluate "$@"
"$python" scripts/zoo_costs.py "$runs"
exec "$python" scripts/zoo_table.py "$runs" "${OUT:-docs/results}"
