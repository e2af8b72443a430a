#!/usr/bin/env bash
# What number type and sampling of the last layer cost in accuracy: frozen features of the fashion photos, three seeds.
#
#   examples/fashion/last_layer.sh DATASET [SEEDS]
#
# DATASET  prepared with --features: one vector for every row of products.csv, by any frozen network
# SEEDS    "0 1 2" unless given
#
# Everything is written to the current folder. Interrupted? Run the same line again.
set -euo pipefail
dataset=${1:?a dataset prepared with --features} seeds=${2:-0 1 2}

declare -A ways=(
  [fp32]="precision=fp32"
  [bf16]="precision=bf16"
  [sampled-50]="precision=fp32 classifier=sampled sample_share=0.5"
  [sampled-10]="precision=fp32 classifier=sampled sample_share=0.1"
  [sampled-10-bf16]="precision=bf16 classifier=sampled sample_share=0.1"
)
for family in visual sicot; do
  for way in fp32 bf16 sampled-50 sampled-10 sampled-10-bf16; do
    for seed in $seeds; do
      run=$family-$way-$seed
      settings=(--set embed=512 --set optimizer=adamw --set lr=0.001 --set weight_decay=0.02 --set schedule=cosine)
      settings+=(--set epochs=6 --set batch_size=64 --set "seed=$seed" --workers 0)
      [ "$family" = sicot ] && settings+=(--set title_loss_weight=0.3 --set word_dropout=0.5)
      for setting in ${ways[$way]}; do settings+=(--set "$setting"); done
      prodrec train "$family" "$dataset" --out "runs/$run" "${settings[@]}" --resume
      [ -e "scores/$run.h5" ] || prodrec score "runs/$run" "$dataset" --split test
    done
  done
  prodrec report scores/"$family"-*.h5 --mean --by-head-tail --markdown "$family.md" --force
done
