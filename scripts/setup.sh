# Sourced by ./demo and ./test: installs Debian packages by name when they are missing, and picks how much may run at once.
# shellcheck shell=bash

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# What the programs need to be built, each by its Debian package name (docs/architecture.md, "Dependencies").
kBuildPackages=(
  g++ cmake ninja-build pkg-config ccache
  libtorch-dev libopenblas0-pthread libgoogle-glog-dev libgflags-dev libprotobuf-dev protobuf-compiler
  libdnnl-dev libhwy-dev
  libfmt-dev libcli11-dev nlohmann-json3-dev libtomlplusplus-dev
  libssl-dev libxxhash-dev zlib1g-dev libpng-dev libturbojpeg0-dev
  curl ca-certificates tar
)
kTestPackages=(libgtest-dev libgmock-dev librapidcheck-dev libsystemc-dev libbenchmark-dev clang-format
  qemu-user g++-aarch64-linux-gnu  # the kernels on a processor without AVX and on AArch64, for tests/emulated
  libonnx-dev libonnx-testdata python3-onnx)  # onnx.proto, test cases and a maker of networks, for tests/interop

# install_packages NAME…: installs what is missing; asks nothing.
install_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null || die "apt-get is not here (need Debian 12 or newer); install these by hand: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "installing packages needs root (found user $(id -un)); run as root, or install sudo, or install these by hand: ${missing[*]}"
    as_root=(sudo)
  fi
  say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  "${as_root[@]}" apt-get -qq update || die "apt-get update failed; check the network and /etc/apt/sources.list"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null \
    || die "apt-get could not install: ${missing[*]}; its lines above say why"
}

# install_onnx_runtime FOLDER: the npm package that tests/interop runs our exports with. Without it those tests say that they were skipped.
kOnnxRuntime=onnxruntime-node@1.20.1
install_onnx_runtime() {
  [ -d "$1/node_modules/onnxruntime-node" ] && return 0
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then (install_packages nodejs npm) || return 1; fi
  mkdir -p "$1"
  say "Installing $kOnnxRuntime (npm, for tests only) in $1"
  npm install --prefix "$1" --ignore-scripts --no-audit --no-fund --silent "$kOnnxRuntime"
}

# build PRESET [TARGET…]: configures a CMake preset and builds it.
build() {
  local preset=$1; shift
  say "Configuring and building the preset '$preset' in build/$preset (a first build takes some minutes; ccache makes later ones short)"
  # A LibTorch source takes about 1.2 GB: on machines with little memory fewer compile at once.
  local by_memory by_cores jobs
  by_memory=$(( $(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo) * 10 / 15 ))
  by_cores=$(nproc)
  jobs=$(( by_memory < by_cores ? by_memory : by_cores )); [ "$jobs" -ge 1 ] || jobs=1
  cmake --preset "$preset" >"build-$preset.log" 2>&1 || { cat "build-$preset.log" >&2; die "cmake --preset $preset failed; see above"; }
  rm -f "build-$preset.log"
  cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
}
