#!/usr/bin/env bash
# Measures what pre-training on text alone brings to translation, and generates docs/results/pretraining.md and .json.
set -euo pipefail

usage="usage: DATA=DIR scripts/pretraining.sh [SETTING=VALUE …]

Pre-trains a small Transformer on the English and the German lines of Multi30k,
by masked pieces and by denoising. Then trains translation systems that start
from each of them, and from no pre-training, on 1,000, 5,000 and all pairs.
Evaluates all on test_2016_flickr, and generates pretraining.md and
pretraining.json from the run folders. Three seeds take about four hours of one
core. After an interruption, the same command continues, and repeats nothing
that is finished. Runs that OUT's pretraining.json holds and RUNS lacks keep
their figures, so several machines can share the seeds. Arguments are settings
of every training.

Environment variables, with their defaults in brackets:
  DATA    folder with the text of Multi30k: dataset/data/task1/raw after
          git clone https://github.com/multi30k/dataset (required)
  RUNS    folder for the run folders and their logs (runs/pretraining)
  OUT     folder for pretraining.md and pretraining.json (docs/results)
  STARTS  kinds of pre-training (none masked denoising)
  PAIRS   numbers of training pairs (1000 5000 29000)
  SEEDS   seeds of each system (1 2 3)
  JOBS    runs at the same time, one thread each (the number of cores)
  PYTHON  interpreter with the packages of nmt (.venv/bin/python, which is
          created)"

needs_data=true
source "$(dirname "${BASH_SOURCE[0]}")/runs.sh"
runs=${RUNS:-runs/pretraining}
export runs

# pretrain START-seedN [SETTING=VALUE …]
pretrain() {
    local name=$1 objective=${1%-seed*}
    shift
    # A step of masked pieces runs no decoder, so it has time for twice as many texts.
    [ "$objective" != masked ] || set -- loader.batch_tokens=3200 "$@"
    # Without pre-training, the other run still starts with the same tokenizer: one update at this rate learns nothing.
    [ "$objective" != none ] || set -- "$@" trainer.max_steps=1 schedule.learning_rate=1e-12
    nmt "$name" train experiment=pretraining "objective=${objective/none/denoising}" data=text "data.path=$runs/text" \
        "seed=${name##*-seed}" "run=$runs/$name" resume=auto threads=1 "$@"
}

# translate PAIRS/START-seedN [SETTING=VALUE …]
translate() {
    local name=$1 pairs=${1%/*} steps=3000
    shift
    [ "$pairs" -gt 5000 ] || steps=2000
    [ "$pairs" -gt 1000 ] || steps=1000
    nmt "$name" train experiment=pretraining data=files "data.path=$runs/$pairs/text" "init=$runs/${name#*/}" \
        "seed=${name##*-seed}" "run=$runs/$name" resume=auto threads=1 loader.batch_tokens=800 \
        trainer.max_steps=$steps trainer.validate_every=250 "$@" || return
    nmt "$name" evaluate split=test_2016_flickr "run=$runs/$name" threads=1
}

# list_runs [PREFIX]: PREFIX and the name of each pre-training
list_runs() {
    for seed in ${SEEDS:-1 2 3}; do
        for start in ${STARTS:-none masked denoising}; do
            echo "${1:-}$start-seed$seed"
        done
    done
}

for language in en de; do
    mkdir -p "$runs/text"
    for split in train val; do text "$split.$language" >"$runs/text/$split.$language"; done
    for pairs in ${PAIRS:-1000 5000 29000}; do
        mkdir -p "$runs/$pairs/text"
        text "train.$language" | sed -n "1,${pairs}p" >"$runs/$pairs/text/train.$language"
        for split in val test_2016_flickr; do
            text "$split.$language" >"$runs/$pairs/text/$split.$language"
        done
    done
done
list_runs | for_each_run pretrain "$@"
for pairs in ${PAIRS:-1000 5000 29000}; do list_runs "$pairs/"; done | for_each_run translate "$@"
exec "$python" scripts/pretraining_table.py "$runs" "${OUT:-docs/results}"
