#!/usr/bin/env bash
# Measures what a general system brings to a translation from 1,000 pairs (docs/results/finetuning.md).
set -euo pipefail

usage="usage: DATA=DIR scripts/finetuning.sh [SETTING=VALUE …]

The general system learns English-French from captions 1,001 to 15,000 of
Multi30k, and French-German from the others, so it has never seen an English
caption with its German translation. Then 1,000 English-German pairs train one
system that starts from it, and others from random weights. Evaluates all on
val. One seed takes about half an hour of one core. After an interruption, the
same command continues. Arguments are settings of every training.

Environment variables, with their defaults in brackets:
  DATA    folder with the text of Multi30k: dataset/data/task1/raw after
          git clone https://github.com/multi30k/dataset (required)
  RUNS    folder for the run folders and their logs (runs/finetuning)
  PYTHON  interpreter with the packages of nmt (.venv/bin/python, which is
          created)"

needs_data=true
source "$(dirname "${BASH_SOURCE[0]}")/runs.sh"
runs=${RUNS:-runs/finetuning}

# train NAME SETTING=VALUE…
train() {
    local name=$1
    shift
    nmt "$name" train experiment=pretraining "$@" "run=$runs/$name" resume=auto threads=1
}

# evaluate NAME [SETTING=VALUE …]
evaluate() {
    local name=$1
    shift
    nmt "$name" evaluate split=val "run=$runs/$name" threads=1 "$@"
}

mkdir -p "$runs"/{pairs,en-fr,fr-de}
# take FOLDER FIRST,LAST LANGUAGE…: these lines of the training text, and the validation text.
take() {
    local folder=$1 lines=$2 language
    for language in "${@:3}"; do
        text "train.$language" | sed -n "${lines}p" >"$runs/$folder/train.$language"
        text "val.$language" >"$runs/$folder/val.$language"
    done
}
take pairs 1,1000 en de
take en-fr 1001,15000 en fr
take fr-de 15001,29000 fr de

parts="{path: '$runs/en-fr', languages: [en, fr]}, {path: '$runs/fr-de', languages: [fr, de]}"
pairs=(data=files "data.path=$runs/pairs" loader.batch_tokens=800 trainer.validate_every=100)
train general data=mix "data.parts=[$parts]" trainer.max_steps=5000 trainer.validate_every=1000 "$@"
train fine-tuned "${pairs[@]}" "init=$runs/general" trainer.max_steps=1000 "$@"
train scratch "${pairs[@]}" trainer.max_steps=1000 "$@"
train scratch-same-pieces "${pairs[@]}" tokenizer=run "tokenizer.run=$runs/general" trainer.max_steps=1000 "$@"
for name in fine-tuned scratch scratch-same-pieces; do evaluate "$name"; done
evaluate general data.source=en data.target=de "data.path=$runs/pairs" # a direction that it has not learned
