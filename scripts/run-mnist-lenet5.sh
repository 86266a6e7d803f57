#!/usr/bin/env bash
# Makes results/mnist-lenet5: LeNet-5 in float and INQ at 5, 4, 3 and 2 bits, three seeds each. An interrupted call goes on where it stopped.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
export PATH="$PWD/build/release/bin:$PATH"
out=${1:-runs/results}

keep() {  # keep RUN NAME: the facts of a run that are small enough to commit
  local target=results/mnist-lenet5/$2
  mkdir -p "$target"
  cp "$1"/{recipe.toml,environment.json,metrics.jsonl,timing.jsonl,summary.json,model.bw} "$target/"
}

for seed in 1 2 3; do
  float=$out/float-seed-$seed
  bitwright train recipes/mnist-lenet5-float.toml --run "$float" --resume --set train.seed=$seed
  keep "$float" "float32/seed-$seed"
  for bits in 5 4 3 2; do
    run=$out/inq-${bits}bit-seed-$seed
    bitwright train recipes/mnist-lenet5-inq-${bits}bit.toml --run "$run" --resume --set train.seed=$seed --set model.from="$float/model.bw"
    keep "$run" "pow2-$bits/seed-$seed"
  done
done
