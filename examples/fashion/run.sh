#!/usr/bin/env bash
# All steps on the fashion catalogue, three seeds of each family.
#
#   examples/fashion/run.sh DATA WEIGHTS [SEEDS]
#
# DATA     a folder with products.csv (id, image, title, root, middle, leaf, gender, baseColour, season, usage) and images.tar
# WEIGHTS  mobilenet_v2 pretrained on ImageNet under torchvision's key names (.pth or .safetensors)
# SEEDS    default: "0 1 2"
#
# All results go to the current folder. After an interruption, run the same line again: finished steps are kept and an unfinished
# training resumes.
set -euo pipefail
data=${1:?the folder of the catalogue} weights=${2:?the pretrained weights} seeds=${3:-0 1 2}
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -e dataset ]; then
  prodrec prepare "$data/products.csv" --images "$data/images.tar" \
    --levels root,middle,leaf --attributes gender,baseColour,season,usage
fi
if [ ! -e dataset/embeddings.h5 ]; then
  prodrec pretrain-embeddings dataset --deterministic
fi
for seed in $seeds; do
  for family in visual sicot; do
    settings=(--config "$here/fashion.toml" --set "weights=$weights" --set "seed=$seed")
    # Titles name the class in four of five rows; with the default settings the mixed stream reads it from them (see LOG.md).
    [ "$family" = sicot ] && settings+=(--set title_loss_weight=0.3 --set word_dropout=0.5)
    prodrec train "$family" dataset --preset paper --out "runs/$family-$seed" "${settings[@]}" --auto-resume
  done
done
prodrec score
# Each run has two files of scores, one for each operating point.
prodrec report --mean --by-head-tail --by-root --by-level --top 1,3,5 --markdown report.md --csv report.csv --figures figures --force
