#!/usr/bin/env bash
# A million classes on one machine, from a drawn catalogue to the report: three quarters of an hour and 6 GiB on two cores.
#
#   examples/million/run.sh [CLASSES] [ROWS]
#
# CLASSES  default: 1000000
# ROWS     training rows, at least one for each class; default: 2500000
#
# All results go to the current folder. After an interruption, run the same line again: finished steps are kept and an unfinished
# training resumes.
set -euo pipefail
classes=${1:-1000000} rows=${2:-2500000}
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -e catalogue/features.npy ]; then
  rm -rf catalogue.partial
  python "$here/draw.py" catalogue.partial --classes "$classes" --rows "$rows"
  mv catalogue.partial catalogue
fi
if [ ! -e dataset ]; then
  prodrec prepare catalogue/products.parquet --features catalogue/features.npy \
    --levels root,middle,leaf --split-column split
fi
if [ ! -e dataset/embeddings.h5 ]; then
  prodrec pretrain-embeddings dataset --epochs 2 --deterministic
fi
prodrec train visual dataset --preset paper --config "$here/million.toml" --auto-resume
prodrec train sicot dataset --preset paper --config "$here/million.toml" --set title_loss_weight=0.3 --auto-resume
prodrec score --split test --top-k 100
prodrec report --by-head-tail --by-level --csv report.csv --force
