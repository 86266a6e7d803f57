#!/usr/bin/env bash
# Measures everything that docs/performance.md shows, on this machine, and writes it to bench/results/MACHINE/:
#   scripts/measure-performance.sh MACHINE [peers|load|kernels|accuracy]…
# MACHINE names the folder, e.g. intel-xeon-amx-2-cores. Takes some minutes; let nothing else run. ONNX Runtime comes from build/interop (./test
# installs it) or from $BITWRIGHT_NODE_MODULES; accuracy needs CIFAR-10 (docs/data.md).
set -euo pipefail
cd "$(dirname "$0")/.."
die() { echo "error: $*" >&2; exit 2; }
[ $# -ge 1 ] || die "no machine named; say scripts/measure-performance.sh MACHINE [peers|load|kernels|accuracy]…"
machine=$1; shift
[ $# -gt 0 ] || set -- peers load kernels accuracy
results=bench/results/$machine
bin=build/bench/bin
mkdir -p "$results"
cmake --preset bench >/dev/null
cmake --build --preset bench

for part in "$@"; do
  case $part in
    peers) "$bin/peers" --json "$results/peers.json" ;;
    load)
      for activations in float32 bfloat16 int8; do
        "$bin/load_bench" resnet18:pow2:5 --activations "$activations" --json "$results/load-resnet18-$activations.json"
        "$bin/load_bench" resnet18:pow2:5 --activations "$activations" --threads 2 --json "$results/load-resnet18-$activations-2-threads.json"
      done ;;
    kernels)
      "$bin/gemv_bench" --benchmark_filter='4096x(4096|25088/cold)/(levels:(3|16|17)|digits)(/planes:1)?/batch:1/' --benchmark_out="$results/kernels-gemv.json"
      "$bin/quantize_bench" --benchmark_filter='(neon|avx2|avx512)/round:.*/268435456' --benchmark_out="$results/kernels-rounding.json"
      # Where it ran is nobody's business.
      sed -i '/"host_name":/d; /"executable":/d' "$results"/kernels-*.json ;;
    accuracy)
      model=results/cifar10-resnet20/inq-5/seed-1/model.bw
      calibrated=$(mktemp --suffix=.bw)
      "$bin/bitwright" calibrate "$model" --data cifar10 -o "$calibrated"
      accuracy() { "$bin/bitwright" eval "$calibrated" --data cifar10 --activations "$1" --json | sed -n 's/.*"accuracy": \([0-9.]*\).*/\1/p'; }
      printf '{\n  "model": "%s",\n  "float32": %s,\n  "bfloat16": %s,\n  "int8": %s,\n  "command": "scripts/measure-performance.sh %s accuracy"\n}\n' \
        "$model" "$(accuracy float32)" "$(accuracy bfloat16)" "$(accuracy int8)" "$machine" >"$results/accuracy.json"
      rm -f "$calibrated" ;;
    *) die "unknown part \"$part\" (known: peers, load, kernels, accuracy)" ;;
  esac
done
echo "now: BITWRIGHT_UPDATE_DOCS=1 build/dev/bin/performance --gtest_filter='PerformancePage.*' writes docs/performance.md anew"
