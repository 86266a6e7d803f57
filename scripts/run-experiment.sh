#!/usr/bin/env bash
# Makes results/EXPERIMENT again from what its experiment.json states:  scripts/run-experiment.sh EXPERIMENT [VARIANT…]
# An interrupted call goes on where it stopped. SEEDS="1 2" limits the seeds, SET="train.device=cuda" adds settings to every recipe.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. scripts/setup.sh
[ $# -ge 1 ] || die "name an experiment: $(cd results && ls -d */ | tr -d /  | tr '\n' ' ')"
command -v jq >/dev/null || install_packages jq
export PATH="$PWD/build/release/bin:$PATH"
experiment=$1; shift
spec=results/$experiment/experiment.json
[ -f "$spec" ] || die "$spec is not there"
out=runs/results/$experiment

row() { jq -r --arg v "$1" '.rows[] | select(.variant == $v) | '"$2" "$spec"; }

# keep RUN TARGET VARIANT: the facts of a run that are small enough to commit. A network of over 2 MB is kept only for the first seed of a
# variant that the experiment names under `checked`.
keep() {
  local bytes; bytes=$(stat -c %s "$1/model.bw")
  mkdir -p "$2"
  cp "$1"/{environment.json,summary.json} "$2/"
  for fact in recipe.toml metrics.jsonl timing.jsonl; do [ ! -f "$1/$fact" ] || cp "$1/$fact" "$2/"; done
  rm -f "$2/model.bw"
  if [ "$bytes" -le 2000000 ] || { jq -e --arg v "$3" '.checked // [] | index($v)' "$spec" >/dev/null && [ "$(basename "$2")" = seed-1 ]; }; then
    cp "$1/model.bw" "$2/"
  fi
}

# pretrained MODEL RUN: a network that was trained elsewhere, packed and evaluated.
pretrained() {
  mkdir -p "$2"
  bitwright export "$1" -o "$2/model.bw"
  bitwright eval "$2/model.bw" --data "$(jq -r .data "$spec")" --json |
    jq --arg from "${1##*/}" --argjson bytes "$(stat -c %s "$2/model.bw")" \
      '{accuracy, correct: (.accuracy * .images / 100 | round), images, evaluated_on: "test split", method: "pretrained", format: "float32",
        file_bytes: $bytes, seconds: 0, seed: 0, epochs: 0, source: $from}' >"$2/summary.json"
  echo '{"trained": "elsewhere; see docs/data.md"}' >"$2/environment.json"
}

variants=("$@")
[ ${#variants[@]} -gt 0 ] || mapfile -t variants < <(jq -r '.rows[].variant' "$spec")
for variant in "${variants[@]}"; do
  source=$(row "$variant" '.pretrained // empty')
  if [ -n "$source" ]; then
    pretrained "$source" "$out/$variant/pretrained"
    keep "$out/$variant/pretrained" "results/$experiment/$variant/pretrained" "$variant"
    continue
  fi
  recipe=$(row "$variant" .recipe)
  [ "$recipe" != null ] || die "$spec has no recipe for the variant '$variant'"
  for seed in ${SEEDS:-$(row "$variant" "(.seeds // $(jq -c '.seeds // [1,2,3]' "$spec"))[]")}; do
    run=$out/$variant/seed-$seed
    settings=(--set "train.seed=$seed")
    while IFS= read -r setting; do settings+=(--set "$setting"); done < <(row "$variant" '.set // [] | .[]')
    start=$(row "$variant" '.start // empty')
    [ -z "$start" ] || settings+=(--set "model.from=$out/$start/seed-$seed/model.bw")
    for setting in ${SET:-}; do settings+=(--set "$setting"); done
    say "$experiment/$variant, seed $seed"
    bitwright train "recipes/$recipe.toml" --run "$run" --resume "${settings[@]}"
    keep "$run" "results/$experiment/$variant/seed-$seed" "$variant"
  done
done
