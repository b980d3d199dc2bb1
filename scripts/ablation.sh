#!/usr/bin/env bash
# Measures methods of regularisation on Multi30k's validation split, one at a time, and generates ablation.md.
set -euo pipefail

usage="usage: DATA=DIR scripts/ablation.sh [SETTING=VALUE …]

Trains the recipe of a system (conf/experiment/multi30k_*.yaml), and the same
recipe with one change at a time. Generates ablation.md, which compares them by
BLEU on val, from the run folders; no test split is read. After an interruption,
the same command continues, and repeats nothing that is finished. Arguments are
settings of every training, such as device=cuda.

Environment variables, with their defaults in brackets:
  DATA    folder with the text: dataset/data/task1/raw after
          git clone https://github.com/multi30k/dataset (required)
  RUNS    folder for the run folders and their logs (runs/ablation)
  OUT     folder for ablation.md (docs/results)
  METHODS what to train, such as \"transformer/recipe transformer/ema\" (all)
  EPOCHS  of each training; the recipes have 120 and 30 (40 and 10)
  SEEDS   seeds of each training (1)
  JOBS    runs at the same time, one thread each (the number of cores)
  PYTHON  interpreter with the packages of nmt (.venv/bin/python, which is
          created)"

needs_data=true
source "$(dirname "${BASH_SOURCE[0]}")/runs.sh"
runs=${RUNS:-runs/ablation}
export runs data

# settings_of METHOD: the change that a method makes to the recipe; `recipe` makes none.
settings_of() {
    case $1 in
    recipe) ;;
    attention_dropout) echo model.attention_dropout=0.1 ;;
    activation_dropout) echo model.activation_dropout=0.1 ;;
    layer_dropout) echo model.layer_dropout=0.1 ;;
    word_dropout) echo model.word_dropout=0.1 ;;
    no_encoder_dropout) echo model.encoder_dropout=0 ;;
    recurrent_dropout) echo model.recurrent_dropout=0.3 ;;
    variational_dropout) echo model.variational_dropout=true ;;
    ema) echo trainer.ema_decay=0.998 ;; # averages 500 updates, a tenth of 40 epochs
    rdrop) echo trainer.consistency=5 ;;
    simcut) echo trainer.simcut=3 ;;
    no_smoothing) echo trainer.label_smoothing=0 ;;
    one_segmentation) echo loader.subword_alpha=0 ;;
    wide) echo model.model_size=256 model.feedforward_size=512 schedule.learning_rate=0.003 ;;
    *) return 1 ;;
    esac
}

# train SYSTEM/METHOD-seedN [SETTING=VALUE …]
train() {
    local name=$1 system=${1%%/*} epochs settings
    shift
    settings=$(settings_of "$(basename "${name%-seed*}")") || return
    epochs=${EPOCHS:-$([ "$system" = transformer ] && echo 40 || echo 10)}
    # $settings is several words.
    nmt "$name" train "experiment=multi30k_$system" "seed=${name##*-seed}" "run=$runs/$name" resume=auto threads=1 \
        "data.path=$data" "trainer.max_epochs=$epochs" $settings "$@"
}
export -f settings_of

common="recipe word_dropout ema rdrop simcut no_smoothing one_segmentation"
all=$(
    printf 'transformer/%s\n' $common attention_dropout activation_dropout layer_dropout wide
    printf 'luong/%s\n' $common no_encoder_dropout recurrent_dropout variational_dropout
)
methods=${METHODS:-$all}
for method in $methods; do
    if [[ $method != */* ]] || ! settings_of "${method#*/}" >/dev/null; then
        echo "METHODS: $method is not one of" $all >&2
        exit 2
    fi
    mkdir -p "$runs/${method%/*}"
done
for seed in ${SEEDS:-1}; do
    for method in $methods; do
        echo "$method-seed$seed"
    done
done | for_each_run train "$@"
exec "$python" scripts/ablation_table.py "$runs" "${OUT:-docs/results}"
