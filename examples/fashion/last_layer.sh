#!/usr/bin/env bash
# The accuracy that bf16 and sampling of the last layer cost, on frozen features of the fashion photos, three seeds.
#
#   examples/fashion/last_layer.sh DATASET [SEEDS]
#
# DATASET  prepared with --features: one vector of any frozen network for every row of products.csv
# SEEDS    default: "0 1 2"
#
# All results go to the current folder. After an interruption, run the same line again.
set -euo pipefail
dataset=${1:?a dataset prepared with --features} seeds=${2:-0 1 2}

declare -A variants=(
  [fp32]="precision=fp32"
  [bf16]="precision=bf16"
  [sampled-50]="precision=fp32 classifier=sampled sample_share=0.5"
  [sampled-10]="precision=fp32 classifier=sampled sample_share=0.1"
  [sampled-10-bf16]="precision=bf16 classifier=sampled sample_share=0.1"
)
for family in visual sicot; do
  for variant in fp32 bf16 sampled-50 sampled-10 sampled-10-bf16; do
    for seed in $seeds; do
      run=$family-$variant-$seed
      settings=(--set embed=512 --set optimizer=adamw --set lr=0.001 --set weight_decay=0.02 --set schedule=cosine)
      settings+=(--set operating_points=none --set epochs=6 --set batch_size=64 --set "seed=$seed" --workers 0)
      [ "$family" = sicot ] && settings+=(--set title_loss_weight=0.3 --set word_dropout=0.5)
      for setting in ${variants[$variant]}; do settings+=(--set "$setting"); done
      prodrec train "$family" "$dataset" --preset paper --out "runs/$run" "${settings[@]}" --auto-resume
      [ -e "scores/$run.h5" ] || prodrec score "runs/$run" "$dataset" --split test
    done
  done
  prodrec report scores/"$family"-*.h5 --mean --by-head-tail --markdown "$family.md" --force
done
